"""Where `.flockignore` is looked for, and what is taken for it."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from flocksy.boxes.disk.port import Stat
from flocksy.boxes.setup import BoxSetup, Mode
from flocksy.sync.ignore import IGNORE_FILE
from flocksy.sync.in_force import EMPTY_STANDS_SECONDS
from tests.boxes.flock_of_boxes import spool
from tests.boxes.test_held import Choosing

__all__ = ["spool"]


@pytest.fixture
def flock(tmp_path: Path, spool: Path) -> Iterator[Choosing]:
    with Choosing(tmp_path, spool) as made:
        yield made


def test_who_joins_to_send_only_shares_nothing_that_the_flock_ignores(flock: Choosing) -> None:
    keeper = flock.nodes[2].keeper
    keeper.remove("box")  # before it has met anybody
    flock.write(0, IGNORE_FILE, "*.o\n" + "# \n" * 3000)
    flock.write(0, "main.c", "source")
    flock.settle()
    flock.write(2, "junk.o", "object")
    flock.write(2, "mine", "shared")
    flock.how[2] = (Mode.SEND_ONLY, ())
    keeper.add(flock.setup(2), flock.now, agreed=True)
    assert flock.box(2).adopting
    flock.settle()
    assert flock.names(0) == flock.names(1) == {IGNORE_FILE, "main.c", "mine"}
    assert flock.box(2).index.flock("junk.o") is None
    assert flock.names(2) == {IGNORE_FILE, "junk.o", "mine"}
    flock.write(0, IGNORE_FILE, "*.c\n")
    flock.settle()
    assert flock.path(2, IGNORE_FILE).read_text().startswith("*.o"), "it only sends from then on"


def test_who_joins_with_another_ignore_file_shares_nothing_before_they_are_one(
    flock: Choosing,
) -> None:
    """One of the two would be in force for all: what the other leaves out would be shared."""
    flock.stop(2)  # before it has met anybody
    flock.write(0, IGNORE_FILE, "*.o\n")
    flock.write(0, "junk.o", "object")
    flock.write(0, "main.c", "source")
    flock.settle()
    flock.write(2, IGNORE_FILE, ".env\n")
    flock.write(2, ".env", "secret")
    flock.write(2, "junk2.o", "object")
    flock.write(2, "mine", "shared")
    flock.restart(2)
    flock.run_until(lambda: IGNORE_FILE in flock.box(2).problems)
    for _ in range(100):
        flock.step()
    assert "put its lines into the flock's" in flock.box(2).problems[IGNORE_FILE]
    assert flock.names(0) == {IGNORE_FILE, "junk.o", "main.c"}
    flock.write(0, IGNORE_FILE, "*.o\n.env\n")
    for _ in range(100):
        flock.step()
    flock.path(2, IGNORE_FILE).unlink()
    flock.settle()
    assert flock.names(1) == {IGNORE_FILE, "main.c", "mine"}
    assert flock.path(2, IGNORE_FILE).read_text() == "*.o\n.env\n"
    assert not flock.box(2).problems


@pytest.mark.parametrize("seen_away", [False, True])
def test_a_name_in_another_case_is_no_ignore_file(
    flock: Choosing, monkeypatch: pytest.MonkeyPatch, *, seen_away: bool
) -> None:
    """The first node's disk finds it all the same, and no rename shows in the file itself."""
    other = ".FlockIgnore"
    folding = flock.box(0)
    disk = folding.disk
    stat, open_read = disk.stat, disk.open_read

    def finds(path: str) -> Stat | None:
        found = stat(path) or (stat(other) if path == IGNORE_FILE else None)
        return replace(found, ctime_ns=0) if found and path == IGNORE_FILE else found

    def opens(path: str) -> int:
        return open_read(other if path == IGNORE_FILE and stat(path) is None else path)

    monkeypatch.setattr(disk, "stat", finds)
    monkeypatch.setattr(disk, "open_read", opens)
    found = folding.held._file
    monkeypatch.setattr(found, "_capabilities", replace(found._capabilities, case_folding=True))
    flock.write(0, other, "*.o\n")
    flock.write(0, "junk.o", "object")
    flock.settle_equal()
    assert flock.path(1, "junk.o").exists()
    if seen_away:
        os.rename(flock.path(0, other), flock.path(0, "away"))
        flock.settle()
        os.rename(flock.path(0, "away"), flock.path(0, IGNORE_FILE))
    else:
        os.rename(flock.path(0, other), flock.path(0, IGNORE_FILE))
    flock.settle_equal()
    flock.write(0, "more.o", "object")
    flock.settle()
    assert flock.box(0).index.flock("more.o") is None


