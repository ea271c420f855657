"""How a file's content is named: chunks, the list of chunks, and the root of that list.

A *list blob* is one level byte and entries of 36 bytes: chunk id (32 bytes), length (u32, little
endian). Level 0 lists the chunks of data in order. A list that would be longer than
`MAX_BLOB_BYTES` is cut into several blobs, each a chunk of its own, and a blob of the level above
lists those. The one blob at the top is named by the *root*, a hash of another domain than the chunk
ids: so nobody can offer a piece of data as a list, or the other way round.

Lists are content like any other: a blob travels in a CONTENT message, the top one under the root.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import chain

from blake3 import blake3

from flocksy.errors import HostileInput, LimitExceeded
from flocksy.sync.version import ROOT_BYTES, Buffer, Kind, Version

MAX_CHUNK_BYTES = 2 << 20  # memory per chunk under way, on both sides
MAX_BLOB_BYTES = 256 << 10  # a list stays a small message; 7,281 entries
MAX_LEVELS = 2  # fifty times the entries of MAX_CHUNKS
MAX_CHUNKS = 1 << 20  # a file of about 1 TiB; bounds the memory a list can take
TOO_MANY_CHUNKS = f"a file of more than {MAX_CHUNKS} chunks (about 1 TiB) is not synchronised"
INLINE_BYTES = 4 << 10  # files up to here travel inside the record's message
MAX_SYMLINK_BYTES = 4095  # what Linux can hold

SMALLEST_AVERAGE_BYTES = 16 << 10
"""A smaller chunk costs more in its list (36 bytes), index and message than it saves."""
LARGEST_AVERAGE_BYTES = 1 << 20
"""With the list of a 100 GB file still at 4 MB."""
CHUNKS_PER_FILE = 2896
"""At most so many of the average size in a file, at least half as many. One change moves a chunk
and the list (36 bytes each), which together are least at about these numbers. It is 2048·√2, so
that the sizes that people make, powers of two, lie in the middle of a class: at its edge one more
byte has the whole file cut otherwise."""

_ENTRY = struct.Struct("<32sI")
_PER_BLOB = (MAX_BLOB_BYTES - 1) // _ENTRY.size
_ROOT_CONTEXT = "flocksy 2026-11-21 root of a chunk list"
_SYMLINK_CONTEXT = "flocksy 2026-11-21 text of a symbolic link"


def average_size(size: int) -> int:
    """Average chunk size for a file of `size` bytes: a power of two from 16 KiB to 1 MiB."""
    wanted = size // CHUNKS_PER_FILE
    power = 1 << max(wanted - 1, 0).bit_length()
    return min(max(power, SMALLEST_AVERAGE_BYTES), LARGEST_AVERAGE_BYTES)


@dataclass(frozen=True, slots=True)
class Chunk:
    """One entry of a list: a chunk of data, or a blob of the level below."""

    chunk_id: bytes
    length: int  # bytes


@dataclass(frozen=True, slots=True)
class ChunkList:
    """A whole list as blobs. `lower` holds the blobs below the top one by their chunk id."""

    root: bytes
    top: bytes
    lower: tuple[tuple[bytes, bytes], ...]

    def blobs(self) -> tuple[tuple[bytes, bytes], ...]:
        """(id, blob) of all, the top one under the root."""
        return ((self.root, self.top), *self.lower)


def chunk_id(data: Buffer) -> bytes:
    """The id of a chunk: BLAKE3 of its bytes."""
    return blake3(data).digest()


def root_of(top: Buffer) -> bytes:
    """The root that names a list by its top blob."""
    return blake3(top, derive_key_context=_ROOT_CONTEXT).digest()


def symlink_root(text: bytes) -> bytes:
    """The root of a symlink with this text."""
    return blake3(text, derive_key_context=_SYMLINK_CONTEXT).digest()


def build_list(chunks: Iterable[Chunk]) -> ChunkList:
    """The list of a content cut into `chunks`. No chunks: the empty file.

    Raises `LimitExceeded` beyond `MAX_CHUNKS`.
    """
    entries = [_ENTRY.pack(chunk.chunk_id, chunk.length) for chunk in chunks]
    if len(entries) > MAX_CHUNKS:
        raise LimitExceeded(TOO_MANY_CHUNKS)
    lower: list[tuple[bytes, bytes]] = []
    level = 0
    while len(entries) > _PER_BLOB:
        pieces = [
            _blob(level, entries[at : at + _PER_BLOB]) for at in range(0, len(entries), _PER_BLOB)
        ]
        named = [(chunk_id(piece), piece) for piece in pieces]
        lower.extend(named)
        entries = [_ENTRY.pack(name, len(piece)) for name, piece in named]
        level += 1
    top = _blob(level, entries)
    return ChunkList(root_of(top), top, tuple(lower))


def _blob(level: int, entries: Sequence[bytes]) -> bytes:
    return bytes((level,)) + b"".join(entries)


def parse_blob(blob: Buffer) -> tuple[int, list[Chunk]]:
    """Level and entries of one blob. Raises `HostileInput`."""
    count, rest = divmod(len(blob) - 1, _ENTRY.size)
    if rest or not 0 <= count <= _PER_BLOB:
        raise HostileInput("list blob of impossible length")
    level = blob[0]
    if level >= MAX_LEVELS:
        raise HostileInput("list blob of impossible level")
    limit = MAX_BLOB_BYTES if level else MAX_CHUNK_BYTES
    chunks = [Chunk(name, length) for name, length in _ENTRY.iter_unpack(memoryview(blob)[1:])]
    if any(not 0 < chunk.length <= limit for chunk in chunks):
        raise HostileInput("list blob with a chunk of impossible length")
    if level and not chunks:
        raise HostileInput("list blob of an upper level that lists nothing")
    return level, chunks


def small_list(data: Buffer) -> ChunkList:
    """The list of a file that travels inline: one chunk, or none if it is empty."""
    return build_list([Chunk(chunk_id(data), len(data))] if len(data) else [])


def is_large(version: Version) -> bool:
    """Whether its content travels in chunks."""
    return version.kind is Kind.FILE and version.size > INLINE_BYTES


def has_inline(version: Version) -> bool:
    """Whether its content travels with its record."""
    return version.kind is Kind.SYMLINK or (
        version.kind is Kind.FILE and version.size <= INLINE_BYTES
    )


def inline_fits(version: Version, inline: bytes) -> bool:
    """Whether `inline` is the whole content of `version`."""
    if version.kind is Kind.SYMLINK:
        return b"\0" not in inline and symlink_root(inline) == version.root  # no disk holds a NUL
    return (
        version.kind is Kind.FILE
        and len(inline) == version.size
        and small_list(inline).root == version.root
    )


class ListAssembly:
    """The list of one incoming file, blob by blob, until every chunk of data is known.

    Ask `missing()`, give what came to `add()`; once `missing()` is empty, `chunks()` are the
    chunks of data in order, whose lengths are known to sum up to the file's size, and of which each
    has one length wherever it is named.

    A blob is kept once, however often the list names it, and costs what it has entries: the files
    that people have name the same one again and again (zeros), and so could somebody hostile.
    """

    def __init__(self, root: bytes, size: int) -> None:
        assert len(root) == ROOT_BYTES
        self._root = root
        self._size = size
        self._level = 0  # of the top blob
        self._top: list[Chunk] | None = None
        self._lower: dict[bytes, list[Chunk]] = {}  # blobs of level 0, below a top of level 1
        self._wanted: dict[bytes, tuple[int, int]] = {}  # blob id -> (length, how often named)
        self._data_bytes = 0  # of the chunks known so far

    def missing(self) -> list[bytes]:
        """Ids of the list blobs that are wanted now."""
        return [self._root] if self._top is None else list(self._wanted)

    def add(self, blob_id: bytes, blob: Buffer) -> bool:
        """Take a blob. False: it is not wanted (any more). Raises `HostileInput`."""
        if self._top is None:
            if blob_id != self._root:
                return False
            self._add_top(blob)
        elif blob_id in self._wanted:
            self._add_lower(blob_id, blob)
        else:
            return False
        return True

    def _add_top(self, blob: Buffer) -> None:
        if root_of(blob) != self._root:
            raise HostileInput("list blob that is not what its id says")
        level, entries = parse_blob(blob)
        wanted: dict[bytes, tuple[int, int]] = {}
        if level:
            for entry in entries:
                length, times = wanted.get(entry.chunk_id, (entry.length, 0))
                if length != entry.length:
                    raise HostileInput("list blob of two lengths")
                wanted[entry.chunk_id] = length, times + 1
            if sum((entry.length - 1) // _ENTRY.size for entry in entries) > MAX_CHUNKS:
                raise HostileInput("list of too many chunks")
            data_bytes = 0
        else:
            data_bytes = sum(entry.length for entry in entries)
            self._check_lengths((entries,))
        self._check_sum(data_bytes, whole=not wanted)
        self._level, self._top, self._wanted, self._data_bytes = level, entries, wanted, data_bytes

    def _add_lower(self, blob_id: bytes, blob: Buffer) -> None:
        if chunk_id(blob) != blob_id:
            raise HostileInput("list blob that is not what its id says")
        length, times = self._wanted[blob_id]
        level, entries = parse_blob(blob)
        if level or len(blob) != length:
            raise HostileInput("list blob of the wrong level or length")
        data_bytes = self._data_bytes + times * sum(entry.length for entry in entries)
        whole = len(self._wanted) == 1
        self._check_sum(data_bytes, whole=whole)
        if whole:
            self._check_lengths((*self._lower.values(), entries))
        del self._wanted[blob_id]
        self._lower[blob_id], self._data_bytes = entries, data_bytes

    def _check_sum(self, data_bytes: int, *, whole: bool) -> None:
        if data_bytes > self._size or (whole and data_bytes != self._size):
            raise HostileInput("list whose chunks do not sum up to the file's size")

    def _check_lengths(self, lists: Iterable[Sequence[Chunk]]) -> None:
        # Else what is written for a chunk, of one length everywhere, is not what the sum counted.
        lengths: dict[bytes, int] = {}
        for entry in chain.from_iterable(lists):
            if lengths.setdefault(entry.chunk_id, entry.length) != entry.length:
                raise HostileInput("list that gives one chunk two lengths")

    def chunks(self) -> list[Chunk]:
        """All chunks of data in order; only once nothing is missing."""
        assert self._top is not None, "the list is not here yet"
        assert not self._wanted, "the list is not whole yet"
        if not self._level:
            return list(self._top)
        return [chunk for blob in self._top for chunk in self._lower[blob.chunk_id]]
