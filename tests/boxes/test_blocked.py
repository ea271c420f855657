"""What stands in the way of the flock and is nothing of the box's: said, waited for by nobody, and
healed when it goes."""

from __future__ import annotations

import dataclasses
import errno
import os
from pathlib import Path

import pytest

from flocksy.boxes.disk.filesystem import RealDisk
from flocksy.testing.lockstep import PERIOD_S
from tests.boxes.flock_of_boxes import Flock, flock, spool

__all__ = ["flock", "spool"]

SOON_ROUNDS = int(20 / PERIOD_S)
"""Less than what a blocked path waits for its next try by itself."""


@pytest.fixture
def ignoring(flock: Flock) -> Flock:
    """The first node ignores symbolic links."""
    flock.settle_equal()
    setup = flock.box(0).setup
    flock.nodes[0].keeper.remove("box")
    flock.nodes[0].keeper.add(dataclasses.replace(setup, ignore_symlinks=True), flock.now)
    flock.settle()
    return flock


def stand(path: Path, what: str) -> None:
    """Put something at the path that the first node does not hold."""
    if what == "fifo":
        os.mkfifo(path)
    else:
        path.symlink_to("elsewhere")


@pytest.mark.parametrize("what", ["fifo", "link"])
def test_a_file_that_the_flock_changes(ignoring: Flock, what: str) -> None:
    flock = ignoring
    flock.write(1, "a", "one")
    flock.settle_equal()
    flock.path(0, "a").unlink()
    stand(flock.path(0, "a"), what)
    flock.settle()
    flock.write(1, "a", "two, and longer")
    flock.settle()
    assert "stands here" in flock.box(0).problems["a"]
    assert flock.path(2, "a").read_text() == "two, and longer"
    flock.path(0, "a").unlink()
    flock.run_until(flock.path(0, "a").exists, SOON_ROUNDS)
    flock.settle_equal()
    assert flock.path(0, "a").read_text() == "two, and longer"


@pytest.mark.parametrize("what", ["fifo", "link"])
def test_a_new_file_that_the_flock_makes(ignoring: Flock, what: str) -> None:
    flock = ignoring
    stand(flock.path(0, "a"), what)
    flock.write(1, "a", "one")
    flock.settle()
    assert "stands here" in flock.box(0).problems["a"]
    assert flock.path(0, "a").is_fifo() or flock.path(0, "a").is_symlink()
    flock.path(0, "a").unlink()
    flock.run_until(flock.path(0, "a").exists, SOON_ROUNDS)
    flock.settle_equal()
    assert flock.path(0, "a").read_text() == "one"


@pytest.mark.parametrize("what", ["fifo", "link"])
def test_a_directory_in_which_the_flock_changes_something(ignoring: Flock, what: str) -> None:
    flock = ignoring
    flock.write(1, "folder/deep/old", "old")
    flock.write(1, "folder/gone", "gone")
    flock.settle_equal()
    elsewhere = flock.root / "elsewhere"
    flock.path(0, "folder").rename(elsewhere)
    stand(flock.path(0, "folder"), what)
    flock.settle()
    flock.write(1, "folder/deep/old", "old, changed")
    flock.write(1, "folder/new", "new")
    flock.path(1, "folder/gone").unlink()
    flock.settle()
    assert flock.path(2, "folder/new").read_text() == "new"
    assert flock.path(0, "folder").is_fifo() or flock.path(0, "folder").is_symlink()
    assert any("stands here" in problem for problem in flock.box(0).problems.values())
    flock.path(0, "folder").unlink()
    elsewhere.rename(flock.path(0, "folder"))
    flock.run_until(flock.path(0, "folder/new").exists, SOON_ROUNDS)
    flock.settle_equal()
    assert flock.path(0, "folder/deep/old").read_text() == "old, changed"
    assert not flock.path(0, "folder/gone").exists()


