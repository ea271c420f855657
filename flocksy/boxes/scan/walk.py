"""Looking at a box: compare what the disk shows with what is known, cut and hash what changed.

Theory of operation. A walk compares one directory's listing at a time with what the index knew
there, so it needs the memory of one directory. Whole boxes and single paths go the same way; a
path that is a directory is compared with its listing, and only what is new below it is entered.
Something is *gone* only when a complete listing (or a look at its very name) does not show it: a
directory that cannot be read proves nothing about what is in it, something that no box holds
proves nothing about what it took the place of (a file moved to a larger disk, with a link to it),
and a box whose private directory is not the one the walk began with proves nothing at all.

What is known is believed when size, mode, times and inode are the same and the last look was late
enough after the last change that another one would have got another time. Whatever else is
hashed, and not believed when it changed while it was read.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Generator, Iterable
from dataclasses import dataclass, replace

from flocksy.boxes.disk.port import PRIVATE, Disk, Stat
from flocksy.boxes.scan.chunking import ContentChangedError
from flocksy.boxes.scan.findings import (
    Busy,
    Finding,
    Gone,
    Seen,
    Skipped,
    Unfollowed,
)
from flocksy.boxes.scan.follower import Follower, NotShown, Shown
from flocksy.boxes.scan.listing import by_directory, by_spelling
from flocksy.boxes.scan.looking import (
    Look,
    as_found,
    attributes_of,
    read_file,
    says,
    unreadable,
    with_parents,
)
from flocksy.errors import HostileInput, LimitExceeded
from flocksy.index.known import Known, KnownTree
from flocksy.sync.content import symlink_root
from flocksy.sync.holding import Choice
from flocksy.sync.names import check_path, encode_path, parent_of
from flocksy.sync.trees import DiskEntry
from flocksy.sync.version import Kind

COARSE_CLOCK_NS = 20_000_000
"""Linux takes the times of files from a clock that stands still between two timer ticks (up to
10 ms, CONFIG_HZ=100), however fine the file system could tell them. Doubled, for slow machines."""

Steps = Generator[Finding | None, None, None]
"""Findings as they come; None where the walk may be interrupted (at least per chunk and entry)."""


@dataclass(frozen=True, slots=True)
class _Waiting:
    """A directory to be listed; `whole`: and all that is in it, known or not. `only`: nothing else
    in it counts, and directories among these are listed too."""

    path: str
    whole: bool
    only: frozenset[str] | None = None


class BoxGoneError(Exception):
    """The directory is not the box it was when the walk began: nothing found counts."""


class Walk:
    """One look at one box. `wall_clock_ns` is the clock that file times are compared with."""

    def __init__(
        self,
        disk: Disk,
        known: KnownTree,
        look: Look,
        wall_clock_ns: Callable[[], int] = time.time_ns,
        follower: Follower | None = None,
        choice: Choice | None = None,
        clock_s: Callable[[], float] = time.perf_counter,
    ) -> None:
        """`follower`: what to do with links that were made on this disk; `disk` is then the
        `FollowingDisk` that asks it. `choice`: what is looked at; None: everything. `clock_s`: for
        what reading takes."""
        self._holds = (choice or Choice()).holds
        self._disk = disk
        self._follower = follower
        self._known = known
        self._look = look
        self._wall_clock_ns = wall_clock_ns
        self._clock_s = clock_s
        self._grain_ns = max(look.mtime_grain_ns, COARSE_CLOCK_NS)
        self._private = self._private_inode()
        self.looked_at = 0
        """Entries compared so far."""
        self._entered: set[str] = set()
        """Of single paths: below these everything has been told already."""

    def _private_inode(self) -> int | None:
        found = self._disk.stat(PRIVATE)
        return None if found is None else found.inode

    def still_the_box(self) -> bool:
        """Whether this is the box that the walk began with: ask before believing `Gone`."""
        try:
            return self._private is not None and self._private_inode() == self._private
        except OSError:
            return False

    def whole(self) -> Steps:
        """Look at everything. Raises `OSError` when the box itself cannot be listed."""
        waiting = [_Waiting("", whole=True)]
        while waiting:
            yield from self._directory(waiting.pop(), waiting)

    def paths(self, paths: Iterable[str], *, below: bool = False) -> Steps:
        """Look at these paths: at what they are, at what directories list, and at everything
        below directories that were not known (`below`: that are among the paths). Also at parents
        that were not known."""
        paths, entered = tuple(paths), self._entered
        entirely = frozenset(paths) if below else frozenset()
        if self._look.respelling:
            paths, lost = by_spelling(paths, self._disk, self._known)
            for path in (one for one in lost if not self._is_covered(one)):
                yield from self._gone(path)
        wanted = self._to_look_at(paths)
        many: dict[str, frozenset[str]] = {}
        if self._follower is None and not below:
            wanted, many = by_directory(wanted, self._disk, self._known)
        for folder, children in many.items():
            waiting = [_Waiting(folder, whole=False, only=children)]
            while waiting:
                at = waiting.pop()
                if at.whole or self._known.entry(at.path) is None:
                    entered.add(at.path)
                yield from self._directory(at, waiting)
        for path in wanted:
            if any(above in entered for above in with_parents(path)):
                continue
            whole = path in entirely
            if path:
                if self._follower is not None and self._follower.is_closed(path):
                    continue
                found, moved = yield from self._single(path)
                if found is None or found.kind is not Kind.DIRECTORY:
                    continue
                whole = path in entirely or moved
                if whole or self._known.entry(path) is None:
                    entered.add(path)
            waiting = [_Waiting(path, whole)]
            while waiting:
                yield from self._directory(waiting.pop(), waiting)

    def _to_look_at(self, paths: Iterable[str]) -> list[str]:
        wanted = set(paths)
        for path in list(wanted):
            if self._follower is not None:
                wanted.update(self._follower.links_above(path))
            above = parent_of(path)
            while above and above not in wanted and self._known.entry(above) is None:
                wanted.add(above)
                above = parent_of(above)
        return sorted(wanted)

    def _single(self, path: str) -> Generator[Finding | None, None, tuple[Stat | None, bool]]:
        """What shows at the path, and whether it is another directory than before."""
        known = self._known.entry(path)  # before the look, as for a listing
        try:
            found = self._disk.stat(path)
        except OSError as error:
            yield unreadable(path, error)
            return None, False
        if found is not None:
            if not self._holds(path, is_directory=found.kind is Kind.DIRECTORY):
                return None, False
            return (yield from self._compare(path, found, known))
        was = known is not None or (self._follower and any(self._follower.links_above(path)))
        if was and not self._is_covered(path):
            self._entered.add(path)
            yield from self._gone(path)
        return None, False

    def _is_covered(self, path: str) -> bool:
        """Whether something that is skipped stands where a directory above `path` was."""
        above = parent_of(path)
        if self._follower is not None and not self._follower.still_leads(above):
            return True  # nothing may be concluded
        while above:
            try:
                found = self._disk.stat(above)
            except OSError:
                return True  # nothing may be concluded
            if found is not None:
                return self._look.why_skipped(found) is not None
            above = parent_of(above)
        return False

    def _directory(self, at: _Waiting, waiting: list[_Waiting]) -> Steps:
        """One directory's listing against what was known there. Directories to look at next go
        on `waiting`."""
        path = at.path
        # Before the listing: what is brought here between the two is not missed in it.
        known = self._known.children(path)
        try:
            listing = self._disk.scan(path)
        except FileNotFoundError:
            if not path:
                raise
            yield Busy(path, 0.0)  # replaced since it was seen a moment ago
            return
        except OSError as error:
            if not path:
                raise
            self._entered.discard(path)
            yield unreadable(path, error)
            return
        if at.only is not None:
            start = len(path) + 1 if path else 0
            names = {child[start:] for child in at.only}
            listing = [one for one in listing if one[0] in names]
            known = {child: entry for child, entry in known.items() if child in at.only}
        links: set[str] = set()
        if self._follower is not None:
            listing.sort(key=lambda one: one[0])  # of equal links the first by name is followed
            if not self._follower.still_leads(path):
                yield Busy(path, 0.0)
                return
            links.update(self._follower.links_in(path))
            if self._follower.is_other_box(path, listing):
                yield Skipped(path, "is another box, and is not followed into")
                listing = []
        for name, found in listing:
            if not path and name.casefold() == PRIVATE:
                continue
            child = f"{path}/{name}" if path else name
            before = known.pop(child, None)
            links.discard(child)
            if not self._holds(child, is_directory=found.kind is Kind.DIRECTORY):
                continue
            shown, moved = yield from self._compare(child, found, before)
            whole = at.whole or moved
            enters = whole or before is None or not before.is_directory or at.only is not None
            if shown.kind is Kind.DIRECTORY and enters:
                waiting.append(_Waiting(child, whole))
        for child in links.union(known):
            self._entered.update((child,) if at.only is not None else ())
            yield from self._gone(child)

    def _gone(self, path: str) -> Steps:
        """The path and all that was known below it."""
        yield from self._gone_below(path)
        yield Gone(path)

    def _gone_below(self, path: str) -> Steps:
        for below in self._known.below(path):
            yield Gone(below)
        if self._follower is not None:
            # Also those of which nothing was known but that they are not followed.
            for link in self._follower.links_below(path):
                yield Gone(link)

    def _compare(
        self, path: str, found: Stat, known: Known | None
    ) -> Generator[Finding | None, None, tuple[Stat, bool]]:
        """One entry against what was known of it. What shows there, and whether it is another
        directory than before."""
        self.looked_at += 1
        yield None
        try:
            check_path(path)
        except HostileInput as error:
            yield Skipped(path, f"cannot be synced: {error}")
            return found, False
        link, moved = b"", False
        if self._follower is not None:
            if found.kind is Kind.SYMLINK:
                decided = yield from self._decide(path, found, known)
                if isinstance(decided, Busy | Unfollowed):
                    return found, False
                if decided is not None:
                    found, link = decided.stat, decided.text_root
            moved = self._follower.has_moved(path, link, found, known)
        yield from self._take(path, found, known, link, moved=moved)
        return found, moved

    def _decide(
        self, path: str, found: Stat, known: Known | None
    ) -> Generator[Finding | None, None, Shown | Busy | Unfollowed | None]:
        """What a link shows, or what was said of one that shows nothing, or None where it is an
        entry like any other."""
        assert self._follower is not None
        try:
            text = self._disk.read_link(path)
        except OSError:
            replaced = Busy(path, 0.0)
            yield replaced
            return replaced
        decided = self._follower.decide(path, found, text, known)
        if not isinstance(decided, NotShown):
            return decided
        if decided.lasting and known is not None:
            yield from self._gone(path)
        finding = Unfollowed(path, decided.text_root, decided.reason)
        yield finding
        return finding

    def _take(
        self, path: str, found: Stat, known: Known | None, link: bytes, *, moved: bool
    ) -> Steps:
        """What shows at a path, be it through the followed link with the text `link`."""
        why_skipped = self._look.why_skipped(found)
        if why_skipped is not None:
            yield Skipped(path, why_skipped)
            return
        if known is not None and known.is_directory and found.kind is not Kind.DIRECTORY:
            yield from self._gone_below(path)
        if found.kind is Kind.DIRECTORY:
            entry = found.entry(b"")
            before = None if known is None else (known.entry.kind, known.entry.mode)
            if moved or before != (entry.kind, entry.mode):
                yield Seen(path, entry, link=link)
        elif (
            moved
            or known is None
            or not known.settled
            or not self._look.is_same(found, known.entry)
            or (found.kind is Kind.SYMLINK and not says(self._disk, path, known.entry))
        ):
            yield from self._hash(path, found, link)
        elif self._look.attributes and found.kind is Kind.FILE and known.entry.attributes is None:
            yield from self._look_at_attributes(path, found, known.entry, link)

    def _hash(self, path: str, found: Stat, link: bytes) -> Steps:
        """Read a file or symlink that is new or changed."""
        started_s, looked_ns = self._clock_s(), self._wall_clock_ns()
        attributes, remark = None, None
        try:
            if found.kind is Kind.SYMLINK:
                text = encode_path(self._disk.read_link(path))
                seen = Seen(path, found.entry(symlink_root(text)), inline=text)
                after = self._disk.stat(path)
            else:
                descriptor = self._disk.open_read(path)
                try:
                    reading = as_found(descriptor, found)
                    seen = yield from read_file(path, descriptor, found)
                    if self._look.attributes:
                        attributes, remark = attributes_of(self._disk, path)
                    same_file = reading and as_found(descriptor, found)
                finally:
                    os.close(descriptor)
                after = self._stat_again(path) if same_file else None
        except (FileNotFoundError, ContentChangedError):
            after = None
        except (OSError, LimitExceeded) as error:
            yield unreadable(path, error, self._clock_s() - started_s)
            return
        took_s = self._clock_s() - started_s
        if after != found:
            yield Busy(path, took_s)
            return
        # A time from the future (a clock that was set back) would never settle.
        settled = abs(looked_ns - (found.ctime_ns or found.mtime_ns)) > self._grain_ns
        entry = replace(seen.entry, attributes=attributes)
        yield replace(seen, entry=entry, settled=settled, link=link, hashing_s=took_s)
        if remark is not None:
            yield remark

    def _look_at_attributes(self, path: str, found: Stat, entry: DiskEntry, link: bytes) -> Steps:
        """What is known of a file is so, but for its attributes, which nobody has asked for."""
        looked_ns = self._wall_clock_ns()
        try:
            attributes, remark = attributes_of(self._disk, path)
            after = self._stat_again(path)
        except FileNotFoundError:
            after = None
        except OSError as error:
            yield unreadable(path, error)
            return
        if after != found or abs(looked_ns - found.ctime_ns) <= self._grain_ns:
            yield Busy(path, 0.0)  # changed again it could look the same
        elif attributes is not None:
            yield Seen(path, replace(entry, attributes=attributes), link=link)
        elif remark is not None:
            yield remark

    def _stat_again(self, path: str) -> Stat | None:
        """What shows at the path by now, through the link if it is a followed one."""
        if self._follower is not None and self._follower.follows(path):
            return self._follower.again(path)
        return self._disk.stat(path)
