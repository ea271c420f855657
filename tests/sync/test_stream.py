"""Messages through slots: both ends at once, with slots lost, repeated, forged."""

from __future__ import annotations

import struct
import tracemalloc

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flocksy.errors import HostileInput
from flocksy.sync.stream import (
    MAX_MESSAGE_BYTES,
    MIN_SLOT_BYTES,
    NO_FRAME,
    SLOT_HEAD_BYTES,
    StreamReader,
    StreamWriter,
)

messages = st.lists(st.binary(min_size=1, max_size=400), max_size=12)
sizes = st.integers(MIN_SLOT_BYTES, 300)


def slots_of(sent: list[bytes], size: int, writer: StreamWriter | None = None) -> list[bytes]:
    """All slots that the messages take."""
    writer = writer or StreamWriter()
    waiting = list(sent)
    slots = []
    while waiting or writer.left:
        slot = bytearray(size)
        assert writer.fill(memoryview(slot), lambda _: waiting.pop(0) if waiting else None)
        slots.append(bytes(slot))
    return slots


@given(messages, sizes)
def test_what_goes_in_comes_out(sent: list[bytes], size: int) -> None:
    reader = StreamReader()
    found = []
    for slot in slots_of(sent, size):
        found += [bytes(message) for message in reader.feed(memoryview(slot), gap=False)]
    assert found == sent
    assert reader.left == 0


@given(messages, sizes, st.data())
def test_a_gap_costs_only_the_messages_that_it_touches(
    sent: list[bytes], size: int, data: st.DataObject
) -> None:
    """Every message none of whose slots is lost comes through."""
    sent = [number.to_bytes(2, "big") + message for number, message in enumerate(sent)]
    slots = slots_of(sent, size)
    lost = data.draw(st.sets(st.integers(0, max(0, len(slots) - 1))))
    where = StreamReader()
    touches: dict[bytes, set[int]] = {}
    begun: set[int] = set()
    for number, slot in enumerate(slots):
        begun.add(number)
        for message in where.feed(memoryview(slot), gap=False):
            touches[bytes(message)] = begun
            begun = {number}
        if not where.left:
            begun = set()
    reader = StreamReader()
    found, gap = [], False
    for number, slot in enumerate(slots):
        if number in lost:
            gap = True
            continue
        found += [bytes(message) for message in reader.feed(memoryview(slot), gap)]
        gap = False
    assert found == [message for message in sent if not touches[message] & lost]


@given(messages, sizes)
def test_cover_between_slots_changes_nothing(sent: list[bytes], size: int) -> None:
    reader = StreamReader()
    found = []
    for slot in slots_of(sent, size):
        cover = bytearray(b"\xaa" * size)
        StreamWriter.cover(memoryview(cover))
        assert reader.feed(memoryview(cover), gap=False) == []
        found += [bytes(message) for message in reader.feed(memoryview(slot), gap=False)]
    assert found == sent


def test_nothing_to_say_is_cover() -> None:
    slot = bytearray(MIN_SLOT_BYTES)
    assert StreamWriter().fill(memoryview(slot), lambda _: None) == 0
    assert StreamReader().feed(memoryview(slot), gap=False) == []


def test_a_message_may_come_in_parts() -> None:
    parts = (b"one ", bytearray(b"two "), memoryview(b"three"))
    slot = bytearray(200)
    waiting = [parts]
    StreamWriter().fill(memoryview(slot), lambda _: waiting.pop() if waiting else None)
    assert StreamReader().feed(memoryview(slot), gap=False) == [b"one two three"]


def test_the_writer_says_how_much_room_there_is() -> None:
    rooms: list[int] = []

    def next_message(room: int) -> bytes | None:
        rooms.append(room)
        return b"x" * room if len(rooms) == 1 else None

    slot = bytearray(100)
    writer = StreamWriter()
    assert writer.fill(memoryview(slot), next_message) == 100 - SLOT_HEAD_BYTES
    assert rooms == [100 - SLOT_HEAD_BYTES - 4]
    assert writer.left == 0


def test_a_message_that_is_given_up_is_dropped_by_the_reader() -> None:
    writer, reader = StreamWriter(), StreamReader()
    slot = memoryview(bytearray(100))
    waiting = [b"short", b"long" * 100]
    writer.fill(slot, lambda _: waiting.pop() if waiting else None)
    assert reader.feed(slot, gap=False) == []
    writer.reset()
    writer.fill(slot, lambda _: waiting.pop() if waiting else None)
    assert reader.feed(slot, gap=False) == [b"short"]


def slot_of(flags: int, used: int, first: int, stream: bytes = b"", size: int = 100) -> bytes:
    return (struct.pack("<BII", flags, used, first) + stream).ljust(size, b"\0")


@pytest.mark.parametrize(
    ("what", "slot"),
    [
        ("too short", b"\0" * 20),
        ("unknown flags", slot_of(2, 0, NO_FRAME)),
        ("more used than there is", slot_of(0, 92, 0)),
        ("a first frame behind the end", slot_of(0, 10, 10)),
        ("a message of no bytes", slot_of(0, 20, 0, struct.pack("<I", 0))),
        ("too long a message", slot_of(0, 20, 0, struct.pack("<I", MAX_MESSAGE_BYTES + 1))),
        ("a cut length", slot_of(0, 8, 0, struct.pack("<I", 1) + b"x\1\0\0")),
    ],
)
def test_forged_slots_are_refused_and_the_reader_goes_on(what: str, slot: bytes) -> None:
    reader = StreamReader()
    with pytest.raises(HostileInput):
        reader.feed(memoryview(slot), gap=False)
        pytest.fail(what)
    (good,) = slots_of([b"good"], 100)
    assert reader.feed(memoryview(good), gap=False) == [b"good"]


def test_a_length_alone_takes_no_memory() -> None:
    """Else each slot of 73 bytes could make a reader reserve 4 MiB."""
    begun = struct.pack("<I", MAX_MESSAGE_BYTES) + b"x" * 60
    slot = slot_of(0, len(begun), 0, begun)
    reader = StreamReader()
    tracemalloc.start()
    try:
        reader.feed(memoryview(slot), gap=False)
        _, peak_bytes = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak_bytes < 16 << 10
    assert reader.left == MAX_MESSAGE_BYTES - 60


def test_a_slot_that_does_not_go_on_is_refused() -> None:
    first, second, third = slots_of([b"x" * 200, b"y"], 100)[:3]
    reader = StreamReader()
    reader.feed(memoryview(first), gap=False)
    with pytest.raises(HostileInput):
        reader.feed(memoryview(third), gap=False)
    del second


@given(st.lists(st.binary(min_size=MIN_SLOT_BYTES, max_size=120), max_size=6), st.data())
def test_noise_gives_messages_or_hostile_input(slots: list[bytes], data: st.DataObject) -> None:
    reader = StreamReader()
    for raw in slots:
        used, first = data.draw(st.integers(0, 120)), data.draw(st.sampled_from((0, 5, NO_FRAME)))
        slot = struct.pack("<BII", 0, used, first) + raw[9:]
        try:
            found = reader.feed(memoryview(slot), gap=False)
        except HostileInput:
            continue
        assert all(0 < len(message) <= MAX_MESSAGE_BYTES for message in found)
