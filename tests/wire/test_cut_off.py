"""Somebody cuts a member off when a change is announced, and looks whether the others go on: what
that says of whose change it was, and with what settings it says nothing."""

from __future__ import annotations

import pytest

from flocksy.protocol.fsm_table import Status
from flocksy.protocol.timing import BurstTiming
from tests.wire.test_emitter import NODES, Simulation

CUT_OFF = 2
OTHER = 0
CELLS = 64
BOUND = {Status.CONFIRMED, Status.BURSTING}
ANNOUNCED = 1
"""Rounds after which a cell that shows the need has left; a burst is known two rounds later."""
CONFIRMED = 6
TIMETABLE = {"timing": BurstTiming("timetable", 40, CELLS), "rest_mean_ms": 0}

Sent = list[list[tuple[int, int]]]
"""By lane, (instant, size) of every cell: all that is to be seen from outside."""


def seen(source: int, overrides: dict[str, object], rounds: int) -> tuple[Sent, Sent]:
    """What leaves while a member is cut off, and in all until it is back and the change is told.
    `source` has the change, and so many rounds later the links of the other one go."""
    flock = Simulation(1, **overrides)
    assert flock.run(5, lambda: flock.views() == [7] * NODES)
    flock.run(1)
    start_ns, before = flock.network.now_ns, len(flock.finished[source])

    def is_told() -> bool:
        told = any(whole for _, whole, _ in flock.finished[source][before:])
        if told:
            flock.needs[source] = 0
        return told

    flock.needs[source] = 30
    flock.run(rounds * flock.settings[0].period_ms / 1000)
    shown = {Status(box.report().status) for box in flock.boxes}
    if rounds == ANNOUNCED:
        assert not shown & BOUND
    else:
        assert shown <= BOUND
    flock.cut.add(CUT_OFF)
    flock.run(3, lambda: is_told() and False)
    meanwhile = since(flock, start_ns)
    flock.cut.clear()
    flock.run(5, lambda: is_told() and False)
    assert is_told() and flock.views() == [7] * NODES
    flock.close()
    return meanwhile, since(flock, start_ns)


def since(flock: Simulation, start_ns: int) -> Sent:
    return [[cell for cell in sent if cell[0] > start_ns] for sent in flock.network.sent]


def burst_cells(sent: Sent) -> list[int]:
    return [sum(size == 4096 for _, size in cells) for cells in sent]


def test_with_the_default_a_cut_before_the_confirmation_asks_whether_it_was_that_one() -> None:
    """Two of three go on without the third (docs/anonymity.md, "somebody cuts a member off")."""
    meanwhile, _ = seen(OTHER, {"min_view": 2}, ANNOUNCED)
    assert burst_cells(meanwhile) == [CELLS, CELLS, 0], "so it was not the one that is cut off"
    meanwhile, _ = seen(CUT_OFF, {"min_view": 2}, ANNOUNCED)
    assert burst_cells(meanwhile) == [0, 0, 0], "so it was"


@pytest.mark.parametrize(
    ("overrides", "rounds"),
    [
        pytest.param({"min_view": 3}, ANNOUNCED, id="min_view is all"),
        pytest.param({"min_view": 2, **TIMETABLE}, ANNOUNCED, id="on a timetable"),
        pytest.param({"min_view": 2}, CONFIRMED, id="the burst is confirmed"),
    ],
)
def test_otherwise_it_shows_nothing(overrides: dict[str, object], rounds: int) -> None:
    assert seen(OTHER, overrides, rounds) == seen(CUT_OFF, overrides, rounds)
