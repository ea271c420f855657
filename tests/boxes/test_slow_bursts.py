"""What takes many bursts is asked for once."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from flocksy.boxes.lanes import repair
from flocksy.testing import lockstep
from tests.boxes.flock_of_boxes import Flock, spool

__all__ = ["spool"]

LARGE_BYTES = 3_000_000
BURST_CELLS = 4
CELL_SECONDS = 0.5
MANY_WANTED = 64


class SlowFlock(Flock):
    """Its links are slow: a burst takes long, and carries little."""

    def _burst(self, need: int) -> None:
        super()._burst(min(need, BURST_CELLS))

    def _turns_in_burst(self) -> None:
        super()._turns_in_burst()
        self.now += CELL_SECONDS


def test_what_is_on_its_way_in_many_bursts_is_not_asked_for_again(
    tmp_path: Path, spool: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with SlowFlock(tmp_path, spool) as flock:
        flock.write(0, "other", "")
        flock.settle_equal()
        flock.stop(2)
        flock.write(0, "large", random.Random(1).randbytes(LARGE_BYTES))
        flock.run_until(lambda: flock.path(1, "large").exists())
        monkeypatch.setattr(repair, "MANY_WANTED", MANY_WANTED)
        monkeypatch.setattr(lockstep, "LEAST_BURST", BURST_CELLS)
        said = sum(flock.said_in_bursts)
        flock.restart(2)
        flock.settle_equal()
        assert sum(flock.said_in_bursts) - said < 1.1 * LARGE_BYTES
