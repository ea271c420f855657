"""How long many small files take: to arrive, to change a little, to go.

    python -m benchmarks.many [--files 5000] [--directories 50] [--rounds 3] [--profile fast]

Three real nodes. Node 1's box gets the files, of 4 KiB random bytes each, in so many directories;
then one of them is changed, and all are deleted. Each time it counts from the first write or unlink
until both others hold the same. Prints every time and the medians, and how much processor time the
nodes took.
"""

from __future__ import annotations

import argparse
import os
import shutil
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path

from benchmarks.example import PROFILES, example
from flocksy.testing.rig import Rig, RigError

FILE_BYTES = 4096
PATIENCE_S = 300.0
POLL_S = 0.02


def count(folder: Path) -> int:
    """Files below a folder, by size alone: cheap enough to be asked again and again."""
    try:
        return sum(
            entry.stat(follow_symlinks=False).st_size == FILE_BYTES
            for inner in os.scandir(folder)
            for entry in os.scandir(inner.path)
        )
    except OSError:
        return 0


def cpu_seconds(rig: Rig) -> float:
    """Processor time of all processes of all nodes so far."""
    ticks = 0
    for node in rig.nodes:
        assert node.process is not None
        parent = node.process.pid
        children = Path(f"/proc/{parent}/task/{parent}/children").read_text().split()
        for pid in (str(parent), *children):
            fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
            ticks += int(fields[11]) + int(fields[12])
    return ticks / os.sysconf("SC_CLK_TCK")


def measure(rig: Rig, change: Callable[[], None], done: Callable[[Path], bool]) -> float:
    """Seconds from the start of a change on node 1 until the two others show it."""
    rig.wait_in_sync()
    before = cpu_seconds(rig)
    started = time.monotonic()
    change()
    made = time.monotonic() - started
    waiting = [node.box for node in rig.nodes[1:]]
    while waiting := [box for box in waiting if not done(box)]:
        if time.monotonic() - started > PATIENCE_S:
            raise RigError(f"not everywhere within {PATIENCE_S:g} s")
        time.sleep(POLL_S)
    seconds = time.monotonic() - started
    rig.wait_equal()
    print(f"  {seconds:6.2f} s (made in {made:.2f} s; {cpu_seconds(rig) - before:.1f} CPU s)")
    return seconds


def one_round(rig: Rig, files: int, directories: int) -> tuple[float, float, float]:
    """New, one changed, deleted."""
    tree = rig.nodes[0].box / "tree"

    def write() -> None:
        data = [os.urandom(FILE_BYTES) for _ in range(files)]
        for number in range(directories):
            (tree / f"d{number}").mkdir(parents=True)
        for number, each in enumerate(data):
            (tree / f"d{number % directories}" / f"f{number}").write_bytes(each)

    changed = os.urandom(FILE_BYTES)

    def change() -> None:
        (tree / "d0" / "f0").write_bytes(changed)

    print(f"{files} files of {FILE_BYTES} bytes in {directories} directories:", flush=True)
    new = measure(rig, write, lambda box: count(box / "tree") == files)
    print("one of them changed:", flush=True)
    one = measure(rig, change, lambda box: (box / "tree/d0/f0").read_bytes() == changed)
    print("all deleted:", flush=True)
    gone = measure(rig, lambda: shutil.rmtree(tree), lambda box: not (box / "tree").exists())
    return new, one, gone


def main() -> int:
    """Run the benchmark. Returns the exit status."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--files", type=int, default=5000)
    parser.add_argument("--directories", type=int, default=50)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--profile", choices=PROFILES, default="fast")
    given = parser.parse_args()
    with example(given.profile) as rig:
        try:
            rig.start_all()
            rig.wait_for_view()
            rig.wait_for_calm()
            rounds = [one_round(rig, given.files, given.directories) for _ in range(given.rounds)]
        except RigError as error:
            print(f"{error}\n{rig.log_tails()}", file=sys.stderr)
            return 1
    new, one, gone = (statistics.median(times) for times in zip(*rounds, strict=True))
    print(
        f"{given.files} files, profile {given.profile}, medians of {given.rounds}: "
        f"new {new:.2f} s, one changed {one:.2f} s, deleted {gone:.2f} s"
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
