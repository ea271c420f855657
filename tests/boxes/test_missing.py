"""Content that nobody has any more: it is said, it is not waited for, and all show the same."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from flocksy.boxes.box import Box
from flocksy.boxes.missing import WORDS
from flocksy.boxes.past.conflicts import conflicts
from tests.boxes.flock_of_boxes import Flock, spool
from tests.boxes.test_guard import Guarded

__all__ = ["spool"]

MAKER = 2
LARGE = 20_000
"""More than travels with a record."""


@pytest.fixture
def flock(tmp_path: Path, spool: Path) -> Iterator[Guarded]:
    with Guarded(tmp_path, spool) as made:
        yield made


@pytest.fixture
def record_only(flock: Guarded, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], bytes]:
    """The maker writes a file and is killed when its record is out and its content is not."""

    def make(name: str) -> bytes:
        content = os.urandom(LARGE)
        with monkeypatch.context() as lost:
            lost.setattr(Box, "write", lambda *_, **__: False)
            flock.write(MAKER, name, content)
            flock.run_until(lambda: all(LARGE in sizes(flock, lane, name) for lane in range(3)))
        flock.kill(MAKER)
        return content

    return make


def sizes(flock: Flock, lane: int, name: str) -> set[int]:
    """Of the heads that lanes have carried."""
    state = flock.box(lane).index.lane_state(name)
    return set() if state is None else {head.size for head in state.heads.values()}


def shows(flock: Flock, name: str, content: bytes | None, *, missing: bool) -> None:
    """After settling: what all nodes show at the path, and say of it."""
    flock.settle()
    assert flock.unequal() == []
    for node in flock.up:
        path = flock.path(node.lane, name)
        assert (path.read_bytes() if path.exists() else None) == content
        assert flock.box(node.lane).problems == ({name: WORDS} if missing else {})
        assert not flock.box(node.lane).pending


def no_copies(flock: Flock) -> None:
    assert not [name for name in flock.tree(0) if ".conflict-" in name]
    assert not list(conflicts(flock.box(0).index))


def test_it_comes_with_who_has_it(flock: Guarded, record_only: Callable[[str], bytes]) -> None:
    flock.write(0, "a", "the last that all had")
    flock.settle_equal()
    content = record_only("a")
    shows(flock, "a", b"the last that all had", missing=True)
    flock.restart(MAKER)
    flock.run_until(lambda: flock.path(0, "a").read_bytes() == content)
    flock.settle_equal()


def test_a_new_file(flock: Guarded, record_only: Callable[[str], bytes]) -> None:
    content = record_only("folder/a")
    shows(flock, "folder/a", None, missing=True)
    flock.restart(MAKER)
    flock.run_until(lambda: flock.path(0, "folder/a").exists())
    assert flock.path(0, "folder/a").read_bytes() == content
    flock.settle_equal()


@pytest.mark.parametrize("_number", range(3))
def test_what_was_written_beside_it(
    flock: Guarded, record_only: Callable[[str], bytes], _number: int
) -> None:
    """Whichever wins, which is drawn."""
    theirs = os.urandom(LARGE)
    flock.write(0, "folder/b", "b")
    flock.settle_equal()
    content = record_only("folder/a")
    flock.write(0, "folder/a", theirs)
    shows(flock, "folder/a", theirs, missing=True)
    no_copies(flock)
    kept = len(flock.history(1))
    flock.stop(1)
    flock.restart(1)
    shows(flock, "folder/a", theirs, missing=True)
    assert len(flock.history(1)) == kept, "nothing comes and goes with a restart"
    flock.restart(MAKER)
    flock.run_until(lambda: any(".conflict-" in name for name in flock.tree(0)))
    flock.settle_equal()
    assert {content, theirs} == {
        flock.path(0, name).read_bytes() for name in flock.tree(0) if name.startswith("folder/a")
    }


def test_lost_for_good(flock: Guarded, record_only: Callable[[str], bytes]) -> None:
    """The maker's own copy was deleted while it was away, and a person says that it shall come
    back; nobody has it. Then somebody writes something else there."""
    flock.write(0, "folder/b", "b")
    flock.settle_equal()
    record_only("folder/a")
    flock.path(MAKER, "folder/a").unlink()
    flock.restart(MAKER)
    flock.run_until(lambda: bool(flock.box(MAKER).guard.waiting))
    flock.run_until(lambda: all(flock.box(lane).problems for lane in (0, 1)))
    flock.box(MAKER).reject()
    shows(flock, "folder/a", None, missing=True)
    flock.write(1, "folder/a", "something else")
    shows(flock, "folder/a", b"something else", missing=True)
    no_copies(flock)
    flock.path(0, "folder/a").unlink()
    shows(flock, "folder/a", None, missing=True)


def test_given_up_by_its_maker(flock: Guarded, record_only: Callable[[str], bytes]) -> None:
    record_only("a")
    flock.path(MAKER, "a").unlink()
    shows(flock, "a", None, missing=True)
    flock.restart(MAKER)
    flock.run_until(lambda: bool(flock.box(MAKER).guard.waiting))
    flock.box(MAKER).approve()
    flock.settle_equal()
    assert flock.tree(0) == set()


def test_written_anew_by_hand(flock: Guarded, record_only: Callable[[str], bytes]) -> None:
    """Somebody had it elsewhere."""
    content = record_only("a")
    shows(flock, "a", None, missing=True)
    flock.write(1, "a", content)
    flock.run_until(lambda: flock.path(0, "a").exists())
    flock.settle_equal()
    assert flock.path(0, "a").read_bytes() == content


def test_one_that_is_put_away_is_asked_for_no_more(
    flock: Guarded, record_only: Callable[[str], bytes]
) -> None:
    record_only("a")
    shows(flock, "a", None, missing=True)
    assert flock.box(0).staging.progress() == (0, LARGE)
    flock.path(MAKER, "a").write_bytes(b"another")
    flock.restart(MAKER)
    flock.settle_equal()
    assert flock.path(0, "a").read_bytes() == b"another"
    assert flock.box(0).staging.progress() == (0, 0)


def test_many_come_back_as_one(
    flock: Guarded, record_only: Callable[[str], bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    """More than are asked for at a time."""
    for bound in ("FEW_WANTED", "MANY_AT_ONCE"):
        monkeypatch.setattr(f"flocksy.boxes.lanes.repair.{bound}", 2)
    for number in range(9):
        flock.write(MAKER, f"b{number}", os.urandom(LARGE))
    record_only("a")
    flock.settle()
    assert len(flock.box(0).planning.missing) == 10
    flock.stop(0)
    flock.restart(0)
    flock.settle()
    assert len(flock.box(0).planning.missing) == 10, "remembered"
    flock.restart(MAKER)
    flock.run_until(lambda: len(flock.tree(0)) == 10, 300)
    flock.settle_equal()
    assert not len(flock.box(0).planning.missing)


def test_a_disk_that_was_full_is_no_trouble_for_what_never_comes(
    flock: Guarded, record_only: Callable[[str], bytes]
) -> None:
    """It has room again, and there is nothing to be written that would show it."""
    record_only("a")
    shows(flock, "a", None, missing=True)
    temporaries = flock.box(0).staging._temporaries
    temporaries._refused(OSError(errno.ENOSPC, "no space left on device"))
    assert temporaries.trouble
    assert flock.box(0).problems == {"a": WORDS}
