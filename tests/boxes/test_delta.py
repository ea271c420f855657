"""What changes, moves and copies cost in lanes: `benchmarks/delta.py` in small, by exact counts."""

from __future__ import annotations

import os
import random
import shutil
from collections.abc import Callable

import pytest

from flocksy.boxes.apply.placing import INCOMING
from tests.boxes.flock_of_boxes import Flock, flock, spool

__all__ = ["flock", "spool"]

BIG = 8_000_000
"""Cut into some 430 chunks of 18 KiB; their list has 16 KiB."""
CHANGE_BYTES = 120_000
"""For a change at one place: the list, and a chunk or two of up to 64 KiB."""
RECORD_BYTES = 450
"""For one record in its message, with what it superseded and its path."""
FEW_BYTES = 2_000
"""For a rename: two records, and no content."""


def noise(size: int, seed: int) -> bytes:
    """Bytes that do not compress, the same in every run."""
    return random.Random(seed).randbytes(size)


def cost(flock: Flock, change: Callable[[], object]) -> int:
    """Bytes said in all lanes because of a change that all have then."""
    flock.settle_equal()
    before = flock.said_bytes
    change()
    flock.settle_equal()
    flock.run_until(lambda: not under_way(flock), 20)
    return flock.said_bytes - before


def under_way(flock: Flock) -> list[str]:
    """Temporaries on all disks, also those of who sent it."""
    return [name for lane in range(3) for name in os.listdir(flock.path(lane, INCOMING))]


@pytest.mark.parametrize(
    ("words", "edit"),
    [
        ("inserted at the front", lambda old: noise(1024, 9) + old),
        ("inserted in the middle", lambda old: old[:4_000_000] + noise(1024, 9) + old[4_000_000:]),
        ("overwritten", lambda old: old[:4_000_000] + noise(4096, 9) + old[4_004_096:]),
        ("removed", lambda old: old[:1_000_000] + old[1_001_000:]),
        ("appended", lambda old: old + noise(1024, 9)),
    ],
)
def test_a_change_in_a_large_file_costs_a_chunk_and_the_list(
    flock: Flock, words: str, edit: Callable[[bytes], bytes]
) -> None:
    old = noise(BIG, 1)
    flock.write(0, "big", old)
    said = cost(flock, lambda: flock.write(0, "big", edit(old)))
    assert said < CHANGE_BYTES, words
    assert flock.path(2, "big").read_bytes() == edit(old)


def test_a_renamed_file_moves_no_content(flock: Flock) -> None:
    flock.write(0, "big", noise(BIG, 1))
    assert cost(flock, lambda: flock.path(0, "big").rename(flock.path(0, "new"))) < FEW_BYTES
    # The content has not even been copied on the receivers' disks: it is the same file.
    inode = flock.path(2, "new").stat().st_ino
    assert cost(flock, lambda: flock.path(1, "new").rename(flock.path(1, "newer"))) < FEW_BYTES
    assert flock.path(2, "newer").stat().st_ino == inode


def test_of_a_moved_directory_only_records_move(flock: Flock) -> None:
    for number in range(100):
        flock.write(0, f"here/d{number % 5}/f{number}", noise(20_000, number))
    paths = 100 + 5 + 1
    said = cost(flock, lambda: flock.path(0, "here").rename(flock.path(0, "there")))
    assert said < 2 * paths * RECORD_BYTES
    assert flock.path(1, "there/d4/f99").read_bytes() == noise(20_000, 99)


def test_a_copy_moves_its_records_alone(flock: Flock) -> None:
    for number in range(10):
        flock.write(0, f"here/f{number}", noise(200_000, number))
    flock.settle_equal()
    said = cost(flock, lambda: shutil.copytree(flock.path(2, "here"), flock.path(2, "there")))
    assert said < 11 * RECORD_BYTES


def test_chunks_of_any_file_in_the_box_are_used(flock: Flock) -> None:
    """A new file put together from parts of two others: only the seams and the list are new."""
    first, second = noise(3_000_000, 1), noise(3_000_000, 2)
    flock.write(0, "first", first)
    flock.write(1, "elsewhere/second", second)
    flock.settle_equal()
    both = second[1_000_000:] + first[:2_000_000]
    assert cost(flock, lambda: flock.write(2, "both", both)) < 2 * CHANGE_BYTES
    assert flock.path(0, "both").read_bytes() == both


def test_small_text_in_heartbeats_is_compressed(flock: Flock) -> None:
    """4,500 bytes of prose fit a few heartbeats: no burst, and fewer bytes than it has."""
    flock.settle_equal()
    bursts = len(flock.bursts)
    words = "the shape of the traffic never depends on the content\n" * 84
    assert cost(flock, lambda: flock.write(0, "text", words)) < len(words) / 2
    assert len(flock.bursts) == bursts
