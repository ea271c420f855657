"""Somebody works without a pause, so one burst follows the other, and what is amiss is mended."""

from __future__ import annotations

import itertools
import random

import pytest

from flocksy.boxes.lanes.asking import HELD_PAUSES
from flocksy.boxes.lanes.unsaid import LOST_SECONDS
from flocksy.testing.lockstep import PERIOD_S
from tests.boxes.flock_of_boxes import Flock, flock, spool

__all__ = ["flock", "spool"]


class Worker:
    """Puts a large file into the box of node 1, and the next one whenever node 2 has it. Never the
    same: one that keeps changing would rest in between."""

    def __init__(self, flock: Flock) -> None:
        self._flock = flock
        self._draw = random.Random(1)
        self._numbers = itertools.count()
        self._name = ""

    def write(self) -> None:
        self._name = f"log {next(self._numbers)}"
        self._flock.path(1, self._name).write_bytes(self._draw.randbytes(100_000))

    def has_come(self, name: str) -> bool:
        """Whether node 2 has a file by now; works on if not."""
        if self._flock.path(2, self._name).exists():
            self.write()
        return self._flock.path(2, name).exists()


@pytest.fixture
def worker(flock: Flock) -> Worker:
    worker = Worker(flock)
    worker.write()
    flock.settle_equal()
    return worker


def test_what_was_said_and_never_came_back_is_said_again(flock: Flock, worker: Worker) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(flock.box(0).offers.pushes, "add", lambda _: None)
        flock.write(0, "file", "said, and in no lane")
        flock.run_until(lambda: flock.box(0).index.outgoing_count() == 1)
    bursts = len(flock.bursts)
    flock.run_until(lambda: worker.has_come("file"), rounds=2 * int(LOST_SECONDS / PERIOD_S))
    assert len(flock.bursts) > bursts + 10
    flock.settle_equal()


def test_what_is_missing_is_asked_for(flock: Flock, worker: Worker) -> None:
    flock.lost = lambda _sender, receiver, _round: receiver == 2
    flock.path(0, "large").write_bytes(random.Random(2).randbytes(100_000))
    flock.run_until(lambda: flock.path(1, "large").exists())
    flock.run_until(lambda: flock.box(0).settled and not flock.nodes[0].exchange.waiting_bytes)
    flock.lost = lambda _sender, _receiver, _round: False
    pause_s = flock.nodes[2].exchange.ask_pause_s
    bursts = len(flock.bursts)
    rounds = 3 * HELD_PAUSES * int(pause_s / PERIOD_S)
    flock.run_until(lambda: worker.has_come("large"), rounds=rounds)
    assert len(flock.bursts) > bursts + 2
    flock.settle_equal()


def test_what_was_said_and_never_came_back_is_said_again_by_who_always_says_more(
    flock: Flock,
) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(flock.box(1).offers.pushes, "add", lambda _: None)
        flock.write(1, "file", "said, and in no lane")
        flock.run_until(lambda: flock.box(1).index.outgoing_count() == 1)
    numbers = itertools.count()

    def works() -> bool:
        flock.write(1, "log", f"{next(numbers)}")
        return flock.path(2, "file").exists()

    flock.run_until(works, rounds=3 * int(LOST_SECONDS / PERIOD_S))
    flock.settle_equal()
