"""Among whom a node has told of its own changes, and what it does below the floor."""

from __future__ import annotations

import random
from dataclasses import replace
from pathlib import Path
from unittest import mock

import pytest

from flocksy.boxes.lanes.crowd import Crowd
from flocksy.errors import FlocksyError
from tests.boxes.flock_of_boxes import Flock, flock, spool

__all__ = ["flock", "spool"]

UIDS = ("aa", "bb", "cc", "dd")


def test_it_only_shrinks_and_outlives_a_restart(tmp_path: Path) -> None:
    path = tmp_path / "crowd.json"
    crowd = Crowd(UIDS, path=path)
    assert crowd.size is None
    crowd.tells(0b1111)
    crowd.tells(0b0111)
    crowd.tells(0b1110)
    assert crowd.size == 2
    again = Crowd(("bb", "cc", "dd", "ee"), path=path)
    assert again.size == 2
    again.tells(0b1111)
    assert Crowd(UIDS, path=path).size == 2


def test_the_floor_counts_what_would_be_left(tmp_path: Path) -> None:
    crowd = Crowd(UIDS, 3, tmp_path / "crowd.json")
    assert not crowd.allows(0b0011)
    assert crowd.allows(0b0111)
    crowd.tells(0b0111)
    assert not crowd.allows(0b1110)
    assert crowd.allows(0b1111)


@pytest.mark.parametrize("content", ["", "{}", "[1]", "\0", "[" * 9000])
def test_a_broken_file_is_named_and_kept(tmp_path: Path, content: str) -> None:
    path = tmp_path / "crowd.json"
    path.write_text(content)
    with pytest.raises(FlocksyError, match=r"crowd\.json: cannot be read"):
        Crowd(UIDS, path=path)
    assert path.read_text() == content


def test_what_cannot_be_kept_is_not_told(tmp_path: Path) -> None:
    crowd = Crowd(UIDS, path=tmp_path / "gone" / "crowd.json")
    with pytest.raises(FlocksyError, match="cannot be written"):
        crowd.tells(0b0111)
    assert crowd.size is None


def test_changes_wait_below_the_floor_and_others_are_taken(flock: Flock) -> None:
    for node in flock.nodes:
        node.exchange.crowd = Crowd([f"{lane:0128x}" for lane in range(3)], 3 * (node.lane == 0))
    flock.write(0, "told to all", "one")
    flock.settle_equal()
    sizes = [node.exchange.crowd.size for node in flock.nodes]
    assert sizes == [3, None, None]

    flock.stop(2)
    flock.write(0, "waits", "two")
    flock.write(1, "does not wait", bytes(50_000))
    flock.run_until(lambda: flock.path(0, "does not wait").exists())
    for _ in range(60):
        flock.step()
    assert not flock.path(1, "waits").exists()
    assert flock.nodes[0].exchange.crowd.size == 3

    flock.restart(2)
    flock.settle_equal()
    assert flock.path(2, "waits").read_text() == "two"
    assert flock.nodes[0].exchange.crowd.size == 3
    assert flock.nodes[1].exchange.crowd.size == 2


def test_what_waits_for_a_burst_when_somebody_goes_is_not_told_in_that_of_another(
    flock: Flock,
) -> None:
    """Made in a view that the floor allows, and not told in one that it does not."""
    node = flock.nodes[0]
    node.exchange.crowd = Crowd([f"{lane:0128x}" for lane in range(3)], 3)
    flock.settle_equal()
    with mock.patch.object(node.exchange._announcing, "wants"):
        flock.write(0, "waits", bytes(50_000))
        flock.run_until(lambda: "waits" in flock.box(0).offers.pushes)
        flock.stop(2)
        flock.write(1, "does not wait", bytes(60_000))
        flock.run_until(lambda: flock.path(0, "does not wait").exists())
        for _ in range(20):
            flock.step()
    assert not flock.path(1, "waits").exists()
    assert node.exchange.crowd.size is None
    flock.restart(2)
    flock.settle_equal()
    assert node.exchange.crowd.size == 3


