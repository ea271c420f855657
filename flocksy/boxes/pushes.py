"""What one box has to put into the lanes unasked: new versions and the content that is new.

A path that changed here is *due* until a lane has carried its record (the index remembers that
across restarts) and then until its new chunks have been put into a burst. What goes out first is
the record, so that who receives a chunk knows what it is for.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass

RECORD_BYTES = 320
"""Estimate of one record in a message: at most 300 bytes without attributes, and some framing."""

SUPERSEDED_BYTES = 49
"""Of each version that an entry supersedes, at most."""

CHUNK_OVERHEAD_BYTES = 64
"""Framing of one chunk in a message, rounded up."""


@dataclass(slots=True)
class Push:
    """What one path has still to say. `chunks`: (id, length), list blobs first; a queue only where
    there are any, since an empty one takes 760 bytes, and a million small files have none."""

    path: str
    batch: bytes
    batch_size: int
    told: bool = False
    """The record is in a lane already; only chunks are left."""
    inline_bytes: int = 0
    """Of small content, and of attributes, in the record's message."""
    chunks: deque[tuple[bytes, int]] | tuple[()] = ()

    @property
    def record_bytes(self) -> int:
        """Bytes of payload its record will take, about."""
        name = len(self.path.encode(errors="surrogateescape"))
        return RECORD_BYTES + name + self.inline_bytes

    @property
    def bytes(self) -> int:
        """Bytes of payload all of it will take, about; less only where content does not compress.
        Counts: not for every chunk."""
        size = 0 if self.told else self.record_bytes
        for _, length in self.chunks:
            size += length + CHUNK_OVERHEAD_BYTES
        return size


class Pushes:
    """The queue of one box, oldest first. One entry per path: a newer change replaces it."""

    def __init__(self) -> None:
        self._queue: dict[str, Push] = {}
        self._bytes: dict[str, int] = {}
        self.bytes = 0
        """Payload bytes of all that waits."""

    def __len__(self) -> int:
        return len(self._queue)

    def __contains__(self, path: object) -> bool:
        return path in self._queue

    def __iter__(self) -> Iterator[Push]:
        return iter(list(self._queue.values()))

    def add(self, push: Push) -> None:
        """Queue a push, in place of an older one of the same path."""
        self.drop(push.path)
        self._queue[push.path] = push
        self._bytes[push.path] = push.bytes
        self.bytes += self._bytes[push.path]

    def get(self, path: str) -> Push | None:
        """The push of a path, if it waits."""
        return self._queue.get(path)

    def drop(self, path: str) -> None:
        """Nothing is left to say about the path."""
        if self._queue.pop(path, None) is not None:
            self.bytes -= self._bytes.pop(path)

    def spent(self, path: str, size: int) -> None:
        """`size` bytes of the push of `path` are in a lane now. Drops it when nothing is left."""
        push = self._queue.get(path)
        if push is None:
            return
        if push.told and not push.chunks:
            self.drop(path)
            return
        size = min(size, self._bytes[path])
        self.bytes -= size
        self._bytes[path] -= size
