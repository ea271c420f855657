"""The power goes some seconds after somebody saved something: a real ext4, and what of it was on
its image in that instant. Nobody flushes what people write but flocksy."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from flocksy.testing.trees import snapshot
from tests.boxes.flock_of_boxes import Flock
from tests.boxes.flock_of_boxes import spool as spool  # a fixture
from tests.boxes.mounts import Drive, need_root

PHOTO = 200_000


@contextmanager
def flock_on_a_drive(place: Path, spool: Path) -> Iterator[tuple[Flock, Callable[[], None]]]:
    """A flock whose first node has its box on a drive, and what cuts the power of that. The index
    is elsewhere, and loses nothing."""
    need_root()
    drive = Drive(place / "drive.image", "ext4")
    drive.make()
    mounted = place / "mounted"
    drive.plug(mounted)
    (mounted / "box0").mkdir()
    (place / "box0").symlink_to(mounted / "box0")

    def cut() -> None:
        after = place / "after.image"
        shutil.copyfile(drive.image, after)
        flock.kill(0)
        for node in flock._dead:
            for kept in node.keeper.boxes:
                assert kept.box is not None
                kept.box._opened.close()
        flock._dead.clear()
        drive.unplug()
        os.replace(after, drive.image)
        drive.plug(mounted)
        flock.restart(0)

    try:
        with Flock(place, spool) as flock:
            yield flock, cut
    finally:
        drive.unplug()


def new(flock: Flock, count: int) -> None:
    for number in range(count):
        flock.write(0, f"folder/photo{number}", bytes([number + 1]) * PHOTO)


def in_place(flock: Flock, count: int) -> None:
    for number in range(count):
        with flock.path(0, f"folder/photo{number}").open("r+b") as photo:
            photo.write(bytes([number + 101]) * PHOTO)


@pytest.mark.parametrize("count", [1, 12])
@pytest.mark.parametrize("hands", [new, in_place])
def test_what_others_have_heard_of_is_on_the_disk(
    tmp_path: Path, spool: Path, hands: Callable[[Flock, int], None], count: int
) -> None:
    with flock_on_a_drive(tmp_path, spool) as (flock, cut):
        flock.write(0, "folder/old", "old")
        if hands is not new:
            new(flock, count)
        flock.settle_equal()
        os.sync()
        hands(flock, count)
        flock.settle_equal()
        good = snapshot(flock.path(1))
        cut()
        flock.settle_equal()
        assert snapshot(flock.path(1)) == good


def test_what_is_ignored_stays_so(tmp_path: Path, spool: Path) -> None:
    with flock_on_a_drive(tmp_path, spool) as (flock, cut):
        flock.write(0, "old", "old")
        flock.settle_equal()
        os.sync()
        flock.write(0, ".flockignore", "private/\n")
        flock.settle_equal()
        diary = flock.write(0, "private/diary", "mine")
        for path in (diary, diary.parent):
            descriptor = os.open(path, os.O_RDONLY)
            os.fsync(descriptor)
            os.close(descriptor)
        flock.settle()
        cut()
        flock.settle()
        assert diary.read_text() == "mine"
        assert flock.path(0, ".flockignore").read_text() == "private/\n"
        assert not flock.path(1, "private").exists()
