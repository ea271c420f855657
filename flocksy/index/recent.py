"""What was read of the last paths: a batch asks for each of its paths half a dozen times.

Only this process writes to an index, so what it read last is so until it writes there, or takes
back what it wrote.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable
from typing import Generic, TypeVar

from flocksy.index.database import Database
from flocksy.index.paths import Paths
from flocksy.index.rows import ENTRY_COLUMNS, entry_of, path_bytes, split_ids
from flocksy.sync.trees import DiskEntry, SyncedEntry

MAX_KEPT = 8_192
"""More than are planned at a time; some 3 MB of what a path shows on the disk."""

Key = TypeVar("Key", bound=Hashable)
Value = TypeVar("Value")


class Recent(Generic[Key, Value]):
    """Values by key, as many as fit. What writes to the tables they come from must `drop` them, and
    may `keep` what it has written."""

    def __init__(self, database: Database, read: Callable[[Key], Value]) -> None:
        self._read = read
        self._kept: dict[Key, Value] = {}
        self.forget = self._kept.clear
        """All of them are about to change, or have changed."""
        database.on_rollback(self.forget)

    def get(self, key: Key) -> Value:
        """The value, read if it is not kept."""
        try:
            return self._kept[key]
        except KeyError:
            value = self._read(key)
        self.keep(key, value)
        return value

    def keep(self, key: Key, value: Value) -> None:
        """It has just been written: reading it would give this."""
        if len(self._kept) >= MAX_KEPT:
            self._kept.clear()
        self._kept[key] = value

    def drop(self, key: Key) -> None:
        """It is about to change, or has changed."""
        self._kept.pop(key, None)


def read_local(database: Database, path: str) -> DiskEntry | None:
    """What `BoxIndex.local` gives."""
    row = database.row(
        f"SELECT {ENTRY_COLUMNS} FROM paths"
        " JOIN local ON local.path = paths.id WHERE paths.path = ?",
        (path_bytes(path),),
    )
    with database.decoding():
        return None if row is None else entry_of(row)


def read_synced(database: Database, paths: Paths, path: str) -> SyncedEntry | None:
    """What `BoxIndex.synced` gives."""
    row = database.row(
        f"SELECT {ENTRY_COLUMNS},"
        " synced.heads, copy_owner, copy_head, generation FROM paths"
        " JOIN synced ON synced.path = paths.id WHERE paths.path = ?",
        (path_bytes(path),),
    )
    if row is None:
        return None
    *disk, heads, owner, head, generation = row
    with database.decoding():
        shown = None if disk[0] is None else entry_of(disk)
    return SyncedEntry(
        split_ids(heads),
        shown,
        None if owner is None else (paths.name(owner), head),
        generation,
    )
