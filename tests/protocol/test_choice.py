"""What a node may show as its proposal next, case by case."""

from __future__ import annotations

from dataclasses import replace

import pytest

from flocksy.protocol.choice import Choice
from flocksy.protocol.fsm_table import Mode, Status
from flocksy.protocol.heard import Heard
from flocksy.protocol.parameters import VIEW_ROUNDS, Parameters
from flocksy.protocol.proposals import make_proposal
from flocksy.protocol.shown import Epoch, Kind, Proposal, Shown
from tests.protocol.test_views import cell

ALL = 0b111
EPOCH = Epoch(4, ALL)
PARAMETERS = Parameters(3, 0, 2, 250, 2000)
LEAD = PARAMETERS.lead_rounds


def burst(round_: int = 98, number: int = 4, members: int = ALL) -> Proposal:
    return make_proposal(Kind.BURST, round_, number, members, 128, 1000)


def view(round_: int = 98, number: int = 5, members: int = ALL, *, joins: bool = False) -> Proposal:
    return make_proposal(Kind.VIEW, round_, number, members, 0, 0, joins=joins)


def ready(round_: int, **what: object) -> Shown:
    one = replace(cell(round_, (0, 0, 0)), epoch=EPOCH, highest=4, row=ALL, candidate=ALL, need=70)
    return replace(one, **what)  # type: ignore[arg-type]


def choice(
    *lanes: tuple[Shown, ...], mode: Mode = Mode.READY, floor: int = 0, begins: int = 0
) -> Choice:
    return Choice(PARAMETERS, Heard(0, 100, lanes, ALL, ALL), mode, EPOCH, floor, ALL, begins)


def follows(
    proposal: Proposal, mode: Mode = Mode.READY, floor: int = 0, confirmed: bool = False
) -> bool:
    theirs = ready(99, proposal=proposal, confirmed=confirmed)
    found = choice((), (theirs,), (ready(99),), mode=mode, floor=floor).shown_by_others()
    assert found in (None, proposal)
    return found is not None


@pytest.mark.parametrize(
    ("proposal", "mode", "floor", "may", "why"),
    [
        (burst(), Mode.READY, 0, True, "a burst of this epoch"),
        (burst(), Mode.PROPOSING, 97, True, "newer than what it shows"),
        (burst(), Mode.PROPOSING, 98, False, "what it shows never goes back"),
        (burst(100), Mode.READY, 0, False, "of a round that is not over"),
        (burst(100 - LEAD), Mode.READY, 0, False, "too late to confirm it"),
        (burst(101 - LEAD), Mode.READY, 0, True, "just in time"),
        (burst(number=3), Mode.READY, 0, False, "of another epoch"),
        (burst(members=0b011), Mode.READY, 0, False, "not of the candidate"),
        (burst(), Mode.WAITING, 0, False, "a burst needs a quorum"),
        (view(), Mode.WAITING, 0, True, "a view needs none"),
        (view(), Mode.READY, 0, True, "a newer view"),
        (view(number=4), Mode.READY, 0, False, "no newer view"),
        (view(), Mode.PROPOSING, 0, False, "a burst is being agreed on"),
        (view(100 - VIEW_ROUNDS), Mode.READY, 0, False, "a view that has expired"),
    ],
)
def test_what_is_followed(proposal: Proposal, mode: Mode, floor: int, may: bool, why: str) -> None:
    assert follows(proposal, mode, floor) == may, why


@pytest.mark.parametrize(
    ("repeat", "begins", "may"), [(False, 98, True), (False, 99, False), (True, 99, True)]
)
def test_before_a_programme_begins_only_a_repeat_is_followed(
    repeat: bool, begins: int, may: bool
) -> None:
    shown = replace(burst(), repeat=repeat)
    found = choice((), (ready(99, proposal=shown),), (ready(99),), begins=begins).shown_by_others()
    assert (found == shown) == may


def test_what_is_confirmed_is_adopted_elsewhere_and_not_followed() -> None:
    assert not follows(burst(), confirmed=True)


def test_the_newest_of_several_is_followed() -> None:
    lanes = (ready(99, proposal=burst(97)),), (ready(99, proposal=burst(98)),)
    assert choice((), *lanes).shown_by_others() == burst(98)
    assert choice((), *reversed(lanes)).shown_by_others() == burst(98)


@pytest.mark.parametrize(
    ("known", "cells", "joins", "may", "why"),
    [
        (0, 64, False, False, "an earlier self had its part in it"),
        (0, 64, True, True, "a join, as this node would have it"),
        (0b011, 64, False, False, "somebody comes who was not in its last view"),
        (0b011, 64, True, True, "all know that somebody comes"),
        (ALL, 64, True, True, "others see a join, which is enough"),
        (ALL, 64, False, True, "nobody comes"),
        (0, 0, False, True, "no programme follows anyway"),
    ],
)
def test_who_sees_a_join_takes_no_view_without(
    known: int, cells: int, joins: bool, may: bool, why: str
) -> None:
    parameters = replace(PARAMETERS, programme_cells=cells)
    shown = view(joins=joins)
    followed = Heard(0, 100, ((), (ready(99, proposal=shown),), (ready(99),)), ALL, ALL)
    # No two of them are in one epoch, so that they collect a view.
    lanes = tuple((ready(98, epoch=Epoch(lane, ALL), joins=joins),) for lane in (1, 2, 3))
    collected = Heard(0, 100, lanes, ALL, ALL)
    one, other = (
        Choice(parameters, h, Mode.WAITING, EPOCH, 0, known, 0) for h in (followed, collected)
    )
    assert one.shown_by_others() == (shown if may else None), why
    assert other.collected_here() == (shown if may else None), why


def test_a_view_below_the_least_size_is_not_worth_it() -> None:
    lanes = ((ready(99, candidate=0b001),), (), ())
    heard = Heard(0, 100, lanes, 0b001, 0b001)
    for min_view in (1, 2):
        parameters = replace(PARAMETERS, min_view=min_view)
        found = Choice(parameters, heard, Mode.WAITING, EPOCH, 0, ALL, 0).collected_here()
        assert (found is None) == (min_view == 2)


def test_what_all_showed_in_the_newest_complete_round_is_collected() -> None:
    lanes = [(ready(99, status=Status.ANNOUNCED), ready(98))] * 2 + [(ready(98),)]
    found = choice(*lanes).collected_here()
    assert found is not None and (found.kind, found.round, found.length) == (Kind.BURST, 98, 128)
    assert choice(*lanes, floor=98).collected_here() is None
    assert choice(*lanes, mode=Mode.WAITING).collected_here() is None
    assert choice(*lanes[:2], ()).collected_here() is None
    late = [(ready(100 - LEAD),)] * 3
    assert choice(*late).collected_here() is None
