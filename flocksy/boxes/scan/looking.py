"""How to look at a box, and what a look says: whether a file is still the one that was seen, why it
cannot be read."""

from __future__ import annotations

import os
from collections.abc import Generator, Iterator
from dataclasses import dataclass
from enum import Enum

from flocksy.boxes.disk.port import Disk, Stat, as_stat
from flocksy.boxes.scan.chunking import ContentChangedError, cut_file
from flocksy.boxes.scan.findings import Remark, Seen, Unreadable
from flocksy.errors import LimitExceeded
from flocksy.index.contents import Piece
from flocksy.sync.attributes import AttributesError
from flocksy.sync.content import (
    INLINE_BYTES,
    MAX_CHUNK_BYTES,
    MAX_CHUNKS,
    TOO_MANY_CHUNKS,
    Chunk,
    build_list,
    chunk_id,
    small_list,
    symlink_root,
)
from flocksy.sync.names import encode_path, parent_of
from flocksy.sync.trees import DiskEntry
from flocksy.sync.version import Kind
from flocksy.system import kernel


class Symlinks(Enum):
    """What a symlink in the box is (design 6.3)."""

    COPY = 2
    """An entry like any other; where links are followed too, those that came from the flock."""
    IGNORE = 1


@dataclass(frozen=True, slots=True)
class Look:
    """How to look: what the disk can tell (`Capabilities`), and the setting for symlinks."""

    symlinks: Symlinks = Symlinks.COPY
    mtime_grain_ns: int = 1
    respelling: bool = False
    stable_inodes: bool = True
    attributes: bool = False

    def why_skipped(self, found: Stat) -> str | None:
        """Why what stands there is nothing that this box holds, or None."""
        if found.kind is None:
            return "is neither a file, a directory nor a link"
        if found.kind is Kind.SYMLINK and self.symlinks is Symlinks.IGNORE:
            return "symbolic links are ignored in this box"
        return None

    def is_same(self, found: Stat, entry: DiskEntry) -> bool:
        """Whether a file or link is what was known of it, as far as a look tells. Its mode is
        compared too: who has set it in the tick of the clock in which the file came here shows by
        no change time."""
        return (
            found.kind is entry.kind
            and found.mode == entry.mode
            and found.size == entry.size
            and found.mtime_ns == entry.mtime_ns
            and found.ctime_ns == entry.ctime_ns
            and (found.inode == entry.inode or not self.stable_inodes)
        )


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


def read_file(path: str, descriptor: int, found: Stat) -> Generator[None, None, Seen]:
    """Cut and hash an open file, a chunk per step.

    Raises `ContentChangedError`, and `LimitExceeded` where it has too many.
    """
    if found.size <= INLINE_BYTES:
        data = os.read(descriptor, INLINE_BYTES + 1)
        if len(data) != found.size:
            raise ContentChangedError
        whole = [Piece(0, len(data), chunk_id(data))] if data else []
        return Seen(path, found.entry(small_list(data).root), tuple(whole), inline=data)
    pieces: list[Piece] = []
    if found.size > MAX_CHUNKS * MAX_CHUNK_BYTES:  # before hours are spent on reading it
        raise LimitExceeded(TOO_MANY_CHUNKS)
    for piece in cut_file(descriptor, found.size):
        if not as_found(descriptor, found):  # what is still being copied here costs no more
            raise ContentChangedError
        if len(pieces) == MAX_CHUNKS:
            raise LimitExceeded(TOO_MANY_CHUNKS)
        pieces.append(piece)
        yield None
    listed = build_list(Chunk(piece.id, piece.length) for piece in pieces)
    return Seen(path, found.entry(listed.root), tuple(pieces), listed.blobs())


def attributes_of(disk: Disk, path: str) -> tuple[bytes | None, Remark | None]:
    """The extended attributes of a file, for `DiskEntry`; if None, why, for people, unless it is
    plain. Raises `FileNotFoundError`."""
    try:
        return disk.read_attributes(path), None
    except FileNotFoundError:
        raise
    except AttributesError as error:
        return None, Remark(path, str(error))
    except OSError as error:
        if kernel.is_unsupported(error):
            return None, None
        reason = f"its extended attributes cannot be read: {error.strerror or error}"
        return None, Remark(path, reason, again=True)


def unreadable(path: str, error: OSError | LimitExceeded, hashing_s: float = 0.0) -> Unreadable:
    """What a look at the path says that ended with this error, after so long a reading."""
    return Unreadable(path, _why(error), not isinstance(error, LimitExceeded), hashing_s)


def _why(error: OSError | LimitExceeded) -> str:
    if isinstance(error, LimitExceeded):
        return f"{error}; move it out of the box, or leave it out in .flockignore"
    if isinstance(error, PermissionError):
        return "cannot be read: permission denied; let the user that runs flocksy read it"
    return f"cannot be read: {error.strerror or error}"


def with_parents(path: str) -> Iterator[str]:
    while path:
        yield path
        path = parent_of(path)
