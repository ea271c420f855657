"""Run each target for as many executions as it needs, or go on where an earlier call stopped.

    python -m tests.fuzz --minutes 60 --processes 2 [NAME ...]

Keeps its growing corpus and what was found in `build/fuzz`, and the counts in `counts.json` beside
this file: to be committed, so that the many hours of a whole soak need not be spent on one machine.
A target whose code has changed since (`sources.py`) is counted anew. A target has one process at
a time. An input that does harm ends the run of its target, until it is mended and its file is taken
away.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import re
import subprocess
import sys
import threading
import time
from collections import deque
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path

from tests.fuzz import corpus, sources
from tests.fuzz.table import TARGETS
from tests.fuzz.target import Target

PLACE = Path("build/fuzz")
COUNTS = Path(__file__).with_name("counts.json")
TIMEOUT_SECONDS = 25
"""For one input, by the clock on the wall: a hang, even on a machine that does much else."""

RSS_LIMIT_MB = 600
"""Of the process, libFuzzer's own corpus and tables included: some 50 before the first input."""

_EXECUTED = re.compile(r"(?m)^(?:stat::number_of_executed_units:\s+|#)(\d+)")


@dataclass
class Count:
    """What became of one target so far.

    Args:
        code: the digest of what was run; empty where that is not known.
    """

    code: str = ""
    executions: int = 0
    seconds: int = 0
    inputs: int = 0
    found: int = 0

    @property
    def line(self) -> str:
        """As a row of a table."""
        millions = self.executions / 1e6
        return f"{millions:>9.2f} M {self.seconds:>8} s {self.inputs:>6} inputs {self.found:>3}"


def counts() -> dict[str, Count]:
    """Of all targets as they are now, from earlier calls."""
    kept = json.loads(COUNTS.read_text()) if COUNTS.exists() else {}
    known = {}
    for name, target in TARGETS.items():
        code = sources.digest(target)
        before = Count(**kept.get(name, {}))
        known[name] = before if before.code == code else Count(code)
    return known


def sow(target: Target) -> Path:
    """The directory of the target's growing corpus, with seeds and committed inputs in it."""
    directory = PLACE / target.name / "corpus"
    directory.mkdir(parents=True, exist_ok=True)
    for one in (*target.seeds(), *corpus.committed(target.name)):
        (directory / hashlib.sha1(one).hexdigest()).write_bytes(one)
    return directory


def dictionary(target: Target) -> list[str]:
    """The argument that names the target's words, if it has any."""
    if not target.words:
        return []
    path = PLACE / target.name / "words"
    lines = ("".join(f"\\x{byte:02x}" for byte in word) for word in target.words)
    path.write_text("".join(f'"{line}"\n' for line in lines))
    return [f"-dict={path}"]


def run(target: Target, count: Count, executions: int, seconds: int) -> None:
    """Some more executions of one target, counted."""
    directory = sow(target)
    log = PLACE / target.name / "log"
    begun = time.monotonic()
    with log.open("wb") as file:
        subprocess.run(
            [
                *(sys.executable, "-m", "tests.fuzz.guided", target.name, str(directory)),
                f"-runs={executions}",
                f"-max_total_time={seconds}",
                f"-max_len={target.max_bytes}",
                # JSON is read in C, unseen: without this all that is whole there is thrown away.
                "-keep_seed=1",
                f"-timeout={TIMEOUT_SECONDS}",
                f"-rss_limit_mb={RSS_LIMIT_MB}",
                f"-artifact_prefix={PLACE / target.name}/",
                *dictionary(target),
                "-print_final_stats=1",
            ],
            stdout=file,
            stderr=file,
            check=False,
        )
    count.seconds += round(time.monotonic() - begun)
    executed = _EXECUTED.findall(log.read_text(errors="replace"))
    if not executed and not findings(target):
        sys.exit(f"{target.name}: could not begin; see {log}")
    count.executions += max(map(int, executed), default=0)
    count.inputs = len(list(directory.iterdir()))
    count.found = len(findings(target))


def findings(target: Target) -> list[Path]:
    """Inputs that did harm: a file each."""
    kinds = ("crash", "timeout", "oom")
    return [path for kind in kinds for path in sorted((PLACE / target.name).glob(f"{kind}-*"))]


class Turns:
    """Targets with something left to do, each for a slice of time and with one process at most."""

    def __init__(self, chosen: list[Target], most: int | None, end: float, slice_: int) -> None:
        self._waiting = deque(chosen)
        self._most = most
        self._end = end
        self._slice = slice_
        self._known = counts()
        self._lock = threading.Lock()

    def work(self) -> None:
        """One slice after the other, in a thread of its own for each process."""
        while (target := self._next()) is not None:
            count = self._known[target.name]
            seconds = min(self._slice, int(self._end - time.monotonic()))
            if seconds > 0:
                run(target, count, self._left(target), seconds)
                self._done(target, count)

    def stop(self) -> None:
        """Begin nothing more."""
        self._end = 0.0

    def _next(self) -> Target | None:
        with self._lock:
            while self._waiting and time.monotonic() < self._end:
                target = self._waiting.popleft()
                if self._left(target) > 0 and not findings(target):
                    return target
        return None

    def _left(self, target: Target) -> int:
        wanted = target.goal if self._most is None else self._most
        return wanted - self._known[target.name].executions

    def _done(self, target: Target, count: Count) -> None:
        with self._lock:
            self._waiting.append(target)
            kept = {name: asdict(one) for name, one in self._known.items() if one.executions}
            fresh = COUNTS.with_suffix(".new")
            fresh.write_text(json.dumps(kept, indent=1) + "\n")
            fresh.replace(COUNTS)
            print(f"{target.name:<14}{count.line}", flush=True)


def main(arguments: Sequence[str] | None = None) -> int:
    """The exit status: 1 where something was found."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz")
    parser.add_argument("--executions", type=int, help="of each, instead of the target's own goal")
    parser.add_argument("--minutes", type=float, default=60.0, help="in all")
    parser.add_argument("--slice", type=int, default=300, help="seconds of one target at a time")
    parser.add_argument("--processes", type=int, default=os.cpu_count() or 1, help="at a time")
    parser.add_argument("names", nargs="*", metavar="NAME", help="targets; all by default")
    parsed = parser.parse_args(arguments)
    unknown = sorted(set(parsed.names) - set(TARGETS))
    if unknown:
        parser.error(f"there is no target {unknown[0]}; there are {', '.join(TARGETS)}")
    chosen = [TARGETS[name] for name in dict.fromkeys(parsed.names or TARGETS)]
    end = time.monotonic() + 60 * parsed.minutes
    turns = Turns(chosen, parsed.executions, end, parsed.slice)
    with ThreadPoolExecutor(parsed.processes) as pool:
        workers = [pool.submit(turns.work) for _ in range(parsed.processes)]
        try:
            for worker in workers:
                worker.result()
        finally:
            turns.stop()  # the fuzzers hear Ctrl-C themselves, and are counted
    found = [path for target in chosen for path in findings(target)]
    for path in found:
        print(f"{path}: does harm; see {path.parent / 'log'}")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
