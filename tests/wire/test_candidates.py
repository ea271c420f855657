"""Which endpoint of a member is tried, and when the next one."""

from __future__ import annotations

from dataclasses import replace

import pytest

from flocksy.testing.flock import drive, full_view, make_settings, with_hashes
from flocksy.wire.candidates import Candidates
from flocksy.wire.limits import TOLD_ADDRESSES, TRY_ADDRESS_NS
from tests.wire.test_process import endpoints, running

A, B, C = "tcp://10.0.0.1:5000", "tcp://10.0.0.2:5000", "tcp://10.0.0.3:5000"


def tried(candidates: Candidates, turns: int, began_ns: int = 0) -> list[str]:
    """What is tried by a link that stays down."""
    found = []
    for turn in range(turns):
        candidates.moves(up=False, now_ns=began_ns + turn * TRY_ADDRESS_NS)
        found.append(candidates.current)
    return found


def test_all_take_turns_at_one_pace_while_the_link_is_down() -> None:
    candidates = Candidates([A, B])
    candidates.told(C)
    assert tried(candidates, 7) == [A, B, C, A, B, C, A]
    assert not candidates.moves(up=False, now_ns=7 * TRY_ADDRESS_NS - 1), "its time is not over"


def test_what_works_stays() -> None:
    candidates = Candidates([A, B])
    assert not candidates.moves(up=True, now_ns=0)
    candidates.told(C)
    assert not candidates.moves(up=True, now_ns=100 * TRY_ADDRESS_NS)
    assert not candidates.moves(up=False, now_ns=101 * TRY_ADDRESS_NS), "only just down"
    assert candidates.current == A
    assert candidates.moves(up=False, now_ns=102 * TRY_ADDRESS_NS)
    assert candidates.current == B


def test_a_single_one_is_never_connected_anew() -> None:
    candidates = Candidates([A])
    candidates.told(A)
    assert not any(candidates.moves(up=False, now_ns=n * TRY_ADDRESS_NS) for n in range(9))


def test_one_is_told_where_no_name_was_found() -> None:
    candidates = Candidates([])
    assert not candidates.moves(up=False, now_ns=1)
    candidates.told(B)
    assert candidates.moves(up=False, now_ns=2)
    assert candidates.current == B


def test_who_has_no_address_yet_has_no_turn() -> None:
    candidates = Candidates([A, B, C])
    missing = {A}
    assert candidates.moves(up=False, now_ns=0, missing=missing.__contains__)
    assert candidates.current == B, "at once"
    assert candidates.moves(up=False, now_ns=TRY_ADDRESS_NS, missing=missing.__contains__)
    assert candidates.moves(up=False, now_ns=2 * TRY_ADDRESS_NS, missing=missing.__contains__)
    assert candidates.current == B
    missing.clear()
    found = []
    for turn in range(3, 6):
        candidates.moves(up=False, now_ns=turn * TRY_ADDRESS_NS, missing=missing.__contains__)
        found.append(candidates.current)
    assert found == [C, A, B]
    missing |= {A, B, C}
    assert not candidates.moves(up=False, now_ns=99 * TRY_ADDRESS_NS, missing=missing.__contains__)


def test_a_flood_pushes_out_the_oldest_but_never_what_is_in_use() -> None:
    candidates = Candidates([A])
    candidates.told(B)
    assert candidates.moves(up=False, now_ns=0) is False
    assert candidates.moves(up=False, now_ns=TRY_ADDRESS_NS)
    for number in range(100):
        candidates.told(f"tcp://10.1.0.{number}:1")
    every = set(tried(candidates, 10, 2 * TRY_ADDRESS_NS))
    assert {A, B} <= every
    assert len(every) == 1 + TOLD_ADDRESSES


@pytest.mark.slow
def test_a_link_moves_to_where_the_member_is() -> None:
    settings = make_settings(endpoints("tcp", ""))
    moved = settings[0].bind[0]
    nowhere = endpoints("tcp", "")[0]
    absent = replace(settings[0].members[0], endpoints=(nowhere,))
    lost = with_hashes(replace(settings[2], members=(absent, *settings[2].members[1:])))
    with running([*settings[:2], lost]) as boxes:
        assert drive(boxes, lambda: boxes[1].report.view.bit_count() == 2)
        boxes[2].seam.tell_address(0, moved.replace("localhost", "127.0.0.1"))
        assert drive(boxes, lambda: full_view(boxes), 60)
        assert drive(boxes, lambda: "127.0.0.1" in boxes[2].report.lanes[0].address)
        assert boxes[1].report.lanes[0].address == moved
