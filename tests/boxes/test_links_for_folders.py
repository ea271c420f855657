"""A symbolic link where a directory of ours is to be, as a drive that was edited elsewhere may have
one: nothing is written where it leads, the box rests and says why, and goes on when it is gone."""

from __future__ import annotations

import pytest

from flocksy.boxes.apply.placing import INCOMING, SCRATCH
from flocksy.boxes.disk.port import PRIVATE
from flocksy.index.journal import HISTORY
from flocksy.testing.lockstep import PERIOD_S
from tests.boxes.flock_of_boxes import Flock, flock, spool
from tests.boxes.test_escape import look

__all__ = ["flock", "spool"]

SOME_ROUNDS = int(6 / PERIOD_S)
"""Some of the keeper's looks at a box that rests, or at its place."""

FOLDERS = (PRIVATE, HISTORY, INCOMING, SCRATCH)


def change(flock: Flock) -> None:
    """What would bring something into each of the directories: a replacement and a deletion, and
    contents."""
    flock.write(0, "replaced", "second")
    flock.path(0, "deleted").unlink()
    flock.write(0, "large", bytes(range(256)) * 1000)


@pytest.mark.parametrize("running", [False, True])
@pytest.mark.parametrize("folder", FOLDERS)
def test_a_link_for_a_directory_of_ours(flock: Flock, folder: str, running: bool) -> None:
    for name in ("replaced", "deleted"):
        flock.write(0, name, "first")
    flock.settle_equal()
    ours, outside = flock.path(2, folder), flock.root / "outside"
    if running:
        ours.rename(flock.root / "aside")
        outside.mkdir()
    else:
        # It even leads to what was ours, marker and all.
        flock.stop(2)
        ours.rename(outside)
    ours.symlink_to(outside)
    before = look(outside)
    if running:
        flock.run_until(lambda: flock.kept(2).box is None, SOME_ROUNDS)
    else:
        flock.restart(2)
    change(flock)
    for _ in range(SOME_ROUNDS):
        flock.step()
    assert look(outside) == before
    assert ours.is_symlink()
    assert flock.kept(2).box is None
    assert f"{folder} is a symbolic link" in flock.kept(2).reason
    assert "remove it" in flock.kept(2).reason
    assert flock.tree(2) == {"replaced", "deleted"}
    assert flock.path(2, "replaced").read_text() == "first"
    ours.unlink()
    if folder == PRIVATE:  # without its marker it is not the box
        (flock.root / "aside" if running else outside).rename(ours)
    flock.run_until(lambda: flock.kept(2).box is not None, SOME_ROUNDS)
    flock.settle_equal()
    assert flock.path(2, "replaced").read_text() == "second"
    if running or folder == PRIVATE:
        assert sorted(one.read_text() for one in flock.history(2)) == ["first", "first"]
    else:
        assert look(outside) == before


def test_whoever_adopts_gets_nothing_written_through_a_link(flock: Flock) -> None:
    flock.write(0, "file", "first")
    flock.settle_equal()
    flock.stop(2)
    flock.path(2, PRIVATE).rename(flock.root / "aside")
    outside = flock.root / "outside"
    outside.mkdir()
    flock.path(2, PRIVATE).symlink_to(outside)
    flock.restart(2)
    flock.nodes[2].keeper.adopt("box", flock.now)
    for _ in range(SOME_ROUNDS):
        flock.step()
    assert not list(outside.iterdir())
    assert f"{PRIVATE} is a symbolic link" in flock.kept(2).reason
    flock.path(2, PRIVATE).unlink()
    flock.nodes[2].keeper.adopt("box", flock.now)
    flock.settle_equal()


def test_a_file_for_a_directory_of_ours(flock: Flock) -> None:
    flock.settle_equal()
    flock.stop(2)
    flock.path(2, HISTORY).rename(flock.root / "aside")
    flock.path(2, HISTORY).write_text("a file")
    flock.restart(2)
    assert f"{HISTORY} is no directory" in flock.kept(2).reason
    flock.path(2, HISTORY).unlink()
    flock.run_until(lambda: flock.kept(2).box is not None, SOME_ROUNDS)
    flock.settle_equal()
