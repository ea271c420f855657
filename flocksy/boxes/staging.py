"""Incoming content, assembled in temporary files inside the box until it is complete.

Chunks may come in any order and more than once. The caller has checked a chunk's id against its
bytes (`verified`); the whole is right by construction, since the list is checked against the root.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from flocksy.index.store import BoxIndex


@dataclass(frozen=True, slots=True)
class Staged:
    """Complete: `name` is the temporary's path inside the box, not flushed yet."""

    root: bytes
    size: int
    name: str


def verified(chunk_id: bytes, data: bytes | memoryview) -> bool:
    """Whether these bytes are the chunk."""
    raise NotImplementedError


class Staging:
    """The incoming contents of one box. With `scratch`, what is complete is renamed into
    `.flocksy/scratch/` and discarded: the same calls for what is here already (our own lane)."""

    def __init__(self, root: str, index: BoxIndex, *, scratch: bool = False) -> None:
        raise NotImplementedError

    def expect(self, root: bytes, size: int) -> None:
        """Begin, or go on with, the content `root`. Chunks that are here already are copied
        (a bounded number per `advance`)."""
        raise NotImplementedError

    def inline(self, root: bytes, data: bytes) -> None:
        """The whole content of a small file. Raises `HostileInput` when it is not `root`'s."""
        raise NotImplementedError

    def write(self, chunk_id: bytes, data: bytes | memoryview) -> bool:
        """A verified chunk (also a list blob). False: nobody expected it, nothing done."""
        raise NotImplementedError

    def advance(self, budget_bytes: int) -> bool:
        """Copy chunks that are on this disk already. True: there is more to copy."""
        raise NotImplementedError

    def wants(self, limit: int) -> Sequence[bytes]:
        """Ids of chunks (and list blobs) still missing, in the order they are best sent in."""
        raise NotImplementedError

    def complete(self) -> Sequence[Staged]:
        """What became complete since the last call."""
        raise NotImplementedError

    def staged(self, root: bytes) -> str | None:
        """The temporary of a complete content, for the applier."""
        raise NotImplementedError

    def release(self, root: bytes) -> None:
        """Not needed any more (applied, or superseded): remove what is left of it."""
        raise NotImplementedError

    def progress(self) -> tuple[int, int]:
        """(bytes here, bytes expected) of all contents under way."""
        raise NotImplementedError

    def close(self) -> None:
        """Close files; what is incomplete stays on disk and is found again by `expect`."""
        raise NotImplementedError
