"""A box with very many files: first index, a start with nothing changed, one change, memory.

    python -m benchmarks.crowd [--files 100000] [--directories 1000]
    python -m benchmarks.crowd --alone --files 1000000 --directories 10000

Three real nodes, profile `fast`. Node 1's box is full before anybody starts. Printed are seconds
and processor seconds of node 1 and of node 2 (which receives everything) until all three say that
they are in sync, and the most memory that their processes have had at a time.

`--alone`: one box in this process, without a wire (`flocksy.testing.lockstep`): everything but the
cells. For numbers of files that three nodes on one disk would take hours for.

It ends with an error where a process has had more memory than so many files may take, or one change
has taken more processor time than it may once all is settled.
"""

from __future__ import annotations

import argparse
import itertools
import os
import resource
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from flocksy.testing import processes
from flocksy.testing.lockstep import Lockstep
from flocksy.testing.rig import Rig, RigError, RigNode

HERE = Path(__file__).resolve().parent.parent
FILE_BYTES = 100
PATIENCE_S = 1800.0
POLL_S = 0.01
MANY_ROUNDS = 100_000
CHANGES = 3
BASE_MIB = 100
FILES_PER_MIB = 1_000
"""A box process of 100,000 files has had 162 MiB, one of 1,000,000 829."""
MOST_CHANGE_S = 0.25
"""Processor seconds of one changed file: 0.02 were measured."""
LOOK_S = 1.0
FILES_PER_LOOK_S = 25_000
"""Three nodes are asked whether they are in sync: they fly on meanwhile, 0.2 s, and look at all,
1.3 s for 100,000."""


def beyond(
    files: int, peak_mib: int, changes_s: Sequence[float], *, looks: bool = False
) -> list[str]:
    """What is too much of memory and of the processor seconds that single changes took, of which
    the middle one counts. `looks`: there was a look at the whole box in each."""
    too_much = []
    most_mib = BASE_MIB + files // FILES_PER_MIB
    if peak_mib > most_mib:
        too_much.append(f"{files} files: a process has had {peak_mib} MiB, more than {most_mib}")
    most_s = LOOK_S + files / FILES_PER_LOOK_S if looks else MOST_CHANGE_S
    if changes_s and (change_s := statistics.median(changes_s)) > most_s:
        took = f"one change has taken {change_s:.3f} CPU seconds"
        too_much.append(f"{files} files: {took}, more than {most_s:g}")
    return too_much


def fill(box: Path, files: int, directories: int) -> None:
    """So many small files, all of different content."""
    for number in range(directories):
        (box / f"d{number // 100}" / f"e{number}").mkdir(parents=True)
    for number in range(files):
        at = number % directories
        path = box / f"d{at // 100}" / f"e{at}" / f"f{number}"
        path.write_bytes(b"%0*d" % (FILE_BYTES, number))


def some_file(box: Path) -> Path:
    """One of them."""
    return box / "d0" / "e0" / "f0"


def index_mib(state: Path) -> float:
    """The size of the indexes below a state directory."""
    return sum(file.stat().st_size for file in state.rglob("*.sqlite*")) / (1 << 20)


# -- three nodes -----------------------------------------------------------------------------------


def node_processes(node: RigNode) -> list[int]:
    """Box, wire and scanner process of the node."""
    assert node.process is not None
    return list(processes.roles(node.process.pid).values())


def cpu_seconds(node: RigNode) -> float:
    """Processor time of all of them so far."""
    return sum(processes.taken(pid).cpu_seconds for pid in node_processes(node))


