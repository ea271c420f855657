"""What was changed while a node was in no view is told a random time after it is in one."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from pathlib import Path
from unittest import mock

import pytest

from flocksy.boxes.announcing import MAX_DELAY_FACTOR
from flocksy.boxes.keeper import Keeper
from flocksy.boxes.lanes.carried import Carried
from flocksy.boxes.lanes.crowd import Crowd
from flocksy.boxes.lanes.exchange import Exchange
from flocksy.boxes.outside import BRIEF_ROUNDS, Outside
from flocksy.sync.ignore import IGNORE_FILE
from flocksy.testing.lockstep import PERIOD_S, PROGRAMME_BURSTS
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


# -- what was not told before ----------------------------------------------------------------------


class Sleepy(Flock):
    """A flock in which machines are suspended. The rounds go on in that, and a clock of theirs
    does not."""

    all_or_none = False
    """Nothing is told while one is missing."""
    slept_s = 0.0

    def _allowed(self) -> bool:
        return super()._allowed() and (len(self.up) == 3 or not self.all_or_none)

    def suspend(self, lane: int, rounds: int = 100) -> None:
        """Its lid is closed for so many rounds."""
        node = self.nodes[lane]
        node.up = False
        if not self.all_or_none:
            self._epoch += 1
        for _ in range(rounds):
            self.step()
        self.slept_s += rounds * PERIOD_S
        for one in (node.exchange, node.keeper):
            _set_back(one, self.slept_s)

    def wake(self, lane: int, meanwhile: Callable[[], object] = lambda: None) -> None:
        """It is opened, and the node is in the view again: with a join, or some rounds later."""
        self.nodes[lane].up = True
        if not self.all_or_none:
            self.join()
            return
        self.quorum = False
        for _ in range(4):
            self.step()
        meanwhile()
        for _ in range(4):
            self.step()
        self.quorum = True

    def saves(self, lane: int, name: str, size: int = 60_000) -> None:
        """Somebody writes a file, and it is found in this round: how long an event takes is not
        the flock's time."""
        self.write(lane, name, noise(size, len(name)))
        self.box(lane).rescan(self.now)

    def waits(self, mean_s: float = MEAN_S) -> None:
        """From now on whoever comes back waits for so long."""
        for node in self.nodes:
            node.exchange.outside._mean_s = mean_s
            node.exchange.outside._draw = Delays(*[1.0] * 20)

    def told_after(self, *names: str) -> list[float]:
        """When all have each of them, in seconds from now."""
        began, when = self.now, dict.fromkeys(names, 0.0)

        def seen() -> bool:
            for name in names:
                if not when[name] and all(self.path(lane, name).exists() for lane in range(3)):
                    when[name] = self.now - began
            return all(when.values())

        self.run_until(seen)
        return list(when.values())


def _set_back(one: Exchange | Keeper, behind_s: float) -> None:
    turn: Callable[..., float | None] = type(one).turn

    def later(now: float, **how: bool) -> float | None:
        again = turn(one, now - behind_s, **how)
        return again if not again else again + behind_s

    one.turn = later  # type: ignore[method-assign,assignment]


@pytest.fixture
def sleepy(tmp_path: Path, spool: Path) -> Iterator[Sleepy]:
    """As `flock`, with members that can sleep."""
    with Sleepy(tmp_path, spool, programme=True) as made:
        for number in range(6):
            made.write(number % 3, f"shared {number}", noise(5_000, number))
        made.settle_equal()
        made.waits()
        yield made


def test_who_slept_waits_as_long_as_who_was_awake_all_the_time(sleepy: Sleepy) -> None:
    """Nobody could tell anything meanwhile, and nobody comes with the view."""
    sleepy.all_or_none = True
    sleepy.suspend(2)
    sleepy.saves(0, "by who waited")
    sleepy.wake(2, lambda: sleepy.saves(2, "by who slept"))
    when = sleepy.told_after("by who waited", "by who slept")
    assert min(when) >= MEAN_S, when
    sleepy.settle_equal()


@pytest.mark.parametrize("all_or_none", [False, True])
@pytest.mark.parametrize("size", [20_000_000, 20_000, 3_000])
def test_what_was_saved_and_not_told_before_a_suspend_waits(
    sleepy: Sleepy, size: int, all_or_none: bool
) -> None:
    """More than the bursts of a join carry, less, and so little that heartbeats do."""
    sleepy.all_or_none = all_or_none
    exchange, box = sleepy.nodes[2].exchange, sleepy.box(2)
    exchange._announcing._draw = Delays(*[100.0] * 20)
    with mock.patch.object(exchange, "_say_in_heartbeats"):
        sleepy.write(2, "saved", noise(size, 7))
        sleepy.run_until(lambda: "saved" in box.offers.pushes)
        sleepy.suspend(2)
    exchange._announcing._draw = random.Random(0)
    sleepy.wake(2)
    bursts = len(sleepy.bursts)
    (after_s,) = sleepy.told_after("saved")
    assert after_s >= MEAN_S
    told = len(sleepy.bursts) - bursts
    assert told - PROGRAMME_BURSTS * (not all_or_none) <= (1 if size > 10_000 else 0)
    sleepy.settle_equal()


