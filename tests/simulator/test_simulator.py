"""A few hundred seeds, every run that once failed, and that a run is its seed's alone.

Each batch is a process of its own with a fixed order of sets, as by hand:
`python -m tests.simulator SEED`.
"""

from __future__ import annotations

import os
import random
import re
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

from tests.simulator import plans
from tests.simulator.boxes import BoxFlock
from tests.simulator.clock import LocalClock
from tests.simulator.faults import BRIEF, MS, Plan, box_plan, wire_plan
from tests.simulator.network import Network
from tests.simulator.noticed import seeds
from tests.simulator.runs import Outcome, is_with_boxes
from tests.simulator.soak import CHECKED, FAULTS, Progress

ROOT = Path(__file__).parents[2]

WIRE_SEEDS = [(first, first + 30) for first in range(BRIEF, BRIEF + 210, 30)]
"""Two of three seeds of these."""
BOX_SEEDS = [(first, first + 30) for first in range(BRIEF, BRIEF + 210, 30)]
"""A third of these."""
FOUND = sorted(plans.FOUND.glob("*.json"))
"""Some are run by one process: to start one takes as long as a short run."""


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


@pytest.mark.parametrize("first", range(0, len(FOUND), 4), ids=lambda first: FOUND[first].stem)
def test_what_was_found_stays_mended(first: int) -> None:
    some = FOUND[first : first + 4]
    code, said = simulate("--quiet", "--plan", *map(str, some))
    assert code == 0 and said.count(": fine") == len(some), said


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


@pytest.mark.parametrize(
    "mutant", ["who has left a burst leaves a heartbeat out", "replaced and not kept"]
)
def test_a_run_that_fails_is_its_seeds_alone(mutant: str) -> None:
    """All that it tells up to there and how it failed, also after another in the same process."""
    seed = seeds()[mutant]
    code, said = simulate("--mutant", mutant, str(seed))
    assert code == 1 and "BrokenPromiseError" in said and len(said.splitlines()) > 50
    assert simulate("--mutant", mutant, str(seed)) == (code, said)
    failure = said[said.index(f"seed {seed}: ") + len(f"seed {seed}: ") : said.rindex("; digest")]
    code, of_both = simulate("--mutant", mutant, "--quiet", "--seed-list", str(seed - 1), str(seed))
    assert code == 1 and failure in of_both and "1 failed" in of_both


def plan_of(seed: int) -> Plan:
    return (box_plan if is_with_boxes(seed) else wire_plan)(seed)


def test_one_run_in_six_has_bursts_that_are_not_on_demand() -> None:
    kinds = Counter((is_with_boxes(seed), plan_of(seed).timing) for seed in range(600))
    for boxes, runs in ((True, 200), (False, 400)):
        for timing in ("timetable", "constant"):
            assert runs / 20 < kinds[boxes, timing] < runs / 8
    assert all(plan.max_rate for plan in map(plan_of, range(600)) if plan.is_public), (
        "a configuration has to have one"
    )


def test_some_long_runs_with_boxes_have_as_many_nodes_as_there_may_be() -> None:
    of = Counter(box_plan(seed).nodes for seed in range(2, 3000, 3))
    assert set(of) == set(range(3, 10)) and 20 < of[6] + of[7] + of[8] + of[9] < 80


def test_some_runs_with_faults_have_a_twin() -> None:
    blind = [seed for seed in range(400) if wire_plan(seed).blind]
    assert 25 < len(blind) < 75
    seen = {fault.name for seed in blind for fault in wire_plan(seed).faults}
    assert {"wish", "lose", "delay", "cut", "kill", "hang"} <= seen
    assert not seen & {"garble", "busy"}


@pytest.mark.parametrize("path", FOUND, ids=lambda path: path.stem)
def test_what_was_found_had_bursts_on_demand(path: Path) -> None:
    plan, _ = plans.read(path)
    assert plan.timing == "on-demand" or "timing" in path.read_text()


def test_the_report_of_a_soak_has_every_kind_of_fault(tmp_path: Path) -> None:
    """Also those that were not there, so that it shows."""
    progress = Progress(tmp_path / "state.json", "code")
    outcome = Outcome(0)
    for number, name in enumerate([*FAULTS.values(), CHECKED]):
        outcome.counts[name[0]] = 1000 + number
    assert all(f"  {0:>14,}  {kind}\n" in progress.report() + "\n" for kind in FAULTS)
    progress.add(outcome, 1.0)
    said = progress.report()
    for number, kind in enumerate([*FAULTS, "bytes checked"]):
        assert f"  {1000 + number:>14,}  {kind}\n" in said


def test_a_soak_goes_on_where_it_was_stopped_with_the_same_code_alone(tmp_path: Path) -> None:
    path = tmp_path / "state.json"
    stopped = Progress(path, "code")
    for seed in (7, 0, 1, 2, 9):
        stopped.add(Outcome(seed, failure="lost" if seed == 9 else ""), 1.5)
    stopped.counts["rounds"] = 12
    stopped.save()
    on = Progress(path, "code")
    on.load()
    assert on == stopped
    other = Progress(path, "other code")
    other.load()
    assert other == Progress(path, "other code")


def test_faults_are_counted_by_the_names_that_a_report_looks_for() -> None:
    network = Network(2, random.Random(1), lambda *_: None)
    network.garbles, network.garbled_ns = 0.3, MS
    link = network.links[0, 1]
    link.loss = link.twice = link.overtake = link.spoil = 0.3
    for at_ns in range(300):
        network.carry(0, bytes(400), at_ns, agreeing=True)
    counted = network.counts.keys() | {"fault: " + name for name in COUNTED}
    for names in FAULTS.values():
        for name in names:
            fault = name.removeprefix("fault: ")
            assert name in counted or (fault != name and hasattr(BoxFlock, fault)), name


COUNTED = {
    "link cut one way",
    "link cut both ways",
    "crash",
    "power cut",
    "acts between two steps",
}
"""What is counted where it happens, beside the names of faults."""


def test_a_cell_counts_as_delayed_on_a_slow_link() -> None:
    network = Network(2, random.Random(1), lambda *_: None)
    network.carry(0, bytes(400), 0, agreeing=False)
    assert not network.counts["cells delayed"]
    network.links[0, 1].delay_ns = 40 * MS
    network.carry(0, bytes(400), 0, agreeing=False)
    assert network.counts["cells delayed"] == 1


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
