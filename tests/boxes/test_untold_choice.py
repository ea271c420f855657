"""Changes that nobody has been told of, in folders that are not chosen any more, or ignored now."""

from __future__ import annotations

import errno
import os
import random
from collections.abc import Iterator
from pathlib import Path

import pytest

from flocksy.boxes.held import CHOOSING
from flocksy.sync.content import small_list
from flocksy.sync.ignore import IGNORE_FILE
from flocksy.sync.messages import Entry, Versions
from flocksy.sync.version import Kind, Version
from tests.boxes.flock_of_boxes import spool
from tests.boxes.test_held import Choosing

__all__ = ["spool"]

LARGE = random.Random(5).randbytes(200_000)
ROUNDS = 60


@pytest.fixture
def flock(tmp_path: Path, spool: Path) -> Iterator[Choosing]:
    """The first node has a large new file and an edit that it could not tell anybody of."""
    with Choosing(tmp_path, spool) as made:
        made.write(0, "photos/edited", "old")
        made.settle_equal()
        made.quorum = False
        made.write(0, "photos/new", LARGE)
        made.write(0, "photos/edited", "edited")
        made.run_until(lambda: made.box(0).index.outgoing_count() == 2, ROUNDS)
        yield made


def goes_on(flock: Choosing, *, loses: bool = False) -> None:
    for _ in range(ROUNDS):
        flock.step()
    flock.quorum = True
    if loses:
        draw, before = random.Random(1), len(flock.bursts)
        flock.lost = lambda *_: (
            len(flock.bursts) in (before + 1, before + 2) and draw.random() < 0.3
        )
    flock.settle()


def test_what_a_burst_has_lost_of_it_is_said_again(flock: Choosing) -> None:
    flock.choose(0, "mail")
    goes_on(flock, loses=True)
    for lane in (1, 2):
        assert flock.path(lane, "photos/new").read_bytes() == LARGE


@pytest.mark.parametrize("by_hand", ["removed", "changed", "grown"])
def test_what_is_gone_before_it_was_told_is_told_to_nobody(flock: Choosing, by_hand: str) -> None:
    """Where it is not held, so that nobody looks."""
    flock.choose(0, "mail")
    for _ in range(3):
        flock.step()
    for name in ("edited", "new"):
        if by_hand == "removed":
            flock.path(0, f"photos/{name}").unlink()
        elif by_hand == "grown":
            flock.write(0, f"photos/{name}", 2 * LARGE[::-1])
        else:
            flock.write(0, f"photos/{name}", "changed where it is not held")
    goes_on(flock)
    assert flock.path(1, "photos/edited").read_text() == "old"
    assert not flock.path(1, "photos/new").exists()
    assert not flock.box(1).problems and not flock.box(0).problems
    flock.stay_settled()


def test_what_waits_to_be_deleted_and_is_not_chosen_any_more(flock: Choosing) -> None:
    """An edit that nobody was told of has gone with it."""
    flock.guard = 100
    flock.stop(0)
    flock.path(0, "photos/edited").unlink()
    flock.restart(0)
    flock.run_until(lambda: "photos/edited" in flock.box(0).guard.waiting, ROUNDS)
    flock.choose(0, "mail")
    goes_on(flock)
    for lane in (1, 2):
        assert flock.path(lane, "photos/edited").read_text() == "old"
        assert not flock.box(lane).problems


def test_an_edit_that_cannot_be_read_for_a_while_is_told_later(
    flock: Choosing, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A drive that fails says nothing of what is on it."""
    flock.choose(0, "mail")
    disk = flock.box(0).offers._disk
    open_read = disk.open_read

    def refuses(path: str) -> int:
        if path == "photos/edited":
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        return open_read(path)

    flock.quorum = True
    with monkeypatch.context() as patch:
        patch.setattr(disk, "open_read", refuses)
        for _ in range(ROUNDS):
            flock.step()
        assert flock.box(0).index.is_outgoing("photos/edited")
    flock.settle()
    assert flock.path(1, "photos/edited").read_text() == "edited"


def test_an_edit_that_shows_as_a_copy_is_not_put_away(flock: Choosing) -> None:
    """Somebody else's has come, and is ignored before ours was told."""
    theirs = Version(Kind.FILE, 0o644, 1, 6, small_list(b"theirs").root, 9, ())
    tag = flock.box(0).setup.tag
    heard = Versions(tag, (Entry("photos/edited", theirs, inline=b"theirs"),))
    flock.box(0).receive(heard, own=False, now=flock.now)
    shown = {b"edited", b"theirs", LARGE}

    def contents() -> set[bytes]:
        return {path.read_bytes() for path in flock.path(0, "photos").iterdir()}

    flock.run_until(lambda: contents() == shown, ROUNDS)
    flock.write(0, IGNORE_FILE, "/photos/edited\n")
    for _ in range(ROUNDS):
        flock.step()
    assert contents() == shown


@pytest.mark.parametrize("starts_anew", [False, True])
def test_what_is_not_chosen_any_more_reaches_the_others_first(
    flock: Choosing, *, starts_anew: bool
) -> None:
    flock.choose(0, "mail")
    for _ in range(3):
        flock.step()
    if starts_anew:
        flock.stop(0)
        flock.restart(0)
    goes_on(flock)
    for lane in (1, 2):
        assert flock.path(lane, "photos/new").read_bytes() == LARGE
        assert flock.path(lane, "photos/edited").read_text() == "edited"
    index = flock.box(0).index
    assert index.synced("photos/new") is None and index.remembered(CHOOSING) is None
    flock.path(0, "photos/new").unlink()
    flock.settle()
    assert flock.path(1, "photos/new").exists(), "for want of room here, and no deletion"
    flock.choose(0)
    flock.settle_equal()
    assert flock.path(0, "photos/new").read_bytes() == LARGE


def test_what_is_chosen_again_before_it_was_told_is_adopted(flock: Choosing) -> None:
    flock.choose(0, "mail")
    for _ in range(3):
        flock.step()
    flock.write(0, "photos/more", "made where it is not held")
    flock.choose(0)
    goes_on(flock)
    flock.settle_equal()
    assert flock.path(1, "photos/new").read_bytes() == LARGE
    assert flock.path(1, "photos/edited").read_text() == "edited"
    assert flock.path(1, "photos/more").exists()


def test_what_is_ignored_before_it_was_told_is_told_to_nobody(flock: Choosing) -> None:
    flock.write(0, IGNORE_FILE, "new\nedited\n")
    goes_on(flock)
    for lane in range(3):
        index = flock.box(lane).index
        assert index.flock("photos/new") is None
        assert index.flock("photos/edited") == index.lane_state("photos/edited")
        assert not index.past.deleted("", 10)
    assert flock.path(0, "photos/new").read_bytes() == LARGE
    assert flock.path(0, "photos/edited").read_text() == "edited"
    assert flock.path(1, "photos/edited").read_text() == "old"
    flock.path(1, IGNORE_FILE).unlink()
    flock.settle_equal()
    assert flock.path(2, "photos/new").read_bytes() == LARGE
    shown = {path.read_bytes() for path in flock.path(2, "photos").iterdir()}
    assert shown == {b"old", b"edited", LARGE}
