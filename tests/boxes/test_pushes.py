"""What one box has to say, and how much that is."""

from __future__ import annotations

import tracemalloc
from collections import deque

from flocksy.boxes.pushes import CHUNK_OVERHEAD_BYTES, Push, Pushes


def push(path: str, *lengths: int) -> Push:
    return Push(
        path,
        b"b" * 8,
        1,
        chunks=deque((bytes([number]) * 32, n) for number, n in enumerate(lengths)),
    )


def test_bytes_are_the_sum_of_all_that_waits() -> None:
    pushes = Pushes()
    pushes.add(push("a", 1000, 2000))
    pushes.add(push("b"))
    assert pushes.bytes == sum(one.bytes for one in pushes) > 3000
    pushes.drop("a")
    pushes.drop("b")
    pushes.drop("never there")
    assert pushes.bytes == 0
    assert not len(pushes)


def test_a_newer_change_replaces_the_one_before() -> None:
    pushes = Pushes()
    pushes.add(push("a", 1000))
    newer = push("a", 10)
    pushes.add(newer)
    assert list(pushes) == [newer]
    assert pushes.bytes == newer.bytes


def test_what_is_said_no_longer_counts() -> None:
    pushes = Pushes()
    one = push("a", 1000, 2000)
    pushes.add(one)
    one.told = True
    pushes.spent("a", one.record_bytes)
    assert pushes.bytes == one.bytes
    for _ in range(2):
        _, length = one.chunks.popleft()
        pushes.spent("a", length + CHUNK_OVERHEAD_BYTES)
    assert pushes.bytes == 0
    assert pushes.get("a") is None


def test_the_order_is_that_of_adding() -> None:
    pushes = Pushes()
    for path in ("c", "a", "b"):
        pushes.add(push(path))
    assert [one.path for one in pushes] == ["c", "a", "b"]


def test_a_million_small_files_wait_in_little_memory() -> None:
    """The queue is in memory, and a first index may fill it: a small file's share is bounded."""
    paths = [f"folder/{number}" for number in range(2_000)]
    pushes = Pushes()
    tracemalloc.start()
    try:
        for path in paths:
            pushes.add(Push(path, b"scan 001", 2_000, inline_bytes=100))
        taken, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert taken < 400 * len(paths)