def of_a_link(file: Path) -> None:
    file.with_name("rules").write_text("secret\n")
    file.symlink_to("rules")


def of_much(file: Path) -> None:
    file.write_text("secret\n" + "# \n" * 30_000)


def of_a_folder(file: Path) -> None:
    file.mkdir()


@pytest.mark.parametrize("made", [of_a_link, of_much, of_a_folder])
@pytest.mark.parametrize("joins", [True, False])
def test_nothing_is_shared_before_it_could_be_read_once(
    tmp_path: Path, spool: Path, made: Callable[[Path], None], *, joins: bool
) -> None:
    """It may leave out anything, and nothing was in force before."""
    box = tmp_path / "box0"
    box.mkdir()
    (box / "secret").write_text("diary")
    (box / "other").write_text("shared")
    made(box / IGNORE_FILE)
    with Choosing(tmp_path, spool) as flock:
        flock.write(1, "theirs", "theirs")
        if joins:
            flock.nodes[0].keeper.adopt("box", flock.now)
        for _ in range(100):
            flock.step()
        assert "nothing made here is shared" in flock.box(0).problems[IGNORE_FILE]
        assert flock.tree(1) == {"theirs"}
        assert not flock.box(0).settled
        file = box / IGNORE_FILE
        file.rmdir() if file.is_dir() and not file.is_symlink() else file.unlink()
        file.write_text("secret\n")
        flock.settle()
        assert {IGNORE_FILE, "other", "theirs"} <= flock.tree(1) and "secret" not in flock.tree(1)
        assert not flock.box(0).problems


class Without(Choosing):
    """Nodes that take no links, if it says so."""

    ignores_links = False

    def setup(self, lane: int) -> BoxSetup:
        return replace(super().setup(lane), ignore_symlinks=self.ignores_links)


@pytest.fixture
def without(tmp_path: Path, spool: Path) -> Iterator[Without]:
    with Without(tmp_path, spool) as made:
        yield made


@pytest.mark.parametrize("ignores_links", [True, False])
def test_one_that_never_left_anything_out_does_not_after_a_restart(
    without: Without, *, ignores_links: bool
) -> None:
    """It was made while nodes ran, and all was shared under it."""
    flock = without
    flock.ignores_links = ignores_links
    for lane in range(3):
        flock.stop(lane)
    for lane in range(3):
        flock.restart(lane)
    flock.settle_equal()
    flock.path(0, IGNORE_FILE).symlink_to("elsewhere")
    flock.settle()
    for lane in range(3):
        flock.stop(lane)
    flock.write(0, "made meanwhile", "x")
    for lane in range(3):
        flock.restart(lane)
    flock.settle()
    assert flock.path(1, "made meanwhile").exists()


@pytest.mark.parametrize("before", ["a comment", "a deletion", "another link"])
def test_one_that_was_made_with_no_node_running_may_say_anything(
    flock: Choosing, before: str
) -> None:
    """Whatever stood there before, and left nothing out."""
    file = flock.path(0, IGNORE_FILE)
    file.symlink_to("elsewhere") if before == "another link" else file.write_text("# nothing\n")
    flock.settle()
    if before == "a deletion":
        file.unlink()
        flock.settle()
        flock.now += EMPTY_STANDS_SECONDS
        flock.settle()
        assert not flock.path(1, IGNORE_FILE).exists()
    for _ in range(2):
        flock.stop(0)
        file.unlink(missing_ok=True)
        file.with_name("rules").write_text("secret\n")
        file.symlink_to("rules and more")
        flock.write(0, "secret", "x")
        flock.restart(0)
        for _ in range(100):
            flock.step()
        assert not flock.path(1, "secret").exists()
        assert "nothing made here is shared" in flock.box(0).problems[IGNORE_FILE]


def test_what_only_receives_does_so_whatever_it_says(flock: Choosing) -> None:
    flock.nodes[2].keeper.remove("box")
    of_much(flock.path(2, IGNORE_FILE))
    flock.how[2] = (Mode.RECEIVE_ONLY, ())
    flock.nodes[2].keeper.add(flock.setup(2), flock.now, agreed=True)
    flock.write(0, "theirs", "x")
    flock.settle()
    assert flock.path(2, "theirs").exists()
