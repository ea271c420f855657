"""Disks that take a time in their own way and refuse the mode, or refuse either after a crash."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from flocksy.boxes.apply.applier import Report, Result
from flocksy.boxes.disk.filesystem import RealDisk
from flocksy.boxes.disk.port import Stat
from flocksy.sync.capabilities import Capabilities
from flocksy.sync.operations import DiskOperation
from tests.boxes.bench import Bench, finish, root_of
from tests.boxes.disks import Died

GRAIN_NS = 100


class Coarse(RealDisk):
    """Rounds times down to its grain, as NTFS and SMB do."""

    def set_metadata(
        self, path: str, mode: int | None, mtime_ns: int | None, inode: int | None = None
    ) -> Stat:
        if mtime_ns is not None:
            mtime_ns -= mtime_ns % GRAIN_NS
        return super().set_metadata(path, mode, mtime_ns, inode)


@pytest.fixture
def coarse(tmp_path: Path) -> Iterator[Bench]:
    (tmp_path / "box").mkdir()
    made = Bench(tmp_path, Coarse(str(tmp_path / "box")), Capabilities(mtime_grain_ns=GRAIN_NS))
    yield made
    made.close()


def refuse_mode(*_: object, **__: object) -> None:
    raise OSError(errno.EPERM, "Operation not permitted")


def die(*_: object) -> None:
    raise Died


def results(report: Report) -> list[Result]:
    return [outcome.result for outcome in report.outcomes]


def test_a_time_within_the_grain_is_not_set_again(
    coarse: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nor is the file read once more for it, each time that its mode is refused."""
    coarse.apply(coarse.put("f", b"1"))
    monkeypatch.setattr(os, "chmod", refuse_mode)
    report = coarse.apply(coarse.set_metadata("f", 0o600, 177))
    assert results(report) == [Result.DONE] and report.outcomes[0].problem
    assert coarse.local("f").mtime_ns == 100
    again = coarse.apply(coarse.set_metadata("f", 0o600, 177))
    assert results(again) == [Result.PROBLEM] and not again.rescan
    monkeypatch.undo()
    done = coarse.apply(coarse.set_metadata("f", 0o600, 177))
    assert results(done) == [Result.DONE] and not done.rescan
    renamed = coarse.put("new", b"1", mode=0o600, mtime_ns=177, source="f")
    report = coarse.apply(renamed, coarse.remove("f"))
    assert results(report) == [Result.DONE] * 2 and not report.rescan


@pytest.mark.parametrize("renamed", [False, True])
def test_a_time_that_the_disk_rounded_before_a_crash_is_ours(
    coarse: Bench, monkeypatch: pytest.MonkeyPatch, renamed: bool
) -> None:
    """The scan would take it for somebody's change."""
    coarse.apply(coarse.put("f", b"1"))
    if renamed:
        moved = coarse.put("new", b"1", mode=0o600, mtime_ns=177, source="f")
        batch: list[DiskOperation] = [moved, coarse.remove("f")]
        path, heads = "new", moved.synced_heads
    else:
        change = coarse.set_metadata("f", 0o600, 177)
        batch = [change]
        path, heads = "f", change.synced_heads
    monkeypatch.setattr(coarse.applier, "_read_back", die)
    with pytest.raises(Died):
        coarse.apply(*batch)
    finish(coarse.applier.recover())
    synced, found = coarse.index.synced(path), coarse.disk.stat(path)
    assert found is not None and found.mtime_ns == 100
    assert synced is not None and synced.heads == heads
    assert coarse.capabilities.same(found.entry(root_of(b"1")), synced.disk)
