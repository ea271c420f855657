"""What a node does not hold is neither read nor written, and never taken for a deletion."""

from __future__ import annotations

import errno
import os
import shutil
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from flocksy.boxes.scan.watcher import Watcher
from flocksy.boxes.setup import BoxSetup, Mode
from flocksy.sync.ignore import IGNORE_FILE
from tests.boxes.flock_of_boxes import Flock
from tests.boxes.flock_of_boxes import spool as spool  # a fixture


class Choosing(Flock):
    """Nodes that are configured differently: as `how` says, from the next start on."""

    guard: int | None = None
    """As the box's word `guard`, from the next start on."""

    def __init__(self, root: Path, spool: Path, *, outside_mean_s: float = 0.0) -> None:
        self.how: dict[int, tuple[Mode, tuple[str, ...]]] = {}
        super().__init__(root, spool, outside_mean_s=outside_mean_s)

    def setup(self, lane: int) -> BoxSetup:
        mode, folders = self.how.get(lane, (Mode.SYNC, ()))
        return replace(super().setup(lane), mode=mode, folders=folders, guard_percent=self.guard)

    def choose(self, lane: int, *folders: str) -> None:
        """The node's configuration is another from now on."""
        self.how[lane] = (Mode.SYNC, folders)
        keeper = self.nodes[lane].keeper
        keeper.remove("box")
        keeper.add(self.setup(lane), self.now)

    def names(self, lane: int) -> set[str]:
        return self.tree(lane)


@pytest.fixture
def flock(tmp_path: Path, spool: Path) -> Iterator[Choosing]:
    with Choosing(tmp_path, spool) as made:
        yield made


def test_what_is_ignored_stays_where_it_is_and_travels_nowhere(flock: Choosing) -> None:
    flock.write(0, IGNORE_FILE, "*.o\nbuild/\n")
    flock.write(0, "main.c", "source")
    flock.write(0, "main.o", "object")
    flock.write(0, "build/deep/out", "built")
    flock.settle()
    for lane in (1, 2):
        assert flock.names(lane) == {IGNORE_FILE, "main.c"}
    flock.path(0, "main.o").unlink()
    flock.write(1, "main.o", "another object")
    flock.settle()
    assert flock.path(1, "main.o").read_text() == "another object"
    assert not flock.path(0, "main.o").exists()
    assert flock.path(0, "build/deep/out").exists()
    assert all(not flock.box(lane).problems for lane in range(3))


def test_what_was_shared_and_is_ignored_later_stays_on_all_disks(flock: Choosing) -> None:
    flock.write(0, "a.log", "first")
    flock.write(0, "logs/b", "second")
    flock.settle_equal()
    flock.write(1, IGNORE_FILE, "*.log\n/logs/\n")
    flock.settle_equal()
    flock.path(0, "a.log").unlink()
    flock.path(0, "logs/b").write_text("changed where it is ignored")
    flock.settle()
    assert flock.path(1, "a.log").read_text() == "first"
    assert flock.path(2, "logs/b").read_text() == "second"
    # Held again: what is absent is fetched, what was changed is a version beside the others'.
    flock.path(2, IGNORE_FILE).unlink()
    flock.settle_equal()
    assert flock.path(0, "a.log").read_text() == "first"
    shown = {path.read_text() for path in flock.path(0, "logs").iterdir()}
    assert shown == {"second", "changed where it is ignored"}


def test_old_content_that_is_held_again_is_fast_forwarded(flock: Choosing) -> None:
    flock.write(0, "photos/a", "old")
    flock.settle_equal()
    flock.choose(1, "mail")
    flock.settle()
    flock.write(0, "photos/a", "new")
    flock.write(0, "photos/b", "more")
    flock.path(2, "photos").joinpath("c").write_text("c")
    flock.settle()
    assert flock.path(1, "photos/a").read_text() == "old", "not held: left alone"
    assert flock.names(1) == {"photos", "photos/a"}
    flock.choose(1)
    flock.settle_equal()
    assert flock.path(1, "photos/a").read_text() == "new"
    assert flock.names(1) == {"photos", "photos/a", "photos/b", "photos/c"}


