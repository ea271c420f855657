"""Heads whose content no member has that is here: what is shown in their place, and until when.

Theory of operation. Whoever made a version may be gone for good before anybody had its content, or
a person may have deleted that in the last moment. The record is out, and such a head would be
waited for by everybody and for ever. So when every member that shares the box has said twice that
it is gone (`repair`), the head is *given up*: to the planner it is not there, and what the other
heads say is shown. All nodes ask the same members, so all come to show the same; with no other head
the last version that could be had stays where it is.

Giving up is no knowledge of the flock's: the head stays in the tree, in digests, and in the status
as a problem, and nothing supersedes it that has not seen it. It is remembered over restarts, lest a
conflict copy come and go with each. Its content is still expected and asked for now and then; the
first piece that comes of any makes all ordinary things to wait for again: somebody is here who had
them.

The text of a link is no content to ask for: it comes with the record. So it is given up when every
member was asked twice for that and none sent it with the text.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping

from flocksy.boxes.content.incoming import Key
from flocksy.boxes.content.staging import Staging
from flocksy.errors import LimitExceeded
from flocksy.index.contents import Want
from flocksy.index.store import BoxIndex
from flocksy.sync.commit import Held
from flocksy.sync.trees import DiskEntry, PathState, SyncedEntry, Trees
from flocksy.sync.version import Kind, Version, version_id

MAX_MISSING = 100_000
"""Heads given up at a time; what is beyond is waited for."""

WORDS = (
    "missing content: no member that is here has that of a version of this path; flocksy dismiss"
    " PATH, typed in the box's folder, waits for it no longer"
)


class Obtainable:
    """The three trees of a box without the heads that were given up."""

    def __init__(self, trees: Trees, given_up: Mapping[str, Mapping[bytes, bytes]]) -> None:
        """`given_up`: path -> roots."""
        self._trees = trees
        self._given_up = given_up
        self.local: Callable[[str], DiskEntry | None] = trees.local
        self.synced: Callable[[str], SyncedEntry | None] = trees.synced
        self.local_children: Callable[[str], Iterable[str]] = trees.local_children
        self.flock_children: Callable[[str], Iterable[str]] = trees.flock_children
        self.flock_below: Callable[[str], bool] = trees.flock_below
        self.copies_of: Callable[[str], Iterable[str]] = trees.copies_of
        self.conflicted: Callable[[], Iterable[str]] = trees.conflicted

    def flock(self, path: str) -> PathState | None:
        """What the flock knows of the path, as far as it can be had."""
        state, roots = self._trees.flock(path), self._given_up.get(path)
        if state is None or not roots:
            return state
        heads = {name: head for name, head in state.heads.items() if not _has(head, roots)}
        return PathState(heads, state.superseded)


def obtainable(index: BoxIndex) -> Trees:
    """The trees of a box as they are shown."""
    return Obtainable(index, _remembered(index))


class Missing:
    """The heads of one box that were given up, by (path, root)."""

    def __init__(
        self, index: BoxIndex, staging: Staging, wait_again: Callable[[str, bytes], None]
    ) -> None:
        """`wait_again`: told what is given up no more."""
        self._index = index
        self._staging = staging
        self._wait_again = wait_again
        self._roots = _remembered(index)
        self._count = sum(map(len, self._roots.values()))
        self.trees: Trees = Obtainable(index, self._roots)
        """The trees without them, for the planner."""

    def __contains__(self, key: object) -> bool:
        return (
            isinstance(key, tuple) and bool(self._roots) and key[1] in self._roots.get(key[0], ())
        )

    def __iter__(self) -> Iterator[Key]:
        for path, roots in self._roots.items():
            for root in roots:
                yield path, root

    def __len__(self) -> int:
        return self._count

    def below(self, under: str) -> list[str]:
        """Where any were given up, at and below a path ("" is the box)."""
        return [
            path
            for path in self._roots
            if (not under or path == under or path.startswith(f"{under}/")) and self.heads_of(path)
        ]

    def roots_of(self, path: str) -> Iterable[bytes]:
        """The contents that were given up at a path."""
        return self._roots.get(path, {}).keys()

    def heads_of(self, path: str) -> list[bytes]:
        """The heads of a path that were given up, by id."""
        state, roots = self._index.flock(path), self._roots.get(path, {})
        heads = {} if state is None else state.heads
        return [name for name, head in heads.items() if _has(head, roots)]

    def hope(self, path: str) -> None:
        """What was given up at a path may be had again: all who are here are asked anew."""
        with self._index.transaction():
            for root in list(self.roots_of(path)):
                self._hope(path, root)

    def resume(self, held: Held, *, adopting: bool) -> None:
        """After the start: expect what was given up in an earlier run. A folder that is adopted
        waits for it anew, lest it go without what `.flockignore` says."""
        for path, root in list(self):
            head = self._head(path, root)
            if adopting or head is None or held(path) is not None or not self._expect(path, head):
                self._hope(path, root)

    def give_up(self, path: str, root: bytes, expected_at: str) -> bool:
        """Nobody has the content of a head of the path; it was expected at that path or at the
        one of its conflict copy. False: no head has this content, or there is no room for more."""
        head = self._head(path, root)
        if head is None or len(self) >= MAX_MISSING:
            return False
        if expected_at != path and not self._staging.pass_on(expected_at, root, path):
            self._staging.release(expected_at, root)
        if (path, root) in self or not self._expect(path, head):
            return False
        name = version_id(head)
        self._count += 1
        self._roots.setdefault(path, {})[root] = name
        self._index.contents.want(Want(path, name, root, head.size, 0))
        return True

    def came(self, complete: Iterable[Key]) -> None:
        """Look what has come, `complete` or in part."""
        if any(key in self for key in self._staging.moved()):
            self.hope_for_all()  # whoever has come with it may have the rest
        for path, root in complete:
            if (path, root) in self:
                self._hope(path, root)

    def hope_for_all(self) -> None:
        """All of it may be had again."""
        with self._index.transaction():
            for path in list(self._roots):
                self.hope(path)

    def drop_what_is_over(self, path: str) -> None:
        """What is on this disk by now, or in no head of the path any more."""
        contents = self._index.contents
        for root in list(self._roots.get(path, ())):
            gone = self._head(path, root) is None or contents.path_with(root) is not None
            if gone or (self.is_text(path, root) and contents.blob(root) is not None):
                self._forget(path, root)
                self._staging.release(path, root)

    def is_text(self, path: str, root: bytes) -> bool:
        """Whether it is the text of a link."""
        head = self._head(path, root)
        return head is not None and head.kind is Kind.SYMLINK

    def _hope(self, path: str, root: bytes) -> None:
        self._forget(path, root)
        self._wait_again(path, root)

    def _forget(self, path: str, root: bytes) -> None:
        roots = self._roots[path]
        self._index.contents.unwant(path, roots.pop(root))
        self._count -= 1
        if not roots:
            del self._roots[path]

    def _expect(self, path: str, head: Version) -> bool:
        if head.kind is Kind.SYMLINK:
            return True  # it comes with a record
        try:
            self._staging.expect(path, head.root, head.size)
        except LimitExceeded:
            return False
        return True

    def _head(self, path: str, root: bytes) -> Version | None:
        """A head of the path that has this content, and does not lie about its size."""
        state = self._index.flock(path)
        heads = () if state is None else state.heads.values()
        broken = self._staging.is_broken
        return next(
            (one for one in heads if _has(one, {root: b""}) and not broken(path, root, one.size)),
            None,
        )

    @property
    def problems(self) -> dict[str, str]:
        """What people are told."""
        return dict.fromkeys(self._roots, WORDS)


def _has(head: Version, roots: Mapping[bytes, bytes]) -> bool:
    return head.kind in (Kind.FILE, Kind.SYMLINK) and head.root in roots


def _remembered(index: BoxIndex) -> dict[str, dict[bytes, bytes]]:
    found: dict[str, dict[bytes, bytes]] = {}
    for want in index.contents.wants(MAX_MISSING):
        found.setdefault(want.path, {})[want.root] = want.version_id
    return found
