"""How a burst ends, here and elsewhere, and when it is forgotten."""

from __future__ import annotations

from dataclasses import replace

import pytest

from flocksy.protocol.aftermath import MEMORY_ROUNDS, SETTLE_ROUNDS, Aftermath
from flocksy.protocol.fsm_table import Status
from flocksy.protocol.heard import Heard
from flocksy.protocol.proposals import make_proposal
from flocksy.protocol.shown import Kind, Shown
from tests.protocol.test_views import cell

ALL = 0b111
BURST = make_proposal(Kind.BURST, 90, 4, ALL, 128, 1000)
RUNNING = Aftermath(BURST, newest=90)
ENDED = RUNNING.finished(100)


def heard(now: int, *lanes: tuple[Shown, ...], row: int = ALL) -> Heard:
    return Heard(0, now, lanes, row, row)


def at(round_: int, status: Status) -> Shown:
    return replace(cell(round_, (0, 0, 0)), status=status)


OUT = (at(101, Status.SETTLING),)
IN = (at(101, Status.BURSTING),)


@pytest.mark.parametrize(
    ("found", "settled", "why"),
    [
        (heard(102, OUT, OUT, OUT), 101, "all were out of it in one round"),
        (heard(102, OUT, OUT, IN), None, "one was in it"),
        (heard(102, OUT, OUT, (at(101, Status.CONFIRMED),)), None, "one has not begun it"),
        (heard(102, OUT, OUT, ()), None, "nothing came of one"),
        (heard(102, OUT, OUT, IN, row=0b011), 101, "who is lost is not waited for"),
        (heard(102, *3 * ((at(99, Status.SETTLING),),)), None, "that was before the own end"),
        (heard(100 + SETTLE_ROUNDS, OUT, OUT, IN), 100 + SETTLE_ROUNDS, "that is long enough"),
    ],
)
def test_the_round_from_which_all_count(found: Heard, settled: int | None, why: str) -> None:
    assert ENDED.settled(found) == settled, why


def test_a_burst_is_whole_until_somebody_left_it_or_saw_a_gap() -> None:
    assert RUNNING.is_whole and ENDED.is_whole
    assert not RUNNING.abandoned(95).is_whole and not ENDED.with_gap(100).is_whole
    assert not Aftermath().is_whole, "there is none"
    assert Aftermath(BURST, gap_of=b"another!").is_whole


def test_gaps_are_heard_of_this_burst_only() -> None:
    other = cell(101, (0, 0, 0))
    assert ENDED.has_gap_in([other, replace(other, gap_of=BURST.id)])
    assert ENDED.has_gap_in([replace(other, left=BURST.id)])
    assert not ENDED.has_gap_in([other, replace(other, gap_of=b"another!", left=b"another!")])


def test_it_is_remembered_while_somebody_may_still_be_in_it() -> None:
    past = 100 + MEMORY_ROUNDS
    bound = replace(OUT[0], proposal=BURST, confirmed=True)
    proposed = replace(bound, confirmed=False)
    assert [ENDED.is_past(heard(now, OUT, OUT, OUT)) for now in (past - 1, past)] == [False, True]
    assert not ENDED.is_past(heard(past, OUT, OUT, (bound,)))
    assert ENDED.is_past(heard(past, OUT, OUT, (proposed,)))


def test_it_is_remembered_until_each_of_its_members_is_heard() -> None:
    """Whoever is not may be waiting for its last cells, and have a gap to tell of."""
    late = 100 + 50 * MEMORY_ROUNDS
    assert not ENDED.is_past(heard(late, OUT, OUT, (), row=0b011))
    assert ENDED.is_past(heard(late, OUT, OUT, OUT))
    of_two = replace(ENDED, burst=make_proposal(Kind.BURST, 90, 4, 0b011, 128, 1000))
    assert of_two.is_past(heard(late, OUT, OUT, (), row=0b011))


def test_a_gap_that_is_heard_of_late_is_passed_on_as_long_as_any() -> None:
    ended = ENDED.with_gap(140)
    for now, is_past in ((139 + MEMORY_ROUNDS, False), (140 + MEMORY_ROUNDS, True)):
        assert ended.is_past(heard(now, OUT, OUT, OUT)) is is_past


def test_of_a_forgotten_burst_its_age_stays() -> None:
    assert ENDED.with_gap(100).forgotten() == Aftermath(newest=90)
