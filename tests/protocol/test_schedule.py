"""Rounds and bursts: which cell may leave when."""

from __future__ import annotations

import random
from typing import Literal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flocksy.protocol.programme import PROGRAMME_BYTES, programme_cells
from flocksy.protocol.schedule import (
    HOLD_NS,
    HOLD_SHARE,
    BurstPace,
    BurstRun,
    Sustain,
    instant_ns,
    rate_delta_us,
    resume_round,
    round_at,
)

S = 1_000_000_000
MS = 1_000_000
WINDOW = 4
LENGTH = 64
TIMEOUT_NS = 5 * S


def burst(
    own: int = 0, pace: Literal["max", "grid"] = "max", delta_ns: int = 0, length: int = LENGTH
) -> BurstRun:
    kind = BurstPace(pace, WINDOW, TIMEOUT_NS, MS)
    return BurstRun(b"burst-01", 0b111, own, S, length, delta_ns, kind)


def test_rounds_and_instants_belong_together() -> None:
    assert round_at(instant_ns(17, 250), 250) == 17
    assert round_at(instant_ns(17, 250) - 1, 250) == 16


@pytest.mark.parametrize(
    ("last", "settle", "round_"), [(1000, 0, 4), (1001, 0, 5), (1000, 1, 5), (1000, 250, 5)]
)
def test_the_idle_gear_resumes_at_the_first_instant_after_settling(
    last: int, settle: int, round_: int
) -> None:
    assert resume_round(last, settle, 250) == round_


def test_at_pace_max_a_node_is_at_most_a_window_ahead_of_every_lane() -> None:
    run = burst()
    run.took(1, 0, LENGTH, S)
    run.took(2, 0, LENGTH, S)
    for k in range(WINDOW + 1):
        assert run.others_allow(), k
        run.emitted(LENGTH, S)
    assert not run.others_allow()
    run.took(1, 1, LENGTH, S)
    assert not run.others_allow()
    run.took(2, 1, LENGTH, S)
    assert run.others_allow()


SHORT = range(2 * WINDOW, 4 * WINDOW)
"""Cells in which lane 0 shows that it is short of something, by just that cell at least."""


def shown_by(lane: int, k: int) -> int:
    return k if lane == 0 and k in SHORT else LENGTH if k >= SHORT.stop else SHORT.start


@pytest.mark.parametrize("seed", range(20))
def test_all_wait_at_the_same_cells_whoever_is_short(seed: int) -> None:
    """Nobody goes on sooner, and least of all the one whose rings were short and are no more."""
    draw = random.Random(seed)
    runs = [burst(lane) for lane in range(3)]
    under_way: dict[tuple[int, int], list[int]] = {
        (lane, other): [] for lane in range(3) for other in range(3) if lane != other
    }
    held: list[list[int]] = [[] for _ in runs]
    now = S
    for _ in range(100_000):
        if all(run.all_sent for run in runs):
            break
        lane = draw.randrange(3)
        run = runs[lane]
        other = draw.choice([one for one in range(3) if one != lane])
        if under_way[other, lane] and draw.random() < 0.7:
            k = under_way[other, lane].pop(0)
            run.took(other, k, shown_by(other, k), now)
        elif not run.all_sent and run.others_allow():
            if run.holds:
                held[lane].append(run.sent)
            now = max(now, run.due_ns)
            for k in range(run.sent, run.clear_until()):
                run.emitted(shown_by(lane, k), now)
                for one in range(3):
                    if one != lane:
                        under_way[lane, one].append(k)
    assert held[0] == held[1] == held[2]
    assert held[0] and set(held[0]) <= set(range(SHORT.start, SHORT.stop + 1))


def test_the_newest_credit_shown_counts_once_all_have_it() -> None:
    run = burst()
    for lane in (1, 2):
        for k in range(WINDOW + 1):
            run.took(lane, k, 2 if lane == 1 and k < WINDOW else LENGTH, S)
    for _ in range(WINDOW + 1):
        run.emitted(LENGTH, S)
    assert run.others_allow() and run.due_ns <= S
    assert run.clear_until() == 2 * WINDOW + 1


def test_where_a_window_ago_was_too_little_all_of_the_cell_before_are_waited_for() -> None:
    run = burst()
    for lane in (1, 2):
        for k in range(WINDOW - 1):
            run.took(lane, k, 2, S)
    for _ in range(WINDOW + 1):
        assert run.others_allow()
        run.emitted(LENGTH, S)
    assert not run.others_allow()
    assert not run.stalled(S + TIMEOUT_NS)
    assert run.stalled(run.due_ns + TIMEOUT_NS + 1)
    for lane in (1, 2):
        for k in range(WINDOW - 1, WINDOW + 1):
            run.took(lane, k, 2, S)
    assert run.others_allow()
    assert run.due_ns == S + HOLD_NS
    run.emitted(LENGTH, S + HOLD_NS)
    assert run.due_ns == S + HOLD_NS + 2 * HOLD_NS, "the hold doubles"


