"""Goodput of one big file over three real nodes, beside the bare CURVE pump of the same cell size.

    python -m benchmarks.goodput [--megabytes 512] [--cell 65536] [--rounds 3]

Pump and flock run in turns, because a machine's speed drifts; what counts is the ratio of the
medians. One run of the flock goes before and is not counted: a virtual machine gets memory from
its host on first touch, which makes the first pages of a page cache ten times dearer (2.6 instead
of 0.2 ms per MiB written) and has nothing to do with flocksy.

*Lane*: bytes of the file over the time from the start of the burst to its end. *File*: over the
time from the start of the burst until the file stands in both other boxes, flushed, verified and
renamed. Rates in MB/s (10^6).
"""

from __future__ import annotations

import argparse
import json
import os
import re
import statistics
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from benchmarks.pump import pump
from flocksy.testing.rig import Rig, RigNode

HERE = Path(__file__).resolve().parent.parent
ENDED = re.compile(r"burst ended after ([0-9.]+) s")
PATIENCE_S = 300.0
POLL_S = 0.005


@dataclass(frozen=True, slots=True)
class Run:
    """One file's way, in seconds from the start of its first burst."""

    lane_s: float
    file_s: float
    bursts: int
    write_to_equal_s: float
    peak_mib: tuple[int, ...]


def run(megabytes: int, cell: int) -> Run:
    """Put one random file into node 1's box and time it."""
    configs = [HERE / "test-configs" / f"node{number}" for number in (1, 2, 3)]
    size = megabytes << 20
    with Rig(configs, HERE / "keys-example", [f"burst_cell = {cell}"]) as rig:
        for node in rig.nodes:
            node.flags = ("--log-format", "json")
        rig.start_all()
        rig.wait_for_view()
        rig.wait_in_sync()
        rig.wait_for_calm()
        source = rig.nodes[0].box / ".flocksy" / "big"
        with source.open("wb") as file:
            for _ in range(megabytes):
                file.write(os.urandom(1 << 20))
        written = time.time()
        source.rename(rig.nodes[0].box / "big.bin")
        targets = [node.box / "big.bin" for node in rig.nodes[1:]]
        deadline = time.monotonic() + PATIENCE_S
        while not all(target.exists() and target.stat().st_size == size for target in targets):
            if time.monotonic() > deadline:
                print(rig.log_tails(), file=sys.stderr)
                raise SystemExit("the file did not arrive")
            time.sleep(POLL_S)
        equal = time.time()
        rig.wait_equal()
        starts, lanes = [], []
        for line in rig.nodes[0].log.read_text().splitlines():
            entry = json.loads(line)
            # Not the bursts that follow the join of the nodes.
            if entry["time"] > written and (found := ENDED.search(entry["message"])):
                lanes.append(float(found[1]))
                starts.append(entry["time"] - lanes[-1])
        peaks = tuple(peak for node in rig.nodes for peak in _peaks(node))
    return Run(sum(lanes), equal - starts[0], len(lanes), equal - written, peaks)


def _peaks(node: RigNode) -> list[int]:
    """Peak resident MiB of the node's processes: box, then its children."""
    assert node.process is not None
    pids = [node.process.pid]
    try:
        children = Path(f"/proc/{pids[0]}/task/{pids[0]}/children").read_text().split()
        pids += [int(pid) for pid in children]
        return [
            int(line.split()[1]) // 1024
            for pid in pids
            for line in Path(f"/proc/{pid}/status").read_text().splitlines()
            if line.startswith("VmHWM:")
        ]
    except OSError:
        return []  # not Linux


def main() -> None:
    """Measure and print one table."""
    parser = argparse.ArgumentParser(description="goodput of one file beside the bare pump")
    parser.add_argument("--megabytes", type=int, default=512)
    parser.add_argument("--cell", type=int, default=65536)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    count = (options.megabytes << 20) // options.cell
    pumps, lanes, files = [], [], []
    print("   pump    lane    file   bursts  write→equal  peak MiB of each process")
    run(options.megabytes, options.cell)
    with tempfile.TemporaryDirectory(prefix="flocksy-goodput-") as directory:
        for _ in range(options.rounds):
            bare = count * options.cell / pump(options.cell, count, directory) / 1e6
            one = run(options.megabytes, options.cell)
            size = (options.megabytes << 20) / 1e6
            pumps.append(bare)
            lanes.append(size / one.lane_s)
            files.append(size / one.file_s)
            print(
                f"{bare:7.1f} {lanes[-1]:7.1f} {files[-1]:7.1f} {one.bursts:8d} "
                f"{one.write_to_equal_s:11.2f}s  {one.peak_mib}",
                flush=True,
            )
    middle = statistics.median
    print(
        f"cell {options.cell}: pump {middle(pumps):.1f} MB/s, "
        f"lane {middle(lanes):.1f} ({middle(lanes) / middle(pumps):.2f} of it), "
        f"file {middle(files):.1f} ({middle(files) / middle(pumps):.2f} of it)"
    )


if __name__ == "__main__":
    main()
