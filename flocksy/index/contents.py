"""Where the content of a box lies: chunks in files, chunk lists, inline content, wants."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple


class Place(NamedTuple):
    """A chunk in a file of the box (`path`; as last scanned, so to be verified when read)."""

    path: str
    offset: int
    length: int


class Piece(NamedTuple):
    """A chunk of a file: where it starts, how long it is, its id (BLAKE3, 32 bytes)."""

    offset: int
    length: int
    id: bytes


@dataclass(frozen=True, slots=True)
class Want:
    """Content that the view of the flock needs here and that is not complete."""

    path: str
    version_id: bytes
    root: bytes
    size: int
    since_ms: int


class Contents:
    """Part of `BoxIndex`; shares its transactions."""

    def put_file(self, path: str, root: bytes, pieces: Sequence[Piece]) -> None:
        """The file at `path` now has this content. Replaces all earlier locations of the path."""
        raise NotImplementedError

    def move_file(self, source: str, target: str) -> None:
        """The content at `source` is at `target` now (a rename)."""
        raise NotImplementedError

    def drop_file(self, path: str) -> None:
        raise NotImplementedError

    def places(self, chunk_id: bytes, limit: int = 4) -> Sequence[Place]:
        """Where the chunk should be found on this disk."""
        raise NotImplementedError

    def holds(self, chunk_id: bytes) -> bool:
        """Whether `places` or `blob` knows the chunk."""
        raise NotImplementedError

    def pieces(self, path: str) -> Sequence[Piece]:
        """The chunks of a file, by offset."""
        raise NotImplementedError

    def path_with_root(self, root: bytes) -> str | None:
        """A file whose local content has this root."""
        raise NotImplementedError

    def put_blob(self, root: bytes, blob_id: bytes, data: bytes) -> None:
        """Keep a small content by id, on behalf of the content `root`: a chunk list blob, the
        text of a symlink, the inline content of a small file that is not applied yet."""
        raise NotImplementedError

    def blob(self, blob_id: bytes) -> bytes | None:
        raise NotImplementedError

    def drop_blobs(self, root: bytes) -> None:
        """Forget what was kept on behalf of `root`."""
        raise NotImplementedError

    def want(self, want: Want) -> None:
        raise NotImplementedError

    def wants(self, limit: int) -> Sequence[Want]:
        """Oldest first."""
        raise NotImplementedError

    def unwant(self, path: str, version_id: bytes) -> None:
        raise NotImplementedError
