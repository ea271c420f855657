"""Which sessions a measurement is made of, in which order, and how many events each has to judge.

A call flies sessions for a while and ends; the next one goes on. Controls come with what they are
controls of: without them a row says nothing.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path

from benchmarks.adversary.bounds import ENOUGH, ENOUGH_OF_TWO
from benchmarks.adversary.collect import collect
from benchmarks.adversary.series import CHANNELS, MANIPULATIONS, Series


@dataclass(frozen=True, slots=True)
class Step:
    """One series. `events`: of a session; `judged`: of all of them, at least."""

    series: Series
    judged: int
    events: int = 60


PLANS: dict[str, tuple[Step, ...]] = {
    "who": (
        Step(Series("who", "bursts", "honest", "max"), ENOUGH),
        Step(Series("who", "bursts", "honest", "grid"), ENOUGH),
        Step(Series("who", "heartbeats"), ENOUGH),
        Step(Series("who", "bursts", "original", "max"), 150, 30),
        Step(Series("who", "bursts", "skew", "max"), 400),
    ),
    "whether": tuple(Step(Series("whether", channel), 400, 40) for channel in CHANNELS),
    "single": (
        Step(Series("single", "bursts", "honest", "max"), ENOUGH_OF_TWO),
        Step(Series("single", "bursts", "honest", "grid"), ENOUGH_OF_TWO),
        Step(Series("single", "bursts", "hashing", "max"), 200, 40),
    ),
    "active": tuple(Step(Series("active", kind), 240, 30) for kind in MANIPULATIONS),
    "quick": (
        Step(Series("who", "bursts", "honest", hurried=True), 10, 9),
        Step(Series("who", "bursts", "original", hurried=True), 10, 9),
        Step(Series("single", "bursts", "honest", hurried=True), 1, 2),
        Step(Series("active", "cut", hurried=True), 1, 1),
        *(Step(Series("whether", channel, hurried=True), 1, 1) for channel in CHANNELS),
    ),
}


def measure(directory: Path, plan: str, seconds: float, seed: int) -> bool:
    """Fly for so long at most, but for the session that runs then. Whether the plan is done."""
    end = time.monotonic() + seconds
    for step in PLANS[plan]:
        left_s = end - time.monotonic()
        if not collect(directory, step.series, step.judged, step.events, left_s, seed):
            print(f"plan {plan}: a part is done: run it again to go on")
            return False
    print(f"plan {plan}: complete")
    return True
