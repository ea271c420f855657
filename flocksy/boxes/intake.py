"""What the scanner found goes into the local tree; what changed is noted for the planner.

The local tree is a cache of the disk. Nothing becomes a version here: that is the planner's
question, asked later, when the box is allowed to answer it.
"""

from __future__ import annotations

import itertools
from collections.abc import Container, Iterable, Iterator, Sequence

from flocksy.boxes.pacing import MAX_PAUSE_SECONDS, Pacing
from flocksy.boxes.scan.findings import (
    Busy,
    Finding,
    Gone,
    Remark,
    Seen,
    Skipped,
    Unfollowed,
    Unreadable,
)
from flocksy.boxes.scan.links import Links
from flocksy.boxes.unread import Unread
from flocksy.index.store import BoxIndex
from flocksy.sync.commit import Held
from flocksy.sync.content import INLINE_BYTES
from flocksy.sync.names import ancestors, parent_of
from flocksy.sync.version import Kind

AGAIN_SECONDS = 0.1
"""Least pause before a path is looked at again: longer than the grain of an ordinary mtime."""

MAX_PROBLEMS = 200
"""Problems remembered for the status; further ones are only counted."""

Fresh = tuple[tuple[bytes, int], ...]
"""Ids and lengths of the chunks and lists of a new content that were nowhere in the box before."""


