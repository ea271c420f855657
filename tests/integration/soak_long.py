"""Three real nodes for hours, with constant small changes: does anything grow, does anything slip?

    python -m tests.integration.soak_long --minutes 120 --samples build/soak-long.jsonl

Somebody works on a bounded set of files on all three nodes: makes, edits, renames and deletes them,
some of them large enough for a burst, some in directories that come and go. Every half minute is
noted what each process takes (memory, handles, threads), what lies on the disk (index, history,
state), and how the schedule is kept. Every ten minutes hands rest, and all boxes must be equal.

Before all that so many versions are made that caches of a fixed size (SQLite's pages, decoded
records) are full: else they would fill for hours, and look like something that grows.

What has to be flat is said in `soak_verdict.py`. Each node begins with a history that is as large
as its cap and older than a week, which has to make room for what comes.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from pathlib import Path

from flocksy.errors import FlocksyError
from flocksy.testing.cells import GEAR_CHANGE_CELLS, cells_since, count_cells
from flocksy.testing.processes import roles, taken
from flocksy.testing.rig import Rig, RigError, RigNode
from tests.integration.flock import KIB, MIB, rig_of_three
from tests.integration.soak_verdict import CAP_BYTES, Sample, Verdict, judge

SAMPLE_SECONDS = 30.0
LATE_SECONDS = 5.0
"""Between two looks at how late the newest heartbeat was."""

REST_SECONDS = 600.0
PRINT_SECONDS = 300.0

CHANGES_PER_SECOND = 1.0
FOLDERS = 12
MOST_FILES = 300
"""Files in the box; from so many on, one goes for each that comes."""

SIZES = (0, 40, 900, 3 * KIB, 20 * KIB)
LARGE_BYTES = (300 * KIB, 2 * MIB)
LARGE_SHARE = 0.02

FILLING_ROUNDS = 30
"""Times that all files are edited before the first sample: 9,000 versions make an index of some 10
MiB, more than the 8 MiB of pages and the 4,096 records that are kept."""

AGED_FILES = 1600
"""In the history from the start, one to three weeks old and together as large as its cap."""


class Soak:
    """One run on a rig that flies."""

    def __init__(self, rig: Rig, seed: int, say: Callable[[str], None], out: Path) -> None:
        self.rig = rig
        self.draw = random.Random(seed)
        self.say = say
        self.out = out
        self.samples: list[Sample] = []
        self.late_us: list[int] = []
        self.changes = 0
        self.kinds: dict[str, int] = {}
        self.rests = 0
        self._began = time.monotonic()

    @property
    def now_s(self) -> float:
        """Seconds since the beginning."""
        return time.monotonic() - self._began

    def run(self, seconds: float) -> None:
        """Work and look for so long, then rest."""
        late_at = sample_at = print_at = 0.0
        rest_at = REST_SECONDS
        while (now := self.now_s) < seconds:
            self.change()
            if now >= late_at:
                late_at = now + LATE_SECONDS
                self.look_how_late()
            if now >= sample_at:
                sample_at = now + SAMPLE_SECONDS
                self.sample()
            if now >= print_at:
                print_at = now + PRINT_SECONDS
                self.print_last()
            if now >= rest_at:
                rest_at = now + REST_SECONDS
                self.rest()
            time.sleep(self.draw.expovariate(CHANGES_PER_SECOND))
        self.rest()
        self.sample()
        self.print_last()

    def fill_caches(self) -> None:
        """Make many versions, all files at a time."""
        began = time.monotonic()
        for number in range(FILLING_ROUNDS):
            box = self.draw.choice(self.rig.nodes).box
            for file in range(MOST_FILES):
                path = box / f"folder {file % FOLDERS}" / f"file {file}"
                path.parent.mkdir(exist_ok=True)
                path.write_bytes(b"%d of %d" % (number, file))
            self.rig.wait_equal()
        self.say(f"caches filled in {time.monotonic() - began:.0f} s")
        self._began = time.monotonic()

    def rest(self) -> None:
        """Hands off: all boxes become equal."""
        seconds = self.rig.wait_equal()
        self.rests += 1
        self.say(f"rest {self.rests}: equal after {seconds:.1f} s, {self.changes} changes so far")

    # -- hands ----------------------------------------------------------------------------------

    def change(self) -> None:
        """One thing that somebody does on one node."""
        node = self.draw.choice(self.rig.nodes)
        files = _files(node.box)
        hands = [self.write, self.edit, self.rename, self.delete, self.large, self.folder]
        weights = [30, 40, 12, 14, 100 * LARGE_SHARE, 2]
        hand = self.draw.choices(hands, weights)[0]
        if len(files) >= MOST_FILES and hand in (self.write, self.large):
            hand = self.delete
        if not files and hand in (self.edit, self.rename, self.delete):
            hand = self.write
        # flocksy works on the same paths: what a hand wanted may just have gone.
        with suppress(FileNotFoundError, NotADirectoryError, IsADirectoryError, FileExistsError):
            hand(node.box)
            self.changes += 1
            self.kinds[hand.__name__] = self.kinds.get(hand.__name__, 0) + 1

    def write(self, box: Path) -> None:
        self._put(box, self.draw.randbytes(self.draw.choice(SIZES)))

    def large(self, box: Path) -> None:
        self._put(box, self.draw.randbytes(self.draw.choice(LARGE_BYTES)))

    def edit(self, box: Path) -> None:
        path = self.draw.choice(_files(box))
        size = path.stat().st_size
        with path.open("r+b") as file:
            file.seek(self.draw.randrange(size + 1))
            file.write(self.draw.randbytes(self.draw.randrange(1, 200)))

    def rename(self, box: Path) -> None:
        self.draw.choice(_files(box)).rename(self._path(box))

    def delete(self, box: Path) -> None:
        self.draw.choice(_files(box)).unlink()

    def folder(self, box: Path) -> None:
        """A directory comes, is moved, or goes with all that is in it."""
        path = box / f"folder {self.draw.randrange(FOLDERS)}"
        if path.is_dir():
            # What another hand or flocksy has just put there, or in the new place, may stop it.
            with suppress(OSError):
                if self.draw.random() < 0.5:
                    path.rename(box / f"folder {self.draw.randrange(FOLDERS)}")
                else:
                    for entry in sorted(path.iterdir()):
                        entry.unlink()
                    path.rmdir()
        else:
            path.mkdir()

    def _put(self, box: Path, content: bytes) -> None:
        path = self._path(box)
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(content)

    def _path(self, box: Path) -> Path:
        name = f"file {self.draw.randrange(2 * MOST_FILES)}"
        if self.draw.random() < 0.3:
            return box / name
        return box / f"folder {self.draw.randrange(FOLDERS)}" / name

    # -- looking --------------------------------------------------------------------------------

    def look_how_late(self) -> None:
        for node in self.rig.nodes:
            with suppress(FlocksyError):  # busy with a batch
                late = node.status()["heartbeat_late_us"]
                assert isinstance(late, int)
                self.late_us.append(late)

    def sample(self) -> None:
        with self.out.open("a") as out:
            for node in self.rig.nodes:
                if not node.running:
                    raise RigError(f"{node.name} has ended\n{node.log_tail()}")
                try:
                    sample = self._sample(node)
                except (FlocksyError, OSError) as error:
                    self.say(f"no sample of {node.name}: {error}")
                    continue
                self.samples.append(sample)
                out.write(json.dumps(asdict(sample)) + "\n")

    def _sample(self, node: RigNode) -> Sample:
        status = node.status()
        assert node.process is not None
        processes = {role: taken(pid) for role, pid in roles(node.process.pid).items()}
        state = Path(node.environment["XDG_STATE_HOME"])
        indexes = _sizes(state, "*.sqlite*")
        history = _sizes(node.box / ".flocksy" / "history", "*")
        own = [path for path in (node.box / ".flocksy").rglob("*") if "history" not in path.parts]
        links = status["links"]
        boxes = status["boxes"]
        errors = status["errors"]
        assert isinstance(links, list) and isinstance(boxes, list) and isinstance(errors, list)
        return Sample(
            at_s=round(self.now_s, 1),
            changes=self.changes,
            node=node.name,
            memory={role: one.memory_bytes for role, one in processes.items()},
            handles={role: one.handles for role, one in processes.items()},
            threads={role: one.threads for role, one in processes.items()},
            cpu_seconds={role: one.cpu_seconds for role, one in processes.items()},
            index_bytes=sum(indexes.values()),
            wal_bytes=sum(size for name, size in indexes.items() if name.endswith("-wal")),
            history_bytes=sum(history.values()),
            history_entries=len(history),
            state_entries=sum(1 for _ in state.rglob("*")),
            own_entries=len(own),
            heartbeats=links[0]["cells_out_idle"],
            burst_cells=links[0]["cells_out_burst"],
            gaps=sum(link["gaps"] for link in links),
            problems=[problem for box in boxes for problem in box["problems"]],
            errors=errors,
        )

    def print_last(self) -> None:
        """The newest sample of each node."""
        for sample in self.samples[-len(self.rig.nodes) :]:
            memory = " ".join(f"{k} {v / MIB:.0f}" for k, v in sample.memory.items())
            handles = " ".join(str(count) for count in sample.handles.values())
            threads = " ".join(str(count) for count in sample.threads.values())
            self.say(
                f"{sample.node}: MiB {memory}; handles {handles}; threads {threads}; index"
                f" {sample.index_bytes / KIB:.0f} KiB (log {sample.wal_bytes / KIB:.0f});"
                f" history {sample.history_bytes / 1e6:.1f} MB in {sample.history_entries};"
                f" state {sample.state_entries}; own {sample.own_entries};"
                f" heartbeats {sample.heartbeats}, burst cells {sample.burst_cells},"
                f" gaps {sample.gaps}"
            )


def _files(box: Path) -> list[Path]:
    found = []
    for directory, below, names in os.walk(box):
        below[:] = sorted(name for name in below if name != ".flocksy")
        found += [Path(directory) / name for name in sorted(names)]
    return found


def _sizes(root: Path, pattern: str) -> dict[str, int]:
    found = {}
    for path in root.rglob(pattern):
        with suppress(FileNotFoundError):
            seen = path.lstat()
            if not path.is_dir():
                found[str(path)] = seen.st_size
    return found


def age_history(box: Path) -> None:
    """Fill a box's history up to its cap with what was kept one to three weeks ago."""
    now = datetime.now(UTC)
    for number in range(AGED_FILES):
        when = now - timedelta(days=8 + 14 * number / AGED_FILES)
        folder = box / ".flocksy" / "history" / when.date().isoformat()
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        place = folder / f"{int(when.timestamp() * 1000):011x}-1-old"
        place.write_bytes(bytes(CAP_BYTES // AGED_FILES))


def main() -> int:
    """A rig, so many minutes, and a verdict. Returns the exit status."""
    parser = argparse.ArgumentParser(description="three real nodes for hours")
    parser.add_argument("--minutes", type=float, default=120.0)
    parser.add_argument("--seed", type=int, default=random.randrange(1 << 32))
    parser.add_argument("--samples", type=Path, default=Path("build/soak-long.jsonl"))
    given = parser.parse_args()
    given.samples.parent.mkdir(parents=True, exist_ok=True)
    given.samples.write_text("")
    began = time.monotonic()

    def say(text: str) -> None:
        print(f"[{time.monotonic() - began:6.0f} s] {text}", flush=True)

    words = f'[shared]\n{{ "history_cap" : "{CAP_BYTES // 10**6}M", "guard" : "off" }}'
    with rig_of_three([words]) as rig:
        try:
            return _soak(rig, given.minutes * 60, given.seed, given.samples, say)
        except (RigError, FlocksyError, OSError, AssertionError) as error:
            say(f"FAILED: {error}")
            print(rig.log_tails(), file=sys.stderr)
            return 1


def _start(rig: Rig) -> None:
    rig.start_all()
    rig.wait_for_view()
    rig.wait_in_sync()


def _soak(rig: Rig, seconds: float, seed: int, out: Path, say: Callable[[str], None]) -> int:
    say(f"seed {seed}, three nodes, profile fast, for {seconds / 60:.0f} minutes")
    _start(rig)
    for node in rig.nodes:
        rig.stop(node)
        age_history(node.box)  # known of from the start
    _start(rig)
    soak = Soak(rig, seed, say, out)
    soak.fill_caches()
    before = count_cells(rig)
    soak.run(seconds)
    sent = cells_since(before, count_cells(rig))
    cpu = [round(sum(s.cpu_seconds.values())) for s in soak.samples[-len(rig.nodes) :]]
    say(f"changes {soak.changes} {soak.kinds}; CPU seconds {cpu}; {soak.rests} times equal")
    failed = judge(soak.samples, soak.late_us, say)
    verdict = Verdict(say)
    idle, burst = zip(*sent.values(), strict=True)
    aborted = sum(node.log.read_text().count("burst aborted") for node in rig.nodes)
    bursts = rig.nodes[0].log.read_text().count("cells agreed")
    # Each gear change may leave out a heartbeat more on one node than on another.
    verdict.check(
        max(idle) - min(idle) <= GEAR_CHANGE_CELLS + bursts,
        f"heartbeats per link between {min(idle)} and {max(idle)}, {bursts} bursts",
    )
    verdict.check(
        len(set(burst)) == 1 or aborted > 0,
        f"burst cells per link between {min(burst)} and {max(burst)}, {aborted} times aborted",
    )
    for node in rig.nodes:
        verdict.check(rig.stop(node) == 0, f"{node.name} stops cleanly")
    verdict.check(not rig.complaints(), f"nothing broken in the logs {rig.complaints()[:5]}")
    failed += verdict.failed
    say(f"{failed} lines failed" if failed else "all flat, all equal, the schedule kept")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
