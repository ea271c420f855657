"""What a burst said, for the burst that repeats it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from flocksy.boxes.box import Box
from flocksy.sync.messages import Versions
from flocksy.sync.version import Buffer, version_id

Back = bytes | tuple[bytes, str, bytes]
"""A chunk by its id, or a record by box, path and id."""


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
    in our own lane: a ring that ran empty leaves cover in place of slots that came too late. Nor is
    it work again what a burst brings back that the one had, which this one `repeats`: to all others
    it is none."""

    def __init__(self, repeats: Carried | None = None) -> None:
        self.own = False
        """Changes of our own were among it."""
        self.records: list[Record] = []
        self.chunks: list[tuple[Box, bytes]] = []
        self.controls: list[Sequence[Buffer]] = []
        self._records: dict[tuple[bytes, str], Box] = {}
        self._chunks: dict[bytes, Box] = {}
        self._before: set[Back] = repeats._back if repeats is not None else set()
        self._back: set[Back] = set()
        self._is_missed = True

    def add_record(self, record: Record) -> None:
        """The record of a path was put into a slot, the beginning at least."""
        self.records.append(record)
        self._records[record.box.setup.tag, record.path] = record.box

    def add_chunk(self, box: Box, chunk_id: bytes) -> None:
        """A chunk was put into slots."""
        self.chunks.append((box, chunk_id))
        self._chunks[chunk_id] = box

    def records_back(self, message: Versions) -> set[tuple[str, bytes]]:
        """Our own lane carried them. The paths and ids of those that it had carried before."""
        back = {(entry.path, version_id(entry.version)) for entry in message.entries}
        for path, name in back:
            self._records.pop((message.box, path), None)
            self._back.add((message.box, path, name))
        return {(path, name) for path, name in back if (message.box, path, name) in self._before}

    def chunk_back(self, chunk_id: bytes) -> bool:
        """Our own lane carried it. Whether it had carried it before."""
        self._chunks.pop(chunk_id, None)
        self._back.add(chunk_id)
        return chunk_id in self._before

    def let_go(self) -> None:
        """This node has been away meanwhile: what does not come back is not missed."""
        self._is_missed = False

    def lost_records(self) -> list[tuple[Box, str]]:
        """What no cell took with it, once the burst is over and the own lane is drained."""
        return [(box, path) for (_, path), box in self._records.items() if self._is_missed]

    def lost_chunks(self) -> list[tuple[Box, bytes]]:
        """Likewise."""
        return [(box, name) for name, box in self._chunks.items() if self._is_missed]
