"""A version: one immutable state of one path in a box. It bears no author and no clock order.

The record is what travels and what the index keeps, so its encoding is fixed: see
`docs/protocol.md`, "Version record". Everything a version says is in its id.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum

RECORD_VERSION = 1
VERSION_ID_BYTES = 16
ROOT_BYTES = 32
MAX_PARENTS = 4
NO_ROOT = b""


class Kind(IntEnum):
    """What stands at a path. The numbers are part of the record."""

    FILE = 1
    DIRECTORY = 2
    SYMLINK = 3
    TOMBSTONE = 4


@dataclass(frozen=True, slots=True)
class Version:
    """One state of one path.

    `mode` holds the nine permission bits (files and directories). `mtime_ns` and `size` are for
    files, zero elsewhere. `root` names the content: of a file the root of its chunk list, of a
    symlink the BLAKE3 of its text, empty for directories and tombstones. `generation` is one more
    than the largest among the parents. `parents` are the last four. `metadata_only` says that the
    content is that of a parent and only mode or mtime changed.
    """

    kind: Kind
    mode: int
    mtime_ns: int
    size: int
    root: bytes
    generation: int
    parents: tuple[bytes, ...]
    metadata_only: bool = False
    signature: bytes = b""
