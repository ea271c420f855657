"""What people see of the heads of a path: computed from the flock tree alone, equally on all nodes.

The rules, of design 6.1:

* At the path stands the *winner*: content before tombstone, a content change before a metadata
  change, the larger generation, the larger id.
* The view is a possible tree: a path with live paths below it is a directory, whatever its heads
  say. Without a directory among the heads it is an *implied* one, of mode 0755.
* Every other head that is a file or a symlink shows as a *conflict copy* beside the path, unless
  its content is the winner's, is shown by another copy already, or was knowingly replaced here.
* Inside a repository (`.git`, `.hg`, `.svn`) nothing shows as a copy: the disk that held the losing
  content puts it into its history when the winner replaces it.

A copy is no version. It is the loser, seen at another path.
"""

from __future__ import annotations

from collections.abc import Callable, Container, Iterable, Mapping
from dataclasses import dataclass, field

from flocksy.sync.names import (
    MAX_STEP,
    conflict_name,
    in_repository,
    owner_of_copy,
    parent_of,
)
from flocksy.sync.state import replaced_roots
from flocksy.sync.trees import PathState, Trees
from flocksy.sync.version import NO_ROOT, Kind, Version

IMPLIED_MODE = 0o755
IMPLIED = Version(Kind.DIRECTORY, IMPLIED_MODE, 0, 0, NO_ROOT, 1, ())
"""Stands for the directory that is only there because something lives in it; no version."""

_COPIED = (Kind.FILE, Kind.SYMLINK)
Rank = tuple[bool, bool, int, bytes]


def rank(name: bytes, version: Version) -> Rank:
    """The order of heads; the largest wins."""
    return (version.is_content, not version.metadata_only, version.generation, name)


@dataclass(frozen=True, slots=True)
class PathView:
    """What is to be seen at one path because of its own heads.

    `shown`: the version at the path; None where nothing is (tombstones or no heads at all);
    `IMPLIED` for an implied directory. `head`: its id, None for nothing or an implied directory.
    `copies`: head id -> the path that shows it. `heads`: what a disk that shows all this holds at
    the path itself: all heads but those shown as copies.
    """

    shown: Version | None = None
    head: bytes | None = None
    copies: Mapping[bytes, str] = field(default_factory=dict)
    heads: frozenset[bytes] = frozenset()
    generation: int = 0


NOTHING = PathView()


@dataclass(frozen=True, slots=True)
class Wanted:
    """What is to stand at one path for any reason: its own heads, or as another path's copy."""

    version: Version | None
    heads: frozenset[bytes]
    generation: int
    copy_of: tuple[str, bytes] | None = None


class View:
    """The view of one box, as of one moment: answers are kept, so make a new one when flock
    changes."""

    def __init__(self, trees: Trees) -> None:
        self._trees = trees
        self._views: dict[str, PathView] = {}
        self._states: dict[str, PathState | None] = {}

    def state(self, path: str) -> PathState | None:
        """The path's flock state, read once."""
        if path not in self._states:
            self._states[path] = self._trees.flock(path)
        return self._states[path]

    def at(self, path: str) -> PathView:
        """The view of the path's own heads."""
        found = self._views.get(path)
        if found is None:
            found = self._views[path] = self._compute(path)
        return found

    def is_live(self, path: str) -> bool:
        """Whether a real path of the flock stands there, implied directories included."""
        state = self.state(path)
        if state is not None and any(version.is_content for version in state.heads.values()):
            return True
        return self._trees.flock_below(path)

    def is_wanted_below(self, path: str, held: Callable[[str], str | None]) -> bool:
        """Whether anything with a version of its own lives below `path` that is held, or here."""
        todo = list(self._trees.flock_children(path))
        while todo:
            child = todo.pop()
            state = self.state(child)
            heads = () if state is None else state.heads.values()
            if any(version.is_content for version in heads) and (
                held(child) is None or self._trees.local(child) is not None
            ):
                return True
            todo.extend(self._trees.flock_children(child))
        return False

    def wanted(self, path: str) -> Wanted:
        """What is to stand at `path`. A real path goes before a copy."""
        own = self.at(path)
        if own.shown is None:
            for owner in self.owners(path):
                for name, shown_at in self.at(owner).copies.items():
                    if shown_at == path:
                        state = self.state(owner)
                        assert state is not None
                        return Wanted(
                            state.heads[name], own.heads, own.generation, copy_of=(owner, name)
                        )
        return Wanted(own.shown, own.heads, own.generation)

    def owners(self, path: str) -> Iterable[str]:
        """Paths that may have a copy at `path`, by the look of its name, in fixed order."""
        found = owner_of_copy(path)
        if found is None:
            return ()
        owner, sure = found
        if sure:
            return (owner,)
        # The owner's name was cut: look at everything that begins like it. Rare, and dear only in
        # a large directory.
        stem, _, extension = owner.rpartition(".")
        start = stem if stem and "/" not in extension else owner
        siblings = self._trees.flock_children(parent_of(path))
        return sorted(name for name in siblings if name.startswith(start))

    def _compute(self, path: str) -> PathView:
        state = self.state(path)
        if state is None or not state.heads:
            return PathView(shown=IMPLIED) if self._trees.flock_below(path) else NOTHING
        below = self._trees.flock_below(path)
        if len(state.heads) == 1 and not below:
            ((name, version),) = state.heads.items()
            shown = version if version.is_content else None
            return PathView(
                shown, name if shown else None, {}, frozenset((name,)), version.generation
            )
        ranked = sorted(state.heads.items(), key=lambda item: rank(*item), reverse=True)
        winner: tuple[bytes | None, Version | None] = (None, None)
        if below:
            directories = (item for item in ranked if item[1].kind is Kind.DIRECTORY)
            winner = next(directories, (None, IMPLIED))
        elif ranked[0][1].is_content:
            winner = ranked[0]
        copies = self._copies(path, state, ranked, winner[0])
        kept = {name: version for name, version in ranked if name not in copies}
        return PathView(
            winner[1],
            winner[0],
            copies,
            frozenset(kept),
            max((version.generation for version in kept.values()), default=0),
        )

    def _copies(
        self,
        path: str,
        state: PathState,
        ranked: list[tuple[bytes, Version]],
        winner: bytes | None,
    ) -> dict[bytes, str]:
        if in_repository(path):
            return {}
        seen = set(replaced_roots(state))
        if winner is not None:
            seen.add(state.heads[winner].root)
        copies: dict[bytes, str] = {}
        assigned: set[str] = set()
        for name, version in ranked:
            if name == winner or version.kind not in _COPIED or version.root in seen:
                continue
            seen.add(version.root)
            place = self._place(path, name, version, assigned)
            if place is not None:
                copies[name] = place
                assigned.add(place)
        return copies

    def _place(
        self, path: str, name: bytes, version: Version, assigned: Container[str]
    ) -> str | None:
        """The first conflict name that no real path and no other copy of `path` has."""
        for step in range(MAX_STEP + 1):
            place = conflict_name(path, name, version.mtime_ns, step)
            if place not in assigned and not self.is_live(place):
                return place
        # Somebody has made fourteen real paths of these names. The head stays and is not shown.
        return None
