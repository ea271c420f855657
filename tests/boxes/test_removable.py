"""Disks that come and go, with real file systems: nothing is deleted because a disk is gone, and
nothing is sent to one that only looks like ours."""

from __future__ import annotations

import os
import shutil
import subprocess
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

import pytest

from flocksy.boxes.keeper import LOOK_SECONDS
from flocksy.boxes.setup import BoxSetup
from flocksy.node.offline import _working
from flocksy.testing.lockstep import PERIOD_S
from tests.boxes.flock_of_boxes import Flock
from tests.boxes.flock_of_boxes import spool as spool  # a fixture
from tests.boxes.mounts import Drive, mounted, need_root, run

ROUNDS = 600

LOOK_ROUNDS = round(LOOK_SECONDS / PERIOD_S)
"""From one look at a box to the next, in virtual time."""
SEEN_ROUNDS = LOOK_ROUNDS + 2
"""The next look is in the round after that, and a burst may take the one that follows."""


class Backups(Flock):
    """The box of node 2 is on a removable drive, below a directory of it."""

    def setup(self, lane: int) -> BoxSetup:
        setup = super().setup(lane)
        if lane != 2:
            return setup
        return replace(setup, path=str(self.root / "media/disk/backup"), removable=True)

    def rests(self) -> bool:
        return self.kept(2).box is None

    def goes_on(self) -> bool:
        return self.kept(2).box is not None


def rounds_until(flock: Flock, condition: Callable[[], bool]) -> int:
    """How many rounds of virtual time it takes; a burst is one."""
    began = flock.now
    flock.run_until(condition, ROUNDS)
    return round((flock.now - began) / PERIOD_S)


@pytest.fixture(params=["ext4", "exfat", "fat"])
def drive(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Drive]:
    need_root()
    made = Drive(tmp_path / "drive.image", request.param)
    made.make()
    with ExitStack() as stack:
        stack.callback(made.unplug)
        yield made


@pytest.fixture
def flock(tmp_path: Path, spool: Path, drive: Drive) -> Iterator[Backups]:
    (tmp_path / "media").mkdir()
    point = tmp_path / "media/disk"
    drive.plug(point)
    (point / "backup").mkdir()
    with Backups(tmp_path, spool) as made:
        made.run_until(made.rests, ROUNDS)
        assert "flocksy box adopt" in made.kept(2).reason, "a new removable drive asks"
        made.nodes[2].keeper.adopt("box", made.now)
        made.write(0, "folder/a", "a")
        made.write(0, "b", "b")
        made.settle()
        assert (point / "backup/folder/a").read_text() == "a"
        yield made


def test_unplugged_it_rests_and_elsewhere_it_goes_on(
    flock: Backups, drive: Drive, tmp_path: Path
) -> None:
    drive.unplug()
    flock.run_until(flock.rests, ROUNDS)
    flock.write(0, "b", "changed meanwhile")
    flock.path(1, "folder/a").unlink()
    flock.run_until(lambda: not flock.path(0, "folder/a").exists(), ROUNDS)
    assert flock.path(0, "b").exists(), "what is not there is not deleted"
    assert not os.listdir(tmp_path / "media/disk"), "nothing is written into an empty mount point"
    # Edited on another machine, and mounted under another name.
    other = tmp_path / "media/disk1"
    drive.plug(other)
    (other / "backup/new").write_text("made elsewhere")
    flock.run_until(flock.goes_on, ROUNDS)
    flock.settle()
    assert (other / "backup/b").read_text() == "changed meanwhile"
    if drive.kind != "fat":
        # fusefat may change times as it is unmounted. A file that was touched here and deleted
        # elsewhere stays.
        assert not (other / "backup/folder/a").exists()
    assert flock.path(0, "new").read_text() == "made elsewhere"
    assert flock.kept(2).place == str(other / "backup")
    flock.stop(2)
    with _working(flock.setup(2)) as box:
        assert box.setup.path == str(other / "backup"), "with no node running as well"
    flock.restart(2)
    flock.settle()
    drive.unplug()
    flock.run_until(flock.rests, ROUNDS)
    drive.plug(tmp_path / "media/disk")
    flock.run_until(flock.goes_on, ROUNDS)
    flock.settle()
    assert flock.kept(2).place == str(tmp_path / "media/disk/backup")
    assert flock.path(1, "b").exists()


