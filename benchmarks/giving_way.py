"""How soon a process that wakes up gets a processor that another one is using.

A timer that wakes up as the wire process does, every 12 ms or so, is pinned to one core, beside it
what hashes as the scanner does, 5 ms in 10, and in some cases a loop that never stops. Several ways
to make them give way take turns, a second and a half each. What is shown is how much later than
asked for the timer woke up. With --work: how long the real scanner takes in each of its classes
while loops of the usual priority keep all cores busy. Run it as an ordinary user: root may do more.
"""

from __future__ import annotations

import argparse
import contextlib
import hashlib
import multiprocessing
import os
import platform
import random
import select
import tempfile
import time
from collections.abc import Callable, Iterator
from multiprocessing.connection import Connection
from pathlib import Path

from flocksy.boxes.scan.scanner import Scanner, ScanRequest
from flocksy.index.store import BoxIndex
from flocksy.system import processes

TURN_SECONDS = 1.5
GAP_SECONDS = (0.007, 0.017)
STEP_SECONDS = 0.005
WORK_BYTES = 16 << 20
WORK_FILES = 250
LIMIT_SECONDS = 300.0
POINTS = (0.5, 0.75, 0.9, 0.99, 1)

_FORK = multiprocessing.get_context("fork")


def _idle() -> bool:
    os.sched_setscheduler(0, os.SCHED_IDLE, os.sched_param(0))
    return True


def _apart() -> bool:
    os.setsid()
    return True


def _nice_batch(level: int) -> bool:
    return processes.set_nice(level) and processes.run_in_batches()


WORKERS: dict[str, Callable[[], bool]] = {
    "nice 0": lambda: True,
    "nice 5, batch": lambda: _nice_batch(5),
    "nice 19": lambda: processes.set_nice(19),
    "nice 19, batch": lambda: _nice_batch(19),
    "idle": _idle,
    "apart, nice 0": _apart,
    "apart, nice 19, batch": lambda: _apart() and _nice_batch(19),
}
TIMERS: dict[str, Callable[[], bool]] = {
    "as it is": lambda: True,
    "short slice": processes.set_short_slice,
    "nice -10": lambda: processes.set_nice(-10),
    "nice -10, short slice": lambda: processes.set_nice(-10) and processes.set_short_slice(),
}


def _work(core: int, tune: Callable[[], bool], rests: bool, ready: Connection) -> None:
    os.sched_setaffinity(0, {core})
    ready.send(tune())
    data = bytes(256 << 10)
    while os.getppid() != 1:
        rest_at = time.thread_time() + STEP_SECONDS
        while time.thread_time() < rest_at:
            hashlib.sha256(data).digest()
        if rests:
            time.sleep(STEP_SECONDS)


def _timer(core: int, tune: Callable[[], bool], answer: Connection) -> None:
    os.sched_setaffinity(0, {core})
    if not tune():
        answer.send([])
        return
    late: list[float] = []
    end = time.monotonic() + TURN_SECONDS
    while (now := time.monotonic()) < end:
        due = now + random.uniform(*GAP_SECONDS)
        time.sleep(max(0.0, due - time.monotonic()))
        late.append(time.monotonic() - due)
    answer.send(late)


@contextlib.contextmanager
def _working(core: int, tune: Callable[[], bool], rests: bool) -> Iterator[None]:
    here, there = _FORK.Pipe()
    one = _FORK.Process(target=_work, args=(core, tune, rests, there), daemon=True)
    one.start()
    try:
        if not here.recv():
            raise SystemExit("this system has no such class")
        yield
    finally:
        one.kill()
        one.join()


def _lateness(core: int, held: bool, worker: str, loops: bool, timer: str) -> list[float]:
    with contextlib.ExitStack() as beside:
        if held:
            beside.enter_context(_working(core, _idle, False))
        if worker:
            beside.enter_context(_working(core, WORKERS[worker], True))
        if loops:
            beside.enter_context(_working(core, WORKERS["nice 0"], False))
        here, there = _FORK.Pipe()
        waker = _FORK.Process(target=_timer, args=(core, TIMERS[timer], there), daemon=True)
        waker.start()
        late: list[float] = here.recv()
        waker.join()
    return late


