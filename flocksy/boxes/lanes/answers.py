"""What members asked for and this node is to serve, until a lane has carried it."""

from __future__ import annotations

from collections.abc import Sequence
from math import inf

from flocksy.boxes.box import Box
from flocksy.boxes.pushes import CHUNK_OVERHEAD_BYTES

MIN_RECORD_BYTES = 1024
"""Estimate of a record with an ancestry of some edits, and of a small file's content."""

MAX_ANSWERS = 65_536
"""Chunks and records queued for others; who asks for more asks again."""


class Answers:
    """Two queues: chunks by id, records by box and path."""

    def __init__(self) -> None:
        self._chunks: dict[bytes, tuple[Box, int]] = {}
        self._records: dict[tuple[bytes, str], tuple[Box, int]] = {}
        self._bytes = 0
        self._left: dict[tuple[bytes, str], None] = {}
        """Records left to another lane, and not said since; the youngest last."""

    @property
    def payload_bytes(self) -> int:
        """Payload bytes they will take, about."""
        return self._bytes

    @property
    def full(self) -> bool:
        """Whether no more fit."""
        return len(self._chunks) + len(self._records) >= MAX_ANSWERS

    def add_chunk(self, chunk_id: bytes, box: Box, length: int) -> None:
        """A chunk or list blob that `box` has."""
        if chunk_id not in self._chunks and not self.full:
            self._chunks[chunk_id] = (box, length)
            self._bytes += length + CHUNK_OVERHEAD_BYTES

    def add_record(self, box: Box, path: str) -> None:
        """All heads of a path."""
        key = box.setup.tag, path
        if key not in self._records and not self.full:
            size = max(MIN_RECORD_BYTES, box.offers.answer_bytes(path))
            self._records[key] = (box, size)
            self._bytes += size

    def waits(self, box: Box, path: str) -> bool:
        """Whether the record of a path is still to be said."""
        return (box.setup.tag, path) in self._records

    def carried(self, box: Box, path: str) -> None:
        """Another lane has carried the record, which is left to that. Once: who asks for it again
        has not heard that lane as we have."""
        key = box.setup.tag, path
        if key in self._left:
            return
        self.drop_record(box, path)
        self._left[key] = None
        if len(self._left) > MAX_ANSWERS:
            del self._left[next(iter(self._left))]

    def chunks(self) -> Sequence[tuple[bytes, Box]]:
        """All chunks, oldest first."""
        return [(name, box) for name, (box, _) in self._chunks.items()]

    def records(self, most_bytes: float = inf) -> Sequence[tuple[Box, str]]:
        """All records, oldest first, but those that take more than that."""
        every = self._records.items()
        return [(box, path) for (_, path), (box, size) in every if size <= most_bytes]

    def drop_chunk(self, chunk_id: bytes) -> None:
        """Served, or not here any more."""
        found = self._chunks.pop(chunk_id, None)
        if found is not None:
            self._bytes -= found[1] + CHUNK_OVERHEAD_BYTES

    def drop_record(self, box: Box, path: str) -> None:
        """Served, or not known any more."""
        self._left.pop((box.setup.tag, path), None)
        found = self._records.pop((box.setup.tag, path), None)
        if found is not None:
            self._bytes -= found[1]

    def forget(self, box: Box) -> None:
        """The box was closed."""
        for name, (other, _) in list(self._chunks.items()):
            if other is box:
                self.drop_chunk(name)
        for (_, path), (other, _) in list(self._records.items()):
            if other is box:
                self.drop_record(box, path)
