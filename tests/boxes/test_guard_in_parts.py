"""What waits and is answered in part, and what one look finds and is decided about in parts."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from flocksy.boxes import box, guard
from flocksy.boxes.guard import FEW_DELETIONS, SAMPLED, Source
from flocksy.boxes.scan.findings import Gone
from flocksy.boxes.scan.watcher import Watcher
from flocksy.boxes.scans import RESCAN_SECONDS
from tests.boxes.flock_of_boxes import spool
from tests.boxes.test_guard import Guarded, fill, flock, waiting

AT_A_TIME = 5
"""Paths decided about in one go: fewer than may go without a question."""

__all__ = ["flock", "spool"]


def test_one_file_of_a_folder_that_waits_is_brought_back_alone(flock: Guarded) -> None:
    fill(flock, ["folder/a", "folder/b", "stays"])
    flock.stop(2)
    shutil.rmtree(flock.path(2, "folder"))
    flock.restart(2)
    flock.settle()
    assert waiting(flock, 2) == {"folder", "folder/a", "folder/b"}
    flock.box(2).reject(["folder/a"])
    flock.settle()
    assert flock.path(2, "folder/a").exists()
    assert waiting(flock, 2) == {"folder/b"}
    assert flock.box(2).approve() == 1
    flock.settle_equal()
    assert flock.tree(0) == {"folder", "folder/a", "stays"}


def rescan(flock: Guarded) -> None:
    """The hourly one."""
    flock.now += RESCAN_SECONDS
    flock.step()
    flock.run_until(lambda: not flock.box(2).scanning and flock.settled())


@pytest.mark.parametrize("sampled", [SAMPLED, 7])
def test_all_that_one_look_finds_is_one_question(
    flock: Guarded, monkeypatch: pytest.MonkeyPatch, sampled: int
) -> None:
    """However few of it are decided about at a time."""
    monkeypatch.setattr(guard, "SAMPLED", sampled)
    names = {f"folder/{number}" for number in range(60)}
    fill(flock, sorted(names))
    monkeypatch.setattr(Watcher, "happened", lambda *_, **__: None)
    monkeypatch.setattr(box, "COMMIT_PATHS", AT_A_TIME)
    shutil.rmtree(flock.path(2, "folder"))
    rescan(flock)
    assert waiting(flock, 2) == {"folder", *names}
    assert flock.tree(0) == {"folder", *names}
    flock.box(2).approve()
    flock.settle_equal()
    assert flock.tree(0) == set()


def test_one_file_in_each_of_many_folders_is_counted_too(
    flock: Guarded, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is looked at for all of it is not folders only, in whatever order they come."""
    monkeypatch.setattr(guard, "SAMPLED", 60)  # of 115, then 109: at a fixed step every second one
    monkeypatch.setattr(box, "COMMIT_PATHS", 6)
    folders = {f"folder/{number:02}" for number in range(60)}
    names = {f"{folder}/file" for folder in folders}
    fill(flock, sorted(names))
    monkeypatch.setattr(Watcher, "happened", lambda *_, **__: None)
    shutil.rmtree(flock.path(2, "folder"))
    rescan(flock)
    assert waiting(flock, 2) == {"folder", *folders, *names}
    assert flock.tree(0) == {"folder", *folders, *names}


def test_many_that_are_seen_to_go_are_one_question(
    tmp_path: Path, spool: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where the box's word `guard` asks about such, too."""
    monkeypatch.setattr(Guarded, "percent", 30)
    names = {f"folder/{number}" for number in range(60)}
    with Guarded(tmp_path, spool) as flock:
        fill(flock, sorted(names))
        monkeypatch.setattr(box, "COMMIT_PATHS", AT_A_TIME)
        shutil.rmtree(flock.path(2, "folder"))
        flock.settle()
        assert waiting(flock, 2) == {"folder", *names}
        assert flock.tree(0) == {"folder", *names}


@pytest.mark.parametrize(("first", "percent"), [(Source.RESCAN, 100), (Source.LIVE, 30)])
def test_what_a_second_look_tells_of_too_is_as_the_first_found_it(
    tmp_path: Path, spool: Path, monkeypatch: pytest.MonkeyPatch, first: Source, percent: int
) -> None:
    """One that began before what the first had found was taken in."""
    monkeypatch.setattr(Guarded, "percent", percent)
    names = {f"folder/{number}" for number in range(60)}
    with Guarded(tmp_path, spool) as flock:
        fill(flock, sorted(names))
        monkeypatch.setattr(Watcher, "happened", lambda *_, **__: None)
        monkeypatch.setattr(box, "COMMIT_PATHS", AT_A_TIME)
        shutil.rmtree(flock.path(2, "folder"))
        gone = [*map(Gone, sorted(names)), Gone("folder")]
        for source in (first, Source.LIVE):
            flock.box(2).guard.found(gone, source)
            flock.box(2).intake.take(gone, flock.now)
        flock.settle()
        assert waiting(flock, 2) == {"folder", *names}
        assert flock.tree(0) == {"folder", *names}


@pytest.mark.parametrize("sampled", [SAMPLED, 7])
def test_what_was_moved_is_not_counted(
    flock: Guarded, monkeypatch: pytest.MonkeyPatch, sampled: int
) -> None:
    monkeypatch.setattr(guard, "SAMPLED", sampled)
    fill(flock, [f"folder/{number}" for number in range(60)] + ["a", "b"])
    monkeypatch.setattr(Watcher, "happened", lambda *_, **__: None)
    monkeypatch.setattr(box, "COMMIT_PATHS", AT_A_TIME)
    flock.path(2, "folder").rename(flock.path(2, "moved"))
    for name in ("a", "b"):
        flock.path(2, name).unlink()
    rescan(flock)
    assert not waiting(flock, 2)
    flock.settle_equal()
    assert flock.tree(0) == {"moved", *(f"moved/{number}" for number in range(60))}


def test_what_waits_does_not_count_against_what_is_found_later(
    flock: Guarded, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = {f"folder/{number}" for number in range(60)}
    fill(flock, [*sorted(names), *(f"other {number}" for number in range(FEW_DELETIONS))])
    monkeypatch.setattr(Watcher, "happened", lambda *_, **__: None)
    monkeypatch.setattr(box, "COMMIT_PATHS", AT_A_TIME)
    shutil.rmtree(flock.path(2, "folder"))
    rescan(flock)
    for number in range(FEW_DELETIONS):
        flock.path(2, f"other {number}").unlink()
    rescan(flock)
    assert waiting(flock, 2) == {"folder", *names}
    assert flock.tree(0) == {"folder", *names}
