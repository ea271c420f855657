"""A history that has reached its cap with nothing in it that may go: the box replaces and deletes
no more, says so, takes what is new, and goes on by itself once there is room."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from flocksy.boxes.setup import BoxSetup
from flocksy.system import clocks
from flocksy.testing.lockstep import PERIOD_S
from tests.boxes.flock_of_boxes import Flock, spool

__all__ = ["spool"]

DAY_S = 24 * 3600
CAP_BYTES = 1_000
OLD = "old ".ljust(600)
SOON_ROUNDS = int(40 / PERIOD_S)
"""More than the pause after the third try."""


class Capped(Flock):
    """The third node has a small cap. `passed_s` have passed by every clock, beside the flock's."""

    cap_bytes = CAP_BYTES
    passed_s = 0

    def setup(self, lane: int) -> BoxSetup:
        setup = super().setup(lane)
        return replace(setup, history_bytes=self.cap_bytes) if lane == 2 else setup

    def wall_ms(self, lane: int) -> int:
        return super().wall_ms(lane) + 1_790_000_000_000 + 1000 * self.passed_s


@pytest.fixture
def flock(tmp_path: Path, spool: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Capped]:
    with Capped(tmp_path, spool) as made:
        monkeypatch.setattr(
            clocks, "elapsed_ns", lambda: int((made.now + made.passed_s) * 1_000_000_000)
        )
        yield made


@pytest.mark.parametrize("how", ["the cap is raised", "files are removed", "days pass"])
def test_a_full_history_stops_replacing_until_there_is_room(flock: Capped, how: str) -> None:
    for name in ("one", "two", "edited", "deleted"):
        flock.write(0, name, OLD + name)
    flock.settle_equal()
    for name in ("one", "two"):
        flock.path(0, name).unlink()
    flock.run_until(lambda: flock.settled() and not flock.unequal())
    assert len(flock.history(2)) == 2, "more than the cap"

    flock.write(0, "edited", "new")
    flock.path(0, "deleted").unlink()
    flock.run_until(lambda: {"edited", "deleted"} <= flock.box(2).problems.keys())
    for name in ("edited", "deleted"):
        assert "history of this box has reached its cap" in flock.box(2).problems[name]
        assert "raise its history_cap" in flock.box(2).problems[name]
        assert flock.path(2, name).read_text() == OLD + name
    assert not flock.box(2).settled
    assert not flock.box(0).problems
    assert not flock.box(1).problems
    # What replaces nothing goes on, in both directions.
    flock.write(1, "folder/new", "new")
    flock.write(2, "new there", "new")
    flock.run_until(lambda: flock.path(2, "folder/new").exists())
    flock.run_until(lambda: flock.path(0, "new there").exists())
    assert len(flock.history(2)) == 2, "nothing that is young has gone"

    if how == "the cap is raised":
        flock.cap_bytes = 100 * CAP_BYTES
        keeper = flock.nodes[2].keeper
        keeper.remove("box")
        keeper.add(flock.setup(2), flock.now)
    elif how == "files are removed":
        for kept in flock.history(2):
            kept.unlink()
    else:
        for _ in range(2):  # of one sleep no more than five days count
            flock.passed_s += 4 * DAY_S
            for _ in range(SOON_ROUNDS):  # the history looks at its clock with the next try
                flock.step()
    flock.run_until(lambda: flock.settled() and not flock.unequal(), SOON_ROUNDS)
    assert not flock.box(2).problems
    kept = {one.read_text() for one in flock.history(2)}
    assert {OLD + "edited", OLD + "deleted"} <= kept
    assert (OLD + "one" in kept) == (how == "the cap is raised")
