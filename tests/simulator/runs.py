"""One seed, one run, and what became of it."""

from __future__ import annotations

import logging
import traceback
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field, replace

from tests.simulator.checks import BrokenPromiseError
from tests.simulator.faults import Plan, S, wire_plan
from tests.simulator.flock import Flock
from tests.simulator.world import one_process

Observed = list[tuple[int, int, int]]
"""Of every cell (instant, lane, size)."""


@dataclass(slots=True)
class Outcome:
    """What a run has seen. `failure` is empty where everything held."""

    seed: int
    failure: str = ""
    digest: str = ""
    counts: Counter[str] = field(default_factory=Counter)


def is_with_boxes(seed: int) -> bool:
    """Whether the run of a seed has boxes: every third has."""
    return seed % 3 == 2


def replay(seed: int) -> str:
    """The command that runs a seed again, and tells what happens."""
    return f"python -m tests.simulator {seed}"


def run_seed(seed: int, trace: Callable[[str], None] | None = None) -> Outcome:
    """Run what a seed stands for. Never raises."""
    if is_with_boxes(seed):
        from tests.simulator.boxes import run_boxes

        return guarded(seed, lambda outcome: run_boxes(seed, trace, outcome))
    return run_plan(wire_plan(seed), trace)


def run_plan(plan: Plan, trace: Callable[[str], None] | None = None) -> Outcome:
    """Run a plan without boxes."""
    return guarded(plan.seed, lambda outcome: _run_wire(plan, trace, outcome))


def guarded(seed: int, run: Callable[[Outcome], None]) -> Outcome:
    """Whatever a run raises is what became of it."""
    outcome = Outcome(seed)
    logging.disable(logging.CRITICAL)  # disks that fail are what is wanted here
    try:
        run(outcome)
    except Exception as error:  # noqa: BLE001 - a failure is the finding
        lines = traceback.format_exc().splitlines()
        outcome.failure = f"{type(error).__name__}: {error}\n" + "\n".join(lines[-24:])
    finally:
        logging.disable(logging.NOTSET)
    return outcome


def _run_wire(plan: Plan, trace: Callable[[str], None] | None, outcome: Outcome) -> None:
    outcome.counts["hostile runs"] += plan.hostile
    observed = _pass(plan, trace, outcome, shift=0)
    if plan.has_twin:
        # The same run, but that somebody else wishes to send: nobody outside can tell. On a
        # timetable, or where bursts never end, not even whether anybody does.
        twin, what = plan, "who"
        if plan.is_public:
            wishless = tuple(fault for fault in plan.faults if fault.name != "wish")
            twin, what = replace(plan, faults=wishless), "that somebody"
        other = _pass(twin, None, Outcome(plan.seed), shift=1)
        first = _first_difference(observed, other, plan.calm_ns)
        if first is not None:
            raise BrokenPromiseError(f"the traffic shows {what} wished to send: {first}")
        outcome.counts["twin runs"] += 1
        outcome.counts["twin runs with faults"] += plan.blind
        outcome.counts["twin runs of a public timing"] += plan.is_public


def _first_difference(one: Observed, other: Observed, calm_ns: int) -> object:
    """Where two runs look different, as long as both last. They end as soon as all have what they
    wish for, which is seen by nobody outside."""
    assert min(one[-1][0], other[-1][0]) > calm_ns - S
    return next(((a, b) for a, b in zip(one, other, strict=False) if a != b), None)


def _pass(
    plan: Plan, trace: Callable[[str], None] | None, outcome: Outcome, *, shift: int
) -> Observed:
    with one_process():
        flock = Flock(plan, trace, shift=shift)
        try:
            flock.run()
        finally:
            tell(flock, outcome)
            flock.close()
        return flock.observed


def tell(flock: Flock, outcome: Outcome) -> None:
    """Write down what a flock has been through."""
    outcome.digest = flock.digest()
    counts, checks = outcome.counts, flock.checks
    counts["runs"] += 1
    counts["rounds of a node"] += checks.rounds
    counts["virtual seconds"] += flock.now_ns // 1_000_000_000
    counts["cells"] += checks.cells
    counts["cells with real bytes"] += checks.real_cells
    counts["bursts"] += len(checks.bursts)
    counts["bytes of cells checked"] += sum(wish.checked_bytes for wish in flock.wishes)
    counts.update(flock.network.counts)
    counts.update({f"fault: {name}": count for name, count in flock.counts.items()})
