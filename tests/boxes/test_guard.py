"""What a person is asked about before it is deleted for everybody, and what passes."""

from __future__ import annotations

import errno
import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from flocksy.boxes.guard import FEW_DELETIONS, GROWN_FILES, Guard, Source
from flocksy.boxes.scan.findings import Gone
from flocksy.boxes.scan.watcher import Watcher
from flocksy.boxes.scans import RESCAN_SECONDS
from flocksy.boxes.setup import BoxSetup
from flocksy.index.store import BoxIndex
from flocksy.node.offline import _working, find_waiting
from flocksy.sync.trees import DiskEntry, SyncedEntry
from flocksy.sync.version import Kind, Version, version_id
from tests.boxes.flock_of_boxes import Flock, spool

__all__ = ["spool"]


class Guarded(Flock):
    """All boxes are guarded as by default, or by `percent`."""

    percent = 100

    def setup(self, lane: int) -> BoxSetup:
        return replace(super().setup(lane), guard_percent=self.percent)


@pytest.fixture
def flock(tmp_path: Path, spool: Path) -> Iterator[Guarded]:
    with Guarded(tmp_path, spool) as made:
        yield made


def fill(flock: Guarded, names: list[str]) -> None:
    for name in names:
        flock.write(0, name, f"content of {name}")
    flock.settle_equal()


def waiting(flock: Guarded, lane: int) -> set[str]:
    return set(flock.box(lane).guard.waiting)


def test_deletions_seen_as_they_happen_pass(flock: Guarded) -> None:
    fill(flock, [f"folder/{number}" for number in range(30)] + ["single"])
    shutil.rmtree(flock.path(1, "folder"))
    flock.path(2, "single").unlink()
    flock.settle_equal()
    assert flock.tree(0) == set()


def test_deletions_found_at_the_start_wait_and_nothing_else_does(flock: Guarded) -> None:
    fill(flock, ["folder/a", "folder/b", "gone", "stays"])
    flock.stop(2)
    shutil.rmtree(flock.path(2, "folder"))
    flock.path(2, "gone").unlink()
    flock.write(2, "stays", "edited while away")
    flock.restart(2)
    flock.settle()
    assert waiting(flock, 2) == {"folder", "folder/a", "folder/b", "gone"}
    assert "flocksy approve box" in flock.box(2).guard.words("box")
    for lane in (0, 1):
        assert flock.tree(lane) == {"folder", "folder/a", "folder/b", "gone", "stays"}
        assert flock.path(lane, "stays").read_text() == "edited while away"
    flock.write(2, "new", "goes on meanwhile")
    flock.write(0, "folder/c", "into what waits")
    flock.settle()
    assert flock.path(1, "new").exists()
    assert flock.path(2, "folder/c").exists()
    assert flock.box(2).approve() == 3, "the folder was needed, and is back"
    flock.settle_equal()
    assert flock.tree(1) == {"folder", "folder/c", "stays", "new"}
    assert flock.box(2).guard.words("box") == ""


def test_rejected_deletions_are_undone_here(flock: Guarded) -> None:
    fill(flock, ["folder/a", "gone", "stays"])
    flock.write(1, "large", b"x" * 300_000)
    flock.settle_equal()
    flock.stop(2)
    for name in ("folder", "gone", "large"):
        path = flock.path(2, name)
        shutil.rmtree(path) if path.is_dir() else path.unlink()
    flock.restart(2)
    flock.settle()
    assert flock.box(2).reject() == 4
    flock.settle_equal()
    assert flock.tree(2) == {"folder", "folder/a", "gone", "large", "stays"}
    assert not flock.history(0), "nobody lost anything meanwhile"


def test_what_waits_still_waits_after_another_start(flock: Guarded) -> None:
    fill(flock, ["a", "b"])
    flock.stop(2)
    flock.path(2, "a").unlink()
    for _ in range(2):
        flock.restart(2)
        flock.settle()
        assert waiting(flock, 2) == {"a"}
        flock.stop(2)
    flock.restart(2)
    flock.settle()
    flock.box(2).approve()
    flock.settle_equal()
    assert flock.tree(0) == {"b"}


