"""What this node puts into the cells of one burst, slot after slot.

Whatever there is to say comes first, chunk by chunk from the disk; when nothing is left the rest is
made of the spool file, read and hashed in pieces as long as such chunks, so that filling a slot
costs much the same with content and with cover (design 4.3, rule 5). A burst that is repeated says
again what the last one said: nobody knows who missed what, and nobody shall find out (rule 7).
"""

from __future__ import annotations

import functools
import itertools
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from math import inf

from flocksy.boxes.box import Box
from flocksy.boxes.content.reader import Outbound, SpoolReader
from flocksy.boxes.lanes.answers import Answers
from flocksy.boxes.lanes.carried import Carried, Record
from flocksy.boxes.pushes import CHUNK_OVERHEAD_BYTES, SUPERSEDED_BYTES, Push
from flocksy.errors import FlocksyError
from flocksy.seam.joint import BoxSeam
from flocksy.seam.report import AgreedBurst
from flocksy.sync import messages
from flocksy.sync.content import average_size
from flocksy.sync.messages import Content, Encoding, Entry, Versions
from flocksy.sync.state import PUSH_ANCESTRY
from flocksy.sync.stream import SLOT_HEAD_BYTES, StreamWriter
from flocksy.sync.version import Buffer

GROUP_ENTRIES = 32
GROUP_BYTES = 16 << 10
"""Records share a message up to here: large enough that framing does not count, small enough that
a lost slot does not cost much, and that no slot takes much longer to fill than one of cover."""
MESSAGE_BYTES = 64 << 10
"""More than records that share a message take. What is known of a path has no bound, as many heads
and as long an ancestry as anybody has said; a message has one."""
ENTRY_BYTES = 128
"""Of an entry without what may be long, about."""

Parts = Sequence[Buffer]
"""An encoded message, to be joined."""

NO_BATCH = bytes(8)
"""The batch mark of what was not found by a scan just now."""


Failed = Callable[[Box, OSError | FlocksyError], None]
"""Told that the disk or the index of a box failed: whoever keeps the box lets it rest."""


class BoxFailedError(Exception):
    """The disk or the index of `box` failed; nothing more of it can be said."""

    def __init__(self, box: Box, error: OSError | FlocksyError) -> None:
        super().__init__(str(error))
        self.box = box
        self.error = error


@dataclass(slots=True)
class _Item:
    """A message, and what is to be noted once it is on its way."""

    parts: Parts
    note: Callable[[], None]