def peaks_mib(node: RigNode) -> list[int]:
    """The most resident memory that each of them has had."""
    return [processes.taken(pid).peak_bytes // (1 << 20) for pid in node_processes(node)]


def timed(rig: Rig, what: str, change: Callable[[], None], done: Callable[[], bool]) -> float:
    """Print what a change costs until it is done, and until all are in sync. Returns the processor
    seconds of the node that it cost most."""
    nodes = rig.nodes[:2]
    before = [cpu_seconds(node) if node.running else 0.0 for node in nodes]
    started = time.monotonic()
    change()
    while not done():
        if time.monotonic() - started > PATIENCE_S:
            raise RigError(f"{what}: not within {PATIENCE_S:g} s")
        time.sleep(POLL_S)
    seconds = time.monotonic() - started
    rig.wait_in_sync(PATIENCE_S)
    in_sync = time.monotonic() - started
    cpu = [cpu_seconds(node) - was for node, was in zip(nodes, before, strict=True)]
    peaks = ["+".join(map(str, peaks_mib(node))) for node in nodes]
    print(
        f"{what:34} {seconds:8.2f} s, in sync {in_sync:8.2f} s; CPU s {cpu[0]:7.1f} {cpu[1]:7.1f};"
        f" peak MiB {peaks[0]} and {peaks[1]}",
        flush=True,
    )
    return max(cpu)


def flock(files: int, directories: int) -> list[str]:
    """Three nodes. Returns what is too much of it. Raises `RigError`."""
    configs = [HERE / "test-configs" / f"node{number}" for number in (1, 2, 3)]
    with Rig(configs, HERE / "keys-example") as rig:
        try:
            started = time.monotonic()
            fill(rig.nodes[0].box, files, directories)
            print(f"{files} files made in {time.monotonic() - started:.1f} s", flush=True)

            def start() -> None:
                rig.start_all()
                rig.wait_for_view()

            def changed(data: bytes) -> Callable[[], bool]:
                targets = [some_file(node.box) for node in rig.nodes[1:]]
                return lambda: all(target.read_bytes() == data for target in targets)

            def moved() -> bool:
                boxes = [node.box for node in rig.nodes[1:]]
                return all((box / "moved").exists() and not (box / "d1").exists() for box in boxes)

            def written(data: bytes) -> Callable[[], None]:
                def write() -> None:
                    some_file(rig.nodes[0].box).write_bytes(data)

                return write

            last = directories - 1
            ends = [node.box / f"d{last // 100}" / f"e{last}" for node in rig.nodes[1:]]
            timed(rig, "first index, and sent to all", start, lambda: all(e.is_dir() for e in ends))
            if found := rig.unequal():
                raise RigError("\n".join(found))
            print(f"index: {index_mib(rig.root / 'home-node1'):.0f} MiB", flush=True)
            timed(rig, "one file changed", written(b"one"), changed(b"one"))
            peak = max(max(peaks_mib(node)) for node in rig.nodes)
            for node in rig.nodes:
                rig.stop(node)
            timed(rig, "started with nothing changed", start, lambda: True)
            cost = timed(rig, "one file changed", written(b"two"), changed(b"two"))
            if directories > 100:
                box = rig.nodes[0].box
                timed(
                    rig,
                    f"{files * 100 // directories} files moved",
                    lambda: os.rename(box / "d1", box / "moved"),
                    moved,
                )
            timed(rig, "at rest for 10 s", lambda: time.sleep(10), lambda: True)
            peak = max(peak, *(max(peaks_mib(node)) for node in rig.nodes))
            return beyond(files, peak, [cost], looks=True)
        except RigError as error:
            raise RigError(f"{error}\n{rig.log_tails()}") from error


# -- alone -----------------------------------------------------------------------------------------


def alone(files: int, directories: int) -> list[str]:
    """One box, in this process. Returns what is too much of it."""
    peak = 0

    def timed(what: str, work: Callable[[], object]) -> float:
        nonlocal peak
        started, cpu = time.monotonic(), time.process_time()
        work()
        seconds, cpu = time.monotonic() - started, time.process_time() - cpu
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
        scanner = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss // 1024
        print(
            f"{what:34} {seconds:8.2f} s; CPU s here {cpu:8.3f}; peak MiB {peak}"
            f" (a child that ended: {scanner})",
            flush=True,
        )
        return cpu

    with tempfile.TemporaryDirectory(prefix="flocksy-crowd-", dir=os.getcwd()) as directory:
        root = Path(directory)
        timed(f"{files} files made", lambda: fill(root / "box0", files, directories))
        with Lockstep(root, size=1) as box:

            def settle() -> None:
                box.run_until(box.settled, MANY_ROUNDS)

            timed("first index", settle)
            print(f"index: {index_mib(root / 'state0'):.0f} MiB", flush=True)
            changes = itertools.count()

            def notice() -> None:
                changed = some_file(root / "box0")
                changed.write_bytes(b"%d" % next(changes))
                wanted = changed.stat().st_mtime_ns
                path = str(changed.relative_to(root / "box0"))

                def noticed() -> bool:
                    kept = box.nodes[0].keeper.boxes[0].box
                    known = None if kept is None else kept.index.local(path)
                    return known is not None and known.mtime_ns == wanted and box.settled()

                time.sleep(0.2)  # the kernel tells of it, and the path has to be quiet for a while
                box.run_until(noticed, MANY_ROUNDS)

            def start() -> None:
                box.restart(0)
                settle()

            # Applying goes through its last steps at the source too, some time after all is told.
            timed("one file changed, and the rest", notice)
            before = [timed("one file changed", notice) for _ in range(CHANGES)]
            timed("stopped", lambda: box.stop(0))
            timed("started with nothing changed", start)
            timed("one file changed, and the rest", notice)
            after = [timed("one file changed", notice) for _ in range(CHANGES)]
    return beyond(files, peak, before + after)


def main() -> int:
    """Run it. Returns the exit status."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--files", type=int, default=100_000)
    parser.add_argument("--directories", type=int, default=1000)
    parser.add_argument("--alone", action="store_true")
    given = parser.parse_args()
    try:
        too_much = (alone if given.alone else flock)(given.files, given.directories)
    except RigError as error:
        print(error, file=sys.stderr)
        return 1
    for line in too_much:
        print(line, file=sys.stderr)
    return 1 if too_much else 0


if __name__ == "__main__":
    sys.exit(main())
