"""Rounds and bursts: which cell may leave when."""

from __future__ import annotations

from typing import Literal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flocksy.protocol.schedule import (
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
    return BurstRun(b"burst-01", 0b111, own, S, length, delta_ns, pace, WINDOW, TIMEOUT_NS)


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
        run.sent += 1
    assert not run.others_allow()
    run.took(1, 1, LENGTH, S)
    assert not run.others_allow()
    run.took(2, 1, LENGTH, S)
    assert run.others_allow()


def test_the_smallest_credit_holds_all() -> None:
    run = burst()
    run.took(1, 0, LENGTH, S)
    run.took(2, 0, 2, S)
    run.sent = 1
    assert run.others_allow()
    run.sent = 2
    assert not run.others_allow()


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


def test_patience_with_the_own_box_is_shorter_than_the_others_with_us() -> None:
    run = burst()
    assert run.own_allows(2, S)
    assert not run.own_allows(1, S)
    assert not run.own_allows(1, S + TIMEOUT_NS // 2 - 1)
    assert run.own_allows(1, S + TIMEOUT_NS // 2)
    assert run.own_allows(1, S + TIMEOUT_NS), "and does not come back with every cell"
    assert run.own_allows(2, S) and not run.own_allows(1, S)


@given(st.data())
@settings(max_examples=25, deadline=None)
def test_a_flock_never_blocks_itself(data: st.DataObject) -> None:
    """However cells are delayed and boxes drain, three nodes come to the end without patience."""
    lanes, slots = 3, 3 * (2 * WINDOW + 2)
    length = 24
    runs = [burst(own, length=length) for own in range(lanes)]
    room = [slots] * lanes
    under_way: list[list[tuple[int, int]]] = [[] for _ in range(lanes * lanes)]
    moves = 0
    while not all(run.all_sent and run.all_taken for run in runs):
        moves += 1
        assert moves < 20_000
        node = data.draw(st.integers(0, lanes - 1)) if moves < 300 else moves % lanes
        run = runs[node]
        action = data.draw(st.integers(0, 2)) if moves < 300 else moves // lanes % 3
        if action == 0:
            room[node] = slots
        elif action == 1:
            for lane in range(lanes):
                queue = under_way[lane * lanes + node]
                if lane != node and queue:
                    k, credit = queue.pop(0)
                    run.took(lane, k, credit, S)
                    room[node] -= 1
                    assert room[node] >= 0, "credit keeps the in ring from overflowing"
        elif not run.all_sent and run.others_allow():
            credit = run.credit(length, room[node], lanes)
            if run.own_allows(credit, S):
                for other in range(lanes):
                    under_way[node * lanes + other].append((run.sent, credit))
                run.sent += 1
                room[node] -= 1
                assert room[node] >= 0


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