class Feed:
    """Fills the slots of one burst."""

    def __init__(
        self,
        burst: AgreedBurst,
        boxes: Sequence[Box],
        controls: deque[Parts],
        answers: Answers,
        spool: SpoolReader,
        again: Carried | None,
        failed: Failed,
    ) -> None:
        """`boxes`: those whose own changes may be told. `again`: what the burst before carried, if
        this one repeats it. `failed` has to `forget` what is left to be said of the box."""
        self.burst = burst
        self.carried = Carried(again)
        self._boxes = boxes
        self._controls = controls
        self._answers = answers
        self._spool = spool
        self._failed = failed
        self._writer = StreamWriter()
        self._filled = 0
        self._room_behind = 0
        self._whole_bytes = 0
        """Of the burst, once that is known; heartbeats have no bound."""
        self._items = self._all(again)
        self._forgotten = False
        self._item: _Item | None = None
        self._cover = b""
        self._cover_at = 0

    @classmethod
    def for_heartbeats(
        cls,
        boxes: Sequence[Box],
        controls: deque[Parts],
        answers: Answers,
        spool: SpoolReader,
    ) -> Iterator[Parts]:
        """All there is to say, noted as said: for the little that rides in heartbeats.

        Raises `BoxFailedError`; what was yielded before is said all the same.
        """

        def failed(_box: Box, _error: OSError | FlocksyError) -> None:
            raise AssertionError("told while a slot is filled, and here is none")

        burst = AgreedBurst(bytes(8), 0, 0, 0, False)
        feed = cls(burst, boxes, controls, answers, spool, None, failed)
        for item in feed._items:
            item.note()
            yield item.parts

    def forget(self) -> None:
        """Say nothing more: a box that has something to say was closed."""
        self._items = iter(())
        self._forgotten = True
        self._item = None
        self.carried = Carried()

    def fill(self, seam: BoxSeam, slots: int) -> bool:
        """Fill ahead, at most so many slots. Whether there is room for more."""
        per_slot = seam.burst_payload - SLOT_HEAD_BYTES
        self._whole_bytes = self.burst.length * per_slot
        for _ in range(min(slots, self.burst.length - self._filled)):
            slot = seam.burst_slot()
            if slot is None:
                return False
            self._filled += 1
            self._room_behind = (self.burst.length - self._filled) * per_slot
            if not self._writer.fill(slot, self._message):
                self._fill_cover(slot)
            slot.release()
            seam.publish_burst(self.burst.burst_id)
        return not self.full

    @property
    def full(self) -> bool:
        """Whether every cell of the burst is filled."""
        return self._filled >= self.burst.length

    def _message(self, room: int) -> Parts | None:
        """The next message, if it can still end within this burst."""
        if self._item is None:
            try:
                self._item = next(self._items, None)
                if self._item is None and not self._forgotten:
                    # What others have asked for since is still in time.
                    self._items = self._all(None)
                    self._item = next(self._items, None)
            except BoxFailedError as failure:
                self._failed(failure.box, failure.error)  # the slot goes out all the same
            if self._item is None:
                return None
        if sum(map(len, self._item.parts)) > room + self._room_behind:
            return None
        item, self._item = self._item, None
        item.note()
        return item.parts

    def _fill_cover(self, slot: memoryview) -> None:
        region = StreamWriter.cover(slot)
        while len(region):
            if self._cover_at >= len(self._cover):
                # As chunks of one file of that size are: a length that all members know.
                length = average_size(self._whole_bytes)
                self._cover, self._cover_at = self._spool.read(length).data, 0
            count = min(len(region), len(self._cover) - self._cover_at)
            region[:count] = self._cover[self._cover_at : self._cover_at + count]
            self._cover_at += count
            region = region[count:]

    # -- what there is to say, in order ---------------------------------------------------------

    def _all(self, again: Carried | None) -> Iterator[_Item]:
        if again is not None:
            self.carried.own = again.own
            yield from self._again(again)
        while self._controls:
            parts = self._controls[0]
            yield _Item(parts, functools.partial(self._control_sent, parts))
        yield from self._record_answers()
        for box in self._boxes:
            yield from self._pushes(box)
        for name, box in self._answers.chunks():
            served = functools.partial(self._answers.drop_chunk, name)
            item = self._chunk(box, name, served)
            if item is not None:
                yield item
            else:
                served()

    def _control_sent(self, parts: Parts) -> None:
        self._controls.remove(parts)
        self.carried.controls.append(parts)

    def _again(self, again: Carried) -> Iterator[_Item]:
        for parts in again.controls:
            yield _Item(parts, functools.partial(self.carried.controls.append, parts))
        by_kind = itertools.groupby(
            again.records, key=lambda one: (one.box.setup.tag, one.is_answer)
        )
        for (tag, is_answer), group in by_kind:
            records = list(group)
            step = 1 if is_answer else GROUP_ENTRIES
            for start in range(0, len(records), step):
                yield from self._records_again(tag, records[start : start + step])
        for box, name in again.chunks:
            item = self._chunk(box, name, functools.partial(self._answers.drop_chunk, name))
            if item is not None:
                yield item

    def _records_again(self, tag: bytes, records: Sequence[Record]) -> Iterator[_Item]:
        entries: list[Entry] = []
        pushes: list[Push] = []
        for one in records:
            offers = one.box.offers
            with _blaming(one.box):
                new = [] if one.is_answer else offers.entries(one.path)
                push = offers.pushes.get(one.path) if new else None
                if new:
                    entries += new
                elif one.is_answer:
                    entries += offers.answer(one.path)
                else:
                    entries += offers.repeat(one.path, one.first)
            if push is not None:
                pushes.append(push)  # a newer one: what is left of it is its chunks
        if entries:
            begun = functools.partial(self._begun, records)
            told = functools.partial(self._told, records[0].box, pushes)
            yield from _noted(versions(tag, NO_BATCH, 0, entries), begun, told)

    def _begun(self, records: Sequence[Record]) -> None:
        for one in records:
            self.carried.add_record(one)

    def _record_answers(self) -> Iterator[_Item]:
        # What is longer than the burst keeps nothing behind it from being said, and waits for a
        # longer one. That is not read to be measured: every slot shall take the same work.
        most = self._whole_bytes or inf
        for box, path in self._answers.records(most):
            if not self._answers.waits(box, path):
                continue  # another lane has carried it meanwhile
            with _blaming(box):
                entries = box.offers.answer(path)
            note = functools.partial(self._record_answered, box, path)
            if entries:
                # With the first, lest what is longer than a burst begins anew in each: who lacks
                # the rest asks again.
                yield from _noted(versions(box.setup.tag, NO_BATCH, 0, entries), note)
            else:
                self._answers.drop_record(box, path)

    def _record_answered(self, box: Box, path: str) -> None:
        self._answers.drop_record(box, path)
        self.carried.add_record(Record(box, path, is_answer=True))

    def _pushes(self, box: Box) -> Iterator[_Item]:
        group: list[Push] = []
        entries: list[Entry] = []
        size = 0
        for push in box.offers.pushes:
            if group and (
                push.batch != group[0].batch or len(entries) >= GROUP_ENTRIES or size >= GROUP_BYTES
            ):
                yield from self._group(box, group, entries)
                group, entries, size = [], [], 0
            if not push.told:
                with _blaming(box):
                    new = box.offers.entries(push.path)
                if not new:
                    box.offers.pushes.drop(push.path)
                    continue
                group.append(push)
                entries += new
                size += push.bytes
            if push.chunks:
                if group:
                    yield from self._group(box, group, entries)
                    group, entries, size = [], [], 0
                yield from self._chunks(box, push)
        if group:
            yield from self._group(box, group, entries)

    def _group(self, box: Box, group: list[Push], entries: list[Entry]) -> Iterator[_Item]:
        first = group[0]
        every = versions(box.setup.tag, first.batch, first.batch_size, entries)
        records = [Record(box, push.path, first=_put_first(push.path, entries)) for push in group]
        begun = functools.partial(self._begun_own, records)
        return _noted(every, begun, functools.partial(self._told, box, group))

    def _begun_own(self, records: Sequence[Record]) -> None:
        self.carried.own = True
        self._begun(records)

    def _told(self, box: Box, group: list[Push]) -> None:
        for push in group:
            push.told = True
            if box.offers.pushes.get(push.path) is push:
                box.offers.pushes.spent(push.path, push.record_bytes)

    def _chunks(self, box: Box, push: Push) -> Iterator[_Item]:
        pushes = box.offers.pushes  # that of a path may be held by now, or another
        while push.chunks and push.told and pushes.get(push.path) is push:
            name, _ = push.chunks[0]
            item = self._chunk(box, name, functools.partial(self._chunk_said, box, push))
            if item is None:
                # The file is another one by now. Who needs the chunk still can ask for it.
                self._chunk_said(box, push)
            else:
                yield item

    @staticmethod
    def _chunk_said(box: Box, push: Push) -> None:
        assert not isinstance(push.chunks, tuple), "there is one to be said"
        _, length = push.chunks.popleft()
        if box.offers.pushes.get(push.path) is push:
            box.offers.pushes.spent(push.path, length + CHUNK_OVERHEAD_BYTES)

    def _chunk(self, box: Box, name: bytes, note: Callable[[], object]) -> _Item | None:
        with _blaming(box):
            # A burst of no length stands for heartbeats, where no slot is timed by what fills it.
            chunk = box.reader.read(name, compress=self.burst.length == 0)
        if chunk is None:
            return None

        def said() -> None:
            self.carried.add_chunk(box, name)
            note()

        return _Item(content(chunk), said)


