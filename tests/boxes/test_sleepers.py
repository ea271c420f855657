"""What was not told before a machine slept, or a view was left, is told a random time after."""

from __future__ import annotations

import random
from collections import deque
from collections.abc import Callable, Iterator
from pathlib import Path
from unittest import mock

import pytest

from flocksy.boxes.keeper import Keeper
from flocksy.boxes.lanes.carried import Carried
from flocksy.boxes.lanes.crowd import Crowd
from flocksy.boxes.lanes.exchange import Exchange
from flocksy.boxes.lanes.feed import Feed
from flocksy.boxes.outside import BRIEF_ROUNDS
from flocksy.boxes.pushes import Push
from flocksy.seam.joint import Gear
from flocksy.testing.lockstep import PERIOD_S, PROGRAMME_BURSTS, LockstepNode
from tests.boxes.flock_of_boxes import Flock, spool
from tests.boxes.test_lockstep import noise
from tests.boxes.test_outside import MEAN_S, Delays

__all__ = ["spool"]


def loses_rounds(flock: Flock, lane: int) -> None:
    """The machine slept for a while, and nobody but the rounds shows it."""
    flock.nodes[lane].exchange.outside._round -= 2 * BRIEF_ROUNDS  # type: ignore[operator]


class Sleepy(Flock):
    """A flock in which machines are suspended. The rounds go on in that, and a clock of theirs
    does not."""

    all_or_none = False
    """Nothing is told while one is missing."""
    slept_s = 0.0
    falters: int | None = None
    """Who sleeps at the next burst; nothing of it is in its cells."""

    def _allowed(self) -> bool:
        return super()._allowed() and (len(self.up) == 3 or not self.all_or_none)

    def _emit(self, node: LockstepNode, gear: Gear, burst_id: bytes, k: int) -> None:
        if gear is not Gear.BURST or node.lane != self.falters:
            super()._emit(node, gear, burst_id, k)
            return
        if k == 0:
            loses_rounds(self, node.lane)
        with mock.patch.object(node.wire, "burst_cell", return_value=None):
            super()._emit(node, gear, burst_id, k)

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


@pytest.mark.parametrize("moved_in", [True, False])
def test_and_all_of_a_folder_that_is_moved_there(
    sleepy: Sleepy, tmp_path: Path, moved_in: bool
) -> None:
    """Only its name is known before a look has found what is in it."""
    came = tmp_path / "elsewhere" if moved_in else sleepy.path(2, "elsewhere")
    came.mkdir()
    (came / "in it").write_bytes(noise(60_000, 3))
    if not moved_in:
        sleepy.told_after("elsewhere/in it")
        sleepy.settle_equal()
    sleepy.suspend(2)
    sleepy.wake(2)
    came.rename(sleepy.path(2, "here"))
    watcher = sleepy.box(2)._opened.watcher
    watcher.take(0.0)
    watcher.happened(str(came), str(sleepy.path(2, "here")))
    assert "here" in watcher.unsettled()[0]
    (after_s,) = sleepy.told_after("here/in it")
    assert after_s >= MEAN_S
    sleepy.settle_equal()


def test_what_a_burst_was_about_to_say_is_told_later(sleepy: Sleepy) -> None:
    """The burst goes on, and takes along some of it; the rest waits, and is not forgotten."""
    exchange, box = sleepy.nodes[2].exchange, sleepy.box(2)
    exchange._announcing._draw = Delays(*[1000.0] * 20)
    with mock.patch.object(exchange, "_say_in_heartbeats"):
        for number in range(32):
            sleepy.write(2, f"small {number:02}", noise(4_000, number + 100))
        sleepy.run_until(lambda: len(box.offers.pushes) == 32)
    for push in box.offers.pushes:
        box.offers.pushes.drop(push.path)
    box.offers.resume()  # as after a start, when records are grouped however large they are
    for push in box.offers.pushes:
        push.batch = bytes(8)  # one look has found them
    feed = Feed.for_heartbeats([box], deque(), exchange._answers, exchange._spool)
    next(feed)
    box.untold.hold()
    assert list(feed)
    assert len(box.offers.held) == 32 and not any(push.told for push in box.offers.held)
    exchange._announcing._draw = random.Random(0)
    loses_rounds(sleepy, 2)
    (after_s,) = sleepy.told_after("small 31")
    assert after_s >= MEAN_S - 1
    sleepy.settle_equal()
    assert not len(box.offers.pushes) and not box.index.outgoing_count()


def test_of_content_only_what_is_left_waits(sleepy: Sleepy) -> None:
    """Its record was in no lane when the machine slept, and some of its chunks were under way."""
    exchange, box = sleepy.nodes[2].exchange, sleepy.box(2)
    exchange._announcing._draw = Delays(*[1000.0] * 20)
    sleepy.write(2, "large", noise(600_000, 7))
    sleepy.run_until(lambda: "large" in box.offers.pushes)
    push = box.offers.pushes.get("large")
    assert push is not None
    every = len(push.chunks)
    feed = Feed.for_heartbeats([box], deque(), exchange._answers, exchange._spool)
    for _ in range(4):
        next(feed)
    left = len(push.chunks)
    assert push.told and 1 < left < every
    box.untold.hold()
    assert not list(feed)[1:], "its next chunks are said no more"
    held = box.offers.held.get("large")
    assert held is not None and (held.told, len(held.chunks)) == (False, left)


def test_who_has_content_waiting_is_not_done(sleepy: Sleepy) -> None:
    """Its record came back after all, so nothing else shows it."""
    box = sleepy.box(2)
    assert box.settled
    box.offers.held.add(Push("large", bytes(8), 0, chunks=deque([(bytes(32), 1)])))
    assert not box.settled
    box.offers.held.drop("large")
    assert box.settled


def test_who_slept_in_a_burst_does_not_ask_for_another(sleepy: Sleepy) -> None:
    """What comes back of it in no lane is not missed: who lacks it asks, and what is ours waits."""
    exchange, box = sleepy.nodes[2].exchange, sleepy.box(2)
    sleepy.write(2, "large", noise(600_000, 7))
    sleepy.falters, bursts = 2, len(sleepy.bursts)
    sleepy.run_until(lambda: len(sleepy.bursts) > bursts)
    sleepy.falters = None
    assert exchange.outside.holding and "large" in box.offers.held
    (after_s,) = sleepy.told_after("large")
    assert after_s >= MEAN_S - 1
    assert len(sleepy.bursts) == bursts + 2


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
