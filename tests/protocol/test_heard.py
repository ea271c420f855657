"""What is held of the cells that came, and whom a node counts alive for them."""

from __future__ import annotations

from dataclasses import replace

import pytest

from flocksy.protocol.heard import (
    KEEP_ROUNDS,
    Heard,
    highest_number,
    listen,
    slack_rounds,
)
from flocksy.protocol.parameters import Parameters
from flocksy.protocol.proposals import History, make_proposal
from flocksy.protocol.shown import Epoch, Inputs, Kind, Shown
from tests.protocol.test_views import cell

PARAMETERS = Parameters(3, 0, 2, 250, 2000)
ALL = 0b111
NOTHING: History = ((), (), ())


def fresh(round_: int) -> Shown:
    return replace(cell(round_, (round_ - 1,) * 3), row=ALL)


def inputs(*cells: tuple[int, Shown], now: int = 100, eligible: int = ALL) -> Inputs:
    return Inputs(now, cells, eligible, 0, 1000)


def held(heard: Heard) -> list[list[int]]:
    return [[cell.round for cell in cells] for cells in heard.history]


def test_cells_come_in_any_order_and_one_of_each_round_is_held() -> None:
    came = inputs((1, fresh(98)), (2, fresh(99)), (1, fresh(99)), (1, fresh(98)))
    heard = listen(PARAMETERS, ((fresh(99),), (fresh(97),), ()), came, 0)
    assert held(heard) == [[99], [99, 98, 97], [99]]
    assert heard.echo() == (100, 99, 99)
    assert [shown.round for shown in heard.newest(ALL)] == [99, 99]
    assert [shown.round for shown in heard.newest(0b011)] == [99]


def test_too_old_and_too_early_cells_are_not_held() -> None:
    oldest = 100 - KEEP_ROUNDS
    came = inputs(*((1, fresh(round_)) for round_ in (oldest - 1, oldest, 101, 102)))
    heard = listen(PARAMETERS, NOTHING, came, 0)
    assert held(heard)[1] == [101, oldest]
    assert heard.echo() == (100, 100, 0), "what is not yet can be shown by nobody"
    assert held(listen(PARAMETERS, NOTHING, came, 1))[1] == [101, oldest, oldest - 1]


def test_who_is_heard_and_hears_us_is_alive_if_eligible() -> None:
    both = (1, fresh(99)), (2, fresh(99))
    assert listen(PARAMETERS, NOTHING, inputs(*both), 0).row == ALL
    assert listen(PARAMETERS, NOTHING, inputs(*both, eligible=0b101), 0).row == 0b101
    deaf = (2, replace(fresh(99), echo=(0, 0, 0)))
    heard = listen(PARAMETERS, NOTHING, inputs(both[0], deaf), 0)
    assert (heard.row, heard.candidate) == (0b011, 0b011)
    assert [shown.round for shown in heard.newest(ALL)] == [99]


def test_the_candidate_is_where_all_hear_all() -> None:
    apart = (1, replace(fresh(99), row=0b011)), (2, replace(fresh(99), row=0b101))
    heard = listen(PARAMETERS, NOTHING, inputs(*apart), 0)
    assert (heard.row, heard.candidate) == (ALL, 0b011)


def test_nothing_before_the_newest_complete_round_is_kept_but_the_newest_of_each_lane() -> None:
    lanes = ((fresh(99), fresh(98)), (fresh(99), fresh(98), fresh(97)), (fresh(98), fresh(97)))
    own = fresh(100)
    kept = Heard(0, 100, lanes, ALL, ALL).kept(own)
    assert [[c.round for c in cells] for cells in kept] == [[100, 99, 98], [99, 98], [98]]
    alone = Heard(0, 100, (lanes[0], lanes[1], (fresh(80),)), 0b011, 0b011).kept(own)
    assert [[c.round for c in cells] for cells in alone] == [[100, 99], [99], [80]]


@pytest.mark.parametrize(
    ("shown", "eligible", "highest"),
    [(7, ALL, 7), (3, ALL, 5), (7, 0b101, 5), (99, ALL, 99), (100, ALL, 5)],
)
def test_nobody_can_use_up_all_numbers(shown: int, eligible: int, highest: int) -> None:
    came = inputs((1, replace(fresh(99), highest=shown)), eligible=eligible)
    assert highest_number(5, came) == highest


def test_a_number_of_a_round_to_come_is_not_shown_before_it() -> None:
    early = inputs((1, replace(fresh(101), highest=101)))
    assert highest_number(5, early) == 5


@pytest.mark.parametrize("more", [0, 1])
def test_cells_with_more_views_than_there_were_rounds_say_nothing(more: int) -> None:
    number = 99 + more
    for shown in (
        {"highest": number},
        {"epoch": Epoch(number, ALL)},
        {"proposal": make_proposal(Kind.VIEW, 98, number, ALL, 0, 0)},
    ):
        liar = 1, replace(fresh(99), **shown)
        came = inputs(liar, (1, fresh(98)), (2, fresh(99)))
        heard = [[], [98], [99]] if more else [[], [99, 98], [99]]
        assert held(listen(PARAMETERS, NOTHING, came, 0)) == heard


def test_old_cells_are_excused_from_the_start_of_a_slow_burst_to_its_last_cell() -> None:
    slow = make_proposal(Kind.BURST, 90, 4, ALL, 64, 500_000)
    start = PARAMETERS.start(slow)
    last = start + 63 * 2
    excused = [now for now in range(90, last + 9) if slack_rounds(PARAMETERS, slow, now)]
    assert excused == list(range(start + 1, last + 1))
    assert slack_rounds(PARAMETERS, slow, last) == 6
    quick = make_proposal(Kind.BURST, 90, 4, ALL, 64, 1000)
    assert not any(slack_rounds(PARAMETERS, quick, now) for now in range(90, last))
