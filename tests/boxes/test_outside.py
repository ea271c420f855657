"""What was changed while a node was in no view is told a random time after it is in one."""

from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path

import pytest

from flocksy.boxes.announcing import MAX_DELAY_FACTOR
from flocksy.boxes.outside import BRIEF_ROUNDS, Outside
from flocksy.sync.ignore import IGNORE_FILE
from flocksy.testing.lockstep import PROGRAMME_BURSTS
from tests.boxes.flock_of_boxes import Flock, spool
from tests.boxes.test_lockstep import noise

__all__ = ["spool"]

MEAN_S = 30.0
AWAY = "made while away"
LARGE = "made while away, and large"
WATCH_ROUNDS = 120
"""More than a programme takes."""


class Delays(random.Random):
    """Draws what the test says, in means."""

    def __init__(self, *drawn: float) -> None:
        super().__init__(0)
        self.drawn = list(drawn)

    def expovariate(self, lambd: float = 1.0) -> float:
        return self.drawn.pop(0) / lambd


def outside(*drawn: float, mean_s: float = 10.0) -> Outside:
    return Outside(mean_s, Delays(*drawn))


def turn(waits: Outside, now: float, *, in_view: bool = True, joins: int = 0) -> bool:
    """With a round each second."""
    return waits.turn(now, int(now), joins, in_view=in_view)


# -- when ------------------------------------------------------------------------------------------


def test_the_delay_is_counted_from_the_view() -> None:
    waits = outside(0.5)
    assert not turn(waits, 0.0, in_view=False)
    assert waits.away and waits.holding
    assert turn(waits, 100.0), "it begins"
    assert not waits.away and waits.holding and waits.deadline(100.0) == 105.0
    assert not turn(waits, 104.9)
    assert waits.holding
    # In a burst nobody takes a turn: whoever waits for a time that is over would not wait at all.
    assert waits.deadline(105.0) is None
    assert not turn(waits, 105.0)
    assert not waits.holding and waits.deadline(105.0) is None


def test_without_a_mean_there_is_none() -> None:
    waits = outside(3.0, mean_s=0.0)
    assert not turn(waits, 1.0)
    assert not waits.holding


def test_it_is_cut() -> None:
    waits = outside(1e9)
    turn(waits, 0.0)
    assert waits.deadline(0.0) == MAX_DELAY_FACTOR * 10.0


def test_a_view_that_falters_is_not_left() -> None:
    waits = outside(0.0)
    turn(waits, 0.0)
    turn(waits, 10.0)
    turn(waits, 10.0, in_view=False)
    assert waits.away
    assert not turn(waits, 10.0 + BRIEF_ROUNDS)
    assert not waits.holding


@pytest.mark.parametrize(("gone_s", "joins"), [(BRIEF_ROUNDS + 1, 0), (3, 1)])
def test_one_that_was_left_is(gone_s: int, joins: int) -> None:
    waits = outside(0.0, 2.0)
    turn(waits, 0.0)
    turn(waits, 10.0)
    turn(waits, 10.0, in_view=False)
    assert turn(waits, 10.0 + gone_s, joins=joins)
    assert waits.holding and waits.deadline(20.0 + gone_s) == 30.0 + gone_s


def test_a_join_of_somebody_else_is_none_of_ours() -> None:
    waits = outside(0.0)
    turn(waits, 0.0)
    assert not turn(waits, 1.0, joins=1)
    turn(waits, 2.0, in_view=False, joins=1)
    assert not turn(waits, 4.0, joins=1), "nor is one of long ago"


def test_a_suspend_is_an_absence_though_no_clock_here_has_gone_on() -> None:
    """What the wire said last is still there when the machine wakes up: that all is well."""
    waits = outside(0.0, 1.0)
    waits.turn(0.0, 1_000, 0, in_view=True)
    waits.turn(5.1, 400_000, 0, in_view=False)
    assert waits.turn(5.5, 400_004, 0, in_view=True)
    assert waits.deadline(5.5) == 15.5


@pytest.mark.parametrize("round_", [400_000, 900])
def test_and_so_it_is_where_nobody_has_seen_that_it_was_in_no_view(round_: int) -> None:
    waits = outside(0.0, 1.0)
    waits.turn(0.0, 1_000, 0, in_view=True)
    assert waits.turn(5.1, round_, 0, in_view=True), "or its clock is another one now"


