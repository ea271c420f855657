"""Bursts all the time, needed or not: between two of them are a few rounds."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from flocksy.boxes.lanes.peers import STANDING_ROUNDS
from tests.boxes.flock_of_boxes import Flock, spool

__all__ = ["spool"]

ROUNDS_BETWEEN = 3
"""One each to settle, to show the need, and to propose: then the next is confirmed."""


class BusyFlock(Flock):
    """`burst_timing = constant`."""

    def step(self) -> None:
        bursts = len(self.bursts)
        super().step()
        if len(self.bursts) == bursts and self.round % (ROUNDS_BETWEEN + 1) == 0:
            self._burst(1)


@pytest.fixture
def flock(tmp_path: Path, spool: Path) -> Iterator[BusyFlock]:
    with BusyFlock(tmp_path, spool) as made:
        yield made


def test_who_comes_back_gets_what_it_missed(flock: BusyFlock) -> None:
    assert ROUNDS_BETWEEN < STANDING_ROUNDS
    flock.write(0, "file", "here all the time")
    flock.settle()
    flock.stop(2)
    flock.write(0, "other", "made meanwhile")
    flock.settle()
    flock.restart(2)
    flock.run_until(flock.path(2, "other").exists, rounds=400)
    flock.settle()
    assert not flock.unequal()
