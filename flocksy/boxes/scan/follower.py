"""Which links the scanner follows: those made on this disk, and each real directory once.

One `Follower` serves one walk. A link that was followed before stays so, whatever else comes, as
long as it says the same. Of two that show the same directory the one known earlier counts, or else
the one that is met first.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from flocksy.boxes.disk.port import PRIVATE, Stat
from flocksy.boxes.scan.links import MAX_LINKS, FollowRequest, OwnLink
from flocksy.boxes.scan.targets import NotFollowedError, Target, Targets
from flocksy.index.known import Known, KnownTree
from flocksy.sync.content import symlink_root
from flocksy.sync.names import encode_path, parent_of
from flocksy.sync.version import Kind

_WAITS = "is a symbolic link: whether it is followed is decided when the flock is known"
_UNKNOWN_PAST = (
    "is a symbolic link that was here before the box was adopted, and may have come from the flock;"
    " make it anew to have it followed"
)
_NOT_MOUNTED = (
    "is a symbolic link to a directory that is empty, and on another file system than before; is it"
    " mounted? Make the link anew if it is right so"
)


@dataclass(frozen=True, slots=True)
class Shown:
    """A followed link: what stands at its target, and the content root of its text."""

    stat: Stat
    text_root: bytes


@dataclass(frozen=True, slots=True)
class NotShown:
    """A link made here that is not followed. `lasting` as in `NotFollowedError`."""

    text_root: bytes
    reason: str
    lasting: bool


class Follower:
    """See the head of this module. Implements `flocksy.boxes.scan.following.Follows`."""

    def __init__(self, root: str, known: KnownTree, request: FollowRequest) -> None:
        self._known = known
        self._request = request
        self._targets = Targets(root, request.private)
        self._before = {link.path: link for link in request.links}
        self._by_parent: dict[str, list[str]] = {}
        for path in self._before:
            self._by_parent.setdefault(parent_of(path), []).append(path)
        self._decided: dict[str, Target | None] = {}
        """Links looked at in this walk; None: not followed."""
        self._assumed: dict[str, Target | None] = {}
        """Targets of links that were followed before and are not looked at yet."""

    # ── for the disk ─────────────────────────────────────────────────────────────────────────

    def link_above(self, path: str) -> str | None:
        while path:
            if self._decided.get(path) is not None:
                return path
            path = parent_of(path)
        return None

    def real(self, link: str) -> str:
        target = self._decided.get(link)
        if target is None:
            raise FileNotFoundError(link)
        return target.real

    # ── for the walk ─────────────────────────────────────────────────────────────────────────

    def decide(
        self, path: str, found: Stat, text: str, known: Known | None
    ) -> Shown | NotShown | None:
        """What to do with the link at `path`, which says `text`; `found` is the link itself.

        None: it is one of the flock's, an entry like any other.
        """
        root = symlink_root(encode_path(text))
        if known is not None and (known.entry.kind, known.entry.root) == (Kind.SYMLINK, root):
            self._decided[path] = None
            return None
        try:
            target = self._decide(path, found, root, known)
        except NotFollowedError as error:
            self._decided[path] = None
            return NotShown(root, str(error), error.lasting)
        self._decided[path] = target
        return None if target is None else Shown(target.stat, root)

    def again(self, path: str) -> Stat | None:
        """What stands at the target of the followed link `path` by now."""
        try:
            return self._reach(path).stat
        except NotFollowedError:
            return None

    def still_leads(self, path: str) -> bool:
        """Whether what was just looked at at `path` is in what the link above it was found to lead
        to: a disk may have gone since, and what is below its mount point shows. Always, where there
        is no link above."""
        link = self.link_above(path)
        target = None if link is None else self._decided[link]
        if link is None or target is None:
            return True
        try:
            return self._reach(link).place == target.place
        except NotFollowedError:
            return False

    def follows(self, path: str) -> bool:
        """Whether `path` is a link that was found and is followed."""
        return self._decided.get(path) is not None

    def has_moved(self, path: str, text_root: bytes, found: Stat, known: Known | None) -> bool:
        """Whether another directory shows at `path` than before; `text_root`: empty for no link."""
        before = self._before.get(path)
        shown = before.text_root if before is not None and not before.reason else b""
        if shown != text_root:
            return True
        return bool(text_root) and known is not None and known.entry.device != found.device

    def is_closed(self, path: str) -> bool:
        """Whether `path` lies below a link that is not followed: there is nothing to look at."""
        path = parent_of(path)
        while path:
            if path in self._decided:
                return self._decided[path] is None
            path = parent_of(path)
        return False

    def is_other_box(self, path: str, listing: Sequence[tuple[str, Stat]]) -> bool:
        """Whether the listed directory, reached through a link, is a box: what another flock put
        there is not made here."""
        if self.link_above(path) is None:
            return False
        return any(
            name.casefold() == PRIVATE and found.kind is Kind.DIRECTORY for name, found in listing
        )

    def links_above(self, path: str) -> Iterator[str]:
        """Links known before, at or above `path`."""
        while path:
            if path in self._before:
                yield path
            path = parent_of(path)

    def links_in(self, path: str) -> list[str]:
        """Links known before in the directory `path`."""
        return self._by_parent.get(path, [])

    def links_below(self, path: str) -> list[str]:
        """Links known before below `path`, at any depth."""
        return [link for link in self._before if link.startswith(path + "/")]

    # ── decisions ────────────────────────────────────────────────────────────────────────────

    def _decide(self, path: str, found: Stat, root: bytes, known: Known | None) -> Target | None:
        before = self._before.get(path)
        made_here = before is not None and before.made_here and before.text_root == root
        if self._request.undecided:
            raise NotFollowedError(_WAITS, lasting=False)
        if not made_here:
            if self._known.has_link(root):
                return None
            if found.ctime_ns <= self._request.since_ns:
                raise NotFollowedError(_UNKNOWN_PAST, lasting=False)
        target = self._reach(path)
        self._check_once(path, target, made_here)
        if known is not None and known.entry.device != target.stat.device:
            self._check_mounted(path, target, known)
        return target

    def _reach(self, path: str) -> Target:
        """Raises `NotFollowedError`."""
        return self._targets.reach(self._place(path))

    def _place(self, path: str) -> str:
        """Where the link itself lies."""
        above = self._closest(parent_of(path))
        if above is None:
            return os.path.join(self._targets.root, path)
        link, target = above
        return target.real + path[len(link) :]

    def _closest(self, path: str) -> tuple[str, Target] | None:
        """The followed link at or above `path` and its target, looked at in this walk or before."""
        while path:
            target = self._target(path)
            if target is not None:
                return path, target
            path = parent_of(path)
        return None

    def _target(self, path: str) -> Target | None:
        """The target of the followed link `path`, looked at in this walk or before."""
        if path in self._decided:
            return self._decided[path]
        before = self._before.get(path)
        if before is None or before.reason:
            return None
        if path not in self._assumed:
            self._assumed[path] = None  # nothing above asks for it in a circle
            self._assumed[path] = self._assume(before)
        return self._assumed[path]

    def _assume(self, link: OwnLink) -> Target | None:
        """The target of a link that was followed before, if it still says the same."""
        try:
            text = os.readlink(self._place(link.path))
            same = symlink_root(encode_path(text)) == link.text_root
            return self._reach(link.path) if same else None
        except (OSError, NotFollowedError):
            return None

    def _check_once(self, path: str, target: Target, made_here: bool) -> None:
        followed = 0
        for other in sorted({*self._decided, *self._before}):
            if other == path:
                continue
            if made_here and other not in self._decided and path < other:
                continue  # both were followed before: the first by name stays
            theirs = self._target(other)
            if theirs is None:
                continue
            followed += 1
            if target.overlaps(theirs):
                raise NotFollowedError(
                    "is a symbolic link to a directory that is, or is within or around, what"
                    f" {other} shows already",
                    lasting=True,
                )
        if followed >= MAX_LINKS:
            raise NotFollowedError(
                f"is one symbolic link too many: {MAX_LINKS} are followed in a box", lasting=True
            )

    def _check_mounted(self, path: str, target: Target, known: Known) -> None:
        """An empty mount point is not a directory in which everything was deleted."""
        before = self._before.get(path)
        if before is None or not before.made_here or target.stat.kind is not Kind.DIRECTORY:
            return
        try:
            is_empty = known.is_directory and not os.listdir(target.real)
        except OSError as error:
            raise NotFollowedError(
                f"is a symbolic link that cannot be followed: {error.strerror or error}",
                lasting=False,
            ) from None
        if is_empty:
            raise NotFollowedError(_NOT_MOUNTED, lasting=False)
