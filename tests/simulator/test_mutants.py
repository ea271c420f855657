"""The simulator notices when flocksy is wrong."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

import pytest

from tests.simulator.faults import BRIEF
from tests.simulator.mutants import every
from tests.simulator.mutation import Mutant
from tests.simulator.noticed import seeds
from tests.simulator.test_simulator import simulate

NOTICED = seeds()


def test_every_mutant_changes_a_line_that_is_there() -> None:
    for mutant in every():
        origin = find_spec(mutant.module)
        assert origin is not None and origin.origin is not None, mutant.name
        assert Path(origin.origin).read_text("utf-8").count(mutant.old) == 1, mutant.name


@pytest.mark.parametrize("mutant", every(), ids=lambda mutant: mutant.name)
def test_a_mutant_is_noticed(mutant: Mutant) -> None:
    if not mutant.plan and mutant.name in NOTICED:
        seed = str(NOTICED[mutant.name])
        code, said = simulate("--quiet", "--mutant", mutant.name, "--seed-list", seed)
        if code == 1 and mutant.sign in said:
            return
    if mutant.plan:
        what = ("--plan", f"tests/simulator/found/{mutant.plan}.json")
    else:
        what = (
            "--kind",
            "boxes" if mutant.boxes else "wire",
            "--seeds",
            f"{BRIEF}:{BRIEF + mutant.seeds}",
        )
    code, said = simulate("--quiet", "--mutant", mutant.name, *what)
    assert code == 1 and mutant.sign in said, said
