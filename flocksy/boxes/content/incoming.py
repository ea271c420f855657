"""One content on its way into a box: what is here of it, and what is missing."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from flocksy.index.contents import Piece
from flocksy.sync.content import ListAssembly

Key = tuple[str, bytes]
"""(path, root)"""


@dataclass(frozen=True, slots=True)
class Staged:
    """Complete: `name` is the temporary's path inside the box, not flushed yet."""

    path: str
    root: bytes
    size: int
    name: str


@dataclass(slots=True, eq=False)
class Incoming:
    """One content under way. `missing`: chunk id -> (offsets, length). `unlooked`: chunks and lists
    that may be on this disk already. `searched`: all that it lacked has been looked for here.
    `resumed`: the temporary is of an earlier run, and has not been looked through. `carried`: a
    list of it came through a lane, so it was new to the flock."""

    key: Key
    size: int
    name: str
    assembly: ListAssembly | None
    missing: dict[bytes, tuple[list[int], int]] = field(default_factory=dict)
    unlooked: dict[bytes, None] = field(default_factory=dict)
    blobs: dict[bytes, None] = field(default_factory=dict)
    here_bytes: int = 0
    resumed: bool = False
    searched: bool = False
    carried: bool = False
    complete: bool = False

    def staged(self) -> Staged:
        path, root = self.key
        return Staged(path, root, self.size, self.name)

    def listed(self) -> list[Piece]:
        """All of its list is known: it lacks chunks from now on. The whole of it."""
        assert self.assembly is not None
        at = 0
        pieces: list[Piece] = []
        for chunk in self.assembly.chunks():
            offsets, _ = self.missing.setdefault(chunk.chunk_id, ([], chunk.length))
            offsets.append(at)
            pieces.append(Piece(at, chunk.length, chunk.chunk_id))
            at += chunk.length
        self.assembly = None
        return pieces

    def begin_anew(self, pieces: Iterable[Piece]) -> None:
        """Nothing is here any more, of all `pieces` of it; without a list none is known."""
        self.here_bytes = 0
        self.resumed = self.searched = self.complete = False
        if self.assembly is not None:
            return
        self.missing.clear()
        for piece in pieces:
            self.missing.setdefault(piece.id, ([], piece.length))[0].append(piece.offset)
        assert self.size == sum(len(at) * length for at, length in self.missing.values())

    def have(self, name: bytes) -> None:
        """A chunk is here, in all its places."""
        offsets, length = self.missing.pop(name)
        self.here_bytes += length * len(offsets)
        self.unlooked.pop(name, None)

    def lacks(self) -> Iterator[bytes]:
        """Lists, then chunks, that have to come from elsewhere."""
        for name in (*self.blobs, *self.missing) if self.blobs else self.missing:
            if name not in self.unlooked:
                yield name
