"""Small changes that cannot be told, since their content is not to be found: nobody is asked for
bursts that would carry nothing of them."""

from __future__ import annotations

import errno
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.boxes.flock_of_boxes import spool
from tests.boxes.test_guard import Guarded, waiting

__all__ = ["spool"]

COUNT = 60
"""More than heartbeats have room for."""
ROUNDS = 150
"""Some times as long as what is in no lane is left alone."""


@pytest.fixture
def flock(tmp_path: Path, spool: Path) -> Iterator[Guarded]:
    """The first node has changed small files in a folder, and could tell nobody."""
    with Guarded(tmp_path, spool) as made:
        for number in range(COUNT):
            made.write(0, f"folder/{number}", f"old {number}")
        made.settle_equal()
        made.quorum = False
        for number in range(COUNT):
            made.write(0, f"folder/{number}", f"new {number}")
        made.run_until(lambda: made.box(0).index.outgoing_count() == COUNT, 60)
        yield made


def bursts(flock: Guarded) -> int:
    """In a while, but for those with which it begins."""
    flock.quorum = True
    for _ in range(ROUNDS):
        flock.step()
    before = len(flock.bursts)
    for _ in range(ROUNDS):
        flock.step()
    return len(flock.bursts) - before


def test_a_deletion_that_is_rejected_at_once_brings_back_what_others_have(flock: Guarded) -> None:
    flock.stop(0)
    shutil.rmtree(flock.path(0, "folder"))
    flock.restart(0)
    flock.run_until(lambda: len(waiting(flock, 0)) == COUNT + 1, 60)
    flock.box(0).reject()
    flock.quorum = True
    flock.settle_equal()
    assert flock.path(0, "folder/7").read_text() == "old 7"


@pytest.mark.parametrize("approve", [False, True])
def test_while_their_deletion_waits_for_a_word(flock: Guarded, *, approve: bool) -> None:
    flock.stop(0)
    shutil.rmtree(flock.path(0, "folder"))
    flock.restart(0)
    assert not bursts(flock)
    assert len(waiting(flock, 0)) == COUNT + 1
    assert flock.path(1, "folder/7").read_text() == "old 7"
    box, files = flock.box(0), [f"folder/{number}" for number in range(COUNT)]
    assert (box.approve() if approve else box.reject()) == COUNT + 1
    flock.settle()
    assert not flock.unequal()
    assert flock.tree(2) == (set() if approve else {"folder", *files})
    if not approve:
        assert flock.path(0, "folder/7").read_text() == "old 7"


def test_while_the_disk_does_not_read_them(flock: Guarded, monkeypatch: pytest.MonkeyPatch) -> None:
    disk = flock.box(0).offers._disk
    open_read = disk.open_read

    def refuses(path: str) -> int:
        if path.startswith("folder/"):
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        return open_read(path)

    with monkeypatch.context() as patch:
        patch.setattr(disk, "open_read", refuses)
        assert not bursts(flock)
        assert flock.box(0).index.outgoing_count() == COUNT
    flock.settle_equal()
    assert flock.path(1, "folder/7").read_text() == "new 7"