def test_a_hold_is_never_as_long_as_a_stall() -> None:
    run = burst(length=1 << 10)
    now = S
    for k in range(200):
        for lane in (1, 2):
            run.took(lane, k, 0, now)
        assert run.due_ns - now <= TIMEOUT_NS // HOLD_SHARE
        now = max(now, run.due_ns)
        assert not run.stalled(now)
        run.emitted(0, now)


@pytest.mark.parametrize("delta_ns", [0, 3_650_000, 10_950_000])
@pytest.mark.parametrize("late_at", [range(40), range(0, 40, 3), range(WINDOW, 2 * WINDOW)])
def test_how_late_a_node_wakes_shows_in_no_later_cell(late_at: range, delta_ns: int) -> None:
    """Holds follow each other; counted from the waking they would carry its lateness on. Who wakes
    late takes the others' cells late as well."""
    runs = [burst(lane, delta_ns=delta_ns, length=40) for lane in range(3)]
    for k in range(40):
        assert len({run.due_ns for run in runs}) == 1, k
        late_ns = [3_500_000 if k in late_at else 20_000, 20_000, 20_000]
        left_ns = [run.due_ns + by_ns for run, by_ns in zip(runs, late_ns, strict=True)]
        for run, now in zip(runs, left_ns, strict=True):
            run.emitted(k % 7, now)
        for one in range(3):
            for other in {0, 1, 2} - {one}:
                runs[one].took(other, k, k % 7, max(left_ns[one], left_ns[other] + 300_000))


def test_how_long_a_hold_is_does_not_depend_on_what_left_in_one_go() -> None:
    runs = [burst(), burst()]
    for run in runs:
        for lane in (1, 2):
            for k in range(2 * WINDOW):
                run.took(lane, k, min(WINDOW + 2 + k, 2 * WINDOW), S)
    together, alone = runs
    while together.due_ns <= S and not together.holds:
        for _ in range(together.sent, together.clear_until()):
            together.emitted(LENGTH, S)
    while alone.due_ns <= S and not alone.holds:
        alone.emitted(LENGTH, S)
    assert together.sent == alone.sent == 2 * WINDOW
    assert together.due_ns == alone.due_ns == S + HOLD_NS


def test_what_may_leave_in_one_go_keeps_to_window_and_credits() -> None:
    run = burst()
    for lane in (1, 2):
        run.took(lane, 0, LENGTH, S)
    assert run.clear_until() == WINDOW
    for _ in range(WINDOW):
        run.emitted(LENGTH, S)
    assert run.clear_until() == 1 + WINDOW
    run = burst()
    for lane in (1, 2):
        for k in range(WINDOW):
            run.took(lane, k, LENGTH if lane == 1 else WINDOW + 2, S)
    for _ in range(WINDOW):
        run.emitted(LENGTH, S)
    assert run.clear_until() == WINDOW + 2
    assert burst(pace="grid", delta_ns=10 * MS).clear_until() == 1


def test_who_learns_late_counts_what_was_lost_before() -> None:
    run = burst()
    run.joins(1, 5, LENGTH, S, False)
    assert not run.gap
    run.joins(2, 5, LENGTH, S, True)
    assert run.gap


def test_a_grid_waits_for_nobody() -> None:
    run = burst(pace="grid", delta_ns=10 * MS)
    for k in range(LENGTH):
        assert run.due_ns == S + k * 10 * MS
        assert run.others_allow()
        run.sent += 1
    assert run.all_sent and not run.stalled(S + 100 * TIMEOUT_NS)


def test_who_waits_too_long_for_a_lane_has_stalled() -> None:
    run = burst()
    run.sent = WINDOW
    run.took(1, 0, LENGTH, 2 * S)
    assert not run.stalled(S + TIMEOUT_NS)
    assert run.stalled(S + TIMEOUT_NS + 1)
    run.took(2, 0, LENGTH, S + TIMEOUT_NS)
    assert not run.stalled(S + TIMEOUT_NS + 1)


def test_a_lane_that_lost_cells_is_a_gap_and_goes_on() -> None:
    run = burst()
    run.took(1, 0, LENGTH, S)
    assert not run.gap
    run.took(1, 5, LENGTH, S)
    assert run.gap
    assert not run.expects(1, 5) and run.expects(1, 6) and not run.expects(7, 6)