@pytest.mark.parametrize("approve", [True, False])
def test_answered_while_the_node_does_not_run(flock: Guarded, *, approve: bool) -> None:
    fill(flock, ["folder/a", "b"])
    flock.stop(2)
    shutil.rmtree(flock.path(2, "folder"))
    flock.restart(2)
    flock.settle()
    flock.stop(2)
    with _working(flock.setup(2)) as box:
        assert find_waiting(box, flock.now)
        assert box.decide(flock.now, approve=approve) == 2
    with _working(flock.setup(2)) as box:
        assert not find_waiting(box, flock.now)
    flock.restart(2)
    flock.settle_equal()
    assert flock.tree(0) == ({"b"} if approve else {"b", "folder", "folder/a"})


def test_answered_after_the_choice_has_moved(flock: Guarded) -> None:
    fill(flock, ["a", "b"])
    flock.stop(2)
    flock.path(2, "a").unlink()
    flock.restart(2)
    flock.settle()
    flock.stop(2)
    flock.write(2, ".flockignore", "*.tmp\n")
    with _working(flock.setup(2)) as box:
        assert find_waiting(box, flock.now)
        assert box.decide(flock.now, approve=True) == 1
    flock.restart(2)
    flock.settle_equal()
    assert flock.tree(0) == {"b", ".flockignore"}


def refuse(_: Watcher) -> None:
    raise OSError(errno.ENOSPC, "limit reached")


def fill_unwatched(flock: Guarded, monkeypatch: pytest.MonkeyPatch) -> set[str]:
    """Many files in a folder, and nothing of it is watched on node 2. The names."""
    names = {f"folder/{number}" for number in range(60)}
    fill(flock, sorted(names))
    flock.stop(2)
    monkeypatch.setattr(Watcher, "_open_eyes", refuse)
    flock.restart(2)
    flock.settle()
    return names


