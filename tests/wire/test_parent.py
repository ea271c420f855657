"""A box process that stands still: its wire leaves the flock, and looks the same whoever was to
say something. One that is slow stays."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from unittest.mock import Mock

import pytest

from flocksy.protocol.fsm_table import Status
from flocksy.wire.parent import Parent, still_rounds
from tests.wire.test_cut_off import Sent, since
from tests.wire.test_emitter import Simulation

STILL = 1
"""The lane whose box process is stopped."""
OTHER = 0
ROUNDS = 4


def parent_of(*said: int | None) -> Parent:
    seam = Mock()
    seam.poll.return_value = True
    return Parent(seam, Mock(side_effect=said), ROUNDS)


@pytest.mark.parametrize(
    ("said", "lives"),
    [
        ((7, 7, 7, 7), False),
        ((None, 7, 7, 7, 7), False),
        ((7, 7, 7, 7, None), False),
        ((7, 7, 7, None), True),
        ((7, None, 7, 7, 7), True),
        ((7, 8, 9, 10, 11, 12), True),
        ((None,) * 100, True),
    ],
    ids=[
        "stopped",
        "stopped later",
        "who is about to leave leaves",
        "continued in time",
        "stopped twice",
        "stopped again and again, as by cpulimit",
        "busy for long",
    ],
)
def test_it_has_stood_still_once_it_has_not_run_between_many_looks(
    said: tuple[int | None, ...], lives: bool
) -> None:
    parent = parent_of(*said)
    answers = [parent.lives(number) for number, _ in enumerate(said)]
    assert answers[-1] == lives
    assert parent.stands_still == (not lives)
    assert all(answers[: ROUNDS - 1])


@pytest.mark.parametrize(
    ("period_ms", "stall_ms", "rounds"), [(500, 5000, 11), (300, 500, 3), (60_000, 500, 2)]
)
def test_that_many_looks_take_a_stall_timeout_and_one_is_never_enough(
    period_ms: int, stall_ms: int, rounds: int
) -> None:
    assert still_rounds(Mock(period_ns=period_ms * 1_000_000, stall_timeout_ms=stall_ms)) == rounds


class Stopped(Simulation):
    """One of three box processes can be stopped: it says nothing and takes nothing any more."""

    def __init__(self, **overrides: object) -> None:
        self.stopped = False
        super().__init__(1, **overrides)

    def start(self, lane: int, clock_error_ns: int = 0) -> None:
        super().start(lane, clock_error_ns)
        emitter = self.emitters[lane]
        assert emitter is not None
        if lane == STILL:
            look: Callable[[], int | None] = lambda: 1 if self.stopped else None  # noqa: E731
            rounds = still_rounds(self.settings[lane])
            emitter._parent = Parent(self.wires[lane], look, rounds)

    def turn_boxes(self) -> None:
        boxes = self.boxes
        if self.stopped:
            self.boxes = [boxes[lane if lane != STILL else OTHER] for lane in range(len(boxes))]
        super().turn_boxes()
        self.boxes = boxes


def left(source: int | None, pace: str) -> Sent:
    """What is to be seen from a stop on until the node is gone; in a burst, if there is a source.
    One cell goes a second then, and more than the stopped node has room for are to come."""
    flock = Stopped(pace=pace, stall_timeout_ms=1000)
    still = flock.emitters[STILL]
    assert still is not None
    assert flock.run(5, lambda: flock.views() == [7] * 3)
    if source is not None:
        flock.needs[source] = 6000
        assert flock.run(30, lambda: any(box.report().burst_cells > 0 for box in flock.boxes))
    began_ns = flock.network.now_ns
    flock.stopped = True
    if pace == "max":
        assert flock.run(3, lambda: still.ended), "however many cells were to come"
    else:
        assert flock.run(60, lambda: still.ended)
    assert flock.boxes[STILL].report().status == Status.LEAVING
    assert still._parent.stands_still
    ends_ns = flock.network.now_ns
    flock.needs = [0] * 3
    assert flock.run(5, lambda: flock.boxes[OTHER].report().view == 0b101)
    told = flock.finished[OTHER][-1:] if source is not None else []
    assert [whole for _, whole, _ in told] == ([pace == "grid"] if told else [])
    sent = since(flock, began_ns)
    flock.close()
    return [[cell for cell in lane if cell[0] <= ends_ns] for lane in sent]


@pytest.mark.parametrize("pace", ["max", "grid"])
def test_in_a_burst_it_looks_the_same_whoever_was_the_source(pace: str) -> None:
    first, *more = [left(source, pace) for source in range(3)]
    assert all(first)
    assert more == [first] * 2


def test_at_rest_it_leaves_as_well() -> None:
    assert {size for _, size in itertools.chain(*left(None, "max"))} == {1024}
