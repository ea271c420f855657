"""What the planner is asked to look at when a box is opened again."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from flocksy.boxes.catching_up import CatchingUp
from flocksy.boxes.planning import Planning
from flocksy.index.store import BoxIndex
from flocksy.sync.attributes import encode_attributes
from flocksy.sync.capabilities import Capabilities
from flocksy.sync.content import symlink_root
from flocksy.sync.trees import DiskEntry, SyncedEntry
from flocksy.sync.version import Kind, Version, version_id
from tests.boxes.flock_of_boxes import Flock, flock, spool

__all__ = ["flock", "spool"]

FILE = Version(Kind.FILE, 0o644, 5, 7, b"r" * 32, 1, ())
GONE = Version(Kind.TOMBSTONE, 0, 0, 0, b"", 2, ())
FOLDER = DiskEntry(Kind.DIRECTORY, 0o755, 0, 0, b"", 4, 5, 6)


@pytest.fixture
def index(tmp_path: Path) -> Iterator[BoxIndex]:
    opened = BoxIndex.open(tmp_path / "box.sqlite")
    yield opened
    opened.close()


def behind(index: BoxIndex) -> set[str]:
    catching_up, found = CatchingUp(index, Capabilities()), set()
    while not catching_up.done:
        found.update(catching_up.turn())
    return found


def know(index: BoxIndex, path: str, version: Version | None, disk: DiskEntry | None) -> None:
    """The flock has that version; the disk was seen to hold that, after it was known."""
    heads = {version_id(version): version} if version is not None else {}
    if heads:
        index.join(path, heads, {})
    index.set_synced(path, SyncedEntry(frozenset(heads), disk))


def test_what_is_settled_is_left_alone(index: BoxIndex) -> None:
    know(index, "file", FILE, FOLDER)
    know(index, "gone", GONE, None)
    assert behind(index) == set()


def test_what_has_arrived_and_is_not_here(index: BoxIndex) -> None:
    index.join("new", {version_id(FILE): FILE}, {})
    know(index, "not applied", FILE, None)
    assert behind(index) == {"new", "not applied"}


def test_what_could_not_be_dressed(index: BoxIndex) -> None:
    """Its content is in its place. Attributes are tried no more once a disk has refused them."""
    shown = DiskEntry(Kind.FILE, 0o644, 5, 7, b"r" * 32, 4, 5, 6)
    know(index, "as it should be", FILE, shown)
    know(index, "of another time", FILE, replace(shown, mtime_ns=7))
    know(index, "of another mode", FILE, replace(shown, mode=0o600))
    tagged = replace(FILE, attributes=encode_attributes({b"a": b"1"}))
    know(index, "of other attributes", tagged, shown)
    assert behind(index) == {"of another time", "of another mode"}


def test_a_directory_that_stood_for_what_was_below_it(index: BoxIndex) -> None:
    """Its heads say no more than that it is gone, before as after."""
    know(index, "left over", GONE, FOLDER)
    know(index, "never had a version", None, FOLDER)
    assert behind(index) == {"left over", "never had a version"}


def test_what_came_and_was_not_applied_is_not_forgotten(
    flock: Flock, monkeypatch: pytest.MonkeyPatch
) -> None:
    flock.settle_equal()
    planning, turn = flock.box(0).planning, Planning.turn

    def turn_of_others(self: Planning, now: float, *, ignore_only: bool = False) -> float | None:
        return None if self is planning else turn(self, now, ignore_only=ignore_only)

    monkeypatch.setattr(Planning, "turn", turn_of_others)
    links = {1: "one", 2: "two"}
    for lane, text in links.items():
        flock.path(lane, "link").symlink_to(text)
    contents = flock.box(0).index.contents
    roots = [symlink_root(text.encode()) for text in links.values()]
    flock.run_until(lambda: all(contents.blob(root) is not None for root in roots))
    assert not flock.path(0, "link").is_symlink()
    flock.kill(0)
    flock.stop(1)
    flock.stop(2)
    flock.restart(0)
    # It is not sure at once whether that is a clash, and tidies up meanwhile.
    flock.run_until(flock.path(0, "link").is_symlink)
    flock.run_until(lambda: flock.box(0).settled)
    shown = {os.readlink(flock.path(0, name)) for name in flock.tree(0)}
    assert shown == set(links.values())
