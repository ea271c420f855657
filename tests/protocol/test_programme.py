"""After a join comes one fixed programme of bursts, whoever needs what (design 4.3, rule 9)."""

from __future__ import annotations

import itertools

import pytest

from flocksy.protocol.fsm_table import Status
from flocksy.protocol.padding import MIN_BURST_CELLS
from flocksy.protocol.programme import (
    JOIN_ROUNDS,
    MOST_JOIN_ROUNDS,
    PROGRAMME_BURSTS,
    PROGRAMME_BYTES,
    PROGRAMME_SECONDS,
    STEP_ROUNDS,
    Programme,
    joined,
    one_less,
    programme_cells,
    spoilt,
)
from flocksy.protocol.shown import Kind, Outcome, Plan
from tests.protocol.flock import BURST_ROUNDS, Flock

CELLS = 64
LONG = JOIN_ROUNDS + PROGRAMME_BURSTS * (STEP_ROUNDS + 12)
"""Rounds in which a programme is over."""


def fresh(size: int = 3, **settings: int) -> Flock:
    return Flock(size, size // 2 + 1, programme_cells=CELLS, **settings)


def at_rest(size: int = 3, **settings: int) -> Flock:
    """The programme of the first start is over."""
    flock = fresh(size, **settings)
    flock.settle()
    flock.run(LONG)
    for member in flock.members:
        assert member.state.needs.programme is None
        member.plans.clear()
    return flock


def plans(flock: Flock) -> list[Plan]:
    """The bursts so far, which must be the same for all live members."""
    found = [member.plans for member in flock.members if member.alive]
    assert all(other == found[0] for other in found)
    return found[0]


def lengths(flock: Flock) -> list[tuple[int, bool]]:
    return [(plan.length, plan.repeat) for plan in plans(flock)]


@pytest.mark.parametrize("size", [2, 3, 5])
def test_a_first_start_is_followed_by_the_programme_and_then_by_silence(size: int) -> None:
    flock = fresh(size)
    flock.settle()
    flock.run(2 * LONG)
    assert lengths(flock) == [(CELLS, False)] * PROGRAMME_BURSTS


def test_its_first_need_is_shown_so_long_after_the_view_was_collected() -> None:
    flock = fresh()
    while not any(member.output and member.output.shown.need for member in flock.members):
        flock.tick()
        assert flock.round < 10_000
    view = flock.members[0].state.needs.programme
    assert view is not None
    assert {member.shown.round for member in flock.members} == {view.since + JOIN_ROUNDS}
    assert {member.shown.need for member in flock.members} == {CELLS}


def test_a_member_that_comes_back_makes_all_owe_it() -> None:
    flock = at_rest()
    flock.members[2].alive = False
    flock.run(10)
    assert not plans(flock)
    flock.restart(2)
    flock.run(LONG)
    assert lengths(flock) == [(CELLS, False)] * PROGRAMME_BURSTS


def test_so_does_one_that_was_only_not_heard_for_a_while() -> None:
    """It has no idea that anybody was away; the others have."""
    flock = at_rest()
    flock.cut = {(2, 0), (2, 1), (0, 2), (1, 2)}
    flock.run(10)
    flock.cut = set()
    flock.run(8)
    assert [member.state.needs.programme is not None for member in flock.members] == [True] * 3
    flock.run(LONG)
    assert lengths(flock) == [(CELLS, False)] * PROGRAMME_BURSTS


def test_so_does_one_that_restarts_before_it_is_missed() -> None:
    """Nobody else has seen a view without it; it knows that it had none."""
    flock = at_rest()
    flock.restart(1)
    flock.run(LONG)
    assert lengths(flock) == [(CELLS, False)] * PROGRAMME_BURSTS


@pytest.mark.parametrize("period_ms", [250, 125])
@pytest.mark.parametrize("rounds", range(4))
def test_so_does_one_that_restarts_while_a_view_that_it_had_its_part_in_is_proposed(
    rounds: int, period_ms: int
) -> None:
    """The view is no join: in the round it was collected from its earlier self was still there."""
    flock = at_rest(period_ms=period_ms)
    if period_ms < 250:
        flock.slow = {(one, other) for one in range(3) for other in range(3)}
    for member in flock.members:
        member.outcome = Outcome.STALLED
    flock.members[0].need = 10
    while (view := flock.members[0].shown.proposal) is None or view.kind is Kind.BURST:
        flock.tick()
    flock.members[0].need = 0
    for member in flock.members:
        member.outcome = Outcome.FINISHED
    assert view.members == 0b111 and not view.joins
    flock.run(rounds)
    flock.restart(1)
    flock.run(12)
    owed = {member.state.needs.programme for member in flock.members}
    assert len(owed) == 1 and None not in owed
    flock.run(2 * LONG)
    assert [plan.repeat for plan in flock.members[1].plans].count(False) == PROGRAMME_BURSTS


def test_who_is_lost_is_no_join() -> None:
    flock = at_rest(5)
    flock.members[3].alive = False
    flock.run(LONG)
    assert not plans(flock)


def test_needs_are_in_it_and_do_not_begin_before_it() -> None:
    """Neither number nor instants say whether anybody needed anything."""
    quiet, busy = fresh(), fresh()
    busy.members[1].need = 40
    for flock in (quiet, busy):
        flock.settle()
        flock.run(2 * LONG)
        busy.members[1].need = 0
    starts = [[plan.start_round for plan in plans(flock)] for flock in (quiet, busy)]
    assert starts[0] == starts[1][:PROGRAMME_BURSTS]
    assert lengths(quiet) == lengths(busy)[:PROGRAMME_BURSTS]


def test_a_larger_need_comes_after_it_and_makes_none_of_its_bursts_longer() -> None:
    flock = fresh()
    flock.settle()
    flock.members[0].need = 300
    while len(plans(flock)) <= PROGRAMME_BURSTS:
        flock.tick()
        assert flock.round < 10_000
    flock.members[0].need = 0
    flock.run(LONG)
    assert lengths(flock) == [*[(CELLS, False)] * PROGRAMME_BURSTS, (512, False)]


def test_between_its_bursts_there_is_time_to_ask() -> None:
    flock = fresh()
    flock.settle()
    flock.run(LONG)
    starts = [plan.start_round for plan in plans(flock)]
    gaps = [later - earlier for earlier, later in itertools.pairwise(starts)]
    assert all(gap >= STEP_ROUNDS + flock.members[0].parameters.lead_rounds for gap in gaps)


def test_a_gap_is_repeated_beside_it() -> None:
    flock = fresh()
    flock.settle()
    flock.members[2].outcome = Outcome.FINISHED_WITH_GAP
    while not any(member.plans for member in flock.members):
        flock.tick()
    flock.run(8)
    flock.members[2].outcome = Outcome.FINISHED
    flock.run(LONG)
    first, *others = lengths(flock)
    assert first == (CELLS, False)
    assert sorted(others) == [*[(CELLS, False)] * (PROGRAMME_BURSTS - 1), (CELLS, True)]


def test_an_abort_is_repeated_and_no_join_and_the_programme_goes_on() -> None:
    flock = fresh()
    flock.settle()
    flock.members[1].outcome = Outcome.STALLED
    while not any(member.plans for member in flock.members):
        flock.tick()
    flock.run(8)
    flock.members[1].outcome = Outcome.FINISHED
    flock.run(2 * LONG)
    assert sorted(lengths(flock)) == [*[(CELLS, False)] * PROGRAMME_BURSTS, (CELLS, True)]


def gaps(flock: Flock, member: int, count: int) -> None:
    """The member sees a gap in each of the next bursts."""
    flock.members[member].outcome = Outcome.FINISHED_WITH_GAP
    while len(plans(flock)) < count:
        flock.tick()
        assert flock.round < 20_000
    flock.run(8)
    flock.members[member].outcome = Outcome.FINISHED


@pytest.mark.parametrize("wants", [0, 40])
def test_a_repeat_with_a_gap_brings_it_whoever_lacks_anything(wants: int) -> None:
    flock = at_rest()
    flock.members[0].need = 40
    gaps(flock, 2, 1)
    flock.members[0].need = wants
    gaps(flock, 2, 2)
    owed = {member.state.needs.programme for member in flock.members}
    assert len(owed) == 1 and None not in owed
    while len(plans(flock)) < 5:
        flock.tick()
        assert flock.round < 10_000
    flock.members[0].need = 0
    flock.run(LONG)
    assert lengths(flock) == [(CELLS, False), (CELLS, True), *[(CELLS, False)] * PROGRAMME_BURSTS]


@pytest.mark.parametrize("stalls", range(3))
def test_so_does_a_repeat_that_is_left_whoever_stalls(stalls: int) -> None:
    flock = at_rest()
    flock.members[0].need = 40
    flock.members[stalls].outcome = Outcome.STALLED
    while len(plans(flock)) < 1:
        flock.tick()
    flock.run(8)
    flock.members[0].need = 0
    while len(plans(flock)) < 2:
        flock.tick()
    flock.run(8)
    flock.members[stalls].outcome = Outcome.FINISHED
    owed = {member.state.needs.programme for member in flock.members}
    assert len(owed) == 1 and None not in owed
    flock.run(MOST_JOIN_ROUNDS + LONG)
    assert lengths(flock) == [(CELLS, False), (CELLS, True), *[(CELLS, False)] * PROGRAMME_BURSTS]


def test_who_spoils_every_burst_has_them_come_after_the_same_wait_and_no_more_owed() -> None:
    flock = at_rest()
    flock.members[0].need = 40
    gaps(flock, 2, 1)
    flock.members[0].need = 0
    gaps(flock, 2, 10)
    starts = [plan.start_round for plan in plans(flock)]
    assert lengths(flock) == [(CELLS, False), (CELLS, True)] * 5
    waits = {later - repeat for repeat, later in zip(starts[1::2], starts[2::2], strict=False)}
    assert waits == {MOST_JOIN_ROUNDS}
    flock.run(MOST_JOIN_ROUNDS + LONG)
    assert len(plans(flock)) == 10 + PROGRAMME_BURSTS


def late_gaps(late: int, lost: int) -> list[tuple[int, bool]]:
    """Member 2 ends that burst, and its repeat if that is later, long after the others, who do not
    know of its gap until then; member 0 not for as many further rounds as are `lost`. Meanwhile
    member 0 has come to need more than a programme carries. All bursts, until it has it."""
    flock = at_rest()
    flock.members[1].need = 40
    flock.members[2].outcome = Outcome.FINISHED_WITH_GAP
    while not flock.members[2].running:
        flock.tick()
    flock.members[1].need = 0
    for count in (1, 2):
        while len(plans(flock)) < count:
            flock.tick()
            assert flock.round < 10_000
        if count == late:
            flock.members[2].burst_rounds += 11
            flock.members[0].need = 300
        while flock.members[2].running:
            flock.tick()
        flock.members[2].burst_rounds = BURST_ROUNDS
    flock.members[2].outcome = Outcome.FINISHED
    for _ in range(lost):
        flock.tick({(2, 0)})
    while not any(plan.length > CELLS for plan in plans(flock)):
        flock.tick()
        assert flock.round < 10_000
    flock.members[0].need = 0
    flock.run(MOST_JOIN_ROUNDS + LONG)
    return lengths(flock)


@pytest.mark.parametrize("lost", [0, 1, 2, 3])
@pytest.mark.parametrize("late", [1, 2])
def test_a_larger_need_shown_before_a_gap_is_heard_of_comes_after_it(late: int, lost: int) -> None:
    """Else it would be in the place of one of its bursts, or before them."""
    bursts = [(CELLS, False), (CELLS, True), *[(CELLS, False)] * PROGRAMME_BURSTS, (512, False)]
    assert late_gaps(late, lost) == bursts


def cut_off_in_a_burst(source: int, late: int) -> list[tuple[list[Plan], list[bool]]]:
    """Member 0 is cut off in a burst that `source` wants, which the others repeat without it; then
    its link to `late` heals long after the other. What each member does that shows outside."""
    flock = at_rest()
    began = flock.round
    flock.members[source].need = 40

    def run(rounds: int) -> None:
        for _ in range(rounds):
            flock.tick()
            for member in flock.members:
                if member.shown.status is Status.SETTLING:
                    member.need = 0  # a whole burst has served it

    while flock.members[0].shown.status is not Status.BURSTING:
        flock.tick()
    flock.cut = {link for link in itertools.permutations(range(3), 2) if 0 in link}
    for member in flock.members:
        member.outcome = Outcome.STALLED
    run(3)
    for member in flock.members:
        member.outcome = Outcome.FINISHED
    run(30)
    flock.cut = {(0, late), (late, 0)}
    run(12)
    flock.cut = set()
    run(2 * LONG)
    return [
        (
            member.plans,
            [
                output.shown.status is Status.BURSTING
                for output in member.outputs
                if output.shown.round >= began
            ],
        )
        for member in flock.members
    ]


@pytest.mark.parametrize(("late", "repeats"), [(1, [1, 1, 2]), (2, [1, 2, 1])])
def test_who_is_left_out_of_a_late_repeat_does_not_depend_on_who_needed_the_burst(
    late: int, repeats: list[int]
) -> None:
    """Member 0 owes its repeat still, and makes it with the one that it hears first: the smaller
    lanes are preferred to the view that stands."""
    first, *others = [cut_off_in_a_burst(source, late) for source in range(3)]
    assert others == [first, first]
    assert [sum(plan.repeat for plan in plans) for plans, _ in first] == repeats


def test_a_smaller_view_keeps_what_is_left() -> None:
    flock = fresh(5)
    flock.settle()
    while len(flock.members[0].plans) < 1:
        flock.tick()
    flock.run(8)
    flock.members[4].alive = False
    flock.run(2 * LONG)
    assert lengths(flock) == [(CELLS, False)] * PROGRAMME_BURSTS


def test_below_quorum_nothing_is_shown_of_it() -> None:
    flock = fresh()
    flock.settle()
    flock.members[1].alive = flock.members[2].alive = False
    flock.run(LONG)
    late = flock.members[0].outputs[-LONG + 8 :]
    assert {output.shown.need for output in late} == {0}
    assert not flock.members[0].plans


def test_a_member_that_comes_and_goes_does_not_keep_the_others_from_their_bursts() -> None:
    flock = at_rest()
    for _ in range(40):
        flock.members[2].alive = False
        flock.run(6)
        flock.restart(2)
        flock.run(7)
    served = [plan for plan in flock.members[0].plans if not plan.repeat]
    assert len(served) >= 40 * 13 // (MOST_JOIN_ROUNDS + JOIN_ROUNDS)
    owed = flock.members[0].state.needs.programme
    assert owed is None or owed.left <= PROGRAMME_BURSTS
    flock.members[0].plans.clear()
    flock.run(2 * LONG)
    assert len(flock.members[0].plans) <= PROGRAMME_BURSTS


def test_on_a_timetable_there_is_none() -> None:
    flock = Flock(programme_cells=0)
    flock.settle()
    assert not any(cell.joins for cell in flock.shown())
    flock.run(LONG)
    assert not plans(flock)


# The values themselves.


def test_debts_are_not_added_up() -> None:
    owed = joined(None, 1000)
    assert owed == Programme(PROGRAMME_BURSTS, 1000 + JOIN_ROUNDS, 1000)
    again = joined(one_less(owed), 1010)
    assert again == Programme(PROGRAMME_BURSTS, 1010 + JOIN_ROUNDS, 1000)


@pytest.mark.parametrize("apart", [JOIN_ROUNDS - 1, JOIN_ROUNDS, JOIN_ROUNDS + 4, 40])
def test_members_that_come_and_go_do_not_put_a_programme_off_for_ever(apart: int) -> None:
    """Of so many rounds after the first join it could begin in as many as a join waits for."""
    owed, round_, free = joined(None, 1000), 1000, 0
    while round_ < 1000 + 2 * MOST_JOIN_ROUNDS:
        round_ += 1
        free += round_ >= owed.begins
        if round_ % apart == 0:
            owed = joined(owed, round_)
    assert free >= JOIN_ROUNDS


def test_after_what_could_long_have_begun_a_join_waits_as_ever() -> None:
    """Who was cut off in a repeat owes a programme that nobody was there for; what the join is for
    takes its rounds all the same."""
    back = 1000 + 10 * MOST_JOIN_ROUNDS
    for owed in (joined(None, 1000), spoilt(None, 1000)):
        assert joined(owed, back) == joined(None, back)
        assert joined(owed, owed.begins + 2).begins == owed.begins + 2 + JOIN_ROUNDS


def test_after_a_spoilt_repeat_the_wait_is_the_longest() -> None:
    owed = spoilt(None, 1000)
    assert (owed.left, owed.begins) == (PROGRAMME_BURSTS, 1000 + MOST_JOIN_ROUNDS)
    assert joined(owed, 1010).begins == 1010 + JOIN_ROUNDS


def test_a_gap_heard_of_after_a_join_takes_nothing_from_its_wait() -> None:
    owed = joined(None, 1100)
    assert spoilt(owed, 1000).begins == owed.begins
    assert spoilt(owed, 1090).begins == 1090 + MOST_JOIN_ROUNDS


def test_it_ends() -> None:
    owed: Programme | None = joined(None, 1)
    for _ in range(PROGRAMME_BURSTS):
        assert owed is not None
        owed = one_less(owed)
    assert owed is None
    assert one_less(None) is None


@pytest.mark.parametrize(
    ("burst_cell", "max_rate", "cells"),
    [
        (65_536, 0, MIN_BURST_CELLS),
        (1 << 20, 0, MIN_BURST_CELLS),
        (16_384, 0, 256),
        (4_096, 0, 1024),
        (4_096, 10_000_000, 1024),
        (4_096, 16_000, 128),
        (65_536, 16_000, MIN_BURST_CELLS),
    ],
)
def test_its_length_is_one_of_bytes(burst_cell: int, max_rate: int, cells: int) -> None:
    assert programme_cells(PROGRAMME_BYTES, burst_cell, max_rate) == cells
    if max_rate and cells > MIN_BURST_CELLS:
        assert cells * burst_cell <= 2 * max_rate * PROGRAMME_SECONDS
