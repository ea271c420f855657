"""Run all targets for so many executions each, or go on where an earlier call stopped.

    python -m tests.fuzz --executions 10000000 --minutes 60 [NAME ...]

Keeps its growing corpus, the counts and what was found in `build/fuzz`. An input that does harm
ends the run of its target, until it is mended and its file is taken away.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import re
import subprocess
import sys
import time
from dataclasses import asdict, dataclass
from pathlib import Path

from tests.fuzz import corpus
from tests.fuzz.table import TARGETS
from tests.fuzz.target import Target

PLACE = Path("build/fuzz")
TIMEOUT_SECONDS = 25
"""For one input, by the clock on the wall: a hang, even on a machine that does much else."""

RSS_LIMIT_MB = 600
"""Of the process, libFuzzer's own corpus and tables included: some 50 before the first input."""

_EXECUTED = re.compile(r"(?m)^(?:stat::number_of_executed_units:\s+|#)(\d+)")


@dataclass
class Count:
    """What became of one target so far."""

    executions: int = 0
    seconds: float = 0.0
    inputs: int = 0
    found: int = 0

    @property
    def line(self) -> str:
        """As a row of a table."""
        millions = self.executions / 1e6
        return f"{millions:>9.2f} M {self.seconds:>8.0f} s {self.inputs:>6} inputs {self.found:>3}"


def counts() -> dict[str, Count]:
    """Of all targets, from earlier calls."""
    path = PLACE / "counts.json"
    kept = json.loads(path.read_text()) if path.exists() else {}
    return {name: Count(**kept.get(name, {})) for name in TARGETS}


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
    count.seconds += time.monotonic() - begun
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


def main() -> int:
    """The exit status: 1 where something was found."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz")
    parser.add_argument("--executions", type=int, default=10_000_000)
    parser.add_argument("--minutes", type=float, default=60.0, help="in all")
    parser.add_argument("--slice", type=int, default=300, help="seconds of one target at a time")
    parser.add_argument("names", nargs="*", metavar="NAME", help="targets; all by default")
    parsed = parser.parse_args()
    end = time.monotonic() + 60 * parsed.minutes
    chosen = [TARGETS[name] for name in parsed.names or TARGETS]
    known = counts()

    def open_ones() -> list[Target]:
        return [
            target
            for target in chosen
            if known[target.name].executions < parsed.executions and not findings(target)
        ]

    while (left := int(end - time.monotonic())) > 0 and open_ones():
        for target in open_ones():
            left = int(end - time.monotonic())
            if left <= 0:
                break
            count = known[target.name]
            run(target, count, parsed.executions - count.executions, min(left, parsed.slice))
            kept = {name: asdict(one) for name, one in known.items()}
            (PLACE / "counts.json").write_text(json.dumps(kept, indent=1))
            print(f"{target.name:<14}{count.line}", flush=True)
    found = [path for target in chosen for path in findings(target)]
    for path in found:
        print(f"{path}: does harm; see {path.parent / 'log'}")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
