"""Chunks on their way out: read, verified, compressed where it helps.

`ChunkReader` reads real chunks, `SpoolReader` chunks of a local spool file: the same calls at the
same cost, so that cover and content fill a ring with the same work (design 4.3, rule 5).
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from flocksy.index.store import BoxIndex


@dataclass(frozen=True, slots=True)
class Outbound:
    """A chunk ready to be framed. `compressed`: `data` is one zstd frame of `raw_length` bytes."""

    id: bytes
    raw_length: int
    compressed: bool
    data: bytes


class ChunkReader:
    """Reads the chunks of one box."""

    def __init__(self, root: str, index: BoxIndex) -> None:
        raise NotImplementedError

    def read(self, chunk_id: bytes) -> Outbound | None:
        """None: gone. The paths where it should have been are in `changed`."""
        raise NotImplementedError

    def changed(self) -> frozenset[str]:
        """Paths that did not hold what the index says, since the last call: scan them."""
        raise NotImplementedError

    def close(self) -> None:
        raise NotImplementedError


class SpoolReader:
    """Endless cover from a spool file of random bytes that is made at `path` when missing."""

    def __init__(self, path: Path) -> None:
        raise NotImplementedError

    def read(self) -> Outbound:
        raise NotImplementedError

    def close(self) -> None:
        raise NotImplementedError
