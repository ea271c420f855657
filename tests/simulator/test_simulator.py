"""A few hundred seeds, every run that once failed, and that a run is its seed's alone.

Each batch is a process of its own with a fixed order of sets, as by hand:
`python -m tests.simulator SEED`.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.simulator import plans
from tests.simulator.clock import LocalClock
from tests.simulator.faults import BRIEF, wire_plan

ROOT = Path(__file__).parents[2]

WIRE_SEEDS = [(first, first + 30) for first in range(BRIEF, BRIEF + 300, 30)]
"""Two of three seeds of these."""
BOX_SEEDS = [(first, first + 30) for first in range(BRIEF, BRIEF + 300, 30)]
"""A third of these."""


def simulate(*arguments: str) -> tuple[int, str]:
    """Run the simulator's command."""
    done = subprocess.run(
        [sys.executable, "-m", "tests.simulator", *arguments],
        cwd=ROOT,
        env={**os.environ, "PYTHONHASHSEED": "0"},
        capture_output=True,
        text=True,
        check=False,
    )
    return done.returncode, done.stdout + done.stderr


@pytest.mark.parametrize(("first", "last"), WIRE_SEEDS)
def test_seeds_of_the_wire(first: int, last: int) -> None:
    code, said = simulate("--kind", "wire", "--quiet", "--seeds", f"{first}:{last}")
    assert code == 0, said


@pytest.mark.parametrize(("first", "last"), BOX_SEEDS)
def test_seeds_with_boxes(first: int, last: int) -> None:
    code, said = simulate("--kind", "boxes", "--quiet", "--seeds", f"{first}:{last}")
    assert code == 0, said


@pytest.mark.parametrize("path", sorted(plans.FOUND.glob("*.json")), ids=lambda path: path.stem)
def test_what_was_found_stays_mended(path: Path) -> None:
    code, said = simulate("--plan", str(path))
    assert code == 0, said


@pytest.mark.parametrize("seed", (0, 2))
def test_a_run_is_its_seeds_alone(seed: int) -> None:
    assert simulate(str(seed)) == simulate(str(seed))


def test_a_run_is_the_same_after_others_in_the_same_process() -> None:
    """Else what a soak finds, seed after seed in a process, could not be replayed by its seed."""
    last = BRIEF + 6
    _, said = simulate("--seeds", f"{BRIEF}:{last + 2}")
    digests = dict(re.findall(r"seed (\d+): fine.* digest (\w+)", said))
    for seed in (last, last + 1):
        code, alone = simulate("--quiet", str(seed))
        assert code == 0 and alone.rpartition(" ")[2].strip() == digests[str(seed)], alone


def test_plans_come_back_as_they_were_written(tmp_path: Path) -> None:
    for seed in range(20):
        path = tmp_path / "plan.json"
        path.write_text(plans.write(wire_plan(seed), boxes=False, about="a test"))
        assert plans.read(path) == (wire_plan(seed), False)


@pytest.mark.parametrize("ppm", (-100, 0, 37))
def test_clocks_there_and_back(ppm: int) -> None:
    clock = LocalClock(123_456_789)
    clock.drift(1_000, ppm)
    for local_ns in range(10**12, 10**12 + 50):
        virtual_ns = clock.virtual(local_ns)
        assert clock.local(virtual_ns) >= local_ns > clock.local(virtual_ns - 1)
