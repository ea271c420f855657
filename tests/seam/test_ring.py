"""A ring hands on every slot once, in order, and never blocks."""

from __future__ import annotations

import multiprocessing
from multiprocessing import shared_memory

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flocksy.seam.ring import Ring, ring_bytes

SLOTS, SLOT_BYTES = 4, 64


def ends() -> tuple[Ring, Ring]:
    memory = memoryview(bytearray(ring_bytes(SLOTS, SLOT_BYTES)))
    return Ring(memory, SLOTS, SLOT_BYTES), Ring(memory, SLOTS, SLOT_BYTES)


def test_a_new_ring_is_empty_and_gives_nothing() -> None:
    producer, consumer = ends()
    assert consumer.peek() is None
    assert (producer.filled, producer.free) == (0, SLOTS)


def test_a_full_ring_refuses_and_keeps_what_it_has() -> None:
    producer, consumer = ends()
    for number in range(SLOTS):
        slot = producer.reserve()
        assert slot is not None
        slot[0] = number
        producer.publish()
    assert producer.reserve() is None
    slot = consumer.peek()
    assert slot is not None and slot[0] == 0
    consumer.release()
    assert producer.reserve() is not None


@given(st.lists(st.booleans(), max_size=200))
def test_any_order_of_putting_and_taking_behaves_like_a_bounded_queue(puts: list[bool]) -> None:
    producer, consumer = ends()
    model: list[int] = []
    for number, put in enumerate(puts):
        if put:
            slot = producer.reserve()
            assert (slot is None) == (len(model) == SLOTS)
            if slot is not None:
                slot[:2] = number.to_bytes(2, "little")
                producer.publish()
                model.append(number)
        else:
            slot = consumer.peek()
            assert (slot is None) == (not model)
            if slot is not None:
                assert int.from_bytes(slot[:2], "little") == model.pop(0)
                consumer.release()
        assert consumer.filled == len(model)
        assert producer.free == SLOTS - len(model)


def produce(name: str, count: int) -> None:
    shared = shared_memory.SharedMemory(name=name)
    ring = Ring(memoryview(shared.buf)[: ring_bytes(SLOTS, SLOT_BYTES)], SLOTS, SLOT_BYTES)
    number = 0
    while number < count:
        slot = ring.reserve()
        if slot is not None:
            slot[:] = number.to_bytes(4, "little") * (SLOT_BYTES // 4)
            ring.publish()
            number += 1
    del slot
    ring.close()


@pytest.mark.timeout(60)
def test_two_processes_pass_every_slot_whole_and_in_order() -> None:
    count = 20_000
    shared = shared_memory.SharedMemory(create=True, size=ring_bytes(SLOTS, SLOT_BYTES))
    with memoryview(shared.buf) as memory, memory[: ring_bytes(SLOTS, SLOT_BYTES)] as part:
        ring = Ring(part, SLOTS, SLOT_BYTES)
    process = multiprocessing.get_context("spawn").Process(
        target=produce, args=(shared.name, count)
    )
    process.start()
    expected = 0
    while expected < count:
        slot = ring.peek()
        if slot is None:
            assert process.is_alive() or ring.filled
            continue
        assert bytes(slot) == expected.to_bytes(4, "little") * (SLOT_BYTES // 4)
        ring.release()
        expected += 1
    process.join()
    del slot
    ring.close()
    shared.close()
    shared.unlink()
