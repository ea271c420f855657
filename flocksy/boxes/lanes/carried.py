"""What a burst said, for the burst that repeats it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from flocksy.boxes.box import Box
from flocksy.sync.version import Buffer


@dataclass(frozen=True, slots=True)
class Record:
    """That of a path, said once: as an answer, with its past, or else with little of that, `first`
    first."""

    box: Box
    path: str
    is_answer: bool = False
    first: tuple[bytes, ...] = ()


class Carried:
    """What one burst said, so that its repeat can say it again, and what of that has not come back
    in our own lane: a ring that ran empty leaves cover in place of slots that came too late."""

    def __init__(self) -> None:
        self.own = False
        """Changes of our own were among it."""
        self.records: list[Record] = []
        self.chunks: list[tuple[Box, bytes]] = []
        self.controls: list[Sequence[Buffer]] = []
        self._records: dict[tuple[bytes, str], Box] = {}
        self._chunks: dict[bytes, Box] = {}

    def add_record(self, record: Record) -> None:
        """The record of a path was put into a slot, the beginning at least."""
        self.records.append(record)
        self._records[record.box.setup.tag, record.path] = record.box

    def add_chunk(self, box: Box, chunk_id: bytes) -> None:
        """A chunk was put into slots."""
        self.chunks.append((box, chunk_id))
        self._chunks[chunk_id] = box

    def record_back(self, tag: bytes, path: str) -> None:
        """Our own lane carried it."""
        self._records.pop((tag, path), None)

    def chunk_back(self, chunk_id: bytes) -> None:
        """Our own lane carried it."""
        self._chunks.pop(chunk_id, None)

    def lost_records(self) -> list[tuple[Box, str]]:
        """What no cell took with it, once the burst is over and the own lane is drained."""
        return [(box, path) for (_, path), box in self._records.items()]

    def lost_chunks(self) -> list[tuple[Box, bytes]]:
        """Likewise."""
        return [(box, name) for name, box in self._chunks.items()]