def test_a_lane_that_never_completes_ends_as_a_late_tail() -> None:
    run = burst()
    run.sent = LENGTH
    run.took(1, LENGTH - 1, LENGTH, 2 * S)
    assert not run.late_tail(S + TIMEOUT_NS)
    assert run.late_tail(S + TIMEOUT_NS + 1)


@pytest.mark.parametrize("pace", ["max", "grid"])
def test_cells_that_leave_far_apart_are_not_late_before_they_were_due(
    pace: Literal["max", "grid"],
) -> None:
    """Else each burst of a flock with a low `max_rate` had a gap, and brought about the next."""
    delta_ns = 2 * TIMEOUT_NS
    run = burst(pace=pace, delta_ns=delta_ns)
    for k in range(LENGTH - 1):
        for lane in (1, 2):
            run.took(lane, k, LENGTH, S + k * delta_ns)
    run.sent = LENGTH
    last = S + (LENGTH - 1) * delta_ns
    assert not run.late_tail(last) and not run.late_tail(last + delta_ns + TIMEOUT_NS)
    assert run.late_tail(last + delta_ns + TIMEOUT_NS + 1)


@given(st.data())
@settings(max_examples=25, deadline=None)
def test_a_flock_never_blocks_itself(data: st.DataObject) -> None:
    """However cells are delayed and boxes drain, three nodes come to the end."""
    lanes, slots = 3, 3 * (2 * WINDOW + 2)
    length = 24
    runs = [burst(own, length=length) for own in range(lanes)]
    room = [slots] * lanes
    under_way: list[list[tuple[int, int]]] = [[] for _ in range(lanes * lanes)]
    now = S
    for moves in range(20_000):
        if all(run.all_sent and run.all_taken for run in runs):
            return
        node = data.draw(st.integers(0, lanes - 1)) if moves < 300 else moves % lanes
        run = runs[node]
        action = data.draw(st.integers(0, 2)) if moves < 300 else moves // lanes % 3
        now += HOLD_NS // 4
        if action == 0:
            room[node] = slots
        elif action == 1:
            for lane in range(lanes):
                queue = under_way[lane * lanes + node]
                if lane != node and queue:
                    k, credit = queue.pop(0)
                    run.took(lane, k, credit, now)
                    room[node] = max(0, room[node] - 1)
        elif not run.all_sent and run.others_allow() and now >= run.due_ns:
            credit = run.credit(length, room[node], lanes)
            for other in range(lanes):
                under_way[node * lanes + other].append((run.sent, credit))
            run.emitted(credit, now)
            room[node] = max(0, room[node] - 1)
    raise AssertionError("the flock stands")


def test_a_rate_becomes_a_distance() -> None:
    assert rate_delta_us(65536, 0) == 0
    assert rate_delta_us(65536, 65536) == 1_000_000
    assert Sustain(65536, 3, "max", 65536).delta_us == 1_000_000


def test_what_is_sustained_follows_from_losses() -> None:
    sustain = Sustain(65536, 3, "grid", 0)
    first = sustain.delta_us
    sustain.finished(lost=True)
    assert sustain.delta_us == 2 * first
    for _ in range(100):
        sustain.finished(lost=False)
    assert 0 < sustain.delta_us < first
    assert Sustain(65536, 3, "max", 0).delta_us == 0


@pytest.mark.parametrize("cell_bytes", [4096, 65536, 1 << 20])
def test_losses_for_good_leave_a_pace_at_which_a_join_is_over_soon(cell_bytes: int) -> None:
    sustain = Sustain(cell_bytes, 3, "grid", 0)
    for _ in range(100):
        sustain.finished(lost=True)
    cells = programme_cells(PROGRAMME_BYTES, cell_bytes, 0)
    assert 29 < sustain.delta_us * cells / 1e6 <= 30
    slow = Sustain(cell_bytes, 3, "grid", 1024)
    for _ in range(100):
        slow.finished(lost=True)
    assert slow.delta_us == rate_delta_us(cell_bytes, 1024), "what the setting says holds"


@pytest.mark.parametrize("members", [2, 3, 20])
@pytest.mark.parametrize("max_rate", [0, 16_000])
@pytest.mark.parametrize("pace", ["max", "grid"])
@pytest.mark.parametrize("cell_bytes", [4096, 65536, 1 << 20])
def test_nobody_shows_a_pace_that_all_would_refuse(
    cell_bytes: int, pace: str, max_rate: int, members: int
) -> None:
    sustain = Sustain(cell_bytes, members, pace, max_rate)
    assert 0 <= sustain.delta_us <= sustain.slowest_us
    for _ in range(12):
        sustain.finished(lost=True)
        assert 0 <= sustain.delta_us <= sustain.slowest_us
    assert sustain.delta_us == sustain.slowest_us
