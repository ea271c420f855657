"""The three trees of a box, as the planner sees them.

*Local* is what the disk showed (a cache), *synced* what this disk was last seen to hold of the
flock, *flock* the joined heads. Only the last two are knowledge and are never rebuilt from the
disk.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Protocol

from flocksy.sync.version import Kind, Version


@dataclass(frozen=True, slots=True)
class PathState:
    """Heads by version id, and every superseded version id with its content root.

    The join of two states is `((H | H') - (S | S'), S | S')`.
    """

    heads: Mapping[bytes, Version]
    superseded: Mapping[bytes, bytes]


@dataclass(frozen=True, slots=True)
class DiskEntry:
    """What the disk showed at a path. `root` is empty for directories.

    `device`, `inode` and `ctime_ns` only serve to notice that the entry is unchanged.
    """

    kind: Kind
    mode: int
    mtime_ns: int
    size: int
    root: bytes
    inode: int = 0
    ctime_ns: int = 0
    device: int = 0


@dataclass(frozen=True, slots=True)
class SyncedEntry:
    """What this disk was last seen to hold of the flock at a path.

    `heads` are the parents of the next local change here: the heads of the path that this disk
    showed, without those shown as conflict copies elsewhere. `disk` is what was read back after
    applying (None: seen absent, for example after a tombstone). `copy_of` is set where the path is
    the conflict copy of another path's head: (owning path, version id).
    """

    heads: frozenset[bytes]
    disk: DiskEntry | None
    copy_of: tuple[str, bytes] | None = None


class Trees(Protocol):
    """The three trees; a dict-backed one serves tests, the index the real thing."""

    def local(self, path: str) -> DiskEntry | None: ...

    def synced(self, path: str) -> SyncedEntry | None: ...

    def flock(self, path: str) -> PathState | None: ...

    def local_children(self, path: str) -> Iterable[str]:
        """Paths directly below `path` that the disk showed ("" is the box itself)."""
        ...

    def flock_children(self, path: str) -> Iterable[str]:
        """Paths directly below `path` that have a flock state with a head that is no tombstone,
        or below which there is such a path."""
        ...

    def conflicted(self) -> Iterable[str]:
        """Paths with more than one head."""
        ...
