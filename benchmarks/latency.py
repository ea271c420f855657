"""How long a small change takes in an idle flock with default settings.

    python -m benchmarks.latency [--times 20] [--profile balanced]

Each time one node, in turns, writes 1 KiB into a new file, and what counts is until both others
hold it. Prints every time and the median. The flock rests before each change.
"""

from __future__ import annotations

import argparse
import os
import statistics
import sys
import time

from benchmarks.example import PROFILES, example
from flocksy.testing.cells import count_cells
from flocksy.testing.rig import Rig, RigError

CHANGE_BYTES = 1024
PATIENCE_SECONDS = 60.0
POLL_SECONDS = 0.005


def measure(rig: Rig, number: int) -> float:
    """Seconds from one change until all have it."""
    source = rig.nodes[number % len(rig.nodes)]
    data = os.urandom(CHANGE_BYTES)
    name = f"change {number}"
    targets = [node.box / name for node in rig.nodes if node is not source]
    started = time.monotonic()
    (source.box / name).write_bytes(data)
    while not all(target.exists() and target.read_bytes() == data for target in targets):
        if time.monotonic() - started > PATIENCE_SECONDS:
            raise RigError(f"change {number} did not arrive within {PATIENCE_SECONDS:g} s")
        time.sleep(POLL_SECONDS)
    return time.monotonic() - started


def main() -> int:
    """Run the benchmark. Returns the exit status."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--times", type=int, default=20)
    parser.add_argument("--profile", choices=PROFILES, default="balanced")
    given = parser.parse_args()
    with example(given.profile) as rig:
        try:
            rig.start_all()
            rig.wait_for_view()
            rig.wait_in_sync()
            rig.wait_for_calm()
            seconds = []
            for number in range(given.times):
                count_cells(rig)  # returns when the flock is at rest
                seconds.append(measure(rig, number))
                print(f"{number + 1:3d}  {seconds[-1]:6.3f} s", flush=True)
                rig.wait_in_sync()
        except RigError as error:
            print(f"{error}\n{rig.log_tails()}", file=sys.stderr)
            return 1
    print(
        f"1 KiB, profile {given.profile}: median of {len(seconds)} {statistics.median(seconds):.3f}"
        f" s, {min(seconds):.3f} to {max(seconds):.3f} s"
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
