"""Restores under way when something happens to their box."""

from __future__ import annotations

import errno
from types import SimpleNamespace
from typing import cast

import pytest

from flocksy.boxes.box import Box
from flocksy.boxes.keeper import Keeper
from flocksy.boxes.lanes.exchange import Exchange
from flocksy.boxes.past.restoring import Restoring
from flocksy.boxes.scan.scanner import Scanner
from flocksy.errors import FlocksyError
from flocksy.index.store import BoxIndex
from flocksy.node.undo import Undo, _Job
from flocksy.status.control import Pending
from tests.boxes.flock_of_boxes import Flock, flock, spool

__all__ = ["flock", "spool"]

FAILURES = [
    FlocksyError("no space left for index box.sqlite: free some and it goes on"),
    OSError(errno.EIO, "Input/output error"),
]


def test_a_box_that_is_removed_ends_its_restores() -> None:
    exchange = cast(Exchange, SimpleNamespace())
    keeper = Keeper(exchange, cast(Scanner, None), lambda: 0, lambda: None)
    undo = Undo(exchange, keeper, lambda: 0.0, members=3)
    pending = Pending()
    box = cast(Box, SimpleNamespace())
    undo._jobs.append(_Job(pending, "box", box, cast(Restoring, None), []))
    assert undo.turn(0.0) is None
    assert pending.gone, "whoever waits is told"


@pytest.mark.parametrize("failure", FAILURES, ids=["index", "disk"])
def test_what_fails_during_a_restore_ends_that_restore_alone(
    flock: Flock, monkeypatch: pytest.MonkeyPatch, failure: Exception
) -> None:
    flock.write(1, "a", "old")
    flock.settle_equal()
    flock.path(1, "a").unlink()
    flock.settle_equal()
    node = flock.nodes[1]
    undo = Undo(node.exchange, node.keeper, lambda: flock.now, members=3)
    pending = undo.handlers["restore"]({"path": str(flock.path(1, "a")), "at": None})
    assert isinstance(pending, Pending)
    told: list[bytes] = []
    pending._bind(1, told.append)

    def fail(*_: object, **__: object) -> None:
        raise failure

    monkeypatch.setattr(BoxIndex, "record", fail)

    def ended() -> bool:
        undo.turn(flock.now)
        return pending.gone

    flock.run_until(ended)
    words = str(getattr(failure, "strerror", None) or failure)
    assert words in told[0].decode() and "box" in told[0].decode()
    assert words in flock.kept(1).reason, "and the box rests"
    monkeypatch.undo()
    flock.run_until(lambda: flock.kept(1).box is not None)
    flock.settle_equal()
    assert flock.tree(1) == set(), "nothing was changed"


def test_a_restore_ends_with_what_becomes_of_the_node() -> None:
    exchange = cast(Exchange, SimpleNamespace())
    keeper = Keeper(exchange, cast(Scanner, None), lambda: 0, lambda: None)
    undo, pending, told = Undo(exchange, keeper, float, 3), Pending(), list[bytes]()
    pending._bind(1, told.append)
    job = _Job(pending, "box", cast(Box, None), cast(Restoring, None), [])
    undo._jobs.append(job)
    undo.close("the node stops")
    assert b"the node stops; what has not been restored is as it was" in told[0]
