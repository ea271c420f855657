"""What the planner may ask for. The engine does it, and does nothing else.

`expected` is what the planner saw at the path (None: nothing). Whoever applies the operation finds
something else there must leave it alone and report the path as changed.

What the applier leaves behind at a path is remembered as `synced_after(operation, read_back)`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from flocksy.sync.trees import DiskEntry, SyncedEntry
from flocksy.sync.version import Version


@dataclass(frozen=True, slots=True)
class Record:
    """The disk changed: join `version` into the flock at `path`, and set synced to `synced`
    (None: forget the path's synced entry).

    `superseded` is what the version supersedes, as in `PathState.superseded`: a record names four
    parents only, so this is what is to be joined: `PathState({version_id(version): version},
    superseded)`. The version may turn out to be superseded already: then the join drops it.
    """

    path: str
    version: Version
    synced: SyncedEntry | None
    superseded: Mapping[bytes, bytes] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Acknowledge:
    """The disk already holds what the flock wants here: move synced, touch nothing."""

    path: str
    synced: SyncedEntry | None


@dataclass(frozen=True, slots=True)
class MakeDirectory:
    """Make a directory; a file or symlink that is `expected` there goes to the history.

    An implied directory (only there because something lives below it) comes with a version that
    is in no tree, of mode 0755. If the mode forbids writing, set it after the other operations.
    """

    path: str
    version: Version
    synced_heads: frozenset[bytes]
    expected: DiskEntry | None
    generation: int = 0


@dataclass(frozen=True, slots=True)
class PutFile:
    """Bring the content of `version` (a file) to `path`; what stood there goes to the history.

    `source`: a path whose local content equals it and that a later `Remove` of the same plan takes
    away: a rename that needs no data. Whoever renames it finds nothing left at that `Remove`,
    which is then done; both belong into one batch. `copy_of` as in `SyncedEntry`. A directory
    never stands at `path`: a `Remove` earlier in the plan took it away.
    """

    path: str
    version: Version
    synced_heads: frozenset[bytes]
    expected: DiskEntry | None
    source: str | None = None
    copy_of: tuple[str, bytes] | None = None
    generation: int = 0


@dataclass(frozen=True, slots=True)
class PutSymlink:
    """Make the symlink of `version` at `path`; what stood there goes to the history."""

    path: str
    version: Version
    synced_heads: frozenset[bytes]
    expected: DiskEntry | None
    copy_of: tuple[str, bytes] | None = None
    generation: int = 0


@dataclass(frozen=True, slots=True)
class SetMetadata:
    """Same content; mode, mtime or attributes differ."""

    path: str
    version: Version
    synced_heads: frozenset[bytes]
    expected: DiskEntry
    copy_of: tuple[str, bytes] | None = None
    generation: int = 0


@dataclass(frozen=True, slots=True)
class Remove:
    """Take what stands at `path` away, into the history (directories: only when empty).

    `synced` is what to remember afterwards (heads of the tombstone, disk None), or None.
    """

    path: str
    expected: DiskEntry
    synced: SyncedEntry | None


@dataclass(frozen=True, slots=True)
class Hold:
    """Nothing is done at this path on this disk, and why (shown to people)."""

    path: str
    reason: str


Put = MakeDirectory | PutFile | PutSymlink | SetMetadata
DiskOperation = MakeDirectory | PutFile | PutSymlink | SetMetadata | Remove
Operation = (
    Record | Acknowledge | MakeDirectory | PutFile | PutSymlink | SetMetadata | Remove | Hold
)


def synced_after(operation: DiskOperation, read_back: DiskEntry | None) -> SyncedEntry | None:
    """What to remember at `operation.path` once the disk was seen to hold `read_back` there."""
    if isinstance(operation, Remove):
        return operation.synced
    copy_of = None if isinstance(operation, MakeDirectory) else operation.copy_of
    return SyncedEntry(operation.synced_heads, read_back, copy_of, operation.generation)


def files_put(operations: Iterable[Operation]) -> set[tuple[str, bytes]]:
    """(path, root) of the files that are to be put."""
    return {(one.path, one.version.root) for one in operations if isinstance(one, PutFile)}
