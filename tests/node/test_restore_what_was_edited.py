"""`flocksy restore` of what somebody has written on this disk, before anybody was told."""

from __future__ import annotations

import os
import re
from datetime import datetime
from pathlib import Path

import pytest

from flocksy.boxes.past.recall import Recall
from flocksy.errors import FlocksyError
from flocksy.node import offline as offline_room
from flocksy.status.control import Answer, Pending
from tests.boxes.flock_of_boxes import Flock, flock, spool
from tests.boxes.test_guard import Guarded
from tests.node.test_restore_what_is_gone import ask, offline, undo_of

__all__ = ["flock", "spool"]

EARLIER = ["one", "two"]


def write_all(flock: Flock, name: str, contents: list[str]) -> None:
    """Elsewhere, so that the history of node 0 has what was there before."""
    for content in contents:
        flock.now += 3600
        flock.write(1, name, content)
        flock.settle_equal()


def remove(flock: Flock, name: str) -> None:
    flock.path(1, name).unlink()
    flock.settle_equal()


def restore(flock: Flock, name: str, at: str | None = None) -> Answer | Pending:
    """As a person types it, whether the node runs or not."""
    if flock.nodes[0].up:
        return ask(flock, undo_of(flock), name, at)
    return offline(flock, 0).restore(str(flock.path(0, name)), at)


def bring_back(flock: Flock, name: str) -> None:
    """`restore`, until it is done and everybody has it."""
    undo = undo_of(flock)
    assert isinstance(ask(flock, undo, name), Pending)

    def restored() -> bool:
        undo.turn(flock.now)
        return not undo._jobs

    flock.run_until(restored)
    flock.settle_equal()


def shown_id(flock: Flock, name: str) -> str:
    """As `flocksy history` names what stands there."""
    box = flock.box(0)
    return Recall(box.index, box.disk).versions(name)[0].short_id


@pytest.mark.parametrize("running", [True, False])
@pytest.mark.parametrize("said", ["folder/file", "its version", "of one", "a time"])
def test_it_has_no_version_yet(flock: Flock, said: str, running: bool) -> None:
    """It would have been the one before the last that came back, or none."""
    write_all(flock, "folder/file", EARLIER[:1])
    flock.now += 3600
    named, at = "folder/file", None
    if said == "a time":
        named, at = "folder", datetime.fromtimestamp(flock.now).isoformat()
    if said != "of one":
        write_all(flock, "folder/file", EARLIER[1:])
    if said == "its version":
        at = shown_id(flock, "folder/file")
    before = flock.path(0, "folder/file").read_text()
    if not running:
        flock.stop(0)
    flock.write(0, "folder/file", "edited")
    remedy = "ask again in a moment" if running else "start the node and ask again"
    line = f"^folder/file: was changed, and nobody has been told yet; {remedy}$"
    with pytest.raises(FlocksyError, match=line):
        restore(flock, named, at)
    if not running:
        flock.restart(0)
    flock.settle_equal()
    for lane in range(3):
        assert flock.path(lane, "folder/file").read_text() == "edited", "nothing was changed"
    bring_back(flock, "folder/file")
    for lane in range(3):
        assert flock.path(lane, "folder/file").read_text() == before


@pytest.mark.parametrize("running", [True, False])
def test_a_file_that_changes_all_the_time_is_in_nobodys_way(flock: Flock, running: bool) -> None:
    """Of a folder only what is replaced is looked at."""
    write_all(flock, "folder/busy", ["busy", "busier"])
    write_all(flock, "folder/file", EARLIER)
    remove(flock, "folder/file")
    if not running:
        flock.stop(0)
    flock.write(0, "folder/busy", "edited")
    if running:
        bring_back(flock, "folder")
    else:
        restore(flock, "folder")
        flock.restart(0)
        flock.settle_equal()
    for lane in range(3):
        assert flock.path(lane, "folder/file").read_text() == "two"
        assert flock.path(lane, "folder/busy").read_text() == "edited"


@pytest.mark.parametrize("running", [True, False])
def test_its_folder_is_a_file_now(flock: Flock, running: bool) -> None:
    write_all(flock, "d/f", EARLIER)
    flock.path(1, "d/f").unlink()
    flock.path(1, "d").rmdir()
    flock.settle_equal()
    write_all(flock, "d", ["a file"])
    if running:
        bring_back(flock, "d/f")
    else:
        flock.stop(0)
        restore(flock, "d/f")
        flock.restart(0)
        flock.settle_equal()
    assert flock.path(1, "d/f").read_text() == "two"
    assert "a file" in {
        flock.path(1, name).read_text() for name in flock.tree(1) if name.startswith("d.")
    }


def test_what_waits_for_a_word_comes_back_as_it_was(tmp_path: Path, spool: Path) -> None:
    with Guarded(tmp_path, spool) as flock:
        write_all(flock, "file", EARLIER)
        at = shown_id(flock, "file")
        flock.write(0, "file", "three")
        flock.settle_equal()
        flock.stop(0)
        flock.path(0, "file").unlink()
        flock.restart(0)
        flock.run_until(lambda: bool(flock.box(0).guard.waiting))
        assert isinstance(ask(flock, undo_of(flock), "file", at), Pending), "not refused"


def test_what_is_not_looked_at_is_said_to_be_that(flock: Flock) -> None:
    write_all(flock, "file", EARLIER)
    remove(flock, "file")
    flock.write(0, ".flockignore", "file\n")
    flock.settle_equal()
    flock.write(0, "file", "ours alone")
    with pytest.raises(FlocksyError, match=r"^file: cannot be restored on this node: "):
        restore(flock, "file")


@pytest.mark.parametrize("name", [".flocksy", ".flocksy/history"])
def test_what_is_no_path_of_the_box(flock: Flock, name: str) -> None:
    write_all(flock, "file", EARLIER)
    with pytest.raises(FlocksyError, match="is not known"):
        restore(flock, name)


def test_what_is_in_the_way_is_named(flock: Flock) -> None:
    """It never gets a version, so "in a moment" is not all that there is to say."""
    write_all(flock, "file", EARLIER)
    remove(flock, "file")
    os.mkfifo(flock.path(0, "file"))
    flock.settle()
    problem = flock.box(0).problems["file"]
    with pytest.raises(FlocksyError, match=re.escape(f"told yet ({problem}); ask again")):
        restore(flock, "file")


def test_what_did_not_come_to_the_disk_in_time_is_not_told_as_restored(
    flock: Flock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A link is no content to wait for, so its version is made at once."""
    flock.path(0, "link").symlink_to("one")
    flock.settle_equal()
    flock.path(0, "link").unlink()
    flock.settle_equal()
    flock.stop(0)
    monkeypatch.setattr(offline_room, "PATIENCE_SECONDS", 0.0)
    line = "^link: is not restored: its version is made, and it comes when the node runs$"
    with pytest.raises(FlocksyError, match=line):
        restore(flock, "link")
    flock.restart(0)
    flock.settle_equal()
    for lane in range(3):
        assert flock.path(lane, "link").readlink() == Path("one")
