"""Three real nodes for hours, with constant small changes: does anything grow, does anything slip?

    python -m tests.integration.soak_long --minutes 120 --samples build/soak-long.jsonl

Somebody works on a bounded set of files on all three nodes: makes, edits, renames and deletes them,
some of them large enough for a burst, some in directories that come and go. Every half minute is
noted what each process takes (memory, handles, threads), what lies on the disk (index, history,
state), and how the schedule is kept. Every ten minutes hands rest, and all boxes must be equal.

What is flat. Of the second half a line is laid through the samples, the median of the slopes of
all pairs, so that single samples count for nothing; its rise per hour must stay below a bound. Two
things are not meant to be flat: the index, which remembers each superseded version and each deleted
path for good, and the history, of which nothing is taken that is younger than a week. So of the
index the bytes per change must not grow; and each node begins with a history that is as large as
its cap and older than a week, which has to make room for what comes.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from flocksy.errors import FlocksyError
from flocksy.testing.cells import GEAR_CHANGE_CELLS, cells_since, count_cells
from flocksy.testing.processes import roles, taken
from flocksy.testing.rig import Rig, RigError, RigNode
from tests.integration.flock import KIB, MIB, rig_of_three

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

CAP_BYTES = 800 * 10**6
"""Of the history. What two hours of changes put there is a part of it."""

AGED_FILES = 1600
"""... that are in the history from the start, one to three weeks old."""

MIB_PER_HOUR = 4.0
"""A process whose memory rises less than this is called flat: a hundred megabytes in a day."""

HANDLES_PER_HOUR = 0.5
HISTORY_SHARE_PER_HOUR = 0.02
INDEX_GROWTH = 1.3
"""Bytes that a change adds to the index in the second half, over those in the first one."""

WAL_BYTES = 16 * MIB
LATE_MEDIAN_MS = 5.0
LATE_PERIODS_PERCENT = 1.0
"""Of the heartbeats looked at so many may be later than half a period: other programs run too."""

PERIOD_S = 0.1


@dataclass(frozen=True, slots=True)
class Sample:
    """One node at one moment."""

    at_s: float
    changes: int  # by all hands so far
    node: str
    memory: dict[str, int]  # by process
    handles: dict[str, int]
    threads: dict[str, int]
    cpu_seconds: dict[str, float]
    index_bytes: int
    wal_bytes: int
    history_bytes: int
    history_entries: int
    state_entries: int
    own_entries: int  # in the box's own directory, the history left out
    heartbeats: int
    burst_cells: int
    gaps: int
    problems: list[str]
    errors: list[str]


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


class Verdict:
    """What the samples add up to, line by line."""

    def __init__(self, say: Callable[[str], None]) -> None:
        self._say = say
        self.failed = 0

    def check(self, holds: bool, text: str) -> None:
        """One line."""
        self.failed += not holds
        self._say(f"{'ok    ' if holds else 'FAILED'}  {text}")

    def flat(
        self, what: str, samples: Sequence[Sample], read: Callable[[Sample], float], most: float
    ) -> None:
        """The rise of the second half per hour, by the median of the slopes of all pairs."""
        half = samples[len(samples) // 2 :]
        rise = slope([(sample.at_s / 3600, read(sample)) for sample in half])
        values = [read(sample) for sample in half]
        self.check(
            rise <= most,
            f"{what}: {rise:+.3g} per hour (at most {most:g}), between {min(values):.4g} and"
            f" {max(values):.4g} in the second half, {read(samples[0]):.4g} at first",
        )


def judge(soak: Soak, say: Callable[[str], None]) -> int:
    """Print all lines of the verdict. Returns how many failed."""
    verdict = Verdict(say)
    for node in soak.rig.nodes:
        mine = [sample for sample in soak.samples if sample.node == node.name]
        for role in mine[0].memory:
            whole = [sample for sample in mine if role in sample.memory]

            def memory_mib(sample: Sample, role: str = role) -> float:
                return sample.memory[role] / MIB

            def handles(sample: Sample, role: str = role) -> float:
                return sample.handles[role]

            def threads(sample: Sample, role: str = role) -> float:
                return sample.threads[role]

            verdict.flat(f"{node.name} {role}: memory, MiB", whole, memory_mib, MIB_PER_HOUR)
            verdict.flat(f"{node.name} {role}: handles", whole, handles, HANDLES_PER_HOUR)
            verdict.flat(f"{node.name} {role}: threads", whole, threads, HANDLES_PER_HOUR)
        history = HISTORY_SHARE_PER_HOUR * CAP_BYTES / MIB
        verdict.flat(f"{node.name}: history, MiB", mine, _history_mib, history)
        verdict.flat(f"{node.name}: entries of the state", mine, _state, HANDLES_PER_HOUR)
        verdict.flat(f"{node.name}: entries of .flocksy", mine, _own, HANDLES_PER_HOUR)
        _judge_index(node.name, mine, verdict)
        problems = {text for sample in mine for text in sample.problems}
        say(f"        {node.name}: {len(problems)} problems shown for a while {sorted(problems)}")
        verdict.check(not mine[-1].problems, f"{node.name}: problems in the end: none")
        verdict.check(not mine[-1].errors, f"{node.name}: errors in the status: {mine[-1].errors}")
    _judge_schedule(soak, verdict)
    return verdict.failed


def _judge_index(name: str, mine: Sequence[Sample], verdict: Verdict) -> None:
    # The log of SQLite comes and goes, so it is looked at by itself.
    points = [(s.changes, s.index_bytes - s.wal_bytes) for s in mine]
    middle = len(points) // 2
    first, second = slope(points[:middle]), slope(points[middle:])
    verdict.check(
        second <= max(INDEX_GROWTH * first, 1.0),
        f"{name}: index, bytes per change: {first:.0f} in the first half, {second:.0f} in the"
        f" second (at most {INDEX_GROWTH:g} times as many); {points[-1][1] / KIB:.0f} KiB now",
    )
    log = max(sample.wal_bytes for sample in mine)
    verdict.check(log <= WAL_BYTES, f"{name}: its log at most {log / KIB:.0f} KiB")


def _judge_schedule(soak: Soak, verdict: Verdict) -> None:
    late = sorted(us / 1000 for us in soak.late_us)
    median, p90, p99 = (late[len(late) * percent // 100] for percent in (50, 90, 99))
    much = 100 * sum(1 for ms in late if ms > PERIOD_S / 2 * 1000) / len(late)
    verdict.check(
        median <= LATE_MEDIAN_MS and much <= LATE_PERIODS_PERCENT,
        f"heartbeats late, ms: median {median:.2f}, p90 {p90:.2f}, p99 {p99:.2f}, most"
        f" {late[-1]:.1f}; by more than half a period {much:.2f} % of {len(late)}",
    )


def slope(points: Sequence[tuple[float, float]]) -> float:
    """The median of the slopes between all pairs of points (Theil and Sen)."""
    found = [
        (later[1] - sooner[1]) / (later[0] - sooner[0])
        for number, sooner in enumerate(points)
        for later in points[number + 1 :]
        if later[0] != sooner[0]
    ]
    return statistics.median(found) if found else 0.0


def _history_mib(sample: Sample) -> float:
    return sample.history_bytes / MIB


def _state(sample: Sample) -> float:
    return sample.state_entries


def _own(sample: Sample) -> float:
    return sample.own_entries


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
    before = count_cells(rig)
    soak = Soak(rig, seed, say, out)
    soak.run(seconds)
    sent = cells_since(before, count_cells(rig))
    cpu = [round(sum(s.cpu_seconds.values())) for s in soak.samples[-len(rig.nodes) :]]
    say(f"changes {soak.changes} {soak.kinds}; CPU seconds {cpu}; {soak.rests} times equal")
    failed = judge(soak, say)
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
