"""Which paths are found sooner, or only, by listing the directory that they are in."""

from __future__ import annotations

from collections.abc import Iterable

from flocksy.boxes.disk.port import Disk
from flocksy.boxes.disk.spelling import Spelling
from flocksy.index.known import KnownTree
from flocksy.sync.names import parent_of
from flocksy.sync.version import Kind

MANY_CHILDREN = 16
"""So many paths in one directory, and no less than a part in `LISTED_PART` of what is known there,
are found by listing it: one look-up in the index instead of one for each."""
LISTED_PART = 8


def by_directory(
    paths: list[str], disk: Disk, known: KnownTree
) -> tuple[list[str], dict[str, frozenset[str]]]:
    """Those to be looked at by themselves, and directories of which a good part is. Where such a
    directory has gone itself, it is looked at instead of what was in it."""
    if len(paths) < MANY_CHILDREN:
        return paths, {}
    children: dict[str, list[str]] = {}
    for path in paths:
        if path:
            children.setdefault(parent_of(path), []).append(path)
    many: dict[str, frozenset[str]] = {}
    gone: set[str] = set()
    for folder, inside in children.items():
        if len(inside) >= MANY_CHILDREN and _was_directory(folder, known):
            try:
                found = disk.stat(folder)
            except OSError:
                continue  # each path says why
            if found is None:
                gone.add(folder)
            elif found.kind is Kind.DIRECTORY and known.has_fewer_children(
                folder, len(inside) * LISTED_PART
            ):
                many[folder] = frozenset(inside)
    covered = many.keys() | gone
    left = (path for path in paths if not path or parent_of(path) not in covered)
    return sorted({*left, *gone}), many


def _was_directory(path: str, known: KnownTree) -> bool:
    before = known.entry(path) if path else None
    return not path or (before is not None and before.entry.kind is Kind.DIRECTORY)


def by_spelling(paths: Iterable[str], disk: Disk, known: KnownTree) -> tuple[set[str], list[str]]:
    """Where a look at a path also finds what has another name: the directories to be looked at
    instead, and what was known in one that has no such name any more. A path that is a directory by
    that very name is among them, since another may have taken its place."""
    spelling = Spelling(disk)
    folders: set[str] = set()
    lost: list[str] = []
    for path in paths:
        folder = parent_of(path)
        try:
            unlisted = spelling.first_unlisted(folder) if folder else None
            is_known = unlisted is None and _was_directory(path, known)
            if is_known and spelling.first_unlisted(path) is None:
                folders.add(path)
        except OSError:
            unlisted = None  # a look says why
        folders.add(folder if unlisted is None else parent_of(unlisted))
        if unlisted is not None and known.entry(path) is not None:
            lost.append(path)
    return folders, lost
