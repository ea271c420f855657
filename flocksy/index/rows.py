"""Between rows and the values of the cores."""

from __future__ import annotations

import os
from collections.abc import Sequence

from flocksy.errors import HostileInput
from flocksy.index.database import Row
from flocksy.sync.trees import DiskEntry
from flocksy.sync.version import VERSION_ID_BYTES, Kind

_SIGN = 1 << 63
_WRAP = 1 << 64
_KINDS = frozenset(map(int, Kind))

EntryRow = tuple[int, int, int, int, bytes, int, int, int, bytes | None]

ENTRY_COLUMNS = "kind, mode, mtime_ns, size, root, inode, ctime_ns, device, attributes"
"""Of `local` and `synced`, in the order of `entry_row`."""

NO_ENTRY = (None,) * 9


def signed(number: int) -> int:
    """An unsigned 64-bit inode or device as SQLite can store it."""
    return number - _WRAP if number >= _SIGN else number


def unsigned(number: int) -> int:
    return number + _WRAP if number < 0 else number


def path_bytes(path: str) -> bytes:
    return os.fsencode(path)


def path_text(path: bytes) -> str:
    return os.fsdecode(path)


def entry_row(entry: DiskEntry) -> EntryRow:
    """The values of `ENTRY_COLUMNS`."""
    return (
        int(entry.kind),
        entry.mode,
        entry.mtime_ns,
        entry.size,
        entry.root,
        signed(entry.inode),
        entry.ctime_ns,
        signed(entry.device),
        entry.attributes,
    )


def entry_of(row: Row) -> DiskEntry:
    """From the values of `ENTRY_COLUMNS`. Raises `HostileInput` for a kind that there is not."""
    kind, mode, mtime_ns, size, root, inode, ctime_ns, device, attributes = row
    if kind not in _KINDS:
        raise HostileInput("entry of unknown kind")
    return DiskEntry(
        Kind(kind),
        mode,
        mtime_ns,
        size,
        root,
        unsigned(inode),
        ctime_ns,
        unsigned(device),
        attributes,
    )


def joined_ids(ids: Sequence[bytes] | frozenset[bytes]) -> bytes:
    return b"".join(sorted(ids))


def split_ids(joined: bytes) -> frozenset[bytes]:
    step = VERSION_ID_BYTES
    return frozenset(joined[at : at + step] for at in range(0, len(joined), step))
