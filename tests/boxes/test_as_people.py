"""Files as people and their programs have them."""

from __future__ import annotations

import errno
import os
import socket
import stat
from collections.abc import Callable
from pathlib import Path

import pytest

from flocksy.boxes.scan.watcher import Watcher
from tests.boxes.flock_of_boxes import Flock, flock, spool

__all__ = ["flock", "spool"]


def save_in_place(path: Path, text: str) -> None:
    """As nano does."""
    with open(path, "r+") as file:
        file.truncate()
        file.flush()
        file.write(text)


def save_by_rename(path: Path, text: str) -> None:
    """As gedit and most others do."""
    new = path.with_name(".goutputstream-ABC123")
    new.write_text(text)
    new.replace(path)


def save_with_backup(path: Path, text: str) -> None:
    """As vim does with backup: the old file gets another name, the new one its own."""
    swap = path.with_name(f".{path.name}.swp")
    swap.write_text("swap")
    backup = path.with_name(path.name + "~")
    path.rename(backup)
    path.write_text(text)
    backup.unlink()
    swap.unlink()


def save_with_lock(path: Path, text: str) -> None:
    """As LibreOffice and Emacs do: locks beside the file, a copy of the old one, a rename."""
    lock = path.with_name(f".~lock.{path.name}#")
    lock.write_text("somebody")
    interlock = path.with_name(f".#{path.name}")
    interlock.symlink_to("somebody@somewhere.1234")
    new = path.with_name("lu123.tmp")
    new.write_text(text)
    path.unlink()
    new.rename(path)
    lock.unlink()
    interlock.unlink()


SAVES: list[Callable[[Path, str], None]] = [
    save_in_place,
    save_by_rename,
    save_with_backup,
    save_with_lock,
]


@pytest.mark.parametrize("save", SAVES, ids=lambda save: save.__name__)
def test_however_a_program_saves(flock: Flock, save: Callable[[Path, str], None]) -> None:
    """Also while the flock works, and on two nodes in turn: never a conflict, never a stray."""
    flock.write(0, "folder/report.txt", "first")
    flock.settle_equal()
    for number in range(6):
        lane = number % 2
        save(flock.path(lane, "folder/report.txt"), f"save {number}")
        for _ in range(3):
            flock.step()
        if number % 2:
            flock.settle_equal()
            assert flock.path(2, "folder/report.txt").read_text() == f"save {number}"
        else:
            flock.settle()
    assert flock.tree(0) == flock.tree(2) == {"folder", "folder/report.txt"}


def test_a_file_that_is_open_and_written_for_long(flock: Flock) -> None:
    with open(flock.path(0, "download.part"), "wb", buffering=0) as file:
        for number in range(30):
            file.write(b"%d" % (number % 10) * 20_000)
            flock.step()
    flock.path(0, "download.part").rename(flock.path(0, "download"))
    flock.settle_equal()
    assert flock.path(2, "download").stat().st_size == 600_000
    assert flock.tree(1) == {"download"}


def test_hard_links_are_files_of_their_own(flock: Flock) -> None:
    flock.write(0, "one", "content")
    os.link(flock.path(0, "one"), flock.path(0, "two"))
    flock.settle_equal()
    for lane in (1, 2):
        assert flock.path(lane, "one").stat().st_nlink == 1
        assert flock.path(lane, "two").read_text() == "content"
    # Written through one name here it is written under both, and both are said.
    with open(flock.path(0, "one"), "a") as file:
        file.write(", and more")
    flock.settle_equal()
    assert flock.path(1, "two").read_text() == "content, and more"
    # Changed elsewhere under one name it is another file from then on.
    flock.write(1, "one", "changed there")
    flock.settle_equal()
    assert flock.path(0, "one").read_text() == "changed there"
    assert flock.path(0, "two").read_text() == "content, and more"


def test_what_no_box_holds_is_skipped_and_said(flock: Flock) -> None:
    flock.write(0, "file", "text")
    os.mkfifo(flock.path(0, "pipe"))
    with socket.socket(socket.AF_UNIX) as here:
        # By a short name: that of a socket must not be long.
        above = os.open(flock.path(0), os.O_RDONLY)
        here.bind(f"/proc/self/fd/{above}/socket")
        os.close(above)
        said = {"pipe", "socket"}
        if os.geteuid() == 0:
            os.mknod(flock.path(0, "device"), stat.S_IFCHR | 0o600, os.makedev(1, 3))
            said.add("device")
        flock.settle()
        problems = flock.box(0).problems
        assert set(problems) == said
        assert all("neither a file, a directory nor a link" in one for one in problems.values())
        assert flock.tree(1) == flock.tree(2) == {"file"}
        for name in said:
            flock.path(0, name).unlink()
    flock.settle_equal()


def test_bits_that_give_rights_do_not_travel(flock: Flock) -> None:
    program = flock.write(0, "program", "text")
    flock.path(0, "shared").mkdir()
    program.chmod(0o6755)
    flock.path(0, "shared").chmod(0o3775)
    flock.settle_equal()
    for lane in (1, 2):
        assert stat.S_IMODE(flock.path(lane, "program").stat().st_mode) == 0o755
        assert stat.S_IMODE(flock.path(lane, "shared").stat().st_mode) == 0o775
    assert stat.S_IMODE(program.stat().st_mode) == 0o6755, "here they are the owner's own affair"


def test_thousands_of_events_at_once(flock: Flock) -> None:
    for number in range(200):
        flock.write(0, f"folder {number % 10}/{number}", str(number))
    for _ in range(5):
        for number in range(0, 200, 3):
            path = flock.path(0, f"folder {number % 10}/{number}")
            path.write_text(f"again {number}")
            path.touch()
        flock.step()
    for number in range(10):
        flock.path(0, f"folder {number}").rename(flock.path(0, f"moved {number}"))
    flock.settle_equal()
    assert len(flock.tree(2)) == 210


def test_without_any_events_rescans_sync_all_the_same(
    flock: Flock, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(_: Watcher) -> None:
        raise OSError(errno.ENOSPC, "limit reached")

    flock.settle_equal()
    for lane in range(3):
        flock.stop(lane)
    with monkeypatch.context() as limited:
        limited.setattr(Watcher, "_open_eyes", refuse)
        for lane in range(3):
            flock.restart(lane)
            assert "sysctl fs.inotify.max_user_watches" in flock.box(lane).problems[""]
        flock.write(0, "a", "one")
        flock.settle()
        assert flock.path(1, "a").read_text() == "one"
        assert not flock.box(0)._opened.watcher.busy
        assert "sysctl fs.inotify.max_user_watches" in flock.box(0).problems[""]
    # With room for watches there are events again, and no word of it.
    for lane in range(3):
        flock.box(lane).rescan(flock.now)
    flock.run_until(lambda: not any(flock.box(lane).problems for lane in range(3)))
    assert all(flock.box(lane)._opened.watcher._eyes is not None for lane in range(3))
    flock.settle_equal()