def test_a_delay_goes_on_over_a_falter_and_begins_anew_after_an_absence() -> None:
    waits = outside(5.0, 7.0)
    for now in (0.0, 10.0):
        turn(waits, now)
    turn(waits, 10.0, in_view=False)
    turn(waits, 12.0)
    assert waits.deadline(0.0) == 50.0
    turn(waits, 20.0, in_view=False)
    turn(waits, 60.0)
    assert waits.deadline(0.0) == 130.0


# -- what ------------------------------------------------------------------------------------------


@pytest.fixture
def flock(tmp_path: Path, spool: Path) -> Iterator[Flock]:
    """Three nodes at rest; what is changed from now on while one is away, waits."""
    with Flock(tmp_path, spool, programme=True) as made:
        for number in range(10):
            made.write(number % 3, f"shared {number}", noise(5_000, number))
        made.settle_equal()
        made.outside_mean_s = MEAN_S
        yield made


def come_back(flock: Flock, drawn: float = 1.0) -> None:
    """Node 2 was away and has changed things meanwhile."""
    flock.write(2, AWAY, "x")
    flock.write(2, LARGE, noise(50_000))
    flock.path(2, "shared 1").unlink()
    flock.restart(2)
    flock.nodes[2].exchange.outside._draw = Delays(drawn)


def others_know(flock: Flock, *names: str) -> list[str]:
    """Which of the names any other node has heard of."""
    return [name for name in names for lane in (0, 1) if flock.box(lane).index.flock(name)]


def test_what_was_changed_while_away_is_not_told_with_the_bursts_of_the_join(flock: Flock) -> None:
    flock.stop(2)
    flock.write(0, "told meanwhile", noise(40_000, 7))
    flock.settle()
    bursts = len(flock.bursts)
    come_back(flock)
    rounds = 0
    while flock.path(2, "told meanwhile").exists() is False or rounds < WATCH_ROUNDS:
        flock.step()
        rounds += 1
        assert rounds < 2 * WATCH_ROUNDS
    assert len(flock.bursts) == bursts + PROGRAMME_BURSTS
    assert others_know(flock, AWAY, LARGE) == []
    assert flock.path(0, "shared 1").exists()
    # It says so, does not take itself for done, and shows no other digest than the rest.
    box = flock.box(2)
    assert not box.settled and box.index.outgoing_count() == len(box.offers.held) == 3
    assert flock.nodes[2].exchange.agrees(box)

    flock.outside_mean_s = 0.0
    flock.settle_equal()
    assert flock.path(0, AWAY).read_text() == "x"
    assert not flock.path(1, "shared 1").exists()


def test_it_is_told_after_its_time_and_what_is_changed_in_the_view_at_once(flock: Flock) -> None:
    flock.stop(2)
    come_back(flock, drawn=0.9)
    back = flock.now
    flock.run_until(lambda: flock.box(2).scanned_once and not flock.box(2).untold.away)
    flock.write(2, "in the view", noise(30_000, 3))
    flock.write(2, "small, in the view", "y")
    flock.run_until(lambda: flock.path(0, "in the view").exists())
    flock.run_until(lambda: flock.path(0, "small, in the view").exists())
    assert flock.now - back < 0.9 * MEAN_S
    assert others_know(flock, AWAY, LARGE) == []
    flock.run_until(lambda: flock.path(0, LARGE).exists() and flock.path(1, AWAY).exists())
    assert flock.now - back >= 0.9 * MEAN_S
    flock.settle_equal()


def test_a_path_that_is_changed_again_in_the_view_is_told_with_its_past(flock: Flock) -> None:
    flock.stop(2)
    come_back(flock)
    flock.run_until(lambda: flock.box(2).scanned_once and not flock.box(2).untold.away)
    flock.run_until(lambda: len(flock.box(2).offers.held) == 3)
    flock.write(2, LARGE, noise(60_000, 9))
    flock.run_until(lambda: flock.path(0, LARGE).exists())
    assert others_know(flock, AWAY) == []
    assert flock.path(0, LARGE).read_bytes() == noise(60_000, 9)


