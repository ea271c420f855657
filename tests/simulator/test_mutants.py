"""The simulator notices when flocksy is wrong."""

from __future__ import annotations

import pytest

from tests.simulator.faults import BRIEF
from tests.simulator.mutants import every
from tests.simulator.mutation import Mutant
from tests.simulator.test_simulator import simulate


@pytest.mark.parametrize("mutant", every(), ids=lambda mutant: mutant.name)
def test_a_mutant_is_noticed(mutant: Mutant) -> None:
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
