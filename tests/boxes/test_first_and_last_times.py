"""Disks that show their first or last time for what lies beyond, and say nothing of it: FAT and
exFAT before 1980, file systems with 32 bits for a time after 2038. That is no change, and nothing
is set again."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from pathlib import Path
from typing import ClassVar

import pytest

from flocksy.boxes.apply.probe import probe
from flocksy.boxes.disk.filesystem import RealDisk
from flocksy.boxes.disk.port import PRIVATE, Stat
from flocksy.sync.version import LATEST_NS
from tests.boxes.flock_of_boxes import Flock, flock, spool
from tests.boxes.mounts import mounted

__all__ = ["flock", "spool"]

S = 1_000_000_000
FIRST_NS = 315_532_800 * S
"""1980."""
LAST_NS = 4_354_819_198 * S
"""2107."""


class Fat(RealDisk):
    """Shows times as FAT does on Linux since 5.4, where its root is in `roots`."""

    roots: ClassVar[set[str]] = set()
    dated: ClassVar[list[str]] = []
    """Paths there whose time was set where people may edit."""

    def set_metadata(
        self, path: str, mode: int | None, mtime_ns: int | None, inode: int | None = None
    ) -> Stat:
        if mtime_ns is not None and self.root in self.roots:
            mtime_ns = max(FIRST_NS, min(mtime_ns, LAST_NS))
            mtime_ns -= mtime_ns % (2 * S)
            if not path.startswith(PRIVATE):
                self.dated.append(path)
        return super().set_metadata(path, mode, mtime_ns, inode)


@pytest.fixture
def fat(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[type[Fat]]:
    """The box of the third node. To be asked for before the flock is made."""
    monkeypatch.setattr("flocksy.boxes.activation.RealDisk", Fat)
    Fat.roots.add(str(tmp_path / "box2"))
    yield Fat
    Fat.roots.clear()
    Fat.dated.clear()


def test_the_probe_finds_them(tmp_path: Path, fat: type[Fat]) -> None:
    with RealDisk(str(tmp_path)) as disk:
        found = probe(disk)
    assert found.earliest_mtime_ns < 0 and found.latest_mtime_ns > FIRST_NS
    (tmp_path / "box2").mkdir()
    with fat(str(tmp_path / "box2")) as disk:
        found = probe(disk)
    assert (found.earliest_mtime_ns, found.latest_mtime_ns) == (FIRST_NS, LAST_NS)
    assert found.same_time(FIRST_NS, 0) and found.same_time(-LATEST_NS, 1)
    assert found.same_time(LATEST_NS, LAST_NS) and found.same_time(LAST_NS - S, LAST_NS)
    assert not found.same_time(0, FIRST_NS + 2 * S)
    assert not found.same_time(LATEST_NS, LAST_NS - 2 * S)


@pytest.mark.parametrize("number", [errno.EINVAL, errno.EOVERFLOW])
def test_a_disk_that_refuses_times_says_so_of_each(tmp_path: Path, number: int) -> None:
    class Strict(RealDisk):
        def set_metadata(
            self, path: str, mode: int | None, mtime_ns: int | None, inode: int | None = None
        ) -> Stat:
            if mtime_ns is not None and not FIRST_NS <= mtime_ns <= LAST_NS:
                raise OSError(number, os.strerror(number))
            return super().set_metadata(path, mode, mtime_ns, inode)

    with Strict(str(tmp_path)) as disk:
        found = probe(disk)
    assert (found.earliest_mtime_ns, found.latest_mtime_ns) == (-LATEST_NS, LATEST_NS)


def test_a_sick_disk_says_nothing_of_its_times(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with RealDisk(str(tmp_path)) as disk:
        dress = disk.set_metadata

        def sick(path: str, mode: int | None, mtime_ns: int | None) -> Stat:
            if mtime_ns is not None and mtime_ns < 0:
                raise OSError(errno.EIO, os.strerror(errno.EIO))
            return dress(path, mode, mtime_ns)

        monkeypatch.setattr(disk, "set_metadata", sick)
        with pytest.raises(OSError, match=os.strerror(errno.EIO)):
            probe(disk)


def test_what_a_disk_cannot_hold_of_a_time_is_no_change(fat: type[Fat], flock: Flock) -> None:
    times = {"old": -2 * S, "epoch": 0, "far": 5_000_000_000 * S, "plain": 1_700_000_000 * S}
    for name, mtime_ns in times.items():
        os.utime(flock.write(0, name, name), ns=(mtime_ns, mtime_ns))

    def check() -> None:
        flock.settle()
        flock.stay_settled()
        for name, mtime_ns in times.items():
            shown = max(FIRST_NS, min(mtime_ns, LAST_NS))
            assert flock.path(2, name).stat().st_mtime_ns == shown
            for lane in (0, 1):
                assert flock.path(lane, name).stat().st_mtime_ns == mtime_ns, "nobody set it"
        assert not fat.dated and not flock.box(2).problems

    check()
    flock.stop(2)
    flock.restart(2)
    check()
    flock.nodes[2].keeper.adopt("box", flock.now)
    check()
    times["older"] = times.pop("old")
    flock.path(1, "old").rename(flock.path(1, "older"))
    check()
    flock.path(2, "epoch").write_text("edited there")
    times["epoch"] = 1_600_000_000 * S
    os.utime(flock.path(2, "epoch"), ns=(times["epoch"], times["epoch"]))
    check()
    assert flock.path(0, "epoch").read_text() == "edited there"


def test_what_a_real_disk_cannot_hold(tmp_path: Path, spool: Path) -> None:
    """One of the kernel: exfat-fuse shows a time as it was set, until it is mounted anew."""
    times = {"epoch": 0, "far": 5_000_000_000 * S}
    with mounted("old-ext4", tmp_path, "box0"), Flock(tmp_path, spool, size=2) as flock:
        for name, mtime_ns in times.items():
            os.utime(flock.write(1, name, name), ns=(mtime_ns, mtime_ns))
        flock.settle()
        flock.stop(0)
        flock.restart(0)
        flock.settle()
        flock.stay_settled()
        assert not flock.box(0).problems
        shown, kept = (
            {name: flock.path(lane, name).stat().st_mtime_ns for name in times} for lane in (0, 1)
        )
        assert kept == times and shown == {"epoch": 0, "far": ((1 << 31) - 1) * S}
