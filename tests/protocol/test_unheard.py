"""Who does not hear whom, as far as one member can tell: for people only."""

from __future__ import annotations

from dataclasses import replace

import pytest

from flocksy.protocol.heard import Unheard, unheard
from tests.protocol.flock import Flock

A, B, C, D = range(4)
LONG = 20
"""Rounds after which all has come to rest."""


def both(one: int, other: int) -> set[tuple[int, int]]:
    return {(one, other), (other, one)}


def away_from_all(lane: int, size: int = 4) -> set[tuple[int, int]]:
    return {pair for other in range(size) if other != lane for pair in both(lane, other)}


def of(flock: Flock, own: int) -> Unheard:
    return unheard(own, flock.members[own].state.history, 0)


def pairs(found: Unheard) -> set[tuple[int, int]]:
    """(who does not hear, whom)."""
    lanes = range(len(found.by))
    return {(lane, other) for lane in lanes for other in lanes if found.by[lane] >> other & 1}


def flown(cut: set[tuple[int, int]], size: int = 4, min_view: int = 4) -> Flock:
    flock = Flock(size, min_view)
    flock.settle()
    assert all(of(flock, own) == Unheard((0,) * size, 0) for own in range(size))
    flock.cut = cut
    flock.run(LONG)
    return flock


@pytest.mark.parametrize(
    ("cut", "seen_by_a", "why"),
    [
        (both(B, C), {(B, C), (C, B)}, "a line between two others"),
        ({(C, B)}, {(B, C)}, "C's cells do not reach B: one way only"),
        ({(B, C)}, {(C, B)}, "the other way"),
        ({(B, A)}, {(A, B)}, "B's cells do not reach A"),
        ({(A, B)}, {(B, A)}, "those of A do not reach B, and B echoes none"),
        (both(A, B), {(A, B)}, "what B hears does not reach A: A's own word alone"),
        (both(B, C) | both(C, D), {(B, C), (C, B), (C, D), (D, C)}, "two lines"),
    ],
)
def test_one_knows_it_from_the_cells_of_all(
    cut: set[tuple[int, int]], seen_by_a: set[tuple[int, int]], why: str
) -> None:
    flock = flown(cut)
    assert pairs(of(flock, A)) == seen_by_a, why
    assert of(flock, A).away == 0
    assert not any(output.real_allowed for output in flock.members[A].outputs[-LONG // 2 :])


def test_who_is_heard_by_nobody_is_away_and_no_line_is_to_blame() -> None:
    found = of(flown(away_from_all(D)), A)
    assert found == Unheard((0,) * 4, 1 << D)


def test_who_hears_nobody_knows_of_no_line() -> None:
    found = of(flown(away_from_all(A)), A)
    assert found == Unheard((0,) * 4, 0b1110)


def test_who_has_left_is_missed_by_nobody() -> None:
    flock = Flock(4, 4)
    flock.settle()
    flock.members[D].leaving = True
    flock.tick()
    flock.tick()
    flock.members[D].alive = False
    for _ in range(5):
        flock.tick()
        assert of(flock, A) == Unheard((0,) * 4, 0)


def test_one_outside_the_view_is_named_too() -> None:
    """A hears C, and yet C comes into no view with it: B does not hear C."""
    flock = flown(both(B, C), 3, 2)
    assert flock.members[A].state.epoch.members == 0b011
    assert pairs(of(flock, A)) == {(B, C), (C, B)}


def test_in_a_burst_whose_cells_are_rare_an_older_echo_is_new() -> None:
    history = list(flown({(B, C)}).members[A].state.history)
    cell = history[B][0]
    echo = list(cell.echo)
    echo[C] = cell.round - 5
    history[B] = (replace(cell, echo=tuple(echo)), *history[B][1:])
    assert pairs(unheard(A, tuple(history), 0)) == {(B, C), (C, B)}
    assert pairs(unheard(A, tuple(history), 2)) == {(C, B)}


def test_who_refuses_the_other_is_taken_at_its_word() -> None:
    """B finds the clock of C wrong, whose cells come and go all the same."""
    flock = flown(set(), 3, 3)
    history = list(flock.members[A].state.history)
    history[B] = (replace(history[B][0], row=0b011), *history[B][1:])
    assert pairs(unheard(A, tuple(history), 0)) == {(B, C)}


def test_what_lasts_is_what_was_so_each_time() -> None:
    first, second = Unheard((0b110, 0, 0b001), 0b1), Unheard((0b010, 0b1, 0b001), 0b10)
    assert first.lasting(second) == Unheard((0b010, 0, 0b001), 0)
