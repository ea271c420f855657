"""Views, bursts, aborts and repeats, scene by scene. `test_explorer` tries all runs."""

from __future__ import annotations

from dataclasses import replace

import pytest

from flocksy.protocol.cell import MAX_EPOCH_NUMBER
from flocksy.protocol.fsm_table import Status
from flocksy.protocol.needs import Latch
from flocksy.protocol.proposals import make_proposal
from flocksy.protocol.shown import NO_EPOCH, Kind, Outcome, Plan, Stop
from flocksy.protocol.views import MAX_CELL_AGE
from tests.protocol.flock import Flock


def ready(size: int = 3, rest_mean_ms: int = 0) -> Flock:
    flock = Flock(size, size // 2 + 1, rest_mean_ms)
    flock.settle()
    assert {cell.status for cell in flock.shown()} == {Status.IDLE}
    return flock


def the_plans(flock: Flock) -> list[Plan]:
    """The bursts so far, which must be the same for all live members."""
    plans = [member.plans for member in flock.members if member.alive]
    assert all(other == plans[0] for other in plans)
    return plans[0]


# Views.


@pytest.mark.parametrize("size", [2, 3, 5, 8])
def test_a_view_of_all_forms(size: int) -> None:
    flock = ready(size)
    assert {cell.epoch for cell in flock.shown()} == {flock.shown()[0].epoch}
    assert flock.shown()[0].epoch.members == (1 << size) - 1
    assert all(member.output and member.output.real_allowed for member in flock.members)


def test_a_dead_member_is_left_out_of_a_new_epoch() -> None:
    flock = ready()
    number = flock.shown()[0].epoch.number
    flock.members[2].alive = False
    flock.settle()
    assert {(c.epoch.number, c.epoch.members) for c in flock.shown()} == {(number + 1, 0b011)}


def test_a_restarted_member_makes_a_new_epoch_of_the_same_members() -> None:
    flock = ready()
    number = flock.shown()[0].epoch.number
    flock.restart(1)
    flock.settle()
    assert {(c.epoch.number, c.epoch.members) for c in flock.shown()} == {(number + 1, 0b111)}


@pytest.mark.parametrize("above", [1, 1 << 32, MAX_EPOCH_NUMBER - 10_000])
def test_a_member_that_would_use_up_all_numbers_is_left_out(above: int) -> None:
    flock = ready()
    flock.restart(2)
    liar = flock.members[2]
    liar.state = replace(liar.state, highest=flock.round + 100 + above)
    flock.run(20)
    honest = flock.members[:2]
    assert {member.shown.epoch.members for member in honest} == {0b011}
    liar.alive = False
    flock.run(20)
    flock.restart(2)
    flock.settle()
    assert {cell.epoch.members for cell in flock.shown()} == {0b111}
    assert all(cell.highest < 20 for cell in flock.shown())


@pytest.mark.parametrize("above", [-1, 0, 1, 100, MAX_EPOCH_NUMBER - 10_000])
def test_a_high_number_at_the_start_keeps_nobody_from_any_view(above: int) -> None:
    flock = Flock()
    liar = flock.members[2]
    liar.state = replace(liar.state, highest=flock.round + above)
    flock.run(20)
    assert {member.shown.epoch.members for member in flock.members[:2]} <= {0b011, 0b111}
    liar.alive = False
    flock.settle()
    assert {cell.epoch.members for cell in flock.shown()} == {0b011}
    flock.restart(2)
    flock.settle()
    assert {cell.epoch.members for cell in flock.shown()} == {0b111}


def test_numbers_that_were_raised_while_a_member_was_cut_off_do_not_keep_it_out() -> None:
    flock = ready(5)
    flock.cut = {(0, other) for other in range(1, 5)} | {(other, 0) for other in range(1, 5)}
    flock.settle()
    liar = flock.members[4]
    for _ in range(3):
        # A little below what is absurd, and in no view, so that they make a new one.
        liar.state = replace(liar.state, highest=flock.round - 1, epoch=NO_EPOCH)
        flock.run(20)
    assert flock.members[1].state.highest > 1000
    liar.alive = False
    flock.settle()
    flock.cut = set()
    flock.settle()
    assert {cell.epoch.members for cell in flock.shown()} == {0b01111}


def test_a_cut_in_one_direction_counts_as_down() -> None:
    flock = ready()
    flock.cut = {(0, 2)}
    flock.run(14)
    # 1 hears both: the tie goes to the smaller lanes.
    assert [cell.epoch.members for cell in flock.shown()[:2]] == [0b011, 0b011]
    assert flock.shown()[2].status is Status.WAITING


def test_an_ineligible_lane_is_not_in_the_view() -> None:
    flock = Flock()
    flock.eligible = 0b011
    flock.settle()
    assert [cell.epoch.members for cell in flock.shown()[:2]] == [0b011, 0b011]


def test_below_quorum_nothing_real_and_no_need() -> None:
    flock = ready()
    flock.members[0].need = 100
    flock.members[1].alive = flock.members[2].alive = False
    flock.run(10)
    late = flock.members[0].outputs[-5:]
    assert not any(output.real_allowed for output in late)
    assert {output.shown.need for output in late} == {0}
    assert {output.shown.status for output in late} == {Status.WAITING}


def test_a_member_without_fresh_echo_stops_real_bytes_at_once() -> None:
    flock = ready()
    flock.cut = {(2, 0), (2, 1)}
    for _ in range(4):
        flock.tick()
    output = flock.members[0].output
    assert output is not None and not output.real_allowed
    assert output.shown.status is Status.WAITING


@pytest.mark.parametrize("size", [3, 5])
def test_who_alone_hears_all_does_not_go_on_alone(size: int) -> None:
    """All links but those of one member are cut, and no smaller view is large enough: whatever
    still came would be known to be that member's."""
    flock = Flock(size, min_view=3)
    flock.settle()
    others = range(1, size)
    flock.cut = {(a, b) for a in others for b in others if a != b}
    while flock.members[1].shown.status is Status.IDLE:
        flock.tick()
    flock.tick()  # the cell in which the others show whom they miss
    for _ in range(20):
        assert not any(member.output and member.output.real_allowed for member in flock.members)
        flock.tick()
    assert {cell.status for cell in flock.shown()} == {Status.WAITING}
    flock.cut = set()
    flock.settle()
    assert all(member.output and member.output.real_allowed for member in flock.members)


@pytest.mark.parametrize("slow", [{(0, 1)}, {(1, 0), (2, 0)}, {(0, 1), (1, 2), (2, 1)}])
def test_links_of_one_and_two_rounds_settle_on_one_view(slow: set[tuple[int, int]]) -> None:
    flock = Flock(period_ms=125)
    flock.slow = slow
    flock.run(16)
    epochs = {cell.epoch for cell in flock.shown()}
    flock.run(16)
    assert {cell.epoch for cell in flock.shown()} == epochs
    assert len(epochs) == 1
    flock.members[0].need = 100
    flock.run(3)
    flock.members[0].need = 0
    flock.run(20)
    assert [plan.length for plan in the_plans(flock)] == [128]


# Bursts.


def test_two_needs_of_one_round_merge_into_the_larger() -> None:
    flock = ready()
    flock.members[0].need, flock.members[2].need = 5, 70
    flock.tick()
    r0 = flock.round - 1
    flock.members[0].need = flock.members[2].need = 0
    flock.run(20)
    (plan,) = the_plans(flock)
    assert (plan.length, plan.start_round, plan.repeat) == (128, r0 + 4, False)


def test_a_need_of_the_next_round_gets_the_next_burst() -> None:
    flock = ready()
    flock.members[0].need = 5
    flock.tick()
    flock.members[2].need = 70
    flock.tick()
    flock.members[0].need = 0
    flock.run(9)
    flock.members[2].need = 0
    flock.run(20)
    assert [plan.length for plan in the_plans(flock)] == [64, 128]


def test_a_shown_need_does_not_change_until_its_burst_ended() -> None:
    flock = ready()
    flock.members[1].need = 10
    flock.tick()
    flock.members[1].need = 500
    for _ in range(5):
        flock.tick()
        assert flock.members[1].shown.need == 10
    flock.run(4)
    flock.members[1].need = 0
    flock.run(20)
    assert [plan.length for plan in the_plans(flock)] == [64, 512]


@pytest.mark.parametrize("lost", [{(0, 1)}, {(1, 0)}, {(0, 1), (0, 2)}, {(2, 0), (0, 2)}])
@pytest.mark.parametrize("at", range(4))
def test_lost_heartbeats_do_not_change_the_burst(lost: set[tuple[int, int]], at: int) -> None:
    flock = ready()
    flock.members[0].need = 100
    for tick in range(4):
        flock.tick(lost if tick == at else None)
    flock.run(3)
    flock.members[0].need = 0
    flock.run(20)
    (plan,) = the_plans(flock)
    assert plan.length == 128


def test_who_has_not_heard_the_confirmation_learns_from_a_burst_cell() -> None:
    flock = ready()
    flock.members[0].need = 100
    flock.run(2)
    # Nobody reaches 2 until the burst runs: it has proposed, but cannot confirm.
    while flock.members[0].shown.status is not Status.BURSTING:
        flock.tick({(0, 2), (1, 2)})
    assert not flock.members[2].plans
    flock.tick()
    assert flock.members[2].plans == flock.members[0].plans
    assert flock.members[2].shown.status is Status.BURSTING


def test_nobody_brings_a_programme_where_there_is_none() -> None:
    """A need of no cells would stand for it, and be the only one shown from then on."""
    flock = Flock()
    liar = flock.members[2]
    liar.parameters = replace(liar.parameters, programme_cells=64)
    flock.settle()
    liar.alive = False
    flock.run(30)
    flock.members[0].need = 10
    flock.run(10)
    assert [plan.length for plan in flock.members[0].plans[:1]] == [64]


def test_a_view_that_is_shown_as_confirmed_is_no_burst() -> None:
    """Else all owe a repeat of no length, and nothing is ever collected again."""
    flock = ready()
    liar = flock.members[2]
    epoch = liar.shown.epoch
    view = make_proposal(Kind.VIEW, flock.round - 2, epoch.number, epoch.members, 0, 0)
    for _ in range(20):
        last = liar.outputs[-1]
        lie = replace(last.shown, proposal=view, confirmed=True, gap_of=view.id)
        liar.outputs[-1] = replace(last, shown=lie)
        flock.tick()
    assert not any(member.plans for member in flock.members)
    flock.members[0].need = 10
    flock.run(20)
    assert [plan.length for plan in the_plans(flock)][:1] == [64]


def test_nobody_shows_a_need_during_the_rest() -> None:
    flock = ready(rest_mean_ms=60_000)  # With this mean nearly every rest has the cap.
    for member in flock.members:
        member.need = 10
    while flock.members[0].shown.status is not Status.SETTLING:
        flock.tick()
    for _ in range(4):
        flock.tick()
        assert {cell.need for cell in flock.shown()} == {0}
    rests = {member.state.needs.quiet_until for member in flock.members}
    assert len(rests) == 1 and rests.pop() > flock.round


def test_a_need_that_waits_is_not_shown_in_the_burst_of_one_who_does_not_rest() -> None:
    flock = ready(rest_mean_ms=60_000)
    early, late, other = flock.members
    early.need = 10
    flock.tick()
    late.need = 70  # the first burst is collected from the round before this is shown
    flock.tick()
    early.need = 0
    while early.state.needs.quiet_until <= flock.round:
        flock.tick()
    # As one who was not there.
    other.state = replace(other.state, needs=replace(other.state.needs, quiet_until=0))
    other.need = 5
    rest = early.state.needs.quiet_until
    while len(late.plans) < 2:
        flock.tick()
        assert late.shown.need == 0 and flock.round < rest
    other.need = 0
    flock.run(30)
    late.need = 0
    flock.run(late.state.needs.quiet_until - flock.round + 20)
    assert [plan.length for plan in the_plans(flock)] == [64, 64, 128]


# Aborts and repeats.


def test_a_gap_seen_by_one_is_followed_by_one_repeat_of_all() -> None:
    flock = ready()
    flock.members[0].need = 100
    flock.members[2].outcome = Outcome.FINISHED_WITH_GAP
    flock.run(7)
    flock.members[0].need = 0
    flock.run(40)
    first, second = the_plans(flock)
    assert (second.length, second.repeat) == (first.length, True)


def test_a_stall_of_one_ends_the_burst_and_the_epoch_of_all_and_is_repeated_once() -> None:
    flock = ready()
    number = flock.shown()[0].epoch.number
    flock.members[0].need = 100
    flock.members[1].outcome = Outcome.STALLED
    flock.run(8)
    flock.members[0].need = 0
    flock.run(40)
    assert Status.LEFT in flock.members[1].history()
    first, second = the_plans(flock)
    assert (second.length, second.repeat) == (first.length, True)
    # The repeat was aborted as well, and that is the end of it: two aborts, two new epochs.
    assert {cell.epoch.number for cell in flock.shown()} == {number + 2}


def test_a_member_killed_in_a_burst_is_left_behind() -> None:
    flock = ready()
    flock.members[0].need = 100
    while flock.members[0].shown.status is not Status.BURSTING:
        flock.tick()
    flock.members[2].alive = False
    for member in flock.members:
        member.outcome = Outcome.STALLED
    flock.run(3)
    for member in flock.members:
        member.outcome = Outcome.FINISHED
    flock.members[0].need = 0
    flock.run(40)
    first, second = the_plans(flock)
    assert (second.length, second.repeat, second.members) == (first.length, True, 0b011)


def test_who_hears_that_another_left_the_burst_leaves_with_its_next_step() -> None:
    flock = ready()
    flock.members[0].need = 100
    while flock.members[0].shown.status is not Status.BURSTING:
        flock.tick()
    # Only one of them stalls: the others would go on for as long as it takes.
    flock.members[1].running = flock.members[0].running = None
    flock.members[2].outcome = Outcome.STALLED
    while flock.members[2].shown.left is None:
        assert flock.members[0].shown.status is Status.BURSTING
        flock.tick()
    flock.tick()
    for member in flock.members[:2]:
        assert member.shown.status is Status.LEFT
        assert member.shown.left == flock.members[2].shown.left
        assert member.shown.epoch == NO_EPOCH


@pytest.mark.parametrize("last", [Outcome.STALLED, None])
def test_so_they_do_where_nobody_has_heard_anybody_for_long(last: Outcome | None) -> None:
    """As in a burst that stands for `stall_timeout`; also when it is the last cell of who ends."""
    flock = ready()
    flock.members[0].need = 100
    while flock.members[0].shown.status is not Status.BURSTING:
        flock.tick()
    first, second, third = flock.members
    running, first.running, second.running, third.running = third.running, None, None, None
    nobody = {(source, target) for source in range(3) for target in range(3)}
    for _ in range(4 * MAX_CELL_AGE):
        flock.tick(nobody)
    third.running, third.outcome, third.leaving = running, Outcome.STALLED, last is None
    flock.tick({(0, 2), (1, 2)})  # in a burst nobody sends heartbeats
    assert third.shown.left is not None and third.shown.leaving is (last is None)
    assert first.shown.status is Status.BURSTING
    flock.tick()
    assert first.shown.status is second.shown.status is Status.LEFT


@pytest.mark.parametrize("period_ms", [50, 100, 250])
def test_of_a_burst_to_come_one_round_divides_the_members(period_ms: int) -> None:
    """Of whom cell 0 may be real, where a link between two is held up from some round on."""
    divided = 0
    lead_rounds = Flock(period_ms=period_ms).members[0].parameters.lead_rounds
    for begin in range(-MAX_CELL_AGE - 1, lead_rounds + 1):
        flock = Flock(period_ms=period_ms)
        flock.settle()
        r0 = flock.round + MAX_CELL_AGE + 1
        while flock.round <= r0 + lead_rounds:
            flock.members[0].need = 100 if flock.round >= r0 else 0
            flock.tick({(1, 2), (2, 1)} if flock.round > r0 + begin else None)
        if all(cell.status is Status.BURSTING for cell in flock.shown()):
            answers = {bool(one.output and one.output.real_allowed) for one in flock.members}
            divided += len(answers) > 1
    assert divided == 1


@pytest.mark.parametrize("sustain_us", [1000, 1_000_000])
def test_a_slow_burst_to_come_excuses_nobody(sustain_us: int) -> None:
    flock = Flock(period_ms=50, sustain_us=sustain_us)  # 15 rounds from r0 to the start
    flock.settle()
    flock.members[0].need = 100
    while flock.members[0].shown.status is not Status.CONFIRMED:
        flock.tick()
    flock.members[2].alive = False
    flock.run(MAX_CELL_AGE + 1)
    for member in flock.members[:2]:
        assert member.shown.status is Status.CONFIRMED
        assert member.output is not None and not member.output.real_allowed


def test_in_a_slow_burst_members_are_alive_for_some_of_its_cells_and_not_after_it() -> None:
    delta_rounds = 4
    flock = Flock(sustain_us=delta_rounds * 250_000)
    flock.settle()
    flock.members[0].need = 1  # 64 cells
    while not flock.members[0].plans:
        flock.tick()
    (plan,) = flock.members[0].plans
    for member in flock.members:
        member.running = None  # it takes longer than this scene
    flock.run(plan.start_round + 1 - flock.round)
    flock.members[2].alive = False
    flock.run(2 * delta_rounds)
    for member in flock.members[:2]:
        assert member.output is not None and member.output.real_allowed
    flock.run(2 * delta_rounds)
    for member in flock.members[:2]:
        assert member.output is not None and not member.output.real_allowed
    last_round = plan.start_round + (plan.length - 1) * delta_rounds
    flock.members[2].alive = True
    flock.run(last_round - flock.round)
    flock.members[2].alive = False
    flock.run(MAX_CELL_AGE + 2)
    for member in flock.members[:2]:
        assert member.shown.status is Status.BURSTING
        assert member.output is not None and not member.output.real_allowed


@pytest.mark.parametrize("owed_cells", [64, 128, 256])
def test_an_ordinary_burst_that_is_as_long_stands_for_a_repeat_that_is_shown(
    owed_cells: int,
) -> None:
    flock = ready()
    flock.members[0].need = 100
    while flock.members[0].shown.status is not Status.BURSTING:
        flock.tick()
    (plan,) = flock.members[0].plans
    # Shown from a later round than that of which this burst was collected.
    latch = Latch(owed_cells, flock.round, b"earlier!")
    member = flock.members[2]
    member.state = replace(member.state, needs=replace(member.state.needs, latch=latch))
    while member.shown.status is Status.BURSTING:
        flock.tick()
    assert member.shown.status is Status.SETTLING
    assert (member.state.needs.latch is None) == (plan.length >= owed_cells)


def test_a_clean_burst_is_not_repeated() -> None:
    flock = ready()
    flock.members[0].need = 100
    flock.run(7)
    flock.members[0].need = 0
    flock.run(40)
    assert len(the_plans(flock)) == 1


# Leaving.


def test_who_leaves_is_dropped_at_once() -> None:
    flock = ready()
    flock.members[2].leaving = True
    flock.tick()
    output = flock.members[2].output
    assert output is not None and output.commands == (Stop(),)
    assert (output.shown.status, output.shown.leaving) == (Status.LEAVING, True)
    flock.tick()
    assert {member.shown.candidate for member in flock.members[:2]} == {0b011}
    flock.members[2].alive = False
    flock.run(3)
    assert {cell.epoch.members for cell in flock.shown()} == {0b011}


def test_a_burst_is_finished_before_leaving() -> None:
    flock = ready()
    flock.members[0].need = 100
    flock.run(3)
    assert flock.members[2].shown.confirmed
    flock.members[0].need = 0
    flock.members[2].leaving = True
    flock.run(8)
    seen = flock.members[2].history()
    assert seen.index(Status.BURSTING) < seen.index(Status.LEAVING)
