"""Very many seeds, on all processors, with a bound on time; goes on where it was stopped.

`make soak SEEDS=10000 MINUTES=60`. What is done is kept in `soaked.json` beside this file, with the
figures: to be committed, so that hours of it need not be spent on one machine. It counts only for
the code that it was done with.
"""

from __future__ import annotations

import argparse
import gc
import hashlib
import itertools
import json
import multiprocessing
import os
import sys
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path

from tests.simulator.runs import Outcome, is_with_boxes, replay, run_seed

ROOT = Path(__file__).parents[2]
SOAKED = Path(__file__).with_name("soaked.json")
FAULTS = {
    "cells lost": ("cells lost", "cells lost while agreeing"),
    "cells delayed": ("cells delayed",),
    "cells reordered": ("cells overtaking",),
    "cells duplicated": ("cells twice",),
    "cells corrupted": ("cells spoilt",),
    "links cut one way": ("fault: link cut one way",),
    "links cut both ways": ("fault: link cut both ways",),
    "crashes": ("fault: crash",),
    "power cuts": ("fault: power cut",),
    "clocks skewed (speed, or wrong at a start)": ("fault: drift", "fault: set_clock"),
    "clocks jumped": ("fault: jump_clock",),
    "disks full": ("fault: fill_disk",),
    "edits": ("fault: edit", "fault: acts between two steps"),
}
"""Every kind of fault there has to be, and the counts that tell how often it was there."""
CHECKED = ("bytes of contents checked", "bytes of cells checked")

SAVE_S = 20.0
SAY_S = 60.0


def code() -> str:
    """What the runs are runs of: a digest of all that they import of flocksy and the simulator."""
    digest = hashlib.blake2b(digest_size=8)
    for path in sorted(imported()):
        digest.update(path.read_bytes())
    return digest.hexdigest()


def imported() -> set[Path]:
    """The files that any run rests on."""
    for late in ("boxes", "crowds"):
        import_module(f"tests.simulator.{late}")
    files = {Path(one.__file__) for one in sys.modules.values() if getattr(one, "__file__", None)}
    runs = {path for path in files if path.is_relative_to(ROOT / "flocksy")}
    runs |= {path for path in files if path.parent == ROOT / "tests" / "simulator"}
    return runs - {Path(__file__)}  # which seeds there are, and what is told of them


@dataclass(slots=True)
class Progress:
    """What has been done so far."""

    path: Path
    code: str
    done: set[int] = field(default_factory=set)
    counts: Counter[str] = field(default_factory=Counter)
    failures: dict[int, str] = field(default_factory=dict)
    cpu_s: float = 0.0

    def load(self) -> None:
        """Go on where an earlier soak of the same code was stopped."""
        try:
            saved = json.loads(self.path.read_text())
        except (FileNotFoundError, ValueError):
            return
        if saved["code"] != self.code:
            print("the code is another than in the last soak: beginning anew")
            return
        self.done = {seed for first, last in saved["done"] for seed in range(first, last + 1)}
        self.counts = Counter(saved["counts"])
        self.failures = {int(seed): words for seed, words in saved["failures"].items()}
        self.cpu_s = saved["cpu_s"]
        print(f"going on after {len(self.done)} seeds")

    def save(self) -> None:
        """Keep it for the next time."""
        unfinished = self.path.with_suffix(".new")
        saved = {
            "code": self.code,
            "done": ranges(self.done),
            "counts": dict(sorted(self.counts.items())),
            "failures": self.failures,
            "cpu_s": round(self.cpu_s, 1),
        }
        unfinished.write_text(json.dumps(saved, indent=1) + "\n")
        unfinished.replace(self.path)

    def add(self, outcome: Outcome, seconds: float) -> None:
        """One more seed."""
        self.done.add(outcome.seed)
        self.counts.update(outcome.counts)
        self.cpu_s += seconds
        if outcome.failure:
            self.failures[outcome.seed] = outcome.failure
            print(f"seed {outcome.seed} failed: {replay(outcome.seed)}")
            print("  " + outcome.failure.splitlines()[0][:300], flush=True)

    def report(self) -> str:
        """The figures, in words."""
        lines = [f"{len(self.done)} seeds, {len(self.failures)} failed, {self.cpu_s:.0f} s of CPU"]
        lines += self._lines(FAULTS)
        lines += self._lines({"bytes checked": CHECKED})
        lines.append("in detail:")
        lines += self._lines({name: (name,) for name in sorted(self.counts)})
        if self.failures:
            lines.append("failed: " + " ".join(map(str, sorted(self.failures))))
        return "\n".join(lines)

    def _lines(self, kinds: Mapping[str, tuple[str, ...]]) -> list[str]:
        return [
            f"  {sum(self.counts[name] for name in names):>14,}  {kind}"
            for kind, names in kinds.items()
        ]


def ranges(seeds: set[int]) -> list[tuple[int, int]]:
    """The first and the last of each row without a gap."""
    firsts = sorted(seed for seed in seeds if seed - 1 not in seeds)
    lasts = sorted(seed for seed in seeds if seed + 1 not in seeds)
    return list(zip(firsts, lasts, strict=True))


def collect_seldom() -> None:
    """Have the collector look less often: runs make many objects and leave few, and it takes a
    tenth of their time."""
    gc.freeze()
    gc.set_threshold(100_000, 20, 50)


def one(seed: int) -> tuple[Outcome, float]:
    """In a process of the pool."""
    began_s = time.process_time()
    outcome = run_seed(seed)
    return outcome, time.process_time() - began_s


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.simulator.soak", description=__doc__)
    parser.add_argument("--seeds", type=int, default=10_000)
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--minutes", type=float, default=60.0)
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--kind", choices=("all", "wire", "boxes"), default="all")
    parser.add_argument("--state", type=Path, default=SOAKED)
    options = parser.parse_args()
    if os.environ.get("PYTHONHASHSEED") != "0":
        command = [sys.executable, "-m", "tests.simulator.soak", *sys.argv[1:]]
        os.execve(sys.executable, command, {**os.environ, "PYTHONHASHSEED": "0"})
    progress = Progress(options.state, code())
    progress.load()
    end_s = time.monotonic() + 60 * options.minutes

    def seeds() -> Iterator[int]:
        for seed in range(options.first, options.first + options.seeds):
            wanted = options.kind == "all" or is_with_boxes(seed) == (options.kind == "boxes")
            if wanted and seed not in progress.done:
                if time.monotonic() > end_s:
                    return
                yield seed

    save_at_s = say_at_s = time.monotonic() + SAVE_S
    context = multiprocessing.get_context("spawn")
    with context.Pool(options.jobs, collect_seldom, maxtasksperchild=200) as pool:
        todo = seeds()
        while batch := list(itertools.islice(todo, 16 * options.jobs)):
            for outcome, seconds in pool.imap_unordered(one, batch):
                progress.add(outcome, seconds)
            now_s = time.monotonic()
            if now_s > save_at_s:
                save_at_s = now_s + SAVE_S
                progress.save()
            if now_s > say_at_s:
                say_at_s = now_s + SAY_S
                print(f"{len(progress.done)} seeds done", flush=True)
    progress.save()
    print(progress.report())
    return 1 if progress.failures else 0


if __name__ == "__main__":
    sys.exit(main())