def test_many_found_where_nothing_is_watched_wait(
    flock: Guarded, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = fill_unwatched(flock, monkeypatch)
    shutil.rmtree(flock.path(2, "folder"))
    flock.settle()  # which rescans
    assert waiting(flock, 2) == {"folder", *names}
    assert "found missing by the rescan" in flock.box(2).guard.words("box")
    flock.settle()
    assert waiting(flock, 2) == {"folder", *names}
    assert flock.tree(0) == {"folder", *names}
    flock.box(2).approve()
    flock.settle()
    assert flock.tree(0) == set()


def test_many_found_by_a_look_at_one_path_where_nothing_is_watched_wait(
    flock: Guarded, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What comes from others meets a folder that has gone, and that is looked at."""
    names = fill_unwatched(flock, monkeypatch)
    shutil.rmtree(flock.path(2, "folder"))
    flock.path(0, "folder").chmod(0o700)
    flock.run_until(lambda: flock.box(2).index.local("folder/0") is None)
    flock.run_until(flock.settled)
    assert flock.tree(0) == {"folder", *names}
    assert waiting(flock, 2) >= names
    flock.box(2).reject()
    flock.settle()
    assert not flock.unequal()
    assert flock.tree(2) == {"folder", *names}


def test_many_found_after_lost_events_wait(flock: Guarded, monkeypatch: pytest.MonkeyPatch) -> None:
    names = {f"folder/{number}" for number in range(60)}
    fill(flock, sorted(names))
    monkeypatch.setattr(Watcher, "happened", lambda *_, **__: None)
    shutil.rmtree(flock.path(2, "folder"))
    flock.box(2)._opened.watcher.lost()
    flock.step()
    flock.settle()  # which rescans once more
    assert waiting(flock, 2) == {"folder", *names}
    flock.box(2).approve()
    flock.settle_equal()
    for number in range(30):
        flock.write(0, f"new/{number}", f"new {number}")
    flock.settle_equal()
    shutil.rmtree(flock.path(2, "new"))
    flock.settle_equal()
    assert flock.tree(0) == set(), "seen to go again"


def test_what_was_found_at_the_start_stays_so_though_another_look_repeats_it(
    flock: Guarded,
) -> None:
    index = flock.box(0).index
    index.set_local("file", DiskEntry(Kind.FILE, 0o644, 1, 1, bytes(32)))
    guard = Guard(index, 100, ())
    guard.found([Gone("file")], Source.START)
    index.set_local("file", None)
    guard.found([Gone("file")], Source.RESCAN)
    assert guard._suspects == {"file": Source.START}


def test_many_found_by_the_hourly_rescan_wait(
    flock: Guarded, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = {f"folder/{number}" for number in range(60)}
    fill(flock, sorted(names))
    monkeypatch.setattr(Watcher, "happened", lambda *_, **__: None)
    shutil.rmtree(flock.path(2, "folder"))
    flock.now += RESCAN_SECONDS
    flock.step()
    flock.run_until(lambda: not flock.box(2).scanning and flock.settled())
    assert waiting(flock, 2) == {"folder", *names}
    assert flock.tree(0) == {"folder", *names}


def test_after_a_pause_it_waits_as_well(flock: Guarded) -> None:
    fill(flock, ["a", "b"])
    flock.nodes[1].keeper.pause("box")
    flock.path(1, "a").unlink()
    flock.nodes[1].keeper.resume("box", flock.now)
    flock.settle()
    assert waiting(flock, 1) == {"a"}


def alone(flock: Guarded, lane: int, name: str, content: str) -> None:
    """Somebody writes a file that has its version, and nobody is there to be told."""
    others = [node.lane for node in flock.up if node.lane != lane]
    for other in others:
        flock.stop(other)
    flock.write(lane, name, content)
    flock.box(lane).rescan(flock.now)  # alone its rounds are over before a watcher has said a word
    flock.run_until(lambda: flock.box(lane).index.flock(name) is not None)
    for other in others:
        flock.restart(other)


@pytest.mark.parametrize("number", range(4))
def test_what_nobody_was_told_of_is_no_question(flock: Guarded, number: int) -> None:
    """Whichever of two heads wins: while the question waited, the one whose content was gone held
    up the other, and nobody else could know why."""
    fill(flock, ["folder/e"])
    alone(flock, 2, "folder/h", f"told to nobody {number}")
    flock.kill(2)
    # Moved over another in the last moment, and then there was somebody who wrote that anew.
    flock.path(2, "folder/h").rename(flock.path(2, "folder/e"))
    flock.write(2, "folder/e", "written later")
    flock.write(0, "folder/h", "theirs" * 1_000)
    flock.settle()
    flock.restart(2)
    flock.settle_equal()
    assert flock.path(2, "folder/h").read_text() == "theirs" * 1_000
    assert flock.tree(2) == {"folder", "folder/e", "folder/h"}


def test_an_edit_that_nobody_was_told_of_is_one_with_what_they_have(flock: Guarded) -> None:
    fill(flock, ["a", "b"])
    alone(flock, 2, "a", "an edit")
    flock.kill(2)
    flock.path(2, "a").unlink()
    flock.restart(2)
    flock.settle()
    assert waiting(flock, 2) == {"a"}, "the others would lose what they have at the path"


def test_what_comes_back_waits_no_more(flock: Guarded) -> None:
    fill(flock, ["a", "b"])
    flock.stop(2)
    flock.path(2, "a").unlink()
    flock.restart(2)
    flock.settle()
    flock.write(2, "a", "made anew")
    flock.settle_equal()
    assert not waiting(flock, 2)
    assert flock.path(0, "a").read_text() == "made anew"
    flock.path(2, "a").unlink()
    flock.settle_equal()
    assert flock.tree(0) == {"b"}


def test_moving_while_away_is_no_deletion(flock: Guarded) -> None:
    fill(flock, ["folder/a", "folder/b", "c"])
    flock.stop(2)
    flock.path(2, "folder").rename(flock.path(2, "moved"))
    flock.restart(2)
    flock.settle_equal()
    assert flock.tree(0) == {"moved", "moved/a", "moved/b", "c"}


def test_what_others_deleted_too_is_no_question(flock: Guarded) -> None:
    fill(flock, ["a", "b"])
    flock.stop(2)
    flock.path(2, "a").unlink()
    flock.path(0, "a").unlink()
    flock.settle()
    flock.restart(2)
    flock.settle_equal()
    assert flock.tree(1) == {"b"}


def test_what_others_delete_while_it_waits_is_no_question_any_more(flock: Guarded) -> None:
    fill(flock, ["a", "b", "c"])
    flock.stop(2)
    for name in ("a", "b"):
        flock.path(2, name).unlink()
    flock.restart(2)
    flock.settle()
    assert waiting(flock, 2) == {"a", "b"}
    flock.path(0, "a").unlink()
    flock.settle()
    assert waiting(flock, 2) == {"b"}, "what only this node lacks still waits"
    assert flock.tree(1) == {"b", "c"}


def test_a_folder_looked_at_before_the_whole_box_is_found_at_the_start(flock: Guarded) -> None:
    fill(flock, ["folder/a", "folder/b", "c"])
    flock.stop(2)
    flock.path(2, "folder/a").unlink()
    flock.restart(2)
    # As if somebody touched the folder now. The scanner takes single paths before the whole.
    flock.box(2).scans._request(("folder",), 1.0)
    flock.settle()
    assert waiting(flock, 2) == {"folder/a"}
    flock.path(2, "folder/b").unlink()
    flock.settle()
    assert flock.tree(0) == {"folder", "folder/a", "c"}, "what is seen as it happens passes"


def test_approved_beside_an_edit_of_another(flock: Guarded) -> None:
    fill(flock, ["a"])
    flock.stop(2)
    flock.path(2, "a").unlink()
    flock.restart(2)
    flock.settle()
    flock.write(0, "a", "edited meanwhile")
    flock.settle()
    flock.box(2).approve()
    flock.settle_equal()
    assert flock.path(2, "a").read_text() == "edited meanwhile"


def test_a_conflict_copy_that_is_gone_at_the_start(flock: Guarded) -> None:
    fill(flock, ["a"])
    for lane in (0, 1):
        flock.write(lane, "a", f"by {lane}")
    flock.settle_equal()
    (copy,) = (name for name in flock.tree(2) if "conflict" in name)
    flock.stop(2)
    flock.path(2, copy).unlink()
    flock.restart(2)
    flock.settle()
    assert waiting(flock, 2) == {copy}
    flock.box(2).reject()
    flock.settle_equal()
    assert flock.path(2, copy).exists()


class TestShares:
    """The counting, with the scans' word for it."""

    @pytest.fixture
    def index(self, tmp_path: Path) -> Iterator[BoxIndex]:
        index = BoxIndex.open(tmp_path / "box.sqlite")
        for number in range(1_000):
            path = f"{number:04}"
            version = Version(Kind.FILE, 0o644, 0, 1, number.to_bytes(32, "big"), 1, ())
            entry = DiskEntry(Kind.FILE, 0o644, 0, 1, version.root)
            index.join(path, {version_id(version): version}, {})
            index.set_local(path, entry)
            index.set_synced(path, SyncedEntry(frozenset((version_id(version),)), entry))
        yield index
        index.close()

    def gone(self, index: BoxIndex, guard: Guard, start: int, count: int, source: Source) -> int:
        """How many of so many deletions wait."""
        paths = [f"{number:04}" for number in range(start, start + count)]
        guard.found([Gone(path) for path in paths], source)
        for path in paths:
            index.set_local(path, None)
        return len(guard.hold(paths, float(start)))

    def test_seen_as_they_happen(self, index: BoxIndex) -> None:
        guard = Guard(index, 30, ())
        assert self.gone(index, guard, 0, 200, Source.LIVE) == 0
        assert self.gone(index, guard, 200, 101, Source.LIVE) == 101
        assert self.gone(index, guard, 301, 99, Source.LIVE) == 0, "others are still free"
        assert self.gone(index, guard, 850, 101, Source.LIVE) == 0, "the window has passed"

    def test_found_by_a_rescan(self, index: BoxIndex) -> None:
        guard = Guard(index, 100, ())
        assert self.gone(index, guard, 0, 100, Source.RESCAN) == 0
        assert self.gone(index, guard, 100, 1, Source.RESCAN) == 1
        assert self.gone(index, guard, 101, 800, Source.LIVE) == 0

    def test_few_never_wait(self, index: BoxIndex) -> None:
        guard = Guard(index, 0, ())
        assert self.gone(index, guard, 0, FEW_DELETIONS, Source.LIVE) == 0
        assert self.gone(index, guard, 500, 1, Source.LIVE) == 1
        assert self.gone(index, guard, 600, 1, Source.START) == 1

    def test_switched_off(self, index: BoxIndex) -> None:
        guard = Guard(index, None, ("0000",))
        assert self.gone(index, guard, 0, 900, Source.START) == 0


def strange_trees(flock: Guarded, files: int, other_files: int) -> None:
    for number in range(files):
        flock.write(0, f"letters/{number}", f"letter {number}")
    flock.settle_equal()
    flock.stop(2)
    shutil.rmtree(flock.path(2))
    for left in flock.root.glob("state2/box.sqlite*"):
        left.unlink()
    for number in range(other_files):
        flock.write(2, f"photos/{number}", f"photo {number}")
    flock.restart(2)


def test_two_grown_trees_that_do_not_know_each_other(flock: Guarded) -> None:
    strange_trees(flock, GROWN_FILES, GROWN_FILES)
    flock.run_until(lambda: flock.box(2).guard.strangers)
    for _ in range(20):
        flock.step()
    assert "no paths in common" in flock.box(2).guard.words("box")
    assert not flock.path(2, "letters").exists()
    assert not flock.path(0, "photos").exists()
    flock.write(0, "letters/new", "goes on between the others")
    flock.run_until(lambda: flock.path(1, "letters/new").exists())
    flock.box(2).approve()
    flock.settle_equal()
    assert len(flock.tree(1)) == 2 * GROWN_FILES + 3
    flock.stop(2)
    flock.restart(2)
    flock.settle_equal()


def test_two_grown_trees_that_begin_at_the_same_time(tmp_path: Path, spool: Path) -> None:
    for lane, name in enumerate(("letters", "photos")):
        folder = tmp_path / f"box{lane}" / name
        folder.mkdir(parents=True)
        for number in range(2 * GROWN_FILES):
            (folder / f"{number}").write_text(f"{name} {number}")
    with Guarded(tmp_path, spool) as flock:
        flock.run_until(lambda: all(flock.box(lane).guard.strangers for lane in (0, 1)))
        for _ in range(20):
            flock.step()
        assert not flock.path(0, "photos").exists()
        assert not flock.path(1, "letters").exists()
        flock.box(0).approve()
        flock.box(1).approve()
        flock.settle_equal()
        assert len(flock.tree(2)) == 4 * GROWN_FILES + 2
        flock.stop(0)
        flock.restart(0)
        flock.settle_equal()


def test_a_grown_tree_and_a_later_gift(flock: Guarded) -> None:
    for number in range(2 * GROWN_FILES):
        flock.write(0, f"letters/{number}", f"letter {number}")
    flock.settle_equal()
    for number in range(2 * GROWN_FILES):
        flock.write(1, f"photos/{number}", f"photo {number}")
    flock.settle_equal()


@pytest.mark.parametrize(("here", "there"), [(GROWN_FILES, 3), (3, GROWN_FILES), (0, GROWN_FILES)])
def test_a_small_tree_joins_without_a_question(flock: Guarded, here: int, there: int) -> None:
    strange_trees(flock, here, there)
    flock.settle_equal()


def test_the_same_tree_joins_without_a_question(flock: Guarded) -> None:
    for number in range(2 * GROWN_FILES):
        flock.write(0, f"same/{number}", f"letter {number}")
    flock.settle_equal()
    flock.stop(2)
    for left in flock.root.glob("state2/box.sqlite*"):
        left.unlink()
    shutil.rmtree(flock.path(2, ".flocksy"))
    flock.write(2, "same/1", "edited")
    flock.restart(2)
    flock.settle_equal()
