"""What a disk can hold."""

from __future__ import annotations

import errno
from pathlib import Path

import pytest

from flocksy.boxes.apply.probe import probe
from flocksy.boxes.disk.filesystem import RealDisk
from flocksy.boxes.disk.port import PRIVATE, Stat


class Meagre(RealDisk):
    """As exFAT over FUSE: one mode, no links, coarse times, one case, inodes by chance."""

    grain_ns = 10_000_000

    def make_symlink(self, path: str, text: str) -> None:
        raise PermissionError(errno.EPERM, "no links here", path, None, text)

    def set_metadata(
        self, path: str, mode: int | None, mtime_ns: int | None, inode: int | None = None
    ) -> Stat:
        if mtime_ns is not None:
            mtime_ns -= mtime_ns % self.grain_ns
        del mode
        return super().set_metadata(path, 0o755, mtime_ns, inode)

    def stat(self, path: str) -> Stat | None:
        return super().stat(path.lower())

    def type_name(self) -> str:
        return "fuseblk"


def test_the_disk_of_this_machine(tmp_path: Path) -> None:
    with RealDisk(str(tmp_path)) as disk:
        found = probe(disk)
        assert probe(disk) == found, "what an earlier probe left does not matter"
    assert found.symlinks and found.mode_bits
    assert not found.case_folding
    assert found.mtime_grain_ns <= 2_000_000_000
    assert not (tmp_path / PRIVATE / "probe").exists()


def test_what_a_meagre_disk_cannot_hold(tmp_path: Path) -> None:
    with Meagre(str(tmp_path)) as disk:
        found = probe(disk)
    assert not found.mode_bits
    assert not found.symlinks
    assert found.case_folding
    assert not found.stable_inodes
    assert found.mtime_grain_ns == 10_000_000


@pytest.mark.parametrize("grain_ns", [100, 1_000, 1_000_000, 1_000_000_000, 2_000_000_000])
def test_grains(tmp_path: Path, grain_ns: int) -> None:
    disk = Meagre(str(tmp_path))
    disk.grain_ns = grain_ns
    assert probe(disk).mtime_grain_ns == grain_ns
    disk.close()


def test_a_probe_that_died_does_not_hinder_the_next(tmp_path: Path) -> None:
    (tmp_path / PRIVATE / "probe").mkdir(parents=True)
    (tmp_path / PRIVATE / "probe" / "plain").write_bytes(b"")
    with RealDisk(str(tmp_path)) as disk:
        probe(disk)
