"""What is being written into `.flockignore`, and two that are in conflict: each leaves out."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from pathlib import Path
from unittest import mock

import pytest

from flocksy.boxes.disk.filesystem import RealDisk
from flocksy.boxes.setup import Mode
from flocksy.sync.ignore import IGNORE_FILE
from flocksy.sync.in_force import EMPTY_STANDS_SECONDS, STANDS_SECONDS
from flocksy.testing.lockstep import PERIOD_S
from tests.boxes.flock_of_boxes import spool
from tests.boxes.test_held import Choosing

__all__ = ["spool"]

SOME_ROUNDS = 20
LONG = "# \n" * 3000
"""So long that a content takes cells of its own."""


@pytest.fixture
def flock(tmp_path: Path, spool: Path) -> Iterator[Choosing]:
    with Choosing(tmp_path, spool) as made:
        yield made


@pytest.fixture
def ignoring(flock: Choosing) -> Choosing:
    """All leave `private` out, and two of them have something in it."""
    flock.write(0, IGNORE_FILE, "private/\n")
    flock.settle_equal()
    flock.write(0, "private/diary", "mine")
    flock.write(2, "private/letters", "mine, too")
    flock.settle()
    return flock


def goes_on(flock: Choosing, seconds: float) -> None:
    """Nothing that is private goes anywhere meanwhile."""
    before_s = seconds - 2 * SOME_ROUNDS * PERIOD_S
    for pause_s in (before_s, 0.0):
        for _ in range(SOME_ROUNDS):
            flock.step()
            told = [
                node.lane for node in flock.up if flock.box(node.lane).index.flock("private/diary")
            ]
            assert not told, "the diary is shared"
        flock.now += pause_s


def text(flock: Choosing, lane: int) -> str:
    return flock.path(lane, IGNORE_FILE).read_text()


def test_a_file_that_is_being_typed_anew(ignoring: Choosing) -> None:
    """`cat > .flockignore`, and then line by line."""
    flock = ignoring
    with flock.path(0, IGNORE_FILE).open("w") as typed:
        goes_on(flock, EMPTY_STANDS_SECONDS / 4)
        assert text(flock, 1) == "private/\n"
        said = flock.box(0).held.explain("private/diary")
        assert said is not None and "counts in about 2" in said
        assert "counts in about 2" in flock.box(0).problems[IGNORE_FILE]
        assert not flock.box(0).settled
        for line in ("*.o\n", "!keep.o\n"):
            typed.write(line)
            typed.flush()
            goes_on(flock, STANDS_SECONDS - 3)
            flock.write(0, "new.o", "left out by what is typed")
        assert text(flock, 1) == "private/\n"
        typed.write("private/\n")
    flock.settle()
    assert text(flock, 1) == "*.o\n!keep.o\nprivate/\n"
    goes_on(flock, 2 * STANDS_SECONDS)
    assert flock.tree(1) == {IGNORE_FILE}
    assert not flock.box(0).problems


@pytest.mark.parametrize("how", ["emptied", "removed", "other"])
def test_what_stands_for_long_enough_counts(ignoring: Choosing, how: str) -> None:
    flock, file = ignoring, ignoring.path(0, IGNORE_FILE)
    wait_s = STANDS_SECONDS
    if how == "emptied":
        file.write_text("")
        wait_s = EMPTY_STANDS_SECONDS
    elif how == "removed":
        file.unlink()
    else:
        file.write_text("*.o\n")
    goes_on(flock, wait_s - 1)
    assert text(flock, 1) == "private/\n", "nor is anybody told"
    flock.settle_equal()
    assert {"private/diary", "private/letters"} < flock.tree(1)


def test_a_line_more_is_told_at_once(ignoring: Choosing) -> None:
    ignoring.write(0, IGNORE_FILE, "# now two\n*.o\nprivate/\n")
    ignoring.run_until(lambda: text(ignoring, 1).startswith("# now two"), 60)


@pytest.mark.parametrize("starts_anew", ["stop", "kill"])
def test_the_wait_begins_again_with_the_node(ignoring: Choosing, starts_anew: str) -> None:
    flock = ignoring
    flock.write(0, IGNORE_FILE, "*.o\n")
    flock.write(0, "junk.o", "left out by the new one")
    goes_on(flock, STANDS_SECONDS - 5)
    getattr(flock, starts_anew)(0)
    flock.write(0, IGNORE_FILE, "")  # and whoever saves it is not done
    flock.restart(0)
    goes_on(flock, EMPTY_STANDS_SECONDS - 5)
    flock.write(0, IGNORE_FILE, "*.o\nprivate/\n")
    flock.settle()
    goes_on(flock, 2 * STANDS_SECONDS)
    assert text(flock, 1) == "*.o\nprivate/\n"
    assert flock.tree(1) == {IGNORE_FILE}


# -- in conflict ----------------------------------------------------------------------------------


@pytest.fixture(params=[0.0, 10.0])
def conflict(request: pytest.FixtureRequest, tmp_path: Path, spool: Path) -> Iterator[Choosing]:
    """Two that began at the same time, each with a `.flockignore` of its own."""
    for lane, rules in ((0, "*.o\nbuild/\n"), (1, "secret\n.*\n")):
        box = tmp_path / f"box{lane}"
        box.mkdir()
        (box / IGNORE_FILE).write_text(rules + LONG)
        (box / "main.o").write_text("object") if lane == 0 else None
        (box / "secret").write_text("diary") if lane == 1 else None
    with Choosing(tmp_path, spool, outside_mean_s=request.param) as flock:
        flock.settle()
        yield flock


def copy_of(flock: Choosing, lane: int) -> Path:
    (copy,) = flock.path(lane).glob(f"{IGNORE_FILE}.conflict-*")
    return copy


def test_a_copy_counts_as_soon_as_it_is_there(conflict: Choosing) -> None:
    """Lest the node ends before it has been looked at, and it never has left anything out."""
    for lane in range(3):
        assert len(conflict.box(lane).held.choice.texts) == 2


def shared(flock: Choosing) -> set[str]:
    """Of what either leaves out, what the flock knows."""
    return {name for name in ("secret", "main.o") if flock.box(2).index.flock(name)}


def test_two_that_begin_at_once_with_one_each(conflict: Choosing) -> None:
    flock = conflict
    goes_on(flock, 2 * STANDS_SECONDS)
    for lane in range(3):
        assert "is in conflict" in flock.box(lane).problems[IGNORE_FILE]
        assert f"{copy_of(flock, lane).name} leaves out" in flock.box(lane).problems[IGNORE_FILE]
    flock.write(2, "secret", "another one")
    flock.write(2, "other.o", "object")
    flock.stop(1)
    flock.restart(1)
    flock.settle()
    assert not shared(flock)
    assert not flock.box(0).index.flock("other.o")
    loser = copy_of(flock, 2).read_text()
    out = "secret" if loser.startswith("secret") else "main.o"
    said = flock.box(2).held.explain(out)
    assert said is not None and "is in conflict" in said


def test_who_decides_that_one_of_them_counts(conflict: Choosing) -> None:
    flock = conflict
    copy = copy_of(flock, 2)
    out = {"secret"} if copy.read_text().startswith("secret") else {"main.o"}
    copy.unlink()
    flock.settle()
    assert shared(flock) == out
    assert not any(flock.box(lane).problems for lane in range(3))


def test_a_copy_that_cannot_be_read_leaves_out_what_it_did(conflict: Choosing) -> None:
    """Its deletion waits for a word."""
    flock = conflict
    flock.guard = 100
    flock.stop(2)
    copy = copy_of(flock, 2)
    copy.unlink()
    for name in ("secret", "main.o"):
        flock.write(2, name, "another one")
    flock.restart(2)
    flock.settle()
    assert set(flock.box(2).guard.waiting) == {copy.name}
    goes_on(flock, 2 * STANDS_SECONDS)
    flock.settle()
    assert not shared(flock)


@pytest.mark.parametrize("joins", [True, False])
def test_a_copy_that_is_edited_decides_nothing(conflict: Choosing, *, joins: bool) -> None:
    """Somebody puts the lines together in it, and will move it to its place. Who joins meanwhile
    goes by it, too."""
    flock = conflict
    goes_on(flock, 2 * STANDS_SECONDS)
    if joins:
        flock.stop(0)
    copy = copy_of(flock, 2)
    copy.write_text("*.o\nsecret\n.*\n")
    goes_on(flock, 3 * STANDS_SECONDS)
    if joins:
        for one in (flock.root / "state0").glob("box.sqlite*"):
            one.unlink()
        for name in (IGNORE_FILE, copy.name):
            flock.path(0, name).unlink(missing_ok=True)
        flock.restart(0)
        flock.nodes[0].keeper.adopt("box", flock.now)
    flock.settle()
    for lane in range(3):
        assert "is in conflict" in flock.box(lane).problems[IGNORE_FILE]
    assert not shared(flock)
    copy.rename(flock.path(2, IGNORE_FILE))
    flock.settle()
    goes_on(flock, 2 * STANDS_SECONDS)
    assert text(flock, 0) == "*.o\nsecret\n.*\n"
    assert not shared(flock) and not any(flock.box(lane).problems for lane in range(3))


def test_who_puts_the_lines_together(conflict: Choosing) -> None:
    flock = conflict
    flock.write(2, IGNORE_FILE, "*.o\nbuild/\nsecret\n.*\n")
    flock.settle()
    copy_of(flock, 2).unlink()
    flock.settle()
    assert not shared(flock)
    goes_on(flock, 2 * STANDS_SECONDS)
    assert not any(flock.box(lane).problems for lane in range(3))
    goes_on(flock, 2 * STANDS_SECONDS)
    assert not shared(flock)


@pytest.mark.parametrize("has_copy", [True, False])
@pytest.mark.parametrize("lane", [0, 1])
def test_whose_index_is_lost_meanwhile(conflict: Choosing, lane: int, *, has_copy: bool) -> None:
    """Nothing remembers then what was in force, and the disk is adopted."""
    flock = conflict
    flock.stop(lane)
    if not has_copy:
        copy_of(flock, lane).unlink()
    for one in (flock.root / f"state{lane}").glob("box.sqlite*"):
        one.unlink()
    flock.restart(lane)
    flock.nodes[lane].keeper.adopt("box", flock.now)
    assert flock.box(lane).adopting
    flock.settle()
    assert not shared(flock)


def test_who_joins_a_flock_in_conflict(conflict: Choosing) -> None:
    flock = conflict
    flock.nodes[2].keeper.remove("box")
    for one in (flock.root / "state2").glob("box.sqlite*"):
        one.unlink()
    box = flock.path(2)
    box.rename(flock.root / "former")
    box.mkdir()
    flock.write(2, "secret", "another one")
    flock.write(2, "other.o", "object")
    flock.write(2, "mine", "shared")
    flock.nodes[2].keeper.add(flock.setup(2), flock.now, agreed=True)
    assert flock.box(2).adopting
    flock.settle()
    assert flock.path(0, "mine").exists()
    assert not shared(flock) and not flock.box(0).index.flock("other.o")


def test_two_that_are_edited_at_once(ignoring: Choosing) -> None:
    flock = ignoring
    flock.quorum = False
    flock.write(0, IGNORE_FILE, "private/\nsecret\n")
    flock.write(1, IGNORE_FILE, "private/\n*.o\n")
    for lane in range(2):
        flock.write(lane, "secret" if lane == 0 else "main.o", "mine")
    flock.run_until(lambda: all(flock.box(lane).index.outgoing_count() for lane in range(2)), 60)
    flock.quorum = True
    flock.settle()
    goes_on(flock, 2 * STANDS_SECONDS)
    assert not shared(flock)


@pytest.mark.parametrize(("rules", "waits"), [("*.o\n*.tmp\n", False), ("", True)])
def test_what_nobody_was_told_of_is_not_the_flocks(
    tmp_path: Path, spool: Path, rules: str, *, waits: bool
) -> None:
    """It was recorded here and edited before the folder is adopted; maybe somebody still is at
    it."""
    with Choosing(tmp_path, spool) as flock:
        flock.write(0, "other", "first")
        flock.settle_equal()
        flock.stop(0)
        flock.outside_mean_s = 1e5
        flock.write(0, IGNORE_FILE, "*.o\n")
        flock.write(0, "main.o", "object")
        flock.restart(0)
        flock.run_until(lambda: flock.box(0).index.outgoing_count() == 1, 60)
        flock.stop(0)
        flock.write(0, IGNORE_FILE, rules)
        flock.restart(0)
        flock.nodes[0].keeper.adopt("box", flock.now)
        if waits:
            goes_on(flock, EMPTY_STANDS_SECONDS - 1)
            assert flock.box(0).adopting and not flock.box(0).index.flock("main.o")
        flock.run_until(lambda: not flock.box(0).adopting, 60)
        assert bool(flock.box(0).index.flock("main.o")) is waits
        assert not flock.box(0).problems


def test_what_only_sends_goes_by_its_own(ignoring: Choosing) -> None:
    flock = ignoring
    flock.how[0] = (Mode.SEND_ONLY, ())
    flock.stop(0)
    flock.restart(0)
    flock.nodes[0].keeper.adopt("box", flock.now)
    flock.settle()
    flock.write(1, IGNORE_FILE, "*.o\n")
    flock.settle()
    assert not flock.box(1).index.flock("private/diary")
    assert flock.box(1).index.flock("private/letters")


@pytest.mark.parametrize("conflict", [0.0], indirect=True)
def test_two_that_edit_the_copy_at_once(conflict: Choosing) -> None:
    flock = conflict
    for lane in (1, 2):
        copy_of(flock, lane).write_text(f"*.o\nsecret\n.*\nmine {lane}\n")
    flock.settle()
    for lane in (1, 2):
        flock.write(lane, f"mine {lane}", "x")
    goes_on(flock, 3 * STANDS_SECONDS)
    flock.settle()
    for lane in range(3):
        known = flock.box(lane).index.flock
        assert not shared(flock) and not known("mine 1") and not known("mine 2")
        assert len(list(flock.path(lane).glob(f"{IGNORE_FILE}.*"))) == 2


@pytest.mark.parametrize("conflict", [0.0], indirect=True)
def test_an_edited_copy_counts_where_only_is_sent(conflict: Choosing) -> None:
    flock = conflict
    copy_of(flock, 2).write_text("*.o\nsecret\n.*\nmine\n")
    flock.settle()
    flock.how[2] = (Mode.SEND_ONLY, ())
    flock.nodes[2].keeper.remove("box")
    flock.nodes[2].keeper.add(flock.setup(2), flock.now, agreed=True)
    flock.write(2, "mine", "x")
    goes_on(flock, 3 * STANDS_SECONDS)
    flock.settle()
    assert not flock.box(0).index.flock("mine")


@pytest.mark.parametrize("conflict", [0.0], indirect=True)
def test_a_copy_that_is_edited_where_only_is_received_keeps_nobody_waiting(
    conflict: Choosing,
) -> None:
    flock = conflict
    flock.how[2] = (Mode.RECEIVE_ONLY, ())
    flock.nodes[2].keeper.remove("box")
    flock.nodes[2].keeper.add(flock.setup(2), flock.now, agreed=True)
    flock.settle()
    copy_of(flock, 2).write_text("my own lines\n")
    flock.settle()
    flock.stop(2)
    flock.restart(2)
    flock.settle()


@pytest.mark.parametrize("conflict", [0.0], indirect=True)
def test_where_none_can_be_read_nothing_is_done_all_the_time(conflict: Choosing) -> None:
    flock = conflict
    flock.stop(0)
    read = RealDisk.open_read

    def refuses(disk: RealDisk, path: str) -> int:
        if path.startswith(IGNORE_FILE):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
        return read(disk, path)

    with mock.patch.object(RealDisk, "open_read", refuses):
        flock.restart(0)
        for _ in range(40):
            flock.step()
        again = flock.nodes[0].keeper.turn(flock.now, quiet=True)
        assert again is not None and again > flock.now
    assert not shared(flock)
