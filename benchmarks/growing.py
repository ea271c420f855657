"""What a file costs that a program appends to all the time, such as a log.

    python -m benchmarks.growing [--megabytes 20] [--seconds 240] [--every 1.0] [--profile balanced]

One of three nodes has it in the box. Counted are the cells of bursts that leave on each link, how
often the file is another one in the box of another node, and the CPU seconds of all processes by
what they do; and how long after the last write both others have all of it.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections import Counter
from pathlib import Path

from benchmarks.example import PROFILES, example
from flocksy.testing.cells import cells_since, count_cells
from flocksy.testing.processes import roles, taken
from flocksy.testing.rig import Rig, RigError, RigNode

APPENDED_BYTES = 1024
BURST_CELL_BYTES = 64 << 10
PATIENCE_SECONDS = 300.0
POLL_SECONDS = 0.05


def cpu_seconds(nodes: list[RigNode]) -> Counter[str]:
    """Used so far, of all nodes."""
    used: Counter[str] = Counter()
    for node in nodes:
        assert node.process is not None
        for role, pid in roles(node.process.pid).items():
            used[role] += taken(pid).cpu_seconds
    return used


def append(path: Path, shown: Path, seconds: float, every: float) -> int:
    """Somebody's program is at work. How often another file showed elsewhere."""
    began, number, inodes = time.monotonic(), 0, [shown.stat().st_ino]
    while time.monotonic() < began + seconds:
        if time.monotonic() >= began + number * every:
            with path.open("ab") as log:
                log.write(os.urandom(APPENDED_BYTES // 2).hex().encode())
            number += 1
        inode = shown.stat().st_ino if shown.exists() else inodes[-1]
        if inode != inodes[-1]:
            inodes.append(inode)
        time.sleep(POLL_SECONDS)
    return len(inodes) - 1


def measure(rig: Rig, given: argparse.Namespace) -> None:
    """Print what it costs."""
    path, *others = (node.box / "log" for node in rig.nodes)
    path.write_bytes(os.urandom(given.megabytes << 20))
    rig.wait_equal()
    before, used = count_cells(rig), cpu_seconds(rig.nodes)
    shown = append(path, others[0], given.seconds, given.every)
    used = Counter({role: cpu - used[role] for role, cpu in cpu_seconds(rig.nodes).items()})
    ended = time.monotonic()
    size = path.stat().st_size
    while not all(other.stat().st_size == size for other in others):
        if time.monotonic() > ended + PATIENCE_SECONDS:
            raise RigError(f"not everybody has it {PATIENCE_SECONDS:g} s after the last write")
        time.sleep(POLL_SECONDS)
    late = time.monotonic() - ended
    sent = cells_since(before, count_cells(rig))
    burst = next(iter(sent.values()))[1]
    print(
        f"{given.megabytes} MiB, 1 KiB appended every {given.every:g} s for {given.seconds:g} s, "
        f"profile {given.profile}: {burst} burst cells on each link ("
        f"{burst * BURST_CELL_BYTES / 1e6 / given.seconds:.3f} MB/s), shown {shown} times, CPU "
        + ", ".join(f"{role} {cpu:.1f} s" for role, cpu in sorted(used.items()))
        + f"; all of it elsewhere {late:.1f} s after the last write"
    )


def main() -> int:
    """Run the benchmark. Returns the exit status."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--megabytes", type=int, default=20)
    parser.add_argument("--seconds", type=float, default=240.0)
    parser.add_argument("--every", type=float, default=1.0)
    parser.add_argument("--profile", choices=PROFILES, default="balanced")
    given = parser.parse_args()
    with example(given.profile) as rig:
        try:
            rig.start_all()
            rig.wait_for_view()
            rig.wait_in_sync()
            measure(rig, given)
        except RigError as error:
            print(f"{error}\n{rig.log_tails()}", file=sys.stderr)
            return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