def test_it_is_counted_before_and_only_where_there_is_something(tmp_path: Path) -> None:
    crowd = Crowd(UIDS, 2, tmp_path / "crowd.json")
    assert not crowd.admits(0b0001, 0.0, own=True)
    assert not crowd.admits(0b0111, 0.0, own=False)
    assert crowd.size is None
    assert crowd.admits(0b0111, 0.0, own=True)
    assert Crowd(UIDS, path=tmp_path / "crowd.json").size == 3
    assert crowd.admits(0b1111, 0.0, own=False)
    assert not crowd.admits(0b0011, 0.0, own=False)
    assert crowd.size == 3


def test_what_could_not_be_kept_is_tried_again_ever_later(tmp_path: Path) -> None:
    gone = tmp_path / "gone"
    crowd = Crowd(UIDS, path=gone / "crowd.json")
    now, pauses = 100.0, []
    for _ in range(5):
        assert crowd.tries(0b0111, now)
        with pytest.raises(FlocksyError, match="cannot be written"):
            crowd.admits(0b0111, now, own=True)
        pause_s = 1.0
        while not crowd.tries(0b0111, now + pause_s):
            assert not crowd.admits(0b0111, now + pause_s, own=True)
            pause_s += 1.0
        pauses.append(pause_s)
        now += pause_s
    assert crowd.fails
    assert pauses == [60, 120, 240, 300, 300]
    gone.mkdir()
    assert crowd.admits(0b0111, now, own=True)
    assert not crowd.fails
    gone.rename(tmp_path / "gone again")
    with pytest.raises(FlocksyError):
        crowd.admits(0b0011, now, own=True)
    assert crowd.tries(0b0111, now), "that is kept already"
    assert not crowd.tries(0b0011, now + 59.0)
    assert crowd.tries(0b0011, now + 60.0)
    assert crowd.fails
    assert crowd.admits(0b0111, now, own=True)
    assert not crowd.fails


@pytest.mark.parametrize("size", [300_000, 300])
def test_bursts_do_not_follow_on_bursts_where_it_cannot_be_kept(flock: Flock, size: int) -> None:
    """No inode is left in the state directory, and the index, which is there, can be written."""
    flock.settle_equal()
    place = flock.root / "nowhere"
    node = flock.nodes[0]
    node.exchange.crowd = Crowd([f"{lane:0128x}" for lane in range(3)], path=place / "crowd.json")
    bursts = len(flock.bursts)
    flock.write(0, "kept", random.Random(9).randbytes(size))
    for _ in range(100):
        flock.step()
    assert len(flock.bursts) - bursts <= 1
    assert len(node.problems) == 1 and "cannot be written" in node.problems[0]
    assert not flock.path(1, "kept").exists()
    place.mkdir()
    node.problems.clear()
    flock.settle_equal()
    assert node.exchange.crowd.size == 3


def _half_said(flock: Flock, floor: int) -> None:
    """Node 0 has told of a file, and has a note in the slots of its heartbeats that has not left
    whole."""
    for node in flock.nodes:
        node.exchange.crowd = Crowd(
            [f"{lane:0128x}" for lane in range(3)], floor * (node.lane == 0)
        )
    flock.write(0, "file", "text")
    flock.settle_equal()
    flock.write(0, "note", random.Random(1).randbytes(2600))
    flock.run_until(lambda: flock.nodes[0].seam.idle_ahead > 1)


def test_who_is_in_no_view_has_told_nobody_there(flock: Flock) -> None:
    _half_said(flock, 0)
    node = flock.nodes[0]
    # As after an abort: the epoch is none.
    none = replace(node.exchange.report, view=0, epoch_number=0, real_allowed=False)
    node.wire.tell(none, texts=True)
    node.exchange.turn(flock.now)
    assert node.exchange.crowd.size == 3
    flock.settle_equal()
    assert node.exchange.crowd.size == 3


def test_what_is_half_said_waits_below_the_floor(flock: Flock) -> None:
    _half_said(flock, 3)
    flock.stop(2)
    for _ in range(60):
        flock.step()
    assert not flock.path(1, "note").exists()
    assert flock.nodes[0].exchange.crowd.size == 3
    flock.restart(2)
    flock.settle_equal()
    assert flock.path(2, "note").exists()
    assert flock.nodes[0].exchange.crowd.size == 3
