"""When a need may be shown, and what becomes of it, without a flock around it."""

from __future__ import annotations

from dataclasses import replace

import pytest

from flocksy.protocol.draws import pause_rounds, rest_rounds
from flocksy.protocol.needs import Latch, Needs, Owed
from flocksy.protocol.padding import MAX_BURST_CELLS
from flocksy.protocol.parameters import Parameters
from flocksy.protocol.programme import STEP_ROUNDS, Programme, spoilt
from flocksy.protocol.proposals import make_proposal
from flocksy.protocol.shown import Kind

PARAMETERS = Parameters(3, 0, 2, 250, 2000, programme_cells=64)
BURST = make_proposal(Kind.BURST, 90, 4, 0b111, 128, 1000)
REPEAT = make_proposal(Kind.BURST, 90, 4, 0b111, 128, 1000, repeat=True)
VIEW = make_proposal(Kind.VIEW, 90, 5, 0b111, 0, 0, joins=True)
REST = rest_rounds(BURST.id, 2000, 250)
PAUSE = pause_rounds(BURST.id, 2000, 250)
PROGRAMME = Programme(3, 106, 90)
EARLIER = b"earlier!"


@pytest.mark.parametrize(
    ("needs", "wanted", "first", "why"),
    [
        (Needs(), 1, 100, "a wish, at once"),
        (Needs(), 0, None, "nobody wants anything"),
        (Needs(quiet_until=105), 1, 105, "a wish after the rest"),
        (Needs(latch=Latch(9, 105), quiet_until=105), 0, 105, "a need that was not served yet"),
        (Needs(latch=Latch(9, 90)), 0, 100, "a need that is shown"),
        (Needs(latch=Latch(9, 90), owed=Owed(EARLIER, 64, 107)), 0, 100, "a repeat owed meanwhile"),
        (Needs(owed=Owed(EARLIER, 64, 107)), 0, 107, "a repeat, whoever needs it"),
        (Needs(owed=Owed(EARLIER, 64, 107), quiet_until=103), 9, 107, "a repeat goes first"),
        (Needs(programme=PROGRAMME), 0, 106, "a programme, whoever needs it"),
        (Needs(programme=PROGRAMME), 9, 106, "a wish waits for the programme"),
        (Needs(programme=PROGRAMME, quiet_until=109), 9, 109, "and that for the rest"),
    ],
)
def test_when_a_need_is_due(needs: Needs, wanted: int, first: int | None, why: str) -> None:
    due = [now for now in range(100, 120) if needs.is_due(now, wanted)]
    assert due == ([] if first is None else list(range(first, 120))), why


@pytest.mark.parametrize(
    ("needs", "wanted", "latch"),
    [
        (Needs(), 9, Latch(9, 100)),
        (Needs(), 1 << 40, Latch(MAX_BURST_CELLS, 100)),
        (Needs(latch=Latch(5, 90)), 9, Latch(5, 90)),
        (Needs(owed=Owed(EARLIER, 128, 99)), 900, Latch(128, 100, EARLIER)),
        (Needs(latch=Latch(5, 90), owed=Owed(EARLIER, 128, 99)), 900, Latch(5, 90)),
        (Needs(programme=PROGRAMME), 0, Latch(64, 100, of_programme=True)),
        (Needs(programme=PROGRAMME), 9, Latch(64, 100, of_programme=True)),
        (Needs(programme=PROGRAMME), 900, Latch(64, 100, of_programme=True)),
        (Needs(latch=Latch(900, 90), programme=PROGRAMME), 900, Latch(900, 90)),
    ],
)
def test_what_is_latched(needs: Needs, wanted: int, latch: Latch) -> None:
    assert needs.latched(100, wanted, 64) == replace(needs, latch=latch)


def test_a_need_of_a_later_round_is_not_shown_before() -> None:
    needs = Needs(latch=Latch(9, 100))
    assert [needs.shown(now) for now in (99, 100, 101)] == [None, needs.latch, needs.latch]
    assert Needs().shown(100) is None


@pytest.mark.parametrize(
    ("latch", "served", "by_repeat"),
    [
        (Latch(9, 90), True, True),
        (Latch(9, 91), False, True),
        (Latch(900, 90), True, False),
        (Latch(64, 91, of_programme=True), True, True),
        (Latch(128, 91, EARLIER), True, True),
        (Latch(256, 80, EARLIER), False, False),
    ],
)
def test_a_burst_serves_what_it_collected_and_a_repeat_what_is_no_longer(
    latch: Latch, served: bool, by_repeat: bool
) -> None:
    needs = Needs(latch=latch, quiet_until=7)
    for burst, gone in ((BURST, served), (REPEAT, by_repeat)):
        assert needs.served(burst) == (needs.withdrawn() if gone else needs)


