"""A process that dies again and again is started ever later."""

from __future__ import annotations

from flocksy.node.restarts import FIRST_SECONDS, HEALTHY_SECONDS, MAX_SECONDS, Restarts


def pause(restarts: Restarts, lived_s: float, now: float) -> float:
    """Let it run for so long and die; returns the pause that follows."""
    restarts.started(now)
    assert restarts.due is None
    restarts.died(now + lived_s)
    assert restarts.due is not None
    return restarts.due - now - lived_s


def test_the_pause_doubles_up_to_its_bound() -> None:
    restarts = Restarts()
    pauses = [pause(restarts, 1.0, 100.0 * number) for number in range(12)]
    assert pauses[:3] == [FIRST_SECONDS, 2 * FIRST_SECONDS, 4 * FIRST_SECONDS]
    assert pauses[-1] == MAX_SECONDS


def test_one_that_has_lived_begins_anew() -> None:
    restarts = Restarts()
    for number in range(5):
        pause(restarts, 1.0, 100.0 * number)
    assert pause(restarts, HEALTHY_SECONDS, 1000.0) == FIRST_SECONDS
    assert pause(restarts, 1.0, 2000.0) == 2 * FIRST_SECONDS
