"""Plans as files: runs that once failed, kept whatever becomes of how plans are drawn."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path

from tests.simulator.faults import Fault, Plan
from tests.simulator.runs import Outcome, run_plan

FOUND = Path(__file__).with_name("found")


def write(plan: Plan, *, boxes: bool, about: str) -> str:
    """A plan as text."""
    fields = asdict(plan)
    fields["faults"] = [[fault.at_ns, fault.name, list(fault.arguments)] for fault in plan.faults]
    lines = json.dumps({"about": about, "boxes": boxes, **fields, "faults": []}, indent=1)
    faults = ",\n  ".join(json.dumps(fault) for fault in fields["faults"])
    return lines.replace('"faults": []', f'"faults": [\n  {faults}\n ]') + "\n"


def read(path: Path) -> tuple[Plan, bool]:
    """The plan of a file, and whether it has boxes."""
    fields = json.loads(path.read_text())
    fields.pop("about")
    boxes = fields.pop("boxes")
    fields["faults"] = tuple(
        Fault(at_ns, name, _tuples(arguments)) for at_ns, name, arguments in fields["faults"]
    )
    return Plan(**fields), boxes


def _tuples(value: object) -> tuple[object, ...]:
    assert isinstance(value, list)
    return tuple(_tuples(one) if isinstance(one, list) else one for one in value)


def run_any(plan: Plan, *, boxes: bool, trace: Callable[[str], None] | None = None) -> Outcome:
    """Run a plan with or without boxes."""
    if not boxes:
        return run_plan(plan, trace)
    from tests.simulator.boxes import run_box_plan
    from tests.simulator.runs import guarded

    return guarded(plan.seed, lambda outcome: run_box_plan(plan, trace, outcome))


def shrink(plan: Plan, *, boxes: bool, say: Callable[[str], None]) -> Plan:
    """Leave out of a failing plan whatever it fails without."""
    kind = run_any(plan, boxes=boxes).failure[:40]
    assert kind, "it does not fail"
    size = max(1, len(plan.faults) // 2)
    while True:
        at, shorter = 0, False
        while at < len(plan.faults):
            fewer = replace(plan, faults=plan.faults[:at] + plan.faults[at + size :])
            if run_any(fewer, boxes=boxes).failure[:40] == kind:
                plan, shorter = fewer, True
                say(f"{len(plan.faults)} faults are enough")
            else:
                at += size
        if size == 1 and not shorter:
            return plan
        size = max(1, size // 2)
