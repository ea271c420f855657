"""`python -m tests.simulator SEED` runs one seed and tells what happens in it.

`--seeds A:B` runs many and says which ones fail; `--mutant NAME` runs them with one line of flocksy
wrong. `soak` is for very many.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import Sequence
from pathlib import Path


def main(arguments: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.simulator", description=__doc__)
    parser.add_argument("seed", type=int, nargs="?", help="one run, told line by line")
    parser.add_argument("--seeds", metavar="A:B", help="the runs from A on and before B")
    parser.add_argument("--seed-list", type=int, nargs="+", help="these runs")
    parser.add_argument(
        "--plan", type=Path, nargs="+", help="the runs of files in tests/simulator/found"
    )
    parser.add_argument("--kind", choices=("all", "wire", "boxes"), default="all")
    parser.add_argument("--mutant", default="", help="with this line of flocksy wrong")
    parser.add_argument("--quiet", action="store_true", help="tell only what fails")
    options = parser.parse_args(arguments)
    if os.environ.get("PYTHONHASHSEED") != "0":
        # Sets of strings have their order from it: without, a run would not be its seed's alone.
        environment = {**os.environ, "PYTHONHASHSEED": "0"}
        command = [sys.executable, "-m", "tests.simulator", *arguments]
        os.execve(sys.executable, command, environment)
    if options.mutant:
        from tests.simulator import mutants

        mutants.install(options.mutant)
    from tests.simulator.runs import is_with_boxes, replay, run_seed
    from tests.simulator.soak import collect_seldom

    collect_seldom()
    if options.seed is not None:
        outcome = run_seed(options.seed, None if options.quiet else print)
        print(f"seed {options.seed}: {outcome.failure or 'fine'}; digest {outcome.digest}")
        return 1 if outcome.failure else 0
    if options.plan is not None:
        from tests.simulator import plans

        failed = 0
        for path in options.plan:
            plan, boxes = plans.read(path)
            outcome = plans.run_any(plan, boxes=boxes, trace=None if options.quiet else print)
            print(f"{path}: {outcome.failure or 'fine'}")
            failed += bool(outcome.failure)
        return 1 if failed else 0
    first, _, last = (options.seeds or "0:100").partition(":")
    failed = 0
    for seed in options.seed_list or range(int(first), int(last)):
        if options.kind != "all" and is_with_boxes(seed) != (options.kind == "boxes"):
            continue
        began_s = time.process_time()
        outcome = run_seed(seed)
        seconds = time.process_time() - began_s
        if outcome.failure:
            failed += 1
            print(f"seed {seed} failed: {replay(seed)}\n{outcome.failure}", flush=True)
            if options.mutant:
                break
        elif not options.quiet:
            print(f"seed {seed}: fine, {seconds:.2f} s, digest {outcome.digest}", flush=True)
    print(f"{failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