@contextmanager
def _blaming(box: Box) -> Iterator[None]:
    try:
        yield
    except (OSError, FlocksyError) as error:
        raise BoxFailedError(box, error) from error


def versions(tag: bytes, batch: bytes, batch_size: int, entries: Sequence[Entry]) -> list[Parts]:
    """The messages that carry these entries: one, unless they are long."""
    groups: list[list[Entry]] = []
    left = 0
    for entry in entries:
        if left <= 0:
            groups.append([])
            left = MESSAGE_BYTES
        groups[-1].append(entry)
        left -= ENTRY_BYTES + len(entry.path) + len(entry.version.attributes)
        # The heads of a path share a past, however long, and had better come together with it.
        past = SUPERSEDED_BYTES * len(entry.superseded)
        left -= len(entry.inline or b"") + min(past, MESSAGE_BYTES // 2)
    return [messages.encode(Versions(tag, tuple(some), batch, batch_size)) for some in groups]


def _noted(
    every: Sequence[Parts], begun: Callable[[], None], told: Callable[[], None] | None = None
) -> Iterator[_Item]:
    """Messages one after the other. `begun` goes with the first, `told` with the last."""
    for parts in every:
        notes = [note for note, at in ((begun, 0), (told, -1)) if note and parts is every[at]]
        yield _Item(parts, functools.partial(_note, notes))


def _note(notes: Sequence[Callable[[], None]]) -> None:
    for note in notes:
        note()


def _put_first(path: str, entries: Sequence[Entry]) -> tuple[bytes, ...]:
    """What these entries name of the superseded of a path before the youngest."""
    some = (one.superseded[:-PUSH_ANCESTRY] for one in entries if one.path == path)
    return tuple({name: None for past in some for name, _ in past})


def content(chunk: Outbound) -> Parts:
    """The message that carries a chunk; its bytes are not copied."""
    encoding = Encoding.ZSTD if chunk.compressed else Encoding.RAW
    return messages.encode(Content(chunk.id, chunk.raw_length, encoding, chunk.data))
