"""What is changed where the kernel tells nobody of it: on a network's disk, or below a link.

The network is a FUSE disk over a directory of this machine, and what other machines do on it is
done in that directory.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from flocksy.boxes.setup import BoxSetup
from flocksy.system import filesystems
from flocksy.system.filesystems import Mount
from tests.boxes.flock_of_boxes import Flock, spool
from tests.boxes.mounts import mounted

__all__ = ["spool"]

NAMES = {f"folder/{number}" for number in range(60)}


class Networked(Flock):
    """Node 0 follows the links made on its disk."""

    def setup(self, lane: int) -> BoxSetup:
        return replace(super().setup(lane), guard_percent=100, follow_symlinks=lane == 0)


def fill(flock: Flock) -> None:
    for name in NAMES:
        flock.write(0, name, name)
    flock.write(0, "beside", "beside")
    flock.settle()
    assert flock.tree(1) >= NAMES


def check_asked(flock: Flock) -> None:
    """A look on demand, as `flocksy wait` and `rescan` begin with, finds much missing."""
    flock.box(0).rescan(flock.now)
    flock.run_until(lambda: bool(flock.box(0).guard.waiting))
    flock.settle()
    assert set(flock.box(0).guard.waiting) >= NAMES
    assert flock.tree(1) >= NAMES
    flock.box(0).reject()
    flock.settle()
    assert not flock.box(0).guard.waiting
    assert flock.tree(1) >= NAMES


@pytest.fixture
def elsewhere(tmp_path: Path) -> Iterator[Path]:
    """Where another machine has the files of node 0's box."""
    with mounted("apfs-case-like", tmp_path, "box0"):
        yield tmp_path / "box0.backing"


def test_many_that_go_elsewhere_wait(elsewhere: Path, tmp_path: Path, spool: Path) -> None:
    with Networked(tmp_path, spool) as flock:
        fill(flock)
        assert "is found hourly" in flock.box(0).problems[""]
        shutil.rmtree(elsewhere / "folder")
        check_asked(flock)


def test_what_is_changed_elsewhere_is_found_on_demand(
    elsewhere: Path, tmp_path: Path, spool: Path
) -> None:
    with Networked(tmp_path, spool) as flock:
        fill(flock)
        (elsewhere / "new").write_text("made elsewhere")
        (elsewhere / "beside").unlink()
        flock.box(0).rescan(flock.now)
        flock.settle()
        assert flock.tree(1) == {"folder", "new", *NAMES}, "few are deleted, as by the hourly look"


def test_many_that_go_on_one_that_is_mounted_inside_a_box_wait(tmp_path: Path, spool: Path) -> None:
    (tmp_path / "box0").mkdir()
    with (
        mounted("apfs-case-like", tmp_path / "box0", "folder"),
        Networked(tmp_path, spool) as flock,
    ):
        (tmp_path / "box0/folder.image").unlink()
        fill(flock)
        away = tmp_path / "box0/folder.backing"
        for name in NAMES:
            (away / name.removeprefix("folder/")).unlink()
        flock.box(0).rescan(flock.now)
        flock.run_until(lambda: bool(flock.box(0).guard.waiting))
        flock.settle()
        assert set(flock.box(0).guard.waiting) >= NAMES
        assert flock.tree(1) >= NAMES


def test_many_that_go_below_a_followed_link_wait(tmp_path: Path, spool: Path) -> None:
    target = tmp_path / "target"
    target.mkdir()
    with Networked(tmp_path, spool) as flock:
        flock.path(0, "folder").symlink_to(target)
        fill(flock)
        assert not flock.box(0).problems, "its own disk tells all"
        for one in target.iterdir():
            one.unlink()
        flock.box(0).rescan(flock.now)
        flock.run_until(lambda: bool(flock.box(0).guard.waiting))
        flock.settle()
        assert set(flock.box(0).guard.waiting) == NAMES
        assert flock.tree(1) >= NAMES


def test_a_followed_link_is_seen_to_go_with_all_that_it_showed(tmp_path: Path, spool: Path) -> None:
    target = tmp_path / "target"
    target.mkdir()
    with Networked(tmp_path, spool) as flock:
        flock.path(0, "folder").symlink_to(target)
        fill(flock)
        flock.path(0, "folder").unlink()
        flock.settle_equal()
        assert flock.tree(1) == {"beside"}


@pytest.mark.parametrize(
    ("kind", "is_remote"),
    [
        *((kind, True) for kind in ("nfs", "nfs4", "cifs", "smb3", "9p", "virtiofs", "ceph")),
        *((kind, True) for kind in ("fuse.sshfs", "fuse.rclone", "fuse.anything", "fuse")),
        *((kind, False) for kind in ("ext4", "btrfs", "tmpfs", "vfat", "fuseblk", "overlay")),
    ],
)
@pytest.mark.parametrize("where", ["at", "below", "beside"])
def test_which_types_are_changed_elsewhere(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str, where: str, *, is_remote: bool
) -> None:
    device = os.stat(tmp_path).st_dev
    mount = {
        "at": Mount("/", kind, "there", device),
        "below": Mount(f"{tmp_path}/deep/folder", kind, "there", device + 1),
        "beside": Mount(f"{tmp_path}2", kind, "there", device + 1),
    }[where]
    monkeypatch.setattr(filesystems, "mounts", lambda: [mount])
    expected = kind if is_remote and where != "beside" else ""
    assert filesystems.changes_elsewhere(str(tmp_path)) == expected
