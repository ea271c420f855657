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

from blake3 import blake3

from flocksy.errors import HostileInput, LimitExceeded
from flocksy.sync.version import ROOT_BYTES, Buffer, Kind, Version

MAX_CHUNK_BYTES = 2 << 20  # memory per chunk under way, on both sides
MAX_BLOB_BYTES = 256 << 10  # a list stays a small message; 7,281 entries
MAX_LEVELS = 3  # far more entries than MAX_CHUNKS
MAX_CHUNKS = 1 << 20  # a file of about 1 TiB; bounds the memory a list can take
INLINE_BYTES = 4 << 10  # files up to here travel inside the record's message
MAX_SYMLINK_BYTES = 4095  # what Linux can hold

_ENTRY = struct.Struct("<32sI")
_PER_BLOB = (MAX_BLOB_BYTES - 1) // _ENTRY.size
_ROOT_CONTEXT = "flocksy 2026-11-21 root of a chunk list"
_SYMLINK_CONTEXT = "flocksy 2026-11-21 text of a symbolic link"


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
        raise LimitExceeded(f"a file of more than {MAX_CHUNKS} chunks (1 TiB) is not synchronised")
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


def inline_fits(version: Version, inline: bytes) -> bool:
    """Whether `inline` is the whole content of `version`."""
    if version.kind is Kind.SYMLINK:
        return symlink_root(inline) == version.root
    return (
        version.kind is Kind.FILE
        and len(inline) == version.size
        and small_list(inline).root == version.root
    )


class ListAssembly:
    """The list of one incoming file, blob by blob, until every chunk of data is known.

    Ask `missing()`, give what came to `add()`; once `missing()` is empty, `chunks()` are the
    chunks of data in order, whose lengths are known to sum up to the file's size.
    """

    def __init__(self, root: bytes, size: int) -> None:
        assert len(root) == ROOT_BYTES
        self._root = root
        self._size = size
        # The list as far as it is known, each with its level: chunks of data (level 0) and blobs
        # still unread.
        self._entries: list[tuple[int, Chunk]] | None = None

    def missing(self) -> list[bytes]:
        """Ids of the list blobs that are wanted now."""
        if self._entries is None:
            return [self._root]
        return list(dict.fromkeys(chunk.chunk_id for level, chunk in self._entries if level))

    def add(self, blob_id: bytes, blob: Buffer) -> bool:
        """Take a blob. False: it is not wanted (any more). Raises `HostileInput`."""
        if blob_id not in self.missing():
            return False
        top = self._entries is None
        if (root_of(blob) if top else chunk_id(blob)) != blob_id:
            raise HostileInput("list blob that is not what its id says")
        level, chunks = parse_blob(blob)
        below = [(level, chunk) for chunk in chunks]
        # A blob that is named again and again must not make the list grow without bound.
        named = 1 if top else sum(chunk.chunk_id == blob_id for _, chunk in self._entries or ())
        if named * len(below) + len(self._entries or ()) > MAX_CHUNKS + _PER_BLOB:
            raise HostileInput("list of too many chunks")
        if self._entries is None:
            entries = below
        else:
            entries = []
            for place, chunk in self._entries:
                if not place or chunk.chunk_id != blob_id:
                    entries.append((place, chunk))
                    continue
                if level != place - 1 or len(blob) != chunk.length:
                    raise HostileInput("list blob of the wrong level or length")
                entries.extend(below)
        data_bytes = sum(chunk.length for place, chunk in entries if not place)
        whole = all(not place for place, _ in entries)
        if data_bytes > self._size or (whole and data_bytes != self._size):
            raise HostileInput("list whose chunks do not sum up to the file's size")
        self._entries = entries
        return True

    def chunks(self) -> list[Chunk]:
        """All chunks of data in order; only once nothing is missing."""
        assert self._entries is not None, "the list is not here yet"
        assert not any(level for level, _ in self._entries), "the list is not whole yet"
        return [chunk for _, chunk in self._entries]
