"""Disks that are full, read-only or have a wrong clock, with real file systems where they can be
mounted: a clear state each, nothing lost, and it heals by itself."""

from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.boxes.flock_of_boxes import Flock, flock, spool
from tests.boxes.mounts import MIB, mounted, remount

__all__ = ["flock", "spool"]

DAY_MS = 24 * 60 * 60 * 1000
SMALL_BYTES = 6 * MIB


@pytest.fixture(params=["tmpfs", "ext4"])
def small(request: pytest.FixtureRequest, tmp_path: Path, spool: Path) -> Iterator[Flock]:
    """A flock whose first node keeps its box on a small disk."""
    with (
        mounted(request.param, tmp_path, "box0", size=SMALL_BYTES),
        Flock(tmp_path, spool) as made,
    ):
        made.settle()
        yield made


def said(flock: Flock, words: str) -> bool:
    """Whether the first node says so of its box, which is open or rests."""
    kept = flock.kept(0)
    problems = [kept.reason] if kept.box is None else list(kept.box.problems.values())
    return any(words in line.lower() for line in problems)


def test_a_disk_that_gets_full(small: Flock) -> None:
    flock = small
    source = random.Random(1)
    flock.write(0, "old", "before")
    (flock.path(0) / "fill").write_bytes(bytes(MIB))
    flock.settle()
    ballast = flock.path(0, ".flocksy") / "ballast"
    with open(ballast, "wb", buffering=0) as file, pytest.raises(OSError):
        while file.write(bytes(4096)):
            pass
    flock.write(1, "old", source.randbytes(50_000))
    for number in range(20):
        flock.write(1, f"new {number}", source.randbytes(100_000))
    flock.run_until(lambda: said(flock, "full"))
    assert flock.path(0, "old").read_text() == "before"
    flock.run_until(lambda: flock.tree(1) == flock.tree(2))
    assert {"old", "fill", "new 0", "new 19"} <= flock.tree(2)
    ballast.unlink()
    flock.settle()
    assert not flock.unequal()
    assert not flock.box(0).problems


def test_a_disk_that_is_mounted_read_only(small: Flock) -> None:
    """As the system does it with a disk that has errors, and people with a switch on the card."""
    flock = small
    flock.write(0, "old", "before")
    flock.settle()
    flock.box(0).staging.close()  # what is open for writing forbids it
    remount(flock.path(0), writable=False)
    try:
        flock.write(1, "old", "after")
        flock.write(1, "new", "x" * 10_000)
        flock.run_until(lambda: said(flock, "read-only"))
        flock.run_until(lambda: flock.path(2, "new").exists())
        # Started anew it rests, and says why.
        flock.stop(0)
        flock.restart(0)
        flock.run_until(lambda: said(flock, "read-only file system"))
        assert flock.path(0, "old").read_text() == "before"
    finally:
        remount(flock.path(0), writable=True)
    flock.run_until(lambda: flock.kept(0).box is not None)
    flock.settle()
    assert not flock.unequal()
    assert flock.path(0, "old").read_text() == "after"


def test_a_clock_that_jumps(flock: Flock, monkeypatch: pytest.MonkeyPatch) -> None:
    """Back and forth by years, on one node, while everybody edits and deletes: the history loses
    nothing, and who is right is no matter of time."""
    jumps = (0, 400, -4_000, 0, 12_000, -20)
    for number, days in enumerate(jumps):
        now_ms = 1_790_000_000_000 + days * DAY_MS
        monkeypatch.setattr(flock.box(0)._opened.history, "_now_ms", lambda now_ms=now_ms: now_ms)
        flock.write(number % 3, "edited", f"edit {number}")
        flock.write(0, f"made {number}", f"content {number}")
        flock.settle()
        flock.path((number + 1) % 3, f"made {number}").unlink()
        before = flock.contents()
        flock.settle()
        for _ in flock.box(0)._opened.applier.prune():
            pass
        assert before <= flock.contents()
        if number == 2:
            flock.stop(0)
            flock.restart(0)
    flock.settle_equal()
    assert flock.path(2, "edited").read_text() == f"edit {len(jumps) - 1}"
    assert flock.tree(0) == {"edited"}
