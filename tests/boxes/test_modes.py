"""What a node does in a box: all, send only, receive only, or keep for ever."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from flocksy.boxes.set_aside import Change
from flocksy.boxes.setup import Mode
from tests.boxes.flock_of_boxes import spool as spool  # a fixture
from tests.boxes.test_held import Choosing


@pytest.fixture
def flock(tmp_path: Path, spool: Path) -> Iterator[Choosing]:
    with Choosing(tmp_path, spool) as made:
        yield made


def take_mode(flock: Choosing, lane: int, mode: Mode) -> None:
    """As `configure`, and all goes on until it rests."""
    configure(flock, lane, mode)
    flock.settle()


def configure(flock: Choosing, lane: int, mode: Mode) -> None:
    """The node is configured so from its next start on, and a person has said yes to it."""
    flock.how[lane] = (mode, ())
    keeper = flock.nodes[lane].keeper
    keeper.remove("box")
    keeper.add(flock.setup(lane), flock.now, agreed=True)


def test_send_only_sends_and_takes_nothing(flock: Choosing) -> None:
    take_mode(flock, 0, Mode.SEND_ONLY)
    flock.write(0, "a", "first")
    flock.write(0, "b", "first")
    flock.settle_equal()
    flock.write(1, "a", "of another")
    flock.write(1, "new", "of another")
    flock.path(2, "b").unlink()
    flock.settle()
    assert flock.path(0, "a").read_text() == "first"
    assert flock.tree(0) == {"a", "b"}
    assert flock.path(2, "a").read_text() == "of another"
    assert set(flock.box(0).problems) == {"a", "b", "new"}
    # What it makes next takes the place of all that is known, seen here or not: no copies.
    flock.write(0, "a", "second")
    flock.write(0, "b", "second")
    flock.path(0, "c").write_text("c")
    flock.settle()
    for lane in (1, 2):
        assert flock.tree(lane) == {"a", "b", "c", "new"}
        assert flock.path(lane, "a").read_text() == "second"
    assert set(flock.box(0).problems) == {"new"}


def test_receive_only_tells_nobody_and_keeps_what_was_changed(flock: Choosing) -> None:
    for name in ("edited", "deleted", "chmodded", "kept"):
        flock.write(0, name, "first")
    flock.settle_equal()
    take_mode(flock, 1, Mode.RECEIVE_ONLY)
    flock.write(1, "edited", "here")
    flock.path(1, "deleted").unlink()
    flock.path(1, "chmodded").chmod(0o700)
    flock.write(1, "folder/new", "here")
    flock.settle()
    flock.write(0, "edited", "second")
    flock.write(0, "kept", "second")
    flock.settle()
    assert flock.tree(0) == flock.tree(2) == {"edited", "deleted", "chmodded", "kept"}
    assert flock.path(1, "edited").read_text() == "here", "set aside, not overwritten"
    assert flock.path(1, "kept").read_text() == "second"
    assert not flock.path(1, "deleted").exists()
    changes = [
        Change("chmodded", "changed"),
        Change("deleted", "deleted"),
        Change("edited", "changed"),
        Change("folder", "new"),
        Change("folder/new", "new"),
    ]
    assert flock.box(1).set_aside.changes(10) == changes
    flock.stop(1)
    flock.restart(1)
    flock.settle()
    assert flock.box(1).set_aside.changes(10) == changes, "known after a start as well"
    assert flock.box(1).revert(["edited"]) == ["edited"]
    flock.settle()
    assert flock.path(1, "edited").read_text() == "second"
    assert any(kept.read_text() == "here" for kept in flock.history(1))
    assert len(flock.box(1).revert(None)) == 4
    flock.settle_equal()
    assert not flock.box(1).set_aside.changes(10)
    assert any("new" in kept.name for kept in flock.history(1))


def test_what_was_not_told_before_only_was_received_and_changes_again(flock: Choosing) -> None:
    """Nobody can have it any more, and no version takes its place."""
    flock.write(0, "file", "first")
    flock.settle_equal()
    flock.quorum = False
    flock.write(1, "file", "recorded")
    flock.run_until(lambda: flock.box(1).index.outgoing_count() == 1, 60)
    configure(flock, 1, Mode.RECEIVE_ONLY)
    flock.write(1, "file", "set aside")
    flock.quorum = True
    flock.settle()
    assert flock.path(0, "file").read_text() == "first"
    assert flock.box(1).set_aside.changes(10) == [Change("file", "changed")]
    assert flock.box(1).revert(["file"]) == ["file"]
    flock.settle_equal()
    assert flock.path(1, "file").read_text() == "first"
    assert any(kept.read_text() == "set aside" for kept in flock.history(1))


def test_a_change_that_the_flock_makes_too_is_none_any_more(flock: Choosing) -> None:
    flock.write(0, "a", "first")
    flock.settle_equal()
    take_mode(flock, 1, Mode.RECEIVE_ONLY)
    flock.write(1, "a", "second")
    flock.settle()
    assert len(flock.box(1).set_aside.changes(10)) == 1
    flock.write(0, "a", "second")
    flock.settle()
    flock.run_until(lambda: not flock.box(1).set_aside.changes(10))
    flock.write(0, "a", "third")
    flock.settle_equal()


def test_a_conflict_copy_that_is_deleted_on_a_receiver_is_put_away_nowhere(
    flock: Choosing,
) -> None:
    flock.write(0, "a", "base")
    flock.settle_equal()
    take_mode(flock, 2, Mode.RECEIVE_ONLY)
    flock.write(0, "a", "one")
    flock.write(1, "a", "two")
    flock.settle_equal()
    (copy,) = flock.tree(2) - {"a"}
    flock.path(2, copy).unlink()
    flock.settle()
    assert copy in flock.tree(0)
    assert flock.box(2).set_aside.changes(10) == [Change(copy, "deleted")]
    flock.box(2).revert(None)
    flock.settle_equal()


def test_an_archive_receives_and_never_deletes(flock: Choosing) -> None:
    flock.write(0, "folder/a", "a")
    flock.write(0, "b", "b")
    flock.write(0, "c", "first")
    flock.settle_equal()
    take_mode(flock, 2, Mode.ARCHIVE)
    flock.path(0, "folder/a").unlink()
    flock.path(0, "folder").rmdir()
    flock.path(0, "b").rename(flock.path(0, "moved"))
    flock.write(0, "c", "second")
    flock.settle()
    assert flock.tree(0) == flock.tree(1) == {"moved", "c"}
    assert flock.tree(2) == {"folder", "folder/a", "b", "moved", "c"}
    assert flock.path(2, "c").read_text() == "second"
    assert flock.path(2, "moved").read_text() == "b"
    assert flock.box(2).settled
    flock.write(2, "own", "stays here")
    flock.path(2, "c").unlink()
    flock.settle()
    assert flock.tree(0) == {"moved", "c"}
    changes = [Change("c", "deleted"), Change("own", "new")]
    assert flock.box(2).set_aside.changes(10) == changes
    flock.box(2).revert(None)
    flock.settle()
    assert flock.tree(2) == {"folder", "folder/a", "b", "moved", "c", "own"}
    # Written anew at a path that only the archive still has: an ordinary change.
    flock.write(0, "b", "again")
    flock.settle()
    assert flock.path(2, "b").read_text() == "again"


class Keeping:
    """A flock whose third node is an archive that keeps what the others have deleted."""

    LEFT = frozenset({"moved", "here"})
    """What the others still have."""
    ALL = LEFT | {"folder", "folder/a", "folder/deep", "folder/deep/b", "c", "link", "renamed"}

    def __init__(self, flock: Choosing) -> None:
        self.flock = flock
        for name in ("folder/a", "folder/deep/b", "c", "renamed", "here"):
            flock.write(0, name, name)
        flock.path(0, "link").symlink_to("here")
        flock.settle_equal()
        take_mode(flock, 2, Mode.ARCHIVE)
        shutil.rmtree(flock.path(0, "folder"))
        flock.path(0, "c").unlink()
        flock.path(0, "link").unlink()
        flock.path(0, "renamed").rename(flock.path(0, "moved"))
        flock.settle()
        self.check()

    def check(self) -> None:
        """Nothing has gone here, nothing has come back elsewhere, and nothing is left to do."""
        flock = self.flock
        assert flock.tree(0) == flock.tree(1) == self.LEFT
        assert flock.tree(2) == self.ALL
        for name in ("folder/a", "folder/deep/b", "c", "renamed", "here"):
            assert flock.path(2, name).read_text() == name
        assert flock.box(2).settled
        assert not flock.box(2).problems
        assert not flock.box(2).set_aside.changes(10), "nobody has changed anything here"
        assert not flock.history(2)
        flock.stay_settled()


def test_an_archive_keeps_over_a_restart(flock: Choosing) -> None:
    keeping = Keeping(flock)
    for end in (flock.stop, flock.kill):
        end(2)
        flock.restart(2)
        flock.settle()
        keeping.check()


def test_an_archive_keeps_when_it_is_adopted(flock: Choosing) -> None:
    """Its disk is of unknown past then, and the flock says of what it keeps that it was deleted."""
    keeping = Keeping(flock)
    flock.nodes[2].keeper.adopt("box", flock.now)
    flock.settle()
    keeping.check()
    flock.write(1, "folder/a", "made anew")
    flock.settle()
    assert flock.path(2, "folder/a").read_text() == "made anew"
    assert [one.read_text() for one in flock.history(2)] == ["folder/a"]


@pytest.mark.parametrize("lost", ["gone", "damaged"])
def test_an_archive_keeps_when_its_index_is_lost(flock: Choosing, lost: str) -> None:
    keeping = Keeping(flock)
    flock.stop(2)
    for found in (flock.root / "state2").glob("box.sqlite*"):
        found.unlink()
    if lost == "damaged":
        (flock.root / "state2" / "box.sqlite").write_bytes(b"no database" * 1000)
    flock.restart(2)
    if lost == "gone":
        assert flock.kept(2).box is None
        flock.nodes[2].keeper.adopt("box", flock.now)
    flock.settle()
    keeping.check()


@pytest.mark.parametrize(("adopted", "whole"), [(False, False), (True, True)])
def test_a_file_where_an_archive_keeps_a_folder(
    flock: Choosing, adopted: bool, whole: bool
) -> None:
    """It is held back, until somebody clears the way on the archive."""
    Keeping(flock)
    flock.write(1, "folder", "a file now")
    flock.settle()
    if adopted:
        flock.nodes[2].keeper.adopt("box", flock.now)
        flock.settle()
    assert flock.tree(0) == flock.tree(1) == {*Keeping.LEFT, "folder"}
    assert flock.tree(2) == Keeping.ALL
    assert flock.path(2, "folder/deep/b").read_text() == "folder/deep/b"
    assert flock.box(2).problems.keys() == {"folder"}
    assert "still has something in it" in flock.box(2).problems["folder"]
    assert not flock.history(2)
    if whole:
        # A change made here, which is set aside like any other.
        flock.path(2, "folder").rename(flock.root / "elsewhere")
        flock.settle()
        assert flock.box(2).set_aside.changes(10) == [Change("folder", "deleted")]
        flock.box(2).revert(None)
    else:
        for below in flock.path(2, "folder").iterdir():
            below.rename(flock.root / below.name)
    flock.settle()
    assert flock.path(2, "folder").read_text() == "a file now"
    assert not flock.box(2).problems


def test_a_mode_that_changed_asks_and_then_adopts(flock: Choosing) -> None:
    flock.write(0, "a", "first")
    flock.settle_equal()
    take_mode(flock, 1, Mode.RECEIVE_ONLY)
    flock.write(1, "a", "here")
    flock.write(1, "new", "here")
    flock.settle()
    flock.how[1] = (Mode.SYNC, ())
    flock.stop(1)
    flock.restart(1)
    for _ in range(30):
        flock.step()
    assert flock.kept(1).box is None
    assert "receive-only" in flock.kept(1).reason and "flocksy box adopt" in flock.kept(1).reason
    assert flock.tree(0) == {"a"}
    flock.nodes[1].keeper.adopt("box", flock.now)
    flock.settle_equal()
    assert {flock.path(0, name).read_text() for name in flock.tree(0)} == {"first", "here"}
    assert "new" in flock.tree(2)


def test_agreeing_to_a_mode_takes_no_other_folder_for_the_box(flock: Choosing) -> None:
    flock.write(0, "a", "first")
    flock.settle_equal()
    marker = flock.path(1, ".flocksy/marker")
    marker.rename(flock.root / "away")  # as where the disk is not mounted
    flock.how[1] = (Mode.ARCHIVE, ())
    keeper = flock.nodes[1].keeper
    keeper.remove("box")
    keeper.add(flock.setup(1), flock.now, agreed=True)
    for _ in range(30):
        flock.step()
    assert flock.kept(1).box is None
    assert "lost its marker" in flock.kept(1).reason
    assert not marker.exists()


def test_a_first_start_takes_its_mode_without_a_question(tmp_path: Path, spool: Path) -> None:
    class Archive(Choosing):
        def __init__(self, root: Path, spool: Path) -> None:
            super().__init__(root, spool)
            self.stop(2)

    with Archive(tmp_path, spool) as flock:
        for found in (tmp_path / "state2").glob("box.sqlite*"):
            found.unlink()
        (flock.path(2) / ".flocksy" / "marker").unlink()
        flock.how[2] = (Mode.ARCHIVE, ())
        flock.write(0, "a", "a")
        flock.restart(2)
        flock.settle()
        assert flock.path(2, "a").read_text() == "a"