def test_only_chosen_folders_come_and_their_absence_is_no_deletion(flock: Choosing) -> None:
    flock.choose(1, "photos/2026")
    flock.write(0, "photos/2026/a", "a")
    flock.write(0, "photos/2025/b", "b")
    flock.write(0, "mail/c", "c")
    flock.write(0, "top", "d")
    flock.settle()
    assert flock.names(1) == {"photos", "photos/2026", "photos/2026/a"}
    flock.write(1, "photos/2026/e", "e")
    flock.write(1, "mail/local", "of nobody's business")
    flock.settle()
    assert flock.path(0, "photos/2026/e").exists()
    assert not flock.path(0, "mail/local").exists()
    flock.stop(1)
    flock.restart(1)
    flock.settle()
    assert flock.path(0, "mail/c").exists() and flock.path(2, "top").exists()
    assert flock.names(0) == flock.names(2)
    flock.choose(1, "mail")
    flock.settle()
    assert flock.path(1, "mail/c").read_text() == "c"
    assert flock.path(0, "mail/local").exists(), "held now: it is shared"
    assert flock.path(1, "photos/2026/a").exists(), "held no more: it stays where it is"
    flock.path(1, "photos/2026/a").unlink()
    flock.settle()
    assert flock.path(0, "photos/2026/a").exists()


def test_the_ignore_file_goes_before_the_rest_of_its_batch(flock: Choosing) -> None:
    for number in range(20):
        flock.write(0, f"a{number}.tmp", f"{number}")
    flock.settle_equal()
    flock.stop(2)
    # So long that its content takes cells of its own.
    flock.write(0, IGNORE_FILE, "z*\n*.tmp\n" + "# \n" * 3000)
    flock.write(0, "z", "left out at the source")
    flock.write(0, "zz/y", "as well")
    flock.write(0, "b", "b")
    flock.settle()
    assert flock.names(1) == {IGNORE_FILE, "b", *(f"a{number}.tmp" for number in range(20))}
    # A node that comes later and has none of it: what others ignore does not come.
    flock.restart(2)
    flock.settle()
    assert "b" in flock.names(2)
    assert not {"z", "zz"} & flock.names(2)


def test_a_folder_that_is_deleted_keeps_what_is_ignored_in_it(flock: Choosing) -> None:
    flock.write(0, IGNORE_FILE, "*.o\n")
    flock.write(0, "src/a.c", "source")
    flock.settle_equal()
    flock.write(1, "src/a.o", "object")
    for path in (flock.path(0, "src/a.c"), flock.path(0, "src")):
        path.unlink() if path.is_file() else path.rmdir()
    flock.settle()
    assert flock.names(0) == flock.names(2) == {IGNORE_FILE}
    assert flock.names(1) == {IGNORE_FILE, "src", "src/a.o"}
    assert "src" in flock.box(1).problems
    flock.path(1, "src/a.o").unlink()
    flock.run_until(lambda: flock.names(1) == {IGNORE_FILE})


def test_a_file_in_place_of_a_folder_that_keeps_something_ignored(flock: Choosing) -> None:
    flock.write(0, IGNORE_FILE, "*.o\n")
    flock.write(0, "src/a.c", "source")
    flock.settle_equal()
    flock.write(1, "src/a.o", "object")
    flock.path(0, "src/a.c").unlink()
    flock.path(0, "src").rmdir()
    flock.write(0, "src", "a file now")
    flock.settle()
    assert flock.path(2, "src").read_text() == "a file now"
    assert flock.path(1, "src/a.o").read_text() == "object"
    assert "src" in flock.box(1).problems
    flock.path(1, "src/a.o").unlink()
    flock.run_until(lambda: flock.path(1, "src").is_file())
    flock.settle_equal()


def test_an_ignore_file_that_cannot_be_read_changes_nothing(flock: Choosing) -> None:
    flock.write(0, IGNORE_FILE, "*.key\n")
    flock.write(0, "my.key", "secret")
    flock.settle()
    flock.path(0, IGNORE_FILE).unlink()
    flock.path(0, IGNORE_FILE).mkdir()
    flock.write(0, "other.key", "secret too")
    flock.settle()
    assert IGNORE_FILE in flock.box(0).problems
    assert not [name for name in flock.names(1) if name.endswith(".key")]