def test_a_kill_during_the_delay_loses_nothing_and_tells_nothing_early(flock: Flock) -> None:
    flock.stop(2)
    come_back(flock)
    flock.run_until(lambda: len(flock.box(2).offers.held) == 3)
    flock.kill(2)
    flock.restart(2)
    flock.nodes[2].exchange.outside._draw = Delays(1.0)
    for _ in range(WATCH_ROUNDS):
        flock.step()
    assert others_know(flock, AWAY, LARGE) == []
    flock.settle_equal()
    assert flock.path(0, AWAY).read_text() == "x"


def test_a_flock_that_lost_its_quorum_keeps_what_was_changed_meanwhile(flock: Flock) -> None:
    """Here nobody comes back to this node: the others do."""
    flock.stop(2)
    flock.stop(1)
    flock.nodes[0].exchange.outside._mean_s = MEAN_S
    flock.nodes[0].exchange.outside._draw = Delays(1.0)
    for _ in range(BRIEF_ROUNDS + 5):
        flock.step()
    flock.write(0, AWAY, "x")
    flock.run_until(lambda: len(flock.box(0).offers.held) == 1)
    flock.restart(1)
    for _ in range(WATCH_ROUNDS):
        flock.step()
    assert not flock.path(1, AWAY).exists()
    flock.run_until(lambda: flock.path(1, AWAY).exists())


def test_what_a_repeat_says_again_is_not_what_waits(flock: Flock) -> None:
    """An answer about a path at which a change of our own waits."""
    flock.stop(2)
    flock.write(2, "shared 4", noise(5_000, 99))
    flock.restart(2)
    flock.nodes[2].exchange.outside._draw = Delays(1.0)
    box = flock.box(2)
    flock.run_until(lambda: len(flock.box(2).offers.held) == 1)
    assert box.offers.entries("shared 4") == []
    assert not box.offers.again("shared 4")
    (said,) = box.offers.answer("shared 4")
    assert said.version.size == 5_000
    assert said.version == next(iter(flock.box(0).index.flock("shared 4").heads.values()))  # type: ignore[union-attr]


def test_an_answer_does_not_show_that_a_change_waits(flock: Flock) -> None:
    """Others have changed the mode of a file that was edited here: to them its old content is not
    replaced."""
    flock.stop(2)
    flock.write(2, "shared 4", noise(5_000, 99))
    flock.path(1, "shared 4").chmod(0o400)
    flock.settle()
    flock.restart(2)
    flock.nodes[2].exchange.outside._draw = Delays(1.0)
    held, theirs = flock.box(2).offers.held, heads(flock, 0, "shared 4")
    flock.run_until(lambda: len(held) == 1 and theirs < heads(flock, 2, "shared 4"), WATCH_ROUNDS)
    first, _, ours = (flock.box(lane).offers.answer("shared 4") for lane in range(3))
    assert [entry.version for entry in first] == [entry.version for entry in ours]
    assert first == ours


def heads(flock: Flock, lane: int, path: str) -> set[bytes]:
    state = flock.box(lane).index.flock(path)
    return set() if state is None else set(state.heads)


def test_what_is_held_again_after_the_join_was_changed_before_it(flock: Flock) -> None:
    """The others no longer leave it out; only when this node hears of that it decides about it."""
    for lane in (0, 1):
        flock.write(lane, "a.txt", f"by {lane}")
    flock.settle_equal()
    (copy,) = [name for name in flock.tree(2) if "conflict" in name]
    flock.write(0, IGNORE_FILE, "/a.txt\n/logs/\n")
    flock.settle_equal()
    flock.stop(2)
    flock.write(2, copy, "edited while away")
    flock.write(2, "logs/x", "written while away")
    flock.path(0, IGNORE_FILE).unlink()
    flock.settle()
    flock.restart(2)
    flock.nodes[2].exchange.outside._draw = Delays(1.0)
    back, index = flock.now, flock.box(2).index
    before = heads(flock, 0, copy)
    flock.run_until(lambda: heads(flock, 2, copy) != before and bool(index.flock("logs/x")))
    for _ in range(WATCH_ROUNDS):
        flock.step()
    assert flock.now - back < MEAN_S
    assert others_know(flock, "logs/x") == []
    assert heads(flock, 0, copy) == before, "nor that of the copy"
    flock.run_until(lambda: flock.path(0, "logs/x").exists())
    assert flock.now - back >= MEAN_S
    flock.settle_equal()
    assert "edited while away" in {path.read_text() for path in flock.path(0).glob("a*.txt")}
