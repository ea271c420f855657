"""What the samples of a long run add up to: what is flat, and what grows by how much.

Of the second half a line is laid through the samples, the median of the slopes of all pairs, so
that single samples count for nothing; its rise per hour must stay below a bound. Two things are not
meant to be flat: the index, which remembers each superseded version and each deleted path for good,
and the history, of which nothing is taken that is younger than a week. So of the index the bytes
per change must not grow, and the history must have been at its cap from the start.
"""

from __future__ import annotations

import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from tests.integration.flock import KIB, MIB

CAP_BYTES = 800 * 10**6
"""Of the history. What two hours of changes put there is a part of it."""

MIB_PER_HOUR = 4.0
"""A process whose memory rises less than this is called flat: a hundred megabytes in a day."""

HANDLES_PER_HOUR = 0.5
HISTORY_SHARE_PER_HOUR = 0.02
INDEX_GROWTH = 1.3
"""Bytes that a change adds to the index in the second half, over those in the first one."""

WAL_BYTES = 24 * MIB
"""SQLite's log begins anew after 16 MiB (`CHECKPOINT_PAGES`), or a little later."""

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


def judge(samples: Sequence[Sample], late_us: Sequence[int], say: Callable[[str], None]) -> int:
    """Print all lines of the verdict. Returns how many failed."""
    verdict = Verdict(say)
    for name in dict.fromkeys(sample.node for sample in samples):
        mine = [sample for sample in samples if sample.node == name]
        for role in mine[0].memory:
            whole = [sample for sample in mine if role in sample.memory]

            def memory_mib(sample: Sample, role: str = role) -> float:
                return sample.memory[role] / MIB

            def handles(sample: Sample, role: str = role) -> float:
                return sample.handles[role]

            def threads(sample: Sample, role: str = role) -> float:
                return sample.threads[role]

            verdict.flat(f"{name} {role}: memory, MiB", whole, memory_mib, MIB_PER_HOUR)
            verdict.flat(f"{name} {role}: handles", whole, handles, HANDLES_PER_HOUR)
            verdict.flat(f"{name} {role}: threads", whole, threads, HANDLES_PER_HOUR)
        history = HISTORY_SHARE_PER_HOUR * CAP_BYTES / MIB
        verdict.flat(f"{name}: history, MiB", mine, _history_mib, history)
        verdict.flat(f"{name}: entries of the state", mine, _state, HANDLES_PER_HOUR)
        verdict.flat(f"{name}: entries of .flocksy", mine, _own, HANDLES_PER_HOUR)
        _judge_index(name, mine, verdict)
        problems = {text for sample in mine for text in sample.problems}
        say(f"        {name}: {len(problems)} problems shown for a while {sorted(problems)}")
        verdict.check(not mine[-1].problems, f"{name}: problems in the end: none")
        verdict.check(not mine[-1].errors, f"{name}: errors in the status: {mine[-1].errors}")
    _judge_schedule(late_us, verdict)
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


def _judge_schedule(late_us: Sequence[int], verdict: Verdict) -> None:
    late = sorted(us / 1000 for us in late_us)
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
