"""What is lost in a lane is noticed, once, and what comes twice is dropped."""

from __future__ import annotations

import pytest

from flocksy.wire.lane import Lane

IDLE, BURST = 0, 1
ONE, TWO = b"session1", b"session2"


@pytest.mark.parametrize(
    ("arrivals", "handed_on", "gaps"),
    [
        ([(ONE, 0), (ONE, 1), (ONE, 2)], [False, False, False], 0),
        ([(ONE, 5), (ONE, 6)], [True, False], 1),
        ([(ONE, 0), (ONE, 2), (ONE, 3)], [False, True, False], 1),
        ([(ONE, 0), (ONE, 0), (ONE, 1)], [False, None, False], 0),
        ([(ONE, 0), (ONE, 2), (ONE, 1), (ONE, 3)], [False, True, None, False], 1),
        ([(ONE, 0), (TWO, 0), (TWO, 1)], [False, True, False], 1),
    ],
    ids=["in order", "begun late", "one lost", "twice", "overtaken", "started anew"],
)
def test_gaps(arrivals: list[tuple[bytes, int]], handed_on: list[bool | None], gaps: int) -> None:
    lane = Lane()
    seen = [
        lane.take_gap(IDLE) if lane.follow(session, sequence, IDLE) else None
        for session, sequence in arrivals
    ]
    assert seen == handed_on
    assert lane.gaps == gaps


def test_the_gears_are_two_streams() -> None:
    lane = Lane()
    assert lane.follow(ONE, 0, IDLE) and lane.follow(ONE, 3, BURST)
    assert not lane.take_gap(IDLE)
    assert lane.take_gap(BURST) and not lane.take_gap(BURST)
    assert lane.cells_in == [1, 1]
