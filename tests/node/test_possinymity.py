"""What the status says of the meter, and that a node that holds changes back says so."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from flocksy.boxes.lanes.crowd import Crowd
from flocksy.config.load import load
from flocksy.config.settings import NodeSettings
from flocksy.errors import ConfigError
from flocksy.node.reports import Reporter
from flocksy.status.model import Status
from flocksy.status.render import status_text
from tests.boxes.flock_of_boxes import Flock, flock, spool
from tests.place import NODES, PLAIN, Place

__all__ = ["flock", "spool"]

FLOOR = 3


@pytest.fixture
def settings(place: Place) -> NodeSettings:
    """Of a node that has a floor."""
    return load(place.write(f"{PLAIN}possinymity_floor = {FLOOR}\n"))


@pytest.fixture
def careful(flock: Flock, settings: NodeSettings, tmp_path: Path) -> Iterator[Flock]:
    """All have the floor, as `Node` gives it to the exchange."""
    for node in flock.nodes:
        path = tmp_path / f"state{node.lane}" / "crowd.json"
        node.exchange.crowd = Crowd(settings.uids, settings.possinymity_floor, path)
    yield flock


def status_of(flock: Flock, settings: NodeSettings, lane: int = 0) -> Status:
    node = flock.nodes[lane]
    return Reporter(settings, node.exchange, node.keeper).status()


def test_it_counts_what_was_told_from_here(careful: Flock, settings: NodeSettings) -> None:
    careful.settle_equal()
    assert status_of(careful, settings).possinymity is None
    careful.write(0, "of the first", "x")
    careful.settle_equal()
    assert [status_of(careful, settings, lane).possinymity for lane in range(3)] == [3, None, None]
    assert status_of(careful, settings).plain()["possinymity"] == 3


def test_below_the_floor_it_refuses_and_says_so(careful: Flock, settings: NodeSettings) -> None:
    careful.write(0, "told to all", "x")
    careful.settle_equal()
    assert status_of(careful, settings).held_back == ""
    careful.stop(2)
    careful.write(0, "waits", "x")
    for _ in range(60):
        careful.step()
    status = status_of(careful, settings)
    words = (
        "changes made here wait: told now, all of them together could come from only 2 members "
        "(possinymity_floor = 3)"
    )
    assert status.held_back == words
    assert words in status_text(status) and status.plain()["held_back"] == words
    assert status.queue.versions == 1 and status.possinymity == 3
    assert not careful.path(1, "waits").exists()
    careful.restart(2)
    careful.nodes[2].exchange.crowd = Crowd(settings.uids, FLOOR)
    careful.settle_equal()
    assert status_of(careful, settings).held_back == ""
    assert careful.path(1, "waits").exists() and careful.path(2, "waits").exists()


def test_where_it_cannot_be_kept_that_is_said(
    flock: Flock, settings: NodeSettings, tmp_path: Path
) -> None:
    gone = tmp_path / "gone"
    flock.settle_equal()
    flock.nodes[0].exchange.crowd = Crowd(settings.uids, path=gone / "crowd.json")
    flock.write(0, "waits", "x")
    flock.run_until(lambda: flock.nodes[0].exchange.crowd.fails)
    words = status_of(flock, settings).held_back
    assert "could not be written down" in words and "every few minutes" in words
    gone.mkdir()
    flock.now += 300.0
    flock.run_until(lambda: flock.path(1, "waits").exists())
    assert status_of(flock, settings).held_back == ""


def test_without_a_floor_it_is_told_and_counted(flock: Flock, place: Place) -> None:
    settings = load(place.write(PLAIN))
    assert settings.possinymity_floor == 0
    flock.settle_equal()
    flock.stop(2)
    flock.write(0, "told to one", "x")
    flock.settle_equal()
    status = status_of(flock, settings)
    assert (status.possinymity, status.held_back) == (2, "")
    assert "taken together, could come from any of 2 members" in status_text(status)


@pytest.mark.parametrize("floor", [len(NODES) + 1, 64])
def test_a_floor_that_nothing_could_reach_is_refused(place: Place, floor: int) -> None:
    with pytest.raises(ConfigError, match=f"possinymity_floor = {floor}, but .* only 3 members"):
        load(place.write(f"{PLAIN}possinymity_floor = {floor}\n"))