@pytest.mark.parametrize("point", ["media/disk", "media/disk1"])
def test_it_is_seen_within_the_look_whenever_it_goes_and_comes(
    flock: Backups, drive: Drive, tmp_path: Path, point: str
) -> None:
    """In the time of the flock, which waits for no machine; at each part of the pause between two
    looks."""
    for rounds in range(0, LOOK_ROUNDS, LOOK_ROUNDS // 4):
        flock.write(0, "b", f"before {rounds}")
        flock.settle()
        drive.unplug()
        assert rounds_until(flock, flock.rests) <= SEEN_ROUNDS
        flock.write(0, "b", f"while it was away {rounds}")
        for _ in range(rounds):
            flock.step()
        drive.plug(tmp_path / point)
        assert rounds_until(flock, flock.goes_on) <= SEEN_ROUNDS
        flock.settle()
        assert (tmp_path / point / "backup/b").read_text() == f"while it was away {rounds}"


def test_a_copied_marker_is_none(flock: Backups, drive: Drive, tmp_path: Path) -> None:
    marker = tmp_path / "media/disk/backup/.flocksy"
    other = Drive(tmp_path / "other.image", "ext4")
    other.make()
    other.plug(tmp_path / "media/other")
    try:
        planted = tmp_path / "media/other/backup"
        planted.mkdir()
        shutil.copytree(marker, planted / ".flocksy")
        drive.unplug()
        flock.run_until(flock.rests, ROUNDS)
        flock.write(0, "secret", "not for them")
        for _ in range(60):
            flock.step()
        assert flock.rests()
        assert os.listdir(planted) == [".flocksy"]
        # Not even where the box is configured to be.
        other.unplug()
        other.plug(tmp_path / "media/disk")
        for _ in range(60):
            flock.step()
        assert flock.rests()
        assert os.listdir(tmp_path / "media/disk/backup") == [".flocksy"]
        assert not any("secret" in files for *_, files in os.walk(tmp_path / "media/disk"))
    finally:
        other.unplug()


def test_a_cloned_drive_is_no_second_one(flock: Backups, drive: Drive, tmp_path: Path) -> None:
    if drive.kind == "fat":
        pytest.skip("fusefat writes its image when it likes")
    os.sync()
    clone = Drive(tmp_path / "clone.image", drive.kind)
    flock.nodes[2].keeper.pause("box")
    drive.unplug()
    shutil.copyfile(drive.image, clone.image)
    drive.plug(tmp_path / "media/disk")
    flock.nodes[2].keeper.resume("box", flock.now)
    flock.run_until(flock.goes_on, ROUNDS)  # the nonce moves on: the clone is an old one now
    flock.settle()
    drive.unplug()
    flock.run_until(flock.rests, ROUNDS)
    clone.plug(tmp_path / "media/clone")
    try:
        flock.write(0, "secret", "not for them")
        for _ in range(60):
            flock.step()
        assert flock.rests()
        assert not (tmp_path / "media/clone/backup/secret").exists()
    finally:
        clone.unplug()


def test_two_that_cannot_be_told_apart_are_both_none(
    flock: Backups, drive: Drive, tmp_path: Path
) -> None:
    if drive.kind != "exfat":
        pytest.skip("no two ext4 of one UUID are mounted at once")
    clone = Drive(tmp_path / "clone.image", drive.kind)
    flock.nodes[2].keeper.pause("box")
    drive.unplug()
    shutil.copyfile(drive.image, clone.image)
    drive.plug(tmp_path / "media/disk")
    clone.plug(tmp_path / "media/clone")
    try:
        flock.nodes[2].keeper.resume("box", flock.now)
        assert flock.rests() and "one is a copy" in flock.kept(2).reason
    finally:
        clone.unplug()
    flock.run_until(flock.goes_on, ROUNDS)


def test_what_is_mounted_inside_a_box_and_unmounted_is_not_emptied(
    tmp_path: Path, spool: Path
) -> None:
    (tmp_path / "box0").mkdir()
    with ExitStack() as stack:
        photos = stack.enter_context(mounted("tmpfs", tmp_path / "box0", "photos"))
        flock = stack.enter_context(Flock(tmp_path, spool))
        (photos / "one").write_text("one")
        (photos / "two").write_text("two")
        flock.write(0, "beside", "beside")
        flock.settle_equal()
        run("umount", "--lazy", str(photos))
        flock.settle()
        assert flock.path(1, "photos/one").exists() and flock.path(2, "photos/two").exists()
        assert "photos" in flock.box(0).problems
        flock.write(1, "photos/three", "three")
        flock.path(2, "photos/two").write_text("changed")
        (photos / "stray").write_text("written into the mount point")
        flock.write(0, "beside", "goes on")
        flock.settle()
        assert os.listdir(photos) == ["stray"], "nothing is written into an empty mount point"
        assert flock.path(2, "beside").read_text() == "goes on"
        assert not flock.path(1, "photos/stray").exists()
        # Another one in its place is not it either.
        run("mount", "-t", "tmpfs", "tmpfs", str(photos))
        stack.callback(subprocess.run, ["umount", str(photos)], check=False)
        flock.settle()
        assert not os.listdir(photos)
        assert flock.path(1, "photos/one").exists()
        # The word of a person.
        flock.nodes[0].keeper.adopt("box", flock.now)
        flock.settle()
        assert flock.path(1, "photos/one").exists(), "an adoption deletes nothing"


def test_what_is_mounted_over_files_of_a_box_hides_them_and_deletes_nothing(
    tmp_path: Path, spool: Path
) -> None:
    with ExitStack() as stack:
        flock = stack.enter_context(Flock(tmp_path, spool))
        flock.write(0, "photos/one", "one")
        flock.settle_equal()
        run("mount", "-t", "tmpfs", "tmpfs", str(flock.path(0, "photos")))
        try:
            flock.settle()
            flock.box(0).rescan(flock.now)
            flock.settle()
            assert flock.path(1, "photos/one").exists()
            assert "photos" in flock.box(0).problems
            flock.write(1, "photos/one", "edited")
            flock.settle()
        finally:
            run("umount", str(flock.path(0, "photos")))
        flock.run_until(lambda: flock.path(0, "photos/one").read_text() == "edited", ROUNDS)
        flock.settle_equal()


def test_a_drive_that_somebody_still_has_open_is_not_plugged_in_twice(tmp_path: Path) -> None:
    drive = Drive(tmp_path / "drive.image", "ext4")
    need_root()
    drive.make()
    drive.plug(tmp_path / "here")
    try:
        (tmp_path / "here/written").write_text("not on the disk yet")
        held = os.open(tmp_path / "here", os.O_RDONLY)
        drive.unplug()
        let_go = threading.Timer(0.3, os.close, (held,))
        let_go.start()
        drive.plug(tmp_path / "there")
        let_go.join()
        assert (tmp_path / "there/written").exists()
    finally:
        drive.unplug()


def test_an_ext4_inside_a_box_comes_back(tmp_path: Path, spool: Path) -> None:
    drive = Drive(tmp_path / "inner.image", "ext4")
    need_root()
    drive.make()
    photos = tmp_path / "box0/photos"
    photos.parent.mkdir()
    drive.plug(photos)
    try:
        shutil.rmtree(photos / "lost+found")
        with Flock(tmp_path, spool) as flock:
            (photos / "one").write_text("one")
            flock.settle_equal()
            drive.unplug()
            flock.settle()
            drive.plug(photos)
            flock.run_until(lambda: not flock.box(0).problems, ROUNDS)
            # Seen by an event: what is mounted now is watched.
            (photos / "two").write_text("two")
            flock.run_until(lambda: flock.path(1, "photos/two").exists(), ROUNDS)
            # And only sent from here.
            flock.path(1, "photos/two").write_text("changed elsewhere")
            flock.settle()
            assert (photos / "two").read_text() == "two"
            assert "photos/two" in flock.box(0).problems
            (photos / "two").write_text("takes the place of that")
            (photos / "one").unlink()
            flock.settle_equal()
            assert not flock.path(1, "photos/one").exists()
    finally:
        drive.unplug()
