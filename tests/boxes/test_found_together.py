"""Paths of one scan wait for each other's records, for a while."""

from __future__ import annotations

from flocksy.boxes.found_together import BATCH_SECONDS, MAX_BATCHES, Batches


def test_all_of_a_batch_come_at_once() -> None:
    batches = Batches()
    assert batches.add(b"m", 2, "ref", 10.0)
    assert batches.add(b"m", 2, "ref", 10.5), "said twice"
    assert not batches.ready(10.5) and batches.paths == {"ref"}
    assert batches.add(b"m", 2, "object", 11.0)
    assert batches.ready(11.0) == {"ref", "object"}
    assert not batches and not batches.paths


def test_nobody_is_waited_for_for_ever() -> None:
    batches = Batches()
    assert batches.add(b"m", 3, "ref", 10.0)
    assert batches.add(b"m", 3, "object", 12.0)
    assert not batches.ready(12.0 + BATCH_SECONDS)
    assert batches.ready(12.1 + BATCH_SECONDS) == {"ref", "object"}
    assert not batches and not batches.paths


def test_one_batch_does_not_wait_for_another() -> None:
    batches = Batches()
    assert batches.add(b"m", 2, "ref", 10.0)
    assert batches.add(b"n", 2, "other", 10.0)
    assert batches.add(b"n", 2, "others", 10.0)
    assert batches.ready(10.0) == {"other", "others"}
    assert batches.paths == {"ref"}


def test_what_is_alone_or_too_much_waits_for_nobody() -> None:
    batches = Batches()
    assert not batches.add(b"m", 1, "a", 10.0)
    assert not batches.add(b"m", 0, "a", 10.0)
    for number in range(MAX_BATCHES):
        assert batches.add(number.to_bytes(8, "big"), 2, "a", 10.0)
    assert not batches.add(b"beyond", 2, "b", 10.0)