def test_an_ignore_file_that_a_disk_did_not_give_us_is_looked_at_again(
    flock: Choosing, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody tells that the disk is well again, so nothing else makes the box look."""
    flock.write(0, IGNORE_FILE, "*.o\n")
    flock.settle_equal()
    held, now = flock.box(0).held, flock.now
    with monkeypatch.context() as sick:

        def refuse(path: str) -> int:
            raise OSError(errno.EIO, os.strerror(errno.EIO), path)

        sick.setattr(Watcher, "happened", lambda *_, **__: None)
        sick.setattr(flock.box(0).disk, "open_read", refuse)
        flock.path(0, IGNORE_FILE).write_text("*.o\n*.key\n")
        whens = []
        while now - flock.now < 200:
            held.look(now)
            held.look(now)  # each turn of the box does, whatever it is for
            when = held.next()
            next_at = flock.box(0).scans.next()
            assert when is not None and next_at is not None and next_at <= when
            whens.append(when - now)
            now = when
    assert whens[:6] == pytest.approx([1, 2, 4, 8, 16, 32])
    assert set(whens[6:]) == {60.0}
    assert "Input/output error" in held.problems[IGNORE_FILE] and not held.moving
    held.look(now)
    assert IGNORE_FILE not in held.problems and held.moving
    assert held.next() is None


def test_a_choice_that_a_crash_cut_short_comes_into_force(flock: Choosing) -> None:
    for number in range(30):
        flock.write(0, f"photos/{number}", str(number))
    flock.settle_equal()
    flock.how[1] = (Mode.SYNC, ("mail",))
    flock.stop(1)
    flock.restart(1)
    flock.kill(1)  # before it had a turn
    for number in range(15):
        flock.path(1, f"photos/{number}").unlink()
    flock.restart(1)
    flock.settle()
    assert len(list(flock.path(0, "photos").iterdir())) == 30
    flock.how[1] = (Mode.SYNC, ())
    flock.stop(1)
    flock.restart(1)
    flock.settle_equal()
    assert len(list(flock.path(1, "photos").iterdir())) == 30


def test_a_conflict_copy_is_as_little_held_as_its_owner(flock: Choosing) -> None:
    flock.write(0, "secret", "base")
    flock.settle_equal()
    flock.write(0, IGNORE_FILE, "/secret\n")
    flock.settle_equal()
    flock.write(1, "secret", "one")
    flock.write(2, "secret", "two")
    flock.settle()
    assert flock.names(0) == {IGNORE_FILE, "secret"}
    flock.path(0, IGNORE_FILE).unlink()
    flock.settle_equal()
    contents = {flock.path(0, name).read_text() for name in flock.names(0)}
    assert contents == {"base", "one", "two"}, "of unknown past: none of them replaced another"


@pytest.mark.parametrize("edited", [True, False])
def test_what_became_of_a_copy_while_its_owner_was_ignored(
    flock: Choosing, *, edited: bool
) -> None:
    """Nothing was said of it then, and no look finds it again once that counts."""
    flock.write(0, "a.txt", "one")
    flock.write(1, "a.txt", "two")
    flock.settle_equal()
    (copy,) = [name for name in flock.tree(0) if "conflict" in name]
    flock.write(0, IGNORE_FILE, "/a.txt\n")
    flock.settle_equal()
    if edited:
        flock.write(0, copy, "edited")
    else:
        flock.path(0, copy).unlink()
    flock.settle()
    flock.path(0, IGNORE_FILE).unlink()
    flock.settle_equal()
    assert flock.tree(2) == ({"a.txt", copy} if edited else {"a.txt"})
    if edited:
        assert flock.path(2, copy).read_text() == "edited"


def test_an_explanation(flock: Choosing) -> None:
    flock.write(0, IGNORE_FILE, "# first\nbuild/\n")
    flock.write(0, "build/x", "x")
    flock.settle()
    explain = flock.box(0).held.explain
    assert explain("build/x") == "is ignored with build/ by line 2 of .flockignore: build/"
    assert explain("a") is None


def test_a_deleted_folder_does_not_come_back_for_what_is_ignored_in_it(flock: Choosing) -> None:
    for name in ("project/modules/x", "project/source", "other"):
        flock.write(0, name, name)
    flock.settle_equal()
    flock.write(0, IGNORE_FILE, "modules/\n")  # what was shared stays, here and there
    flock.settle_equal()
    shutil.rmtree(flock.path(2, "project/modules"))
    flock.settle()
    shutil.rmtree(flock.path(0, "project"))
    flock.settle()
    left = {"project", "project/modules", "project/modules/x"}
    assert [flock.names(lane) & left for lane in range(3)] == [set(), left, set()]
    assert "was deleted" in flock.box(1).problems["project"]
    flock.write(2, "project/new", "something new in it")
    flock.settle()
    assert flock.path(0, "project/new").exists()
    assert flock.path(1, "project/new").exists()
    assert not flock.box(1).problems
    flock.path(0, IGNORE_FILE).unlink()
    flock.settle_equal()
    assert flock.names(0) == {"other", "project/new", *left}


@pytest.mark.parametrize("had", [None, "*.tmp\n"])
def test_who_joins_shares_nothing_that_the_flock_ignores(flock: Choosing, had: str | None) -> None:
    flock.stop(2)  # before it has met anybody
    flock.write(0, IGNORE_FILE, "*.tmp\n")
    flock.settle_equal()
    # So long that its content takes cells of its own.
    flock.write(0, IGNORE_FILE, "*.tmp\n*.o\n.env\n" + "# \n" * 3000)
    flock.write(0, "main.c", "source")
    flock.settle_equal()
    if had is not None:
        flock.write(2, IGNORE_FILE, had)
    flock.write(2, "junk.o", "object")
    flock.write(2, "deep/.env", "secret")
    flock.write(2, "mine", "shared")
    flock.restart(2)
    assert flock.box(2).adopting
    flock.settle()
    shared = {IGNORE_FILE, "main.c", "mine", "deep"}
    assert flock.names(0) == flock.names(1) == shared
    assert flock.names(2) == shared | {"junk.o", "deep/.env"}
    assert flock.box(2).index.flock("junk.o") is None
    assert not flock.box(2).problems


def test_who_joins_waits_for_an_ignore_file_that_nobody_holds(flock: Choosing) -> None:
    flock.guard = 100
    flock.stop(2)
    flock.write(0, IGNORE_FILE, "*.o\n" + "# \n" * 3000)
    flock.settle_equal()
    for lane in (0, 1):
        flock.stop(lane)
        flock.path(lane, IGNORE_FILE).unlink()
    for lane in (0, 1):
        flock.restart(lane)
    flock.settle()  # the deletion waits for a word on both
    flock.write(2, "junk.o", "object")
    flock.write(2, "mine", "shared")
    flock.restart(2)
    flock.run_until(lambda: IGNORE_FILE in flock.box(2).problems)
    for _ in range(100):
        flock.step()
    assert "not shared before" in flock.box(2).problems[IGNORE_FILE]
    assert flock.box(2).index.flock("mine") is None
    flock.write(0, IGNORE_FILE, "*.o\n")
    flock.settle()
    assert flock.path(2, IGNORE_FILE).read_text() == "*.o\n"
    assert flock.names(0) == {IGNORE_FILE, "mine"}
    assert not flock.box(2).problems


@pytest.mark.parametrize("approve", [True, False])
def test_an_ignore_file_is_in_force_until_its_deletion_is_answered(
    flock: Choosing, *, approve: bool
) -> None:
    flock.guard = 100
    flock.write(0, IGNORE_FILE, "*.key\n")
    flock.settle_equal()
    flock.write(2, "my.key", "secret")
    flock.settle()
    flock.stop(2)
    flock.path(2, IGNORE_FILE).unlink()
    flock.restart(2)
    flock.settle()
    flock.write(2, "other.key", "secret too")
    flock.settle()
    box = flock.box(2)
    assert set(box.guard.waiting) == {IGNORE_FILE}
    assert box.index.flock("my.key") is None
    assert flock.names(0) == {IGNORE_FILE}
    if approve:
        box.approve()
        flock.settle_equal()
        assert flock.names(0) == {"my.key", "other.key"}
    else:
        box.reject()
        flock.settle()
        assert flock.names(0) == {IGNORE_FILE}
        assert flock.path(2, IGNORE_FILE).read_text() == "*.key\n"


def test_what_was_being_put_when_it_came_to_be_ignored_is_of_unknown_past(
    flock: Choosing, monkeypatch: pytest.MonkeyPatch
) -> None:
    flock.settle()
    disk, held = flock.box(1).disk, flock.box(1).held
    move, flush = disk.move, disk.flush_directory

    def ignoring(source: str, target: str) -> None:
        move(source, target)
        if target == "logs/b":
            flock.write(1, IGNORE_FILE, "/logs/\n")

    def late(folder: str) -> None:
        """In its thread: the batch is still open when the box sees what is ignored now."""
        until = time.monotonic() + 10
        while flock.path(1, IGNORE_FILE).exists() and not held.choice.texts:
            assert time.monotonic() < until
            time.sleep(0.001)
        flush(folder)

    monkeypatch.setattr(disk, "move", ignoring)
    monkeypatch.setattr(disk, "flush_directory", late)
    flock.write(0, "logs/b", "b")
    flock.settle_equal()
    assert flock.path(1, "logs/b").exists()
    shutil.rmtree(flock.path(1, "logs"))
    flock.settle()
    flock.path(1, IGNORE_FILE).unlink()
    flock.settle_equal()
    assert all(flock.path(lane, "logs/b").read_text() == "b" for lane in range(3))
