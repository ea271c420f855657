"""Two do not hear each other: who hears them says so to its box, and sends no other cell for it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from flocksy.protocol.heard import Unheard
from flocksy.wire.limits import UNHEARD_ROUNDS
from tests.wire.test_emitter import NODES, Simulation

A, B, C = range(NODES)


class Lines(Simulation):
    """With lines that can be cut one way."""

    broken: frozenset[tuple[int, int]] = frozenset()

    def delay(self, source: int, target: int, now_ns: int) -> int | None:
        came = super().delay(source, target, now_ns)
        return None if (source, target) in self.broken else came

    def unheard(self, lane: int) -> dict[int, int]:
        lanes = enumerate(self.boxes[lane].report().lanes)
        return {other: one.unheard for other, one in lanes if one.unheard}


@pytest.fixture
def flock() -> Iterator[Lines]:
    made = Lines(min_view=NODES)
    assert made.run(5, lambda: made.views() == [0b111] * NODES)
    made.run(1)
    yield made
    made.close()


def test_it_is_told_until_the_line_is_mended(flock: Lines) -> None:
    assert flock.unheard(A) == {}
    flock.broken = frozenset({(B, C), (C, B)})
    assert flock.run(5, lambda: bool(flock.unheard(A)))
    flock.run(1)
    assert flock.unheard(A) == {B: 1 << C, C: 1 << B}
    assert flock.unheard(B) == {B: 1 << C}
    report = flock.boxes[A].report()
    assert (report.view, report.real_allowed, report.away) == (0b111, False, 0)
    flock.broken = frozenset()
    assert flock.run(5, lambda: not any(flock.unheard(lane) for lane in range(NODES)))


def test_one_way_is_told_as_one_way(flock: Lines) -> None:
    flock.broken = frozenset({(C, B)})
    flock.run(UNHEARD_ROUNDS)
    assert flock.unheard(A) == {B: 1 << C}


def test_who_is_off_is_away(flock: Lines) -> None:
    flock.cut.add(C)
    flock.run(UNHEARD_ROUNDS)
    assert flock.unheard(A) == {} and flock.boxes[A].report().away == 1 << C


def test_a_moment_is_not_told(flock: Lines) -> None:
    flock.broken = frozenset({(B, C), (C, B)})
    told = []

    def look() -> bool:
        told.append(flock.unheard(A))
        return not flock.boxes[A].report().real_allowed

    assert flock.run(5, look)
    flock.broken = frozenset()
    assert flock.run(5, lambda: look() and False) is False
    assert not any(told) and flock.boxes[A].report().real_allowed


def test_nothing_that_leaves_goes_by_it(flock: Lines, monkeypatch: pytest.MonkeyPatch) -> None:
    """The same flock again, with nobody who looks: the same cells at the same instants."""
    flock.broken = frozenset({(B, C), (C, B)})
    flock.run(5)
    assert flock.unheard(A)
    nobody = Unheard((0,) * NODES, 0)
    monkeypatch.setattr("flocksy.wire.reporter.unheard", lambda *_: nobody)
    again = Lines(min_view=NODES)
    assert again.run(5, lambda: again.views() == [0b111] * NODES)
    again.run(1)
    again.broken = flock.broken
    again.run(5)
    assert not again.unheard(A) and again.network.sent == flock.network.sent
    again.close()
