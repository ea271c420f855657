"""What is little rides in heartbeats."""

from __future__ import annotations

import random

from tests.boxes.flock_of_boxes import Flock, flock, spool

__all__ = ["flock", "spool"]

LARGE_FILES = 6


def test_renames_of_large_files_cost_no_burst(flock: Flock) -> None:
    for number in range(LARGE_FILES):
        flock.path(0, f"0-{number}").write_bytes(random.Random(number).randbytes(100_000))
    flock.settle_equal()
    bursts = len(flock.bursts)
    for number in range(LARGE_FILES):
        flock.path(0, f"0-{number}").rename(flock.path(0, f"1-{number}"))
    flock.settle_equal()
    assert len(flock.bursts) == bursts
