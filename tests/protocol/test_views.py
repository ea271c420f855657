"""Who is alive, and the largest set in which all hear all."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flocksy.protocol.fsm_table import Status
from flocksy.protocol.shown import NO_EPOCH, Shown
from flocksy.protocol.views import is_alive, largest_clique, members_of


def cell(round_: int, echo: tuple[int, ...], leaving: bool = False) -> Shown:
    return Shown(
        round_,
        Status.IDLE,
        NO_EPOCH,
        0,
        0,
        0,
        echo,
        0,
        None,
        None,
        False,
        None,
        None,
        None,
        1,
        leaving,
    )


@pytest.mark.parametrize(
    ("round_", "echo", "leaving", "alive", "why"),
    [
        (99, 98, False, True, "fresh both ways"),
        (97, 94, False, True, "3 rounds old, echo 6 rounds old"),
        (96, 95, False, False, "4 rounds old"),
        (99, 93, False, False, "echo 7 rounds old"),
        (99, 0, False, False, "does not hear us"),
        (99, 98, True, False, "leaves"),
    ],
)
def test_alive(round_: int, echo: int, leaving: bool, alive: bool, why: str) -> None:
    assert is_alive(cell(round_, (echo, round_), leaving), 0, 100, 0) is alive, why


def test_alive_in_a_slow_burst() -> None:
    assert is_alive(cell(93, (88, 93)), 0, 100, 4)


@pytest.mark.parametrize(
    ("own", "rows", "clique", "why"),
    [
        (0, {0: 0b111, 1: 0b111, 2: 0b111}, 0b111, "all hear all"),
        (0, {0: 0b001}, 0b001, "alone"),
        (0, {0: 0b111, 1: 0b110, 2: 0b111}, 0b101, "1 does not hear 0: one-way"),
        (0, {0: 0b111, 1: 0b111, 2: 0b110}, 0b011, "2 does not hear 0: one-way"),
        (1, {0: 0b011, 1: 0b111, 2: 0b110}, 0b011, "a chain: the tie goes to the smaller"),
        (2, {0: 0b011, 1: 0b111, 2: 0b110}, 0b110, "the end of the chain has only its middle"),
        (
            3,
            {0: 0b01001, 1: 0b01110, 2: 0b01110, 3: 0b11111, 4: 0b11000},
            0b01110,
            "the larger wins over the smaller lanes",
        ),
    ],
)
def test_clique(own: int, rows: dict[int, int], clique: int, why: str) -> None:
    assert largest_clique(own, rows) == clique, why


@given(st.lists(st.integers(0, 63), min_size=6, max_size=6), st.integers(0, 5))
def test_clique_is_what_trying_all_sets_finds(raw: list[int], own: int) -> None:
    rows = {lane: row | 1 << lane for lane, row in enumerate(raw)}

    def is_clique(members: tuple[int, ...]) -> bool:
        return all(rows[a] >> b & 1 for a in members for b in members)

    best = max(
        (
            members
            for size in range(1, 7)
            for members in itertools.combinations(range(6), size)
            if own in members and is_clique(members)
        ),
        key=lambda members: (len(members), [-lane for lane in members]),
    )
    assert list(members_of(largest_clique(own, rows))) == list(best)


def test_a_clique_is_found_in_time_when_links_are_cut_in_pairs() -> None:
    """There are 2 ** 16 largest ones. Trying them all would take a minute in every round."""
    everybody = (1 << 32) - 1
    rows = {lane: everybody & ~(1 << (lane ^ 1)) for lane in range(32)}
    assert largest_clique(3, rows) == sum(1 << lane for lane in range(0, 32, 2)) - 4 + 8
