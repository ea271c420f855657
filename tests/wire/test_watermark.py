"""A pattern of delays put on one link must not show on the next (leaks: a watermark by delays).

Node 0's cells to node 1 are delayed by a pattern; an observer looks for it in what node 1 sends.
"""

from __future__ import annotations

from itertools import pairwise

import pytest

from flocksy.wire.limits import TICK_NS
from tests.wire.test_emitter import MS, Simulation

BASE_NS = 2 * MS
CELLS = 256
BURST_CELL = 4096
HEARTBEAT_SLACK_NS = 50_000
"""Clocks are measured by the least delay of many, which a pattern leaves as it is but for age."""


class Marked(Simulation):
    """`mark_ns`: by how much the pattern delays; with 0 there is none."""

    def __init__(self, mark_ns: int, **overrides: object) -> None:
        self.mark_ns = mark_ns
        super().__init__(burst_cell=BURST_CELL, **overrides)

    def delay(self, source: int, target: int, now_ns: int) -> int:
        marked = (source, target) == (0, 1) and (now_ns // (40 * MS)) % 3 == 0
        return BASE_NS + (self.mark_ns if marked else 0)

    def fly(self) -> None:
        assert self.run(5, lambda: self.views() == [7] * 3)
        self.run(5)

    def burst(self) -> list[int]:
        """When node 1's cells left, in a burst that node 2 has asked for."""
        self.needs[2] = CELLS
        assert self.run(5, self.burst_runs)
        self.needs[2] = 0
        assert self.run(20, lambda: all(self.finished))
        assert not any(gap for history in self.finished for _, _, gap in history)
        return [at for at, length in self.network.sent[1] if length == BURST_CELL]


@pytest.mark.parametrize("mark_ns", [MS // 2, 10 * MS])
def test_heartbeats_do_not_carry_it_on(mark_ns: int) -> None:
    sent = []
    for mark in (0, mark_ns):
        flock = Marked(mark)
        flock.fly()
        sent.append([at for at, _ in flock.network.sent[1]])
        flock.close()
    plain, marked = sent
    assert len(plain) == len(marked) > 100
    assert max(abs(a - b) for a, b in zip(plain, marked, strict=True)) <= HEARTBEAT_SLACK_NS


@pytest.mark.parametrize("mark_ns", [0, MS // 2, 10 * MS])
def test_on_a_grid_no_cell_of_a_burst_carries_it_on(mark_ns: int) -> None:
    flock = Marked(mark_ns, pace="grid")
    flock.fly()
    cells = flock.burst()
    assert len(cells) == CELLS
    assert len({later - earlier for earlier, later in pairwise(cells)}) == 1
    flock.close()


@pytest.mark.parametrize("mark_ns", [MS // 4, 10 * MS])
def test_at_pace_max_nothing_finer_than_a_tick_is_carried_on(mark_ns: int) -> None:
    """That lanes wait for each other at this pace is the same for all of them and no secret; when
    the cells of others came in shows by whole ticks alone."""
    flock = Marked(mark_ns, pace="max")
    flock.fly()
    cells = flock.burst()
    tick_ns = flock.settings[1].tick_ns
    assert len(cells) == CELLS and tick_ns <= TICK_NS
    assert {(at - cells[0]) % tick_ns for at in cells} == {0}
    # Nobody is ahead of another by more than two windows: a mark on one link slows all alike.
    window = flock.settings[1].window
    for other in (0, 2):
        theirs = [at for at, length in flock.network.sent[other] if length == BURST_CELL]
        assert all(theirs[k] <= cells[k + 2 * window] for k in range(CELLS - 2 * window))
    flock.close()
