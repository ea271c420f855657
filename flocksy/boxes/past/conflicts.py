"""Conflicts for people: where there are any, and what stands where."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass

from flocksy.boxes.missing import obtainable
from flocksy.errors import FlocksyError
from flocksy.index.store import BoxIndex
from flocksy.sync.trees import Trees
from flocksy.sync.version import Version
from flocksy.sync.view import IMPLIED, View


@dataclass(frozen=True, slots=True)
class Copy:
    """A conflict copy: where it shows which head."""

    path: str
    head: bytes
    version: Version


@dataclass(frozen=True, slots=True)
class Conflict:
    """A path with conflict copies. `shown`: what stands at the path itself, None for nothing that
    has a version."""

    path: str
    shown: Version | None
    copies: tuple[Copy, ...]


def some_copies(index: BoxIndex, limit: int) -> list[str]:
    """Paths of conflict copies that this disk shows, some of them."""
    copies: list[str] = []
    for owner in itertools.islice(index.conflicted(), limit):
        copies += index.copies_of(owner)
    return sorted(copies)[:limit]


def conflicts(index: BoxIndex, under: str = "") -> Iterator[Conflict]:
    """All conflicts at and below `under`, by path."""
    trees = obtainable(index)
    view = View(trees)
    for path in sorted(index.conflicted()):
        if not under or path == under or path.startswith(under + "/"):
            found = _at(trees, view, path)
            if found.copies:
                yield found


def conflict_of(index: BoxIndex, path: str) -> tuple[Conflict, Copy | None]:
    """The conflict that `path` has or is a copy of, and the copy where it is one.

    Raises `FlocksyError`.
    """
    trees = obtainable(index)
    view = View(trees)
    own = _at(trees, view, path)
    if own.copies:
        return own, None
    for owner in view.owners(path):
        found = _at(trees, view, owner)
        for copy in found.copies:
            if copy.path == path:
                return found, copy
    raise FlocksyError(f"{path}: has no conflict copies and is none; see flocksy conflicts")


def _at(trees: Trees, view: View, path: str) -> Conflict:
    seen, state = view.at(path), trees.flock(path)
    heads = {} if state is None else state.heads
    copies = tuple(
        Copy(place, head, heads[head])
        for head, place in sorted(seen.copies.items(), key=lambda item: item[1])
    )
    return Conflict(path, None if seen.shown is IMPLIED else seen.shown, copies)
