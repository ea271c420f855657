"""What the planner may ask for. The engine does it, and does nothing else.

`expected` is what the planner saw at the path (None: nothing). Whoever applies the operation finds
something else there must leave it alone and report the path as changed.
"""

from __future__ import annotations

from dataclasses import dataclass

from flocksy.sync.trees import DiskEntry, SyncedEntry
from flocksy.sync.version import Version


@dataclass(frozen=True, slots=True)
class Record:
    """The disk changed: join `version` into the flock at `path`, and set synced to `synced`
    (None: forget the path's synced entry)."""

    path: str
    version: Version
    synced: SyncedEntry | None


@dataclass(frozen=True, slots=True)
class Acknowledge:
    """The disk already holds what the flock wants here: move synced, touch nothing."""

    path: str
    synced: SyncedEntry | None


@dataclass(frozen=True, slots=True)
class MakeDirectory:
    path: str
    version: Version
    synced_heads: frozenset[bytes]
    expected: DiskEntry | None


@dataclass(frozen=True, slots=True)
class PutFile:
    """Bring the content of `version` (a file) to `path`; what stood there goes to the history.

    `source`: a path whose local content equals it and that another operation of the same plan
    removes: a rename that needs no data. `copy_of` as in `SyncedEntry`.
    """

    path: str
    version: Version
    synced_heads: frozenset[bytes]
    expected: DiskEntry | None
    source: str | None = None
    copy_of: tuple[str, bytes] | None = None


@dataclass(frozen=True, slots=True)
class PutSymlink:
    path: str
    version: Version
    synced_heads: frozenset[bytes]
    expected: DiskEntry | None
    copy_of: tuple[str, bytes] | None = None


@dataclass(frozen=True, slots=True)
class SetMetadata:
    """Same content; mode or mtime differ."""

    path: str
    version: Version
    synced_heads: frozenset[bytes]
    expected: DiskEntry
    copy_of: tuple[str, bytes] | None = None


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


Operation = (
    Record
    | Acknowledge
    | MakeDirectory
    | PutFile
    | PutSymlink
    | SetMetadata
    | Remove
    | Hold
)
