"""`python -m tests.simulator.noticed` looks for the seed by which each mutant is noticed.

They are kept beside it, so that tests begin with these: some mutants need dozens of runs to be met.
A seed that does not notice its mutant any more costs time and nothing else.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

from tests.simulator.faults import BRIEF
from tests.simulator.mutants import every
from tests.simulator.mutation import Mutant

SEEDS = Path(__file__).with_name("noticed.json")


def seeds() -> dict[str, int]:
    """By the name of a mutant, the seed that is tried first."""
    noticed: dict[str, int] = json.loads(SEEDS.read_text())
    return noticed


def find(mutant: Mutant) -> int | None:
    """The first seed that notices it, or None."""
    command = [sys.executable, "-m", "tests.simulator", "--quiet", "--mutant", mutant.name]
    command += ["--kind", "boxes" if mutant.boxes else "wire"]
    command += ["--seeds", f"{BRIEF}:{BRIEF + mutant.seeds}"]
    environment = {**os.environ, "PYTHONHASHSEED": "0"}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    found = re.search(r"seed (\d+) failed", done.stdout)
    return int(found[1]) if found and mutant.sign in done.stdout else None


def main() -> int:
    noticed = {}
    for mutant in every():
        if not mutant.plan:
            seed = find(mutant)
            print(f"{mutant.name}: {seed or 'noticed by none'}", flush=True)
            if seed is not None:
                noticed[mutant.name] = seed
    SEEDS.write_text(json.dumps(noticed, indent=1) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
