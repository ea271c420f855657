"""Which sessions a measurement is made of, in which order, and how many events each has to judge.

A call flies sessions for a while and ends; the next one goes on. Controls come with what they are
controls of, and first: without them a row says nothing.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path

from benchmarks.adversary.bounds import ENOUGH, flown
from benchmarks.adversary.collect import collect
from benchmarks.adversary.series import CHANNELS, MANIPULATIONS, PARTED, Series


@dataclass(frozen=True, slots=True)
class Step:
    """One series. `events`: of a session; `judged`: of all of them, at least."""

    series: Series
    judged: int
    events: int = 60


CONTROLS = {
    "original": (50, 30),
    "skew": (100, 60),
    "hashing": (120, 60),
    "late": (60, 30),
    "needy": (60, 12),
}
"""By build: events to judge, and of a session. What is gross shows in few."""


def _with_controls(*steps: Step) -> tuple[Step, ...]:
    """These, and first what has to be found for them to say anything."""
    controls = dict.fromkeys(series for step in steps for series in step.series.controls)
    return (*(Step(series, *CONTROLS[series.build]) for series in controls), *steps)


PLANS: dict[str, tuple[Step, ...]] = {
    "who": _with_controls(
        Step(Series("who", "bursts"), flown(ENOUGH)),
        Step(Series("who", "bursts", pace="grid"), flown(ENOUGH)),
        Step(Series("who", "heartbeats"), flown(ENOUGH)),
        Step(Series("who", "bursts", nodes=5), 120, 12),
    ),
    "whether": _with_controls(
        Step(Series("whether", "heartbeats"), 400, 40),
        Step(Series("whether", "timetable"), 300, 30),
        Step(Series("whether", "constant"), 300, 30),
    ),
    "single": _with_controls(
        Step(Series("single", "bursts"), flown(ENOUGH)),
        Step(Series("single", "bursts", pace="grid"), flown(ENOUGH)),
    ),
    "active": _with_controls(
        *(Step(Series("active", kind), 120, 12) for kind in (*MANIPULATIONS, PARTED)),
        *(Step(Series("active", kind, pace="grid"), 120, 12) for kind in ("drop", "cut")),
    ),
    "quick": (
        Step(Series("who", "bursts", hurried=True), 10, 9),
        Step(Series("who", "bursts", "original", hurried=True), 10, 9),
        Step(Series("who", "heartbeats", hurried=True), 1, 2),
        Step(Series("single", "bursts", hurried=True), 1, 2),
        Step(Series("active", "cut", "needy", hurried=True), 1, 1),
        Step(Series("whether", "heartbeats", "late", hurried=True), 1, 1),
        *(Step(Series("whether", channel, hurried=True), 1, 1) for channel in CHANNELS[1:]),
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
