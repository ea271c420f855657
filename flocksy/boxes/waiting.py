"""Which path waits for which content, and what came for a path and is to stand at another.

A path has one content to wait for, and in a burst it may hear of several: somebody has edited it in
two places. Nothing is planned before the burst is over, so nobody knows yet which of them is to
stand at the path and which beside it. Whatever came of any stays staged at the path, as long as it
is a head's, and the plan gives it to the conflict copy; who made it may be gone by then.
"""

from __future__ import annotations

from collections.abc import Container, Iterable, Sequence

from flocksy.boxes.content.incoming import Key
from flocksy.boxes.content.staging import Staging
from flocksy.index.store import BoxIndex
from flocksy.sync.operations import Operation, files_put


class Waiting:
    """What one box waits for. All that is named here is expected by `Staging` under its path."""

    def __init__(self, index: BoxIndex, staging: Staging) -> None:
        self._index = index
        self._staging = staging
        self.roots: dict[str, bytes] = {}
        """path -> the content it lacks."""
        self._beside: dict[str, dict[bytes, None]] = {}
        """path -> contents of its other heads, until it is planned."""
        self._copies: dict[str, set[str]] = {}
        """Owner -> its conflict copies that lack content."""
        self._owners: dict[str, str] = {}
        """The same the other way round."""

    def has(self, path: str, root: bytes) -> bool:
        """Whether the path, or a copy of it, waits for the content."""
        every = (path, *self._copies.get(path, ()))
        return any(
            self.roots.get(one) == root or root in self._beside.get(one, ()) for one in every
        )

    def add(self, path: str, root: bytes, owner: str | None = None) -> None:
        """The path waits for this. `owner`: whose conflict copy it is."""
        self.roots[path] = root
        if owner is not None:
            self._copies.setdefault(owner, set()).add(path)
            self._owners[path] = owner

    def make_way(self, path: str, root: bytes) -> None:
        """The content `root` is to be expected at the path. Of what was expected there so far only
        that stays which a head of the path has."""
        earlier = self.roots.get(path, root)
        if earlier != root:
            del self.roots[path]
            self._beside.setdefault(path, {})[earlier] = None
        beside = self._beside.get(path)
        if not beside:
            return
        heads = self._heads(path)
        for one in [one for one in beside if one == root or one not in heads]:
            del beside[one]
            if one != root:
                self._staging.release(path, one)
        if not beside:
            del self._beside[path]

    def keep(self, path: str, root: bytes) -> None:
        """What is staged of this content stays until the path is planned, which waits for it, or
        for another."""
        if self.roots.setdefault(path, root) != root:
            self._beside.setdefault(path, {})[root] = None

    def forget(self, path: str, root: bytes) -> None:
        """The path waits no longer for the content. What is staged of it stays."""
        if self.roots.get(path) == root:
            del self.roots[path]
        beside = self._beside.get(path, {})
        beside.pop(root, None)
        if not beside:
            self._beside.pop(path, None)

    def owner_of(self, path: str) -> str:
        """Whose conflict copy it is that lacks content; the path itself where it is none."""
        return self._owners.get(path, path)

    def take_copies(self, paths: Iterable[str]) -> list[str]:
        """Those of these paths, which are planned anew: a copy that is not on this disk yet is
        known to nobody else, and may be none any more."""
        copies = [copy for path in paths for copy in self._copies.pop(path, ())]
        for copy in copies:
            self._owners.pop(copy, None)
        return copies

    def take(self, paths: Sequence[str]) -> list[Key]:
        """What was waited for at paths that are planned: to be waited for anew, or released."""
        taken = [(path, self.roots.pop(path)) for path in paths if path in self.roots]
        if self._beside:
            taken += [(path, root) for path in paths for root in self._beside.pop(path, ())]
        return taken

    def pass_on(self, taken: Iterable[Key], operations: Iterable[Operation]) -> None:
        """What was expected for one path and shall stand at another, as a conflict copy does."""
        wanted = files_put(operations)
        spare = {root: path for path, root in taken if (path, root) not in wanted}
        if spare:
            for path, root in sorted(wanted):
                if root in spare and self._staging.pass_on(spare[root], root, path):
                    del spare[root]

    def let_go(
        self,
        taken: Iterable[Key],
        used: Container[Key],
        kept: Container[Key],
        later: Container[str],
    ) -> None:
        """Release what the plan neither uses nor waits for. `kept`: what is expected for
        another reason. `later`: paths that are planned anew when they have their version."""
        for path, root in taken:
            if (path, root) in used or self.roots.get(path) == root:
                continue
            if path in later and (path not in self.roots or root in self._heads(path)):
                self.keep(path, root)
            elif (path, root) not in kept:
                self._staging.release(path, root)

    def _heads(self, path: str) -> set[bytes]:
        state = self._index.flock(path)
        return set() if state is None else {head.root for head in state.heads.values()}
