"""A box whose index fails while a person looks at it: it rests and is rebuilt, the others go on."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from flocksy.config.load import load
from flocksy.errors import FlocksyError
from flocksy.node.reports import Reporter
from flocksy.status.model import BoxState
from tests.boxes.flock_of_boxes import Flock, flock, spool
from tests.boxes.test_damaged_index import some_files, zero_pages
from tests.node.test_answering import Two
from tests.node.test_once import once_of
from tests.node.test_wait import waited
from tests.place import PLAIN, Place

__all__ = ["flock", "spool"]


def reporter_of(flock: Flock, place: Place) -> Reporter:
    node = flock.nodes[0]
    return Reporter(load(place.write(PLAIN)), node.exchange, node.keeper)


def spoil(flock: Flock) -> None:
    """Damage the index of node 0 while it runs."""
    database = flock.box(0).index._database
    database.checkpoint()
    zero_pages(flock.root / "state0" / "box.sqlite")
    database.execute("PRAGMA shrink_memory")  # what is known of the file is read anew


def look_by_wait(flock: Flock, place: Place) -> None:
    waited(flock, place, meanwhile=lambda: spoil(flock))


def look_by_once(flock: Flock, place: Place) -> None:
    once = once_of(flock, place)
    spoil(flock)
    assert once.turn(flock.now)[1] is None


def look_by_status(flock: Flock, place: Place) -> None:
    reporter = reporter_of(flock, place)
    spoil(flock)
    (box,) = reporter.status().boxes
    assert box.state is BoxState.PAUSED
    assert "is damaged" in box.reason and "goes on by itself" in box.reason


@pytest.mark.parametrize("look", [look_by_wait, look_by_once, look_by_status])
def test_damage_that_is_met_by_looking_ends_nothing(
    flock: Flock, place: Place, look: Callable[[Flock, Place], None]
) -> None:
    some_files(flock)
    look(flock, place)
    flock.settle_equal()
    assert list((flock.root / "state0").glob("box.sqlite.damaged-*")), "it was set aside"


@pytest.mark.parametrize("what", ["counts", "outgoing_count"])
def test_of_several_boxes_only_the_one_that_fails_rests(
    tmp_path: Path, spool: Path, place: Place, monkeypatch: pytest.MonkeyPatch, what: str
) -> None:
    def failing() -> object:
        raise FlocksyError("cannot use index box.sqlite: disk I/O error (SQLITE_IOERR)")

    with Two(tmp_path, spool) as flock:
        flock.settle()
        reporter = reporter_of(flock, place)
        monkeypatch.setattr(flock.box(0).index, what, failing)
        for _ in range(2):
            first, second = reporter.status().boxes
            assert first.state is BoxState.PAUSED and "disk I/O error" in first.reason
            assert second.state is not BoxState.PAUSED
        flock.run_until(lambda: flock.kept(0).box is not None)