def test_one_repeat_is_owed_of_the_longest_and_none_of_a_repeat() -> None:
    needs = Needs().owing(BURST, 100, PARAMETERS)
    assert needs.owed == Owed(BURST.id, 128, 100 + PAUSE)
    assert Needs().owing(REPEAT, 100, PARAMETERS).owed is None
    longer = Needs(owed=Owed(EARLIER, 256, 99))
    assert longer.owing(BURST, 100, PARAMETERS) == longer
    for length in (64, 128):
        assert Needs(owed=Owed(EARLIER, length, 99)).owing(BURST, 100, PARAMETERS) == needs


@pytest.mark.parametrize("owed", [None, Programme(1, 95, 79)])
def test_of_a_repeat_a_programme_is_owed_whoever_lacks_anything(owed: Programme | None) -> None:
    programme = spoilt(owed, REPEAT.round)
    for shown_from in (100, 101):
        needs = Needs(Latch(9, shown_from), programme=owed)
        assert needs.owing(REPEAT, 100, PARAMETERS) == Needs(programme=programme)
    longer = Owed(EARLIER, 256, 99)
    assert Needs(owed=longer, programme=owed).owing(REPEAT, 100, PARAMETERS) == Needs(
        owed=longer, programme=programme
    )


def test_where_bursts_come_anyway_nothing_is_owed_of_a_repeat() -> None:
    public = replace(PARAMETERS, programme_cells=0)
    assert Needs().owing(REPEAT, 100, public) == Needs()


def test_debts_are_paid_as_soon_as_a_burst_is_certain() -> None:
    needs = Needs(owed=Owed(EARLIER, 128, 99), programme=PROGRAMME)
    assert needs.bound(BURST) == Needs(programme=replace(PROGRAMME, left=2))
    assert needs.bound(REPEAT) == Needs(programme=PROGRAMME)
    longer = Needs(owed=Owed(EARLIER, 256, 99))
    assert longer.bound(BURST) == longer
    assert longer.bound(REPEAT) == Needs()


def test_rest_and_pause_are_counted_from_the_round_in_which_all_were_out() -> None:
    assert Needs().rested(BURST, 100, PARAMETERS).quiet_until == 100 + REST
    guessed = Needs(owed=Owed(BURST.id, 128, 555))
    assert guessed.rested(BURST, 100, PARAMETERS).owed == Owed(BURST.id, 128, 100 + PAUSE)
    quick = replace(PARAMETERS, rest_mean_ms=0)
    assert Needs().rested(BURST, 100, quick).quiet_until == 100
    assert Needs(programme=PROGRAMME).rested(BURST, 100, quick).quiet_until == 100 + STEP_ROUNDS


@pytest.mark.parametrize(("due", "then"), [(99, 100 + REST), (900, 900)])
def test_an_older_repeat_waits_for_the_rest_of_the_burst_that_came_in_between(
    due: int, then: int
) -> None:
    needs = Needs(Latch(999, 90, EARLIER), Owed(EARLIER, 256, due))
    rested = needs.rested(BURST, 100, PARAMETERS)
    assert rested.owed == Owed(EARLIER, 256, then)
    assert rested.latch is None and rested.is_due(then, 0) and not rested.is_due(then - 1, 0)
    assert rested.latched(then, 0, 64).latch == Latch(256, then, EARLIER)


def test_a_need_that_was_not_served_is_not_of_a_round_within_the_rest() -> None:
    needs = Needs(Latch(9, 95))
    assert needs.rested(BURST, 100, PARAMETERS).latch == Latch(9, 100 + REST)


def test_a_need_that_was_not_served_is_stated_anew_after_a_programme() -> None:
    needs = Needs(Latch(9, 95), programme=PROGRAMME)
    assert needs.rested(BURST, 100, PARAMETERS).latch is None


def test_a_need_that_waits_for_a_rest_is_stated_anew_after_a_repeat_owed_meanwhile() -> None:
    waiting, shown = Needs(Latch(9, 101)), Needs(Latch(9, 100))
    assert waiting.owing(BURST, 100, PARAMETERS).latch is None
    assert shown.owing(BURST, 100, PARAMETERS).latch == shown.latch
    owing = replace(shown, owed=Owed(BURST.id, 128, 555))
    assert owing.rested(BURST, 100, PARAMETERS).latch is None


def test_a_join_brings_a_programme_and_a_rest_that_is_over_is_forgotten() -> None:
    needs = Needs().joined(VIEW)
    assert needs.programme is not None and needs.programme.since == VIEW.round
    assert (needs.bursts_of_programme, Needs().bursts_of_programme) == (needs.programme.left, 0)
    resting = Needs(quiet_until=100)
    assert [resting.kept(now) for now in (99, 100)] == [resting, Needs()]