@pytest.mark.parametrize("what", ["fifo", "link"])
def test_a_directory_that_the_flock_deletes(ignoring: Flock, what: str) -> None:
    flock = ignoring
    flock.write(1, "folder/file", "text")
    flock.settle_equal()
    flock.path(0, "folder").rename(flock.root / "elsewhere")
    stand(flock.path(0, "folder"), what)
    flock.settle()
    flock.path(1, "folder/file").unlink()
    flock.path(1, "folder").rmdir()
    flock.settle()
    assert flock.tree(1) == flock.tree(2) == set()
    flock.path(0, "folder").unlink()
    flock.settle_equal()
    assert flock.tree(0) == set()


@pytest.mark.parametrize("by_itself", [True, False])
def test_what_is_tried_for_the_sake_of_other_paths(
    flock: Flock, monkeypatch: pytest.MonkeyPatch, by_itself: bool
) -> None:
    flock.settle_equal()
    disk, refuses = flock.box(0).disk, True
    make = RealDisk.make_directory

    def make_directory(self: RealDisk, path: str, mode: int) -> None:
        if self is disk and refuses:
            raise OSError(errno.EIO, "refused")
        make(self, path, mode)

    monkeypatch.setattr(RealDisk, "make_directory", make_directory)
    flock.path(1, "folder").mkdir()
    for name in "abcd":
        # Each of these has it tried early, which puts its own next try off no further.
        flock.write(1, f"folder/{name}", name)
        flock.run_until(lambda: flock.box(2).settled and flock.tree(2) == flock.tree(1))
    flock.run_until(lambda: "refused" in flock.box(0).problems.get("folder", ""))
    refuses = False
    if not by_itself:
        flock.write(1, "folder/e", "e")
    flock.run_until(flock.path(0, "folder").exists, SOON_ROUNDS)
    # Done for another path or not, nothing waits for the next try.
    flock.run_until(lambda: flock.box(0).settled, SOON_ROUNDS)
    assert not flock.unequal()


def test_what_was_left_for_what_is_in_it_is_looked_at_again(flock: Flock) -> None:
    """A directory that had to stay for a file that the flock did not know; now it does, and that
    is found by looking at the file alone (seed 108 of the power cuts)."""
    flock.write(0, "folder/file", "x")
    flock.settle_equal()
    planning = flock.box(0).planning
    planning.problems["folder"] = "was deleted, but still has something in it"
    planning.problems["other"] = "cannot be written"
    planning.add(("folder/file",))
    flock.settle()
    assert planning.problems == {"other": "cannot be written"}


@pytest.mark.parametrize("there", ["file", "link"])
def test_what_the_flock_makes_where_an_ignored_directory_stands(flock: Flock, there: str) -> None:
    """The pattern means directories only, so the new entry is not ignored, and no scan tells of
    what is in its way."""
    flock.write(1, ".flockignore", "build/\n")
    flock.settle_equal()
    flock.write(0, "build/out", "ignored")
    flock.settle()
    if there == "file":
        flock.write(1, "build", "a script")
    else:
        flock.path(1, "build").symlink_to("elsewhere")
    flock.settle()
    assert flock.path(0, "build/out").read_text() == "ignored"
    assert "what stands here is ignored by line 1" in flock.box(0).problems["build"]
    flock.path(0, "build/out").unlink()
    flock.path(0, "build").rmdir()
    flock.run_until(lambda: os.path.lexists(flock.path(0, "build")), SOON_ROUNDS)
    flock.settle_equal()


def test_what_blocked_a_removal_moves_and_it_is_tried_again(flock: Flock) -> None:
    """Something came into a directory in the instant of its removal. Its next try by itself may be
    minutes away, but what is in it moves, so that it is looked at again at once."""
    flock.write(0, "folder/file", "x")
    flock.settle_equal()
    planning = flock.box(0).planning
    for path in ("folder", "other"):
        planning.problems[path] = "was deleted, but still has something in it"
        planning._retry[path] = flock.now + 300
    planning._blocked.add("folder")  # the disk refused the other
    planning.add(("folder/file", "other/file"))
    flock.run_until(lambda: "folder" not in planning.problems, SOON_ROUNDS)
    assert set(planning.problems) == {"other"}
