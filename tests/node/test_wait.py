"""`flocksy wait` of a running node: what it waits for, and what it says at its end."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import pytest

from flocksy.boxes.disk.port import PRIVATE
from flocksy.boxes.lanes.peers import SILENT_ROUNDS
from flocksy.config.load import load
from flocksy.node.commands import Commands
from flocksy.node.configured import Configured
from flocksy.node.reports import Reporter
from flocksy.status.control import Pending
from flocksy.status.model import BoxState
from tests.boxes.flock_of_boxes import Flock, flock, spool
from tests.node.test_answering import SECOND, Two
from tests.place import PLAIN, Place

__all__ = ["flock", "spool"]

ROUNDS = 100


def commands_of(flock: Flock, place: Place) -> Commands:
    """Those of the first node."""
    node, settings = flock.nodes[0], load(place.write(PLAIN))
    reporter = Reporter(settings, node.exchange, node.keeper)
    configured = SimpleNamespace(settings=settings, keeper=node.keeper, now=lambda: flock.now)
    return Commands(cast(Configured, configured), node.exchange, reporter, lambda: "")


def waited(
    flock: Flock, place: Place, box: str | None = None, meanwhile: Callable[[], object] = int
) -> str:
    """The line that ends a wait on the first node, or "" where none does; something happens
    `meanwhile`."""
    commands = commands_of(flock, place)
    pending, said = commands.handle("wait", {"box": box, "timeout": None}), list[bytes]()
    assert isinstance(pending, Pending)
    pending._bind(1, said.append)
    meanwhile()
    for _ in range(ROUNDS):
        commands.turn(flock.now)
        if said:
            break
        flock.step()
    return "".join(line.decode() for line in said)


def test_it_ends_when_all_is_in_sync(flock: Flock, place: Place) -> None:
    flock.settle()
    flock.write(0, "new", "x")
    assert '{"text":"in sync"}' in waited(flock, place)
    # In sync here: said to all, who may still be about to put it where it belongs.
    assert flock.box(1).index.flock("new") is not None


def test_what_a_person_has_paused_is_named_and_not_waited_for(
    tmp_path: Path, spool: Path, place: Place
) -> None:
    with Two(tmp_path, spool) as flock:
        flock.settle()
        flock.nodes[0].keeper.pause(SECOND)
        assert f"in sync (paused, and not waited for: {SECOND})" in waited(flock, place)


@pytest.mark.parametrize("box", [None, "box"])
def test_a_wait_for_what_is_paused_alone_ends_at_once(
    flock: Flock, place: Place, box: str | None
) -> None:
    flock.settle()
    keeper = flock.nodes[0].keeper
    remedy = "box: is paused; flocksy box resume box lets it go on"
    said = waited(flock, place, box, meanwhile=lambda: keeper.pause("box"))
    assert remedy in said
    assert remedy in waited(flock, place, box)


def test_a_box_that_is_away_is_waited_for(flock: Flock, place: Place) -> None:
    """A disk is perhaps just being plugged in."""
    flock.settle()
    marker = flock.path(0, f"{PRIVATE}/marker")
    away = marker.rename(marker.with_name("away"))
    flock.run_until(lambda: flock.kept(0).box is None)
    assert waited(flock, place) == ""
    away.rename(marker)
    assert "in sync" in waited(flock, place)


def test_below_quorum_it_waits_though_nobody_names_the_box(flock: Flock, place: Place) -> None:
    """All are heard, and one of them misses another."""
    flock.settle()
    flock.quorum = False
    for _ in range(SILENT_ROUNDS + 5):
        flock.step()
    assert waited(flock, place) == ""
    node, settings = flock.nodes[0], load(place.write(PLAIN))
    status = Reporter(settings, node.exchange, node.keeper).box_status(flock.kept(0))
    assert (status.state, status.reason, status.lacking) == (BoxState.WAITING, "", 0)
    flock.quorum = True
    assert '{"text":"in sync"}' in waited(flock, place)


@pytest.mark.parametrize(
    ("joins_anew", "words"),
    [
        (False, "the node stops"),
        (True, "the node joins the flock anew: ask again in a moment"),
    ],
)
def test_it_ends_with_what_becomes_of_the_node(
    flock: Flock, place: Place, words: str, *, joins_anew: bool
) -> None:
    commands, said = commands_of(flock, place), list[bytes]()
    pending = commands.handle("wait", {"box": None, "timeout": None})
    assert isinstance(pending, Pending)
    pending._bind(1, said.append)
    commands.close(joins_anew=joins_anew)
    (line,) = said
    assert json.loads(line)["error"] == words