def test_what_had_no_slot_yet_and_what_was_asked_for_does_not_go_on(sleepy: Sleepy) -> None:
    """Half of it is in the slots of heartbeats. A content that nobody asks for any more would have
    a burst follow on the return, which was not this node's for once."""
    exchange, box = sleepy.nodes[2].exchange, sleepy.box(2)
    sleepy.write(2, "little", random.Random(1).randbytes(3_900))
    sleepy.run_until(
        lambda: exchange._heartbeats.bytes > 0 or exchange._heartbeats._writer.left > 0
    )
    exchange._answers.add_chunk(bytes(32), box, 50_000_000)
    exchange._unchecked = Carried()
    exchange._unchecked.add_chunk(box, bytes(32))
    sleepy.suspend(2)
    sleepy.wake(2)
    with mock.patch.object(box, "chunk_length", return_value=50_000_000):
        sleepy.step()
    assert not exchange.waiting_bytes and list(box.offers.held), exchange.waiting_bytes
    box.offers.held.drop("little")
    box.untold.resume(())
    assert "little" in box.offers.held and not len(box.offers.pushes)
    (after_s,) = sleepy.told_after("little")
    assert after_s >= MEAN_S - 1
    sleepy.settle_equal()


def test_what_a_look_finds_that_began_before_waits(sleepy: Sleepy) -> None:
    box, scanner = sleepy.box(2), sleepy.nodes[2].scanner
    sleepy.write(2, "large", noise(60_000, 7))
    with mock.patch.object(scanner, "reports", list):
        sleepy.scan_s = 0.01
        sleepy.run_until(lambda: bool(box.scans.tickets))
        sleepy.suspend(2)
        sleepy.wake(2)
        sleepy.run_until(lambda: not box.untold.away)
    sleepy.scan_s = 1.0
    (after_s,) = sleepy.told_after("large")
    assert after_s >= MEAN_S - 1


def test_what_happens_at_the_last_moment_before_the_view_waits(sleepy: Sleepy) -> None:
    """It is looked at when it has been quiet there for a while, in the view."""
    sleepy.suspend(2)
    sleepy.wake(2)
    path = sleepy.write(2, "as it wakes", noise(60_000, 7))
    watcher = sleepy.box(2)._opened.watcher
    watcher.take(0.0)
    watcher.happened(str(path))
    assert watcher.unsettled() == (("as it wakes",), False)
    (after_s,) = sleepy.told_after("as it wakes")
    assert after_s >= MEAN_S


def test_a_spoilt_repeat_delays_nobody(sleepy: Sleepy) -> None:
    """Bursts follow as after a join, but nobody has been away."""
    sleepy.write(1, "meanwhile", noise(60_000, 7))
    count = len(sleepy.bursts)
    sleepy.lost = lambda sender, _receiver, _round: len(sleepy.bursts) > count and sender == 1
    sleepy.run_until(lambda: len(sleepy.bursts) == count + 2)
    assert sleepy.bursts[-1].repeat
    sleepy.lost = lambda *_: False
    sleepy.write(2, "waits for its burst", noise(60_000, 8))
    sleepy.quorum = False
    for _ in range(3):
        sleepy.step()
    assert sleepy.nodes[2].exchange.report.programme
    sleepy.quorum = True
    sleepy.step()
    assert not any(node.exchange.outside.holding for node in sleepy.nodes)
    (after_s,) = sleepy.told_after("waits for its burst")
    assert after_s < MEAN_S


def test_below_the_floor_all_wait_alike(sleepy: Sleepy) -> None:
    """What waits there for a member to come back is not told right after that, as nothing is that
    the member brings."""
    for node in sleepy.nodes:
        node.exchange.crowd = Crowd([f"{lane:0128x}" for lane in range(3)], 3)
    sleepy.write(2, "by who slept", noise(60_000, 9))
    exchange = sleepy.nodes[2].exchange
    exchange._announcing._draw = Delays(*[100.0] * 20)
    sleepy.run_until(lambda: "by who slept" in sleepy.box(2).offers.pushes)
    sleepy.suspend(2)
    sleepy.saves(0, "by who waited")
    sleepy.saves(1, "little", 300)
    for _ in range(2 * BRIEF_ROUNDS):
        sleepy.step()
    exchange._announcing._draw = random.Random(0)
    sleepy.wake(2)
    when = sleepy.told_after("by who waited", "little", "by who slept")
    assert min(when) >= MEAN_S, when
    sleepy.settle_equal()
