"""Restores under way when something happens to their box."""

from __future__ import annotations

from types import SimpleNamespace
from typing import cast

from flocksy.boxes.box import Box
from flocksy.boxes.keeper import Keeper
from flocksy.boxes.lanes.exchange import Exchange
from flocksy.boxes.past.restoring import Restoring
from flocksy.boxes.scan.scanner import Scanner
from flocksy.node.undo import Undo, _Job
from flocksy.status.control import Pending


def test_a_box_that_is_removed_ends_its_restores() -> None:
    exchange = cast(Exchange, SimpleNamespace())
    keeper = Keeper(exchange, cast(Scanner, None), lambda: 0, lambda: None)
    undo = Undo(exchange, keeper, lambda: 0.0, members=3)
    pending = Pending()
    box = cast(Box, SimpleNamespace())
    undo._jobs.append(_Job(pending, "box", box, cast(Restoring, None), []))
    assert undo.turn(0.0) is None
    assert pending.gone, "whoever waits is told"