def show_lateness(rounds: int, core: int, held: bool) -> None:
    """A table for people."""
    cases = [(worker, False, timer) for worker in ("", *WORKERS) for timer in TIMERS]
    cases += [(worker, True, timer) for worker in ("nice 19, batch", "idle") for timer in TIMERS]
    found: dict[tuple[str, bool, str], list[float]] = {case: [] for case in cases}
    for _ in range(rounds):
        random.shuffle(cases)
        for case in cases:
            found[case] += _lateness(core, held, *case)
    print(
        "| worker | a loop | the timer | times | median µs | p75 | p90 | p99 | longest | > 0.3 ms |"
    )
    print("|---|---|---|---|---|---|---|---|---|---|")
    for (worker, loops, timer), late in found.items():
        if late:
            late.sort()
            points = [late[min(len(late) - 1, int(len(late) * part))] for part in POINTS]
            cells = " | ".join(f"{value * 1e6:.0f}" for value in points)
            share = sum(value > 0.0003 for value in late) / len(late)
            loop = "a loop" if loops else ""
            print(f"| {worker} | {loop} | {timer} | {len(late)} | {cells} | {share:.1%} |")


def _scan(box: Path, tune: Callable[[int], None]) -> float:
    index = box.parent / f"{box.name}.sqlite"
    BoxIndex.open(index).close()
    scanner = Scanner()
    scanner.start()
    try:
        for part in range(2):  # the first one only waits until the process is there
            pid = scanner.pid
            assert pid is not None
            paths = None if part else ("nothing",)
            began = time.monotonic()
            scanner.request(ScanRequest(part, "box", str(box), str(index), paths, share=0.5))
            last = False
            while not last:
                if time.monotonic() - began > LIMIT_SECONDS:
                    return float("inf")
                select.select([scanner.fileno()], [], [], 1.0)
                last = any(report.last for report in scanner.reports())
            if not part:
                tune(pid)
        return time.monotonic() - began
    finally:
        scanner.stop()
        index.unlink()


def _set(pid: int, policy: int) -> None:
    os.sched_setscheduler(pid, policy, os.sched_param(0))


SCANNERS: dict[str, Callable[[int], None]] = {
    "nice 19": lambda pid: _set(pid, os.SCHED_OTHER),
    "nice 19, batch": lambda pid: _set(pid, os.SCHED_BATCH),
    "idle": lambda pid: _set(pid, os.SCHED_IDLE),
}


def show_work(rounds: int) -> None:
    """How long the scanner takes, with all cores busy and with none."""
    found: dict[tuple[str, str, bool], list[float]] = {}
    with tempfile.TemporaryDirectory() as temporary:
        large, small = Path(temporary) / "large", Path(temporary) / "small"
        for box in (large, small):
            (box / ".flocksy").mkdir(parents=True)
        (large / "file").write_bytes(random.randbytes(WORK_BYTES))
        for number in range(WORK_FILES):
            (small / f"file {number}").write_bytes(random.randbytes(4096))
        cases = [
            (name, box, is_busy)
            for is_busy in (False, True)
            for name in SCANNERS
            for box in (large, small)
        ]
        for _ in range(rounds):
            random.shuffle(cases)
            for name, box, is_busy in cases:
                with contextlib.ExitStack() as busy:
                    for core in os.sched_getaffinity(0) if is_busy else ():
                        busy.enter_context(_working(core, WORKERS["nice 0"], False))
                    took = _scan(box, SCANNERS[name])
                found.setdefault((name, box.name, is_busy), []).append(took)
    print("| scanner | what | all cores busy | seconds |")
    print("|---|---|---|---|")
    for (name, what, is_busy), seconds in sorted(found.items()):
        words = ", ".join(f"{one:.1f}" for one in sorted(seconds))
        print(f"| {name} | {what} | {'yes' if is_busy else 'no'} | {words} |")


def main() -> None:
    """Measure one of the two."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--work", action="store_true", help="the scanner's work instead")
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument(
        "--held",
        action="store_true",
        help="an idle loop on that core as well, so that a group that was given more weight (see"
        " sched(7), autogroup) never leaves it to other groups",
    )
    parser.add_argument("--core", type=int, default=max(os.sched_getaffinity(0)))
    given = parser.parse_args()
    print(f"Linux {platform.release()}, {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}")
    if given.work:
        show_work(given.rounds)
    else:
        show_lateness(given.rounds, given.core, given.held)


if __name__ == "__main__":
    main()
