"""Small changes that cannot be told, since their content is not to be found: nobody is asked for
bursts that would carry nothing of them."""

from __future__ import annotations

import errno
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from flocksy.boxes.scan.chunking import cut
from flocksy.index.store import BoxIndex
from flocksy.sync.content import Chunk, build_list
from flocksy.sync.messages import Versions
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


def record(flock: Guarded, path: str, content: bytes) -> None:
    """The first node makes a version of it, and can tell nobody."""
    flock.write(0, path, content)
    root = build_list(Chunk(piece.id, piece.length) for piece in cut(content)).root
    index = flock.box(0).index

    def is_recorded() -> bool:
        state = index.flock(path)
        return state is not None and any(head.root == root for head in state.heads.values())

    flock.run_until(is_recorded, 60)


def remove_while_off(flock: Guarded) -> None:
    """So that a person is asked."""
    flock.stop(0)
    shutil.rmtree(flock.path(0, "folder"))
    flock.restart(0)


def reject_all(flock: Guarded) -> None:
    flock.run_until(lambda: len(waiting(flock, 0)) == COUNT + 1, 60)
    flock.box(0).reject()
    flock.quorum = True
    flock.settle_equal()


def is_touched(index: BoxIndex) -> bool:
    state = index.flock("folder/7")
    return state is not None and any(head.metadata_only for head in state.heads.values())


def test_a_deletion_that_is_rejected_at_once_brings_back_what_others_have(flock: Guarded) -> None:
    remove_while_off(flock)
    reject_all(flock)
    assert flock.path(0, "folder/7").read_text() == "old 7"


@pytest.mark.parametrize("approve", [False, True])
def test_while_their_deletion_waits_for_a_word(flock: Guarded, *, approve: bool) -> None:
    remove_while_off(flock)
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


@pytest.mark.parametrize("touched", [False, True])
@pytest.mark.parametrize("approve", [False, True])
def test_a_large_one_while_its_deletion_waits(
    flock: Guarded, *, approve: bool, touched: bool
) -> None:
    """Told without its content it would be missing everywhere, and for good."""
    flock.write(0, "folder/7", bytes(200_000))
    index = flock.box(0).index
    flock.run_until(lambda: index.counts().bytes > 200_000 and flock.box(0).pending == COUNT, 60)
    if touched:
        os.utime(flock.path(0, "folder/7"), (1_700_000_000, 1_700_000_000))
        flock.run_until(lambda: is_touched(index), 60)
    remove_while_off(flock)
    assert not bursts(flock)
    box = flock.box(0)
    assert (box.approve() if approve else box.reject()) == COUNT + 1
    flock.settle()
    assert not flock.unequal() and not any(flock.box(lane).problems for lane in range(3))
    assert [flock.path(lane, "folder").exists() for lane in range(3)] == [not approve] * 3
    if not approve:
        assert flock.path(0, "folder/7").read_text() == "old 7"


@pytest.mark.parametrize("large", [False, True])
def test_what_a_lost_disk_had_and_nobody_was_told(flock: Guarded, *, large: bool) -> None:
    """Another disk in its place: what the others have comes, and no version of what is gone."""
    flock.write(0, "folder/new", bytes(200_000) if large else "new")
    box = flock.box(0)
    flock.run_until(lambda: box.index.outgoing_count() == COUNT + 1, 60)
    flock.stop(0)
    shutil.rmtree(flock.path(0, ""))
    flock.path(0, "").mkdir()
    flock.restart(0)
    flock.nodes[0].keeper.adopt("box", flock.now)
    flock.quorum = True
    flock.settle_equal()
    assert flock.path(0, "folder/7").read_text() == "old 7"
    assert not flock.path(1, "folder/new").exists()
    assert not any(flock.box(lane).problems for lane in range(3))


@pytest.mark.parametrize("size", [10, 200_000])
@pytest.mark.parametrize("path", ["folder/7", "folder/new"])
@pytest.mark.parametrize("again", ["edited", "as before", "unreadable"])
def test_what_stands_on_a_disk_of_unknown_past_is_told(
    flock: Guarded, monkeypatch: pytest.MonkeyPatch, path: str, again: str, size: int
) -> None:
    """A version of it was recorded that nobody was told of, and one before that."""
    first, second, third = (bytes([number]) * size for number in range(3))
    record(flock, path, first)
    record(flock, path, second)
    flock.stop(0)
    shown = {"edited": third, "as before": first, "unreadable": second}[again]
    flock.path(0, path).write_bytes(shown)
    flock.restart(0)
    flock.nodes[0].keeper.adopt("box", flock.now)
    flock.quorum = True
    with monkeypatch.context() as patch:
        if again == "unreadable":
            patch.setattr(flock.box(0).offers, "inline", lambda *_: None)
        flock.run_until(lambda: not flock.box(0).adopting)
    flock.settle_equal()
    assert any(one.read_bytes() == shown for one in flock.path(1, "folder").iterdir())


def test_one_that_was_in_a_cell_already_when_it_was_taken_back(flock: Guarded) -> None:
    """The others have it then, and so has this node as soon as the cell has come back to it."""
    flock.box(0).offers.release()
    said = flock.box(0).offers.entries("folder/7")
    remove_while_off(flock)
    reject_all(flock)
    for lane in range(3):
        message = Versions(flock.box(lane).setup.tag, tuple(said))
        flock.box(lane).receive(message, own=lane == 0, now=flock.now)
    flock.settle_equal()
    assert flock.path(0, "folder/7").read_text() == "new 7"


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