class Intake:
    """One box's findings, between scanner and planner."""

    def __init__(
        self, index: BoxIndex, links: Links | None = None, held: Held | None = None
    ) -> None:
        """`links`: where those made on this disk are followed. `held`: of what is not held, nothing
        is believed."""
        self._held = held
        self._index = index
        self._links = links
        # A scan reports a change once. What the last run had no time to decide about is still here.
        self.changed: dict[str, Fresh] = {path: self._all_of(path) for path in index.undecided()}
        """Paths whose local entry changed, in the order found."""
        self.problems: dict[str, str] = {}
        """Paths that could not be looked at, with the reason."""
        self.pacing = Pacing()
        """Of paths that keep changing."""
        self.unread = Unread()
        """Paths that are looked at again only because they could not be read."""
        self._again: dict[str, float] = {}
        self._pause: dict[str, float] = {}  # of those that are put off
        self._put_off: set[str] = set()
        self._doubted: dict[int, set[str]] = {}
        self._found: dict[int, set[str]] = {}
        """By looks at single paths that are under way, those that each was the last to find."""

    def asked(self, ticket: int, paths: Sequence[str] | None) -> None:
        """A look is under way at these paths (None: at all). It reports what is wrong, and nothing
        of what is as it was: problems that it does not meet again are over."""
        every = (*self.problems, *self.unread.paths()) if paths is None else paths
        self._doubted[ticket] = set(every)
        if paths is not None:
            self._found[ticket] = set()

    def answered(self, ticket: int, *, failed: bool) -> None:
        """The look has ended; `failed`: without having seen all."""
        self._found.pop(ticket, None)
        for path in self._doubted.pop(ticket, ()):
            if not failed:
                self._is_fine(path)

    def take(self, findings: Sequence[Finding], now: float, ticket: int = 0) -> None:
        """Bring findings into the local tree, in one transaction. `ticket`: of the look whose they
        are; what it finds is decided about together, when it has ended."""
        with self._index.transaction():
            for finding in findings:
                self._take_one(finding, now)
            if self._links is not None:
                self._links.save()
        if self._found:
            changed = {finding.path for finding in findings if finding.path in self.changed}
            for found in self._found.values():
                found -= changed
            self._found.get(ticket, set()).update(changed)

    def due(self, now: float) -> list[str]:
        """Paths to be scanned once more."""
        due = [path for path, when in self._again.items() if when <= now]
        for path in due:
            del self._again[path]
            self._put_off.discard(path)
        return [*due, *self.pacing.due(now), *self.unread.due(now)]

    def deadline(self) -> float | None:
        """When `due` will next have something."""
        deadlines = (*self._again.values(), self.pacing.deadline(), self.unread.deadline())
        return min((when for when in deadlines if when is not None), default=None)

    def to_look_at(self) -> set[str]:
        """Paths that are to be looked at once more, now or later."""
        return {*self._again, *self.pacing.waiting, *self.unread.paths()}

    def look_again(self, path: str, now: float) -> None:
        """Have a path scanned soon, because it is not what it was thought to be."""
        self._again[path] = now + AGAIN_SECONDS

    def look_by(self, path: str, when: float) -> None:
        """Have a path scanned then, or when it is to be scanned anyway."""
        self._again.setdefault(path, when)

    def look_later(self, path: str, now: float) -> None:
        """Likewise, or after its pause if the path keeps changing."""
        if self.pacing.rests(path, now):
            self.pacing.put_off(path)
        else:
            self.look_again(path, now)

    def put_back(self, paths: Iterable[str], now: float) -> set[str]:
        """Those of the paths where the open batch is at work are to be looked at later; which.

        Of what it has put the index knows when its directories are flushed. Before, a look would
        read all of it, and not be believed. So would one at a directory that lists it, or at what
        is below one that is new.
        """
        batch = {path for path, _ in self._index.journal.open_rows()}
        if not batch:
            return set()
        listing = {parent_of(path) for path in batch}
        at_work = {
            path
            for path in paths
            if path in batch or path in listing or not batch.isdisjoint(ancestors(path))
        }
        for path in at_work:
            self.look_again(path, now)
        self._put_off |= at_work & self._pause.keys()  # those that were have not been looked at
        return at_work

    def ready(self, limit: int, *, applying: bool) -> list[str]:
        """Changed paths that are to be decided about, some of them. `applying`: the applier has a
        batch in hands, and what it is at may be in between."""
        if sum(map(len, self._found.values())) >= len(self.changed):
            return []  # of a large folder that is being looked at: not again and again, one by one
        wanted = (path for path in self.changed if not self.waits(path, applying=applying))
        some = itertools.islice(wanted, limit)
        return list(dict.fromkeys(one for path in some for one in self._together(path)))

    def waits(self, path: str, *, applying: bool = False) -> bool:
        """Whether something that would be decided about with a changed path was put off, or was
        found by a look that has not ended."""
        waiting = (self._put_off, *self._found.values())
        if any(path in some for some in waiting):
            return True
        together = self._together(path)
        if not all(some.isdisjoint(together) for some in waiting):
            return True
        return applying and any(map(self._is_in_batch, together))

    def put_off(self, path: str, now: float, until: float | None = None) -> None:
        """A changed path is not what was found there: decide after another look, and ever later as
        long as a look finds nothing new and it still is not. Or `until` then, whatever it is."""
        pause = max(AGAIN_SECONDS, min(2 * self._pause.get(path, 0.0), MAX_PAUSE_SECONDS))
        self._pause[path] = pause if until is None else AGAIN_SECONDS
        self._again[path] = now + pause if until is None else until
        self._put_off.add(path)

    def decide_anew(self, but: Container[str]) -> None:
        """More is held than before: what this disk shows and nothing was said of is to be decided
        about, too (a conflict copy that was edited while its owner was not held). Not `but`."""
        for path in self._index.undecided():
            if path not in but:
                self.changed.setdefault(path, self._all_of(path))

    def forget(self, path: str) -> None:
        """The path is none of this disk's any more."""
        self.changed.pop(path, None)
        self._again.pop(path, None)
        self.pacing.forget(path)
        self.unread.forget(path)
        for waiting in (self._put_off, *self._found.values()):
            waiting.discard(path)

    @property
    def waiting(self) -> bool:
        """Whether something found is still to be looked at again. What could not be read is not:
        it may be so for good."""
        return bool(self._again) or self.pacing.deadline() is not None

    def _together(self, path: str) -> list[str]:
        """A changed path, and the folders above it that have changed: they go out with it."""
        above = [one for one in ancestors(path) if one in self.changed]
        return [path, *(one for one in above if self._index.local(one) is not None)]

    def _is_in_batch(self, path: str) -> bool:
        """Whether the open batch touches the path, or the one whose conflict copy it shows: only
        when that is done does the index say which of the two shows it."""
        synced = self._index.synced(path)
        shows = (path,) if synced is None or synced.copy_of is None else (path, synced.copy_of[0])
        return any(map(self._index.journal.contains, shows))

    def _take_one(self, finding: Finding, now: float) -> None:
        path = finding.path
        if self._held is not None and self._held(path) is not None:
            self._is_fine(path)
            return
        if not isinstance(finding, Unreadable | Skipped | Unfollowed | Remark):
            self._is_fine(path)
        if self._index.journal.contains(path):
            self.look_again(path, now)  # the applier is at it: what was seen may be in between
            return
        if self._links is not None:
            _note_link(self._links, finding)
        match finding:
            case Seen():
                self._put_off.discard(path)
                self._seen(finding, now)
                if finding.settled:
                    self._pause.pop(path, None)
                else:
                    self.look_later(path, now)
            case Gone():
                self._put_off.discard(path)
                self._pause.pop(path, None)
                self.pacing.forget(path)
                if self._index.local(path) is not None:
                    self._index.set_local(path, None)
                    self.changed[path] = ()
            case Busy():
                self.pacing.busy(path, now, finding.hashing_s)
            case Unreadable() | Skipped() | Unfollowed() | Remark():
                for doubted in self._doubted.values():
                    doubted.discard(path)
                if len(self.problems) < MAX_PROBLEMS:
                    self.problems[path] = finding.reason
                match finding:
                    case Unreadable(again=True):
                        self.unread.failed(path, now, finding.hashing_s)
                    case Remark(again=True):
                        self.unread.failed(path, now)
                    case _:
                        self.unread.forget(path)
                if isinstance(finding, Unreadable):
                    self.unread.hidden(path, finding.reason)

    def _is_fine(self, path: str) -> None:
        """Nothing is wrong there, or no more."""
        self.problems.pop(path, None)
        self.unread.forget(path)

    def _seen(self, seen: Seen, now: float) -> None:
        index, entry = self._index, seen.entry
        fresh: list[tuple[bytes, int]] = []
        if entry.kind is Kind.FILE:
            if entry.size > INLINE_BYTES:  # what is smaller rides in heartbeats
                self._pace(seen, now)
            fresh += self._fresh(seen)
            index.contents.put(entry.root, seen.pieces, seen.blobs)
        elif entry.kind is Kind.SYMLINK and seen.inline is not None:
            index.contents.put(entry.root, blobs=((entry.root, seen.inline),))
        # A path that changed twice before it was offered still has to offer all that is new.
        earlier = [one for one in self.changed.get(seen.path, ()) if one not in fresh]
        index.set_local(seen.path, entry, settled=seen.settled)
        self.changed[seen.path] = (*fresh, *earlier)

    def _pace(self, seen: Seen, now: float) -> None:
        is_known = self.pacing.knows(seen.path) and self._index.local(seen.path) == seen.entry
        if not is_known:  # else it was looked at once more, since it had just been written
            self.pacing.changed(seen.path, now, seen.hashing_s)

    def _fresh(self, seen: Seen) -> Iterator[tuple[bytes, int]]:
        """Of a file's content what the others cannot have: it is in no file here, and was in none
        that is only just gone (a file that was moved is often seen to go first)."""
        contents, root = self._index.contents, seen.entry.root
        if seen.entry.size <= INLINE_BYTES:
            return  # it travels with its record, whoever has it
        if contents.path_with(root) is not None or contents.is_shared(root):
            return
        for blob_id, data in seen.blobs:
            yield blob_id, len(data)
        for name, length in {piece.id: piece.length for piece in seen.pieces}.items():
            if not contents.holds(name) and not contents.shares(name):
                yield name, length

    def _all_of(self, path: str) -> Fresh:
        """All of a file's content: nobody remembers what of it was new."""
        entry, contents = self._index.local(path), self._index.contents
        if entry is None or entry.kind is not Kind.FILE or entry.size <= INLINE_BYTES:
            return ()
        if contents.is_shared(entry.root):
            return ()
        return (
            *((name, len(data)) for name, data in contents.blobs(entry.root)),
            *((piece.id, piece.length) for piece in contents.pieces(entry.root)),
        )


def _note_link(links: Links, finding: Finding) -> None:
    match finding:
        case Seen(link=text_root) if text_root:
            links.note(finding.path, text_root)
        case Unfollowed():
            links.note(finding.path, finding.link, finding.reason)
        case Seen() | Gone() | Skipped():
            links.drop(finding.path)
        case _:
            pass  # nothing is known of it now
