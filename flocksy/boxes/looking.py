"""What a look says: whether a file is still the one that was seen, why it cannot be read."""

from __future__ import annotations

import os
from collections.abc import Iterator

from flocksy.boxes.disk import Disk, Stat
from flocksy.boxes.filesystem import as_stat
from flocksy.sync.content import symlink_root
from flocksy.sync.names import encode_path, parent_of
from flocksy.sync.trees import DiskEntry


def as_found(descriptor: int, found: Stat) -> bool:
    """Whether the open file is still the one that was seen, unchanged."""
    now = as_stat(os.fstat(descriptor))  # so that its times are told as those of `found` are
    return (now.inode, now.size, now.mtime_ns, now.ctime_ns) == (
        found.inode,
        found.size,
        found.mtime_ns,
        found.ctime_ns,
    )


def says(disk: Disk, path: str, entry: DiskEntry) -> bool:
    """Whether the symlink at `path` has the text of `entry`. One that has taken its place may be
    like it in all else: of its length, of its tick of the clock, with the inode that got free."""
    try:
        text = disk.read_link(path)
    except OSError:
        return False
    return symlink_root(encode_path(text)) == entry.root


def why(error: OSError) -> str:
    if isinstance(error, PermissionError):
        return "cannot be read: permission denied; let the user that runs flocksy read it"
    return f"cannot be read: {error.strerror or error}"


def with_parents(path: str) -> Iterator[str]:
    while path:
        yield path
        path = parent_of(path)
