"""Chunks on their way out: read and verified; compressed for heartbeats, where it helps.

`ChunkReader` reads real chunks, `SpoolReader` pieces of a local spool file that are as long as the
chunks of one file of the burst's size, and hashes them as well: cover and content fill a ring with
the same work but for the look-up (design 4.3, rule 5).
Nothing is compressed for a burst: how long that takes depends on the content (0.01 ms for a slot of
random bytes, 0.5 ms for one of prose), and a burst has its length before it begins, so it would
save nothing.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from zstandard import ZstdCompressor

from flocksy.boxes.content.here import Here
from flocksy.boxes.disk.handles import Handles
from flocksy.boxes.disk.port import Disk
from flocksy.errors import FlocksyError
from flocksy.index.contents import Contents
from flocksy.index.journal import HISTORY
from flocksy.sync.content import chunk_id, root_of
from flocksy.system import files, opening

COMPRESSION_LEVEL = 1
"""1 GB/s here on text, 8 GB/s on what does not compress: no brake on any link."""
WORTH_PARTS = 16
"""Compressed data is sent when it is smaller by at least one part in so many; a rule that looks at
nothing but the chunk, so that all holders send it alike."""
OPEN_FILES = 8
"""Read from in turn: more than the files that one burst reads at the same time."""
SPOOL_BYTES = 32 << 20
"""Read round and round; larger than the processor's caches, so that it costs what files cost."""
LONGEST_PIECE_BYTES = 256 << 10
"""Of cover; a divisor of the file."""

_compressor = ZstdCompressor(level=COMPRESSION_LEVEL, write_content_size=True)


@dataclass(frozen=True, slots=True)
class Outbound:
    """A chunk ready to be framed. `compressed`: `data` is one zstd frame of `raw_length` bytes."""

    id: bytes
    raw_length: int
    compressed: bool
    data: bytes


def prepared(name: bytes, data: bytes, *, compress: bool = False) -> Outbound | None:
    """The chunk `name` from what was read. None: that is something else.

    A chunk list blob may be named by the root of its content.
    """
    if chunk_id(data) != name and root_of(data) != name:
        return None
    if not compress:
        return Outbound(name, len(data), False, data)
    smaller = _compressor.compress(data)
    if len(smaller) <= len(data) - len(data) // WORTH_PARTS - 1:
        return Outbound(name, len(data), True, smaller)
    return Outbound(name, len(data), False, data)


class ChunkReader:
    """Reads the chunks of one box."""

    def __init__(self, disk: Disk, contents: Contents) -> None:
        self._contents = contents
        self._here = Here(disk, contents)
        self._files = Handles(disk.open_read, OPEN_FILES)
        self._changed: set[str] = set()
        self._reading = False

    def read(self, name: bytes, *, compress: bool = False) -> Outbound | None:
        """The chunk or list blob with this id. None: gone. The paths where it should have been are
        in `changed`. `compress`: where it helps; never for a burst."""
        self._reading = True
        for place in self._contents.places(name):
            try:
                data = files.read_at(self._files.get(place.path), place.length, place.offset)
            except OSError:
                data = b""
            chunk = prepared(name, data, compress=compress)
            if chunk is not None:
                return chunk
            # Perhaps only the handle is of a file that was replaced. The scan finds out.
            self._files.close(place.path)
            if not place.path.startswith(HISTORY):  # which is never scanned
                self._changed.add(place.path)
        blob = self._contents.blob(name) or self._here.list_of(name)
        return None if blob is None else prepared(name, blob, compress=compress)

    def changed(self) -> frozenset[str]:
        """Paths that did not hold what the index says, since the last call: scan them.

        Also lets go of open files when nothing was read since the last call, so that what was
        deleted meanwhile takes no room.
        """
        if not self._reading:
            self._files.close_all()
        self._reading = False
        changed, self._changed = frozenset(self._changed), set()
        return changed

    def close(self) -> None:
        """Let go of all files."""
        self._files.close_all()


class SpoolReader:
    """Endless cover from a spool file of random bytes that is made at `path` when missing."""

    def __init__(self, path: Path) -> None:
        """Raises `FlocksyError` when the file can be neither read nor made."""
        try:
            self._descriptor = _open_spool(path)
        except OSError as error:
            raise FlocksyError(f"cannot make the spool file {path}: {error.strerror}") from error
        self._path = path
        self._at = 0
        try:
            self._data(LONGEST_PIECE_BYTES)
        except BaseException:
            self.close()
            raise

    def read(self, length: int) -> Outbound:
        """The next piece of cover, of that length, but `LONGEST_PIECE_BYTES` at most. Raises
        `FlocksyError` when somebody spoiled the file, or the disk does not give it back."""
        length = min(length, LONGEST_PIECE_BYTES)
        if self._at + length > SPOOL_BYTES:
            self._at = 0
        data = self._data(length)
        self._at += length
        return Outbound(chunk_id(data), length, False, data)

    def close(self) -> None:
        """Let go of the file."""
        os.close(self._descriptor)

    def _data(self, length: int) -> bytes:
        try:
            data = files.read_at(self._descriptor, length, self._at)
        except OSError as error:
            raise FlocksyError(
                f"the spool file {self._path} cannot be read: {error.strerror}: remove it and start"
                " the node again, which makes another"
            ) from error
        if len(data) < length:
            raise FlocksyError(
                f"the spool file {self._path} was cut off by somebody: start the node again"
            )
        return data


def _open_spool(path: Path) -> int:
    flags = os.O_RDONLY | opening.O_CLOEXEC | opening.O_BINARY
    try:
        descriptor = os.open(path, flags)
    except FileNotFoundError:
        pass
    else:
        if os.fstat(descriptor).st_size == SPOOL_BYTES:
            return descriptor
        os.close(descriptor)
    unfinished = path.with_name(path.name + ".new")
    unfinished.unlink(missing_ok=True)
    making = os.open(
        unfinished,
        os.O_WRONLY | os.O_CREAT | os.O_EXCL | opening.O_CLOEXEC | opening.O_BINARY,
        0o600,
    )
    try:
        for at in range(0, SPOOL_BYTES, LONGEST_PIECE_BYTES):
            files.write_at(making, os.urandom(LONGEST_PIECE_BYTES), at)
    finally:
        os.close(making)
    unfinished.replace(path)
    return os.open(path, flags)
