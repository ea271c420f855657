"""What is little rides in heartbeats."""

from __future__ import annotations

import random

from flocksy.testing.lockstep import PERIOD_S
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


def test_what_is_on_its_way_in_heartbeats_is_not_taken_for_lost(flock: Flock) -> None:
    for number in range(LARGE_FILES):
        flock.path(0, f"0-{number}").write_bytes(random.Random(number).randbytes(100_000))
    flock.settle_equal()
    bursts = len(flock.bursts)
    unsaid = flock.nodes[0].exchange._unsaid
    for turn in range(1, 8):
        while unsaid._look_at - flock.now > turn * PERIOD_S:
            flock.step()
        for number in range(LARGE_FILES):
            flock.path(0, f"{turn - 1}-{number}").rename(flock.path(0, f"{turn}-{number}"))
        flock.settle_equal()
    assert len(flock.bursts) == bursts
