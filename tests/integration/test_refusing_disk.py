"""A disk that is full or does not let us read: said in one line, nothing lost, no restart."""

from __future__ import annotations

import ctypes
import errno
import os
import random
import sys
from collections.abc import Iterator
from typing import ClassVar

import pytest

from flocksy.boxes.disk.filesystem import RealDisk
from flocksy.testing.rig import Rig, wait_until
from tests.boxes.flock_of_boxes import Flock, flock, spool
from tests.integration.flock import KIB, box_status, command, flying, rig_of_three

__all__ = ["flock", "spool"]

SOON = 30.0
PR_CAPBSET_DROP = 24
READ_ANYTHING = (1, 2)  # CAP_DAC_OVERRIDE, CAP_DAC_READ_SEARCH


class Full(RealDisk):
    """A disk without room for new files while its root is in `full`."""

    full: ClassVar[set[str]] = set()

    def create(self, path: str) -> int:
        if self.root in self.full:
            raise OSError(errno.ENOSPC, "No space left on device")
        return super().create(path)


@pytest.fixture
def full(monkeypatch: pytest.MonkeyPatch) -> Iterator[set[str]]:
    """The roots of disks that are full. To be asked for before the flock is made."""
    monkeypatch.setattr("flocksy.boxes.activation.RealDisk", Full)
    yield Full.full
    Full.full.clear()


def test_a_full_disk(full: set[str], flock: Flock) -> None:
    source = random.Random(1)
    flock.write(0, "edited", "before")
    flock.write(0, "deleted", "before")
    flock.write(0, "large", source.randbytes(300 * KIB))
    flock.settle_equal()
    full.add(str(flock.path(2)))
    flock.write(0, "edited", "after")
    flock.write(1, "large", source.randbytes(500 * KIB))
    flock.write(1, "new", source.randbytes(90 * KIB))
    flock.path(0, "deleted").unlink()
    flock.run_until(lambda: any("full" in line for line in problems(flock)))
    flock.run_until(lambda: flock.tree(0) == flock.tree(1) == {"edited", "large", "new"})
    assert not flock.box(2).settled
    # What is here stays until what replaces it is here.
    assert flock.path(2, "edited").read_text() == "before"
    assert flock.path(2, "large").stat().st_size == 300 * KIB
    full.clear()
    flock.settle_equal()
    assert flock.path(2, "edited").read_text() == "after"
    assert flock.tree(2) == {"edited", "large", "new"}


def problems(flock: Flock) -> list[str]:
    return list(flock.box(2).problems.values())


@pytest.fixture
def rig() -> Iterator[Rig]:
    made = rig_of_three()
    (made.nodes[0].box / "not for us").write_text("later")
    (made.nodes[0].box / "not for us").chmod(0)
    (made.nodes[0].box / "closed").mkdir()
    (made.nodes[0].box / "closed" / "inside").write_text("later")
    (made.nodes[0].box / "closed").chmod(0)
    (made.nodes[0].box / "for us").write_text("now")
    for node in made.nodes:
        node.before_start = as_an_ordinary_user
    with flying(made) as started:
        yield started


def test_an_unreadable_file(rig: Rig) -> None:
    one, two, _ = rig.nodes
    assert (two.box / "for us").read_text() == "now"
    problems = box_status(one)["problems"]
    assert isinstance(problems, list)
    assert len(problems) == 2
    assert all("permission denied; let the user that runs flocksy" in line for line in problems)
    shown = command(one, "status")
    assert "not for us" in shown
    assert "closed" in shown
    assert not (two.box / "not for us").exists()
    wait_until(lambda: "not for us" in one.log.read_text(), "the log names it", SOON)

    (one.box / "closed").chmod(0o755)
    (one.box / "not for us").chmod(0o644)
    # Nobody says so: the right to read is all that it takes.
    rig.wait_equal()
    assert (two.box / "not for us").read_text() == "later"
    assert (two.box / "closed" / "inside").read_text() == "later"
    wait_until(lambda: box_status(one)["problems"] == [], "nothing is wrong any more", SOON)
    (one.box / "closed" / "inside").write_text("once more")
    seen = two.box / "closed" / "inside"
    wait_until(lambda: seen.read_text() == "once more", "it is watched by now", SOON)


def as_an_ordinary_user() -> None:
    """Runs between fork and exec: a superuser loses the right to read what nobody may."""
    if os.geteuid() == 0 and sys.platform == "linux":
        for right in READ_ANYTHING:
            ctypes.CDLL(None).prctl(PR_CAPBSET_DROP, right, 0, 0, 0)
