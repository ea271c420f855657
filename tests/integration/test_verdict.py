"""The verdict of the long runs, which nobody waits for in the tests, can say no."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.integration.flock import MIB
from tests.integration.soak_verdict import (
    CAP_BYTES,
    HANDLES_PER_HOUR,
    MIB_PER_HOUR,
    WAL_BYTES,
    Sample,
    judge,
)

FLAT = Sample(
    at_s=0.0,
    changes=0,
    node="node1",
    memory={"box": 80 * MIB},
    handles={"box": 30},
    threads={"box": 3},
    cpu_seconds={"box": 1.0},
    index_bytes=0,
    wal_bytes=0,
    history_bytes=CAP_BYTES,
    history_entries=100,
    state_entries=6,
    own_entries=5,
    heartbeats=10,
    burst_cells=10,
    gaps=0,
    problems=[],
    errors=[],
)
EVERY_S = 60.0
HOURS = [number * EVERY_S / 3600 for number in range(120)]
IN_TIME_US = [100] * 1000


def said(samples: list[Sample], late_us: list[int] = IN_TIME_US) -> list[str]:
    """What the verdict finds wrong."""
    lines: list[str] = []
    failed = judge(samples, late_us, lines.append)
    wrong = [line for line in lines if line.startswith("FAILED")]
    assert len(wrong) == failed
    return wrong


def course() -> list[Sample]:
    """Two hours in which a change a second adds a kibibyte to the index, and nothing else."""
    return [
        replace(FLAT, at_s=hours * 3600, changes=int(hours * 3600), index_bytes=int(hours * 3.6e6))
        for hours in HOURS
    ]


def test_what_is_flat_is_well() -> None:
    assert not said(course())


@pytest.mark.parametrize(
    ("what", "amount", "per_hour", "words"),
    [
        ("memory", 80 * MIB, 1.5 * MIB_PER_HOUR * MIB, "memory"),
        ("handles", 30, 4 * HANDLES_PER_HOUR, "handles"),
        ("threads", 3, 4 * HANDLES_PER_HOUR, "threads"),
    ],
)
def test_what_rises_in_a_process_is_said(
    what: str, amount: float, per_hour: float, words: str
) -> None:
    samples = [
        replace(sample, **{what: {"box": round(amount + per_hour * hours)}})  # type: ignore[arg-type]
        for sample, hours in zip(course(), HOURS, strict=True)
    ]
    (line,) = said(samples)
    assert words in line


@pytest.mark.parametrize(
    ("what", "amount", "per_hour", "words"),
    [
        ("history_bytes", CAP_BYTES, CAP_BYTES / 10, "history"),
        ("state_entries", 6, 2, "entries of the state"),
        ("own_entries", 5, 2, "entries of .flocksy"),
        ("wal_bytes", WAL_BYTES, MIB, "its log"),
    ],
)
def test_what_rises_on_the_disk_is_said(
    what: str, amount: float, per_hour: float, words: str
) -> None:
    samples = []
    for sample, hours in zip(course(), HOURS, strict=True):
        value = round(amount + per_hour * hours)
        index = sample.index_bytes + (value if what == "wal_bytes" else 0)
        samples.append(replace(sample, **{what: value}, index_bytes=index))  # type: ignore[arg-type]
    (line,) = said(samples)
    assert words in line


def test_an_index_that_grows_faster_and_faster_is_said() -> None:
    samples = [
        replace(sample, index_bytes=int(hours**2 * 3.6e6))
        for sample, hours in zip(course(), HOURS, strict=True)
    ]
    (line,) = said(samples)
    assert "index, bytes per change" in line


def test_what_is_wrong_in_the_end_is_said() -> None:
    samples = course()
    samples[-1] = replace(samples[-1], problems=["a: cannot be read"], errors=["a crash"])
    assert len(said(samples)) == 2


@pytest.mark.parametrize("late_us", [[8_000] * 1000, [100] * 980 + [60_000] * 20])
def test_heartbeats_that_are_late_are_said(late_us: list[int]) -> None:
    (line,) = said(course(), late_us)
    assert "late" in line
