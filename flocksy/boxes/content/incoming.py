"""One content on its way into a box: what is here of it, and what is missing."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

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
    """One content under way. `missing`: chunk id -> (offsets, length). `unlooked`: chunks that may
    be on this disk already. `resumed`: the temporary is of an earlier run. `carried`: a list of it
    came through a lane, so it was new to the flock."""

    key: Key
    size: int
    name: str
    assembly: ListAssembly | None
    missing: dict[bytes, tuple[list[int], int]] = field(default_factory=dict)
    unlooked: dict[bytes, None] = field(default_factory=dict)
    blobs: dict[bytes, None] = field(default_factory=dict)
    here_bytes: int = 0
    resumed: bool = False
    carried: bool = False
    complete: bool = False

    def staged(self) -> Staged:
        path, root = self.key
        return Staged(path, root, self.size, self.name)

    def lacks(self) -> Iterator[bytes]:
        """Lists, then chunks, that have to come from elsewhere."""
        yield from self.blobs
        for name in self.missing:
            if name not in self.unlooked:
                yield name
