"""Incoming content, assembled in temporary files inside the box until it is complete.

Chunks may come in any order and more than once. Each is checked against its id before it is
written; the whole is right by construction, since the list is checked against the root.
"""

from __future__ import annotations

from dataclasses import dataclass

from flocksy.boxes.filesystem import Disk
from flocksy.index.contents import Contents


@dataclass(frozen=True, slots=True)
class Staged:
    """Complete: `name` is the temporary's path inside the box, not flushed yet."""

    path: str
    root: bytes
    size: int
    name: str


class Staging:
    """The incoming contents of one box, one for each (path, root): two paths that are to have the
    same content get a temporary each. With `scratch`, temporaries are in `.flocksy/scratch/` and
    nothing is copied from what is here: the same calls for what is here already (our own lane)."""

    def __init__(self, disk: Disk, contents: Contents, *, scratch: bool = False) -> None:
        raise NotImplementedError

    def expect(self, path: str, root: bytes, size: int) -> None:
        """Begin, or go on with, a file content. Chunks that are here already are copied by
        `advance`. Raises `LimitExceeded` when too many are under way."""
        raise NotImplementedError

    def inline(self, path: str, root: bytes, data: bytes) -> None:
        """The whole content of a small file, complete at once. Raises `HostileInput` when it is
        not `root`'s."""
        raise NotImplementedError

    def write(self, chunk_id: bytes, data: bytes | memoryview) -> bool:
        """A chunk or a list blob that arrived; checked against its id here. False: nobody
        expected it, nothing done. Raises `HostileInput` when it is not what its id says, and
        `OSError` when the disk refuses (nothing is lost then: it stays wanted)."""
        raise NotImplementedError

    def advance(self, budget_bytes: int) -> bool:
        """Copy chunks that are on this disk already. True: there is more to copy."""
        raise NotImplementedError

    def wants(self, limit: int) -> list[bytes]:
        """Ids of chunks and list blobs still missing, in the order they are best sent in."""
        raise NotImplementedError

    def complete(self) -> list[Staged]:
        """What became complete since the last call."""
        raise NotImplementedError

    def staged(self, path: str, root: bytes) -> str | None:
        """The temporary of a complete content, for the applier."""
        raise NotImplementedError

    def release(self, path: str, root: bytes) -> None:
        """Not needed any more (applied, or superseded): remove what is left of it."""
        raise NotImplementedError

    def progress(self) -> tuple[int, int]:
        """(bytes here, bytes expected) of all contents under way."""
        raise NotImplementedError

    def close(self) -> None:
        """Close files; what is incomplete stays on disk and is found again by `expect`."""
        raise NotImplementedError
