"""The commands of a node that does not run, where one of its boxes cannot take part."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from flocksy.boxes.setup import BoxSetup, Mode
from flocksy.errors import FlocksyError
from flocksy.node.offline import Offline
from tests.boxes.flock_of_boxes import Flock, spool

__all__ = ["spool"]

NAMES = ("sends", "box", "empty")


class Guarded(Flock):
    """All boxes are guarded as by default, and only node 1 receives."""

    def setup(self, lane: int) -> BoxSetup:
        mode = Mode.SYNC if lane == 1 else Mode.SEND_ONLY
        return replace(super().setup(lane), name=NAMES[lane], mode=mode, guard_percent=100)


@pytest.fixture
def flock(tmp_path: Path, spool: Path) -> Iterator[Guarded]:
    """None of the nodes runs; the deletion of `gone` waited on two of them when they stopped."""
    with Guarded(tmp_path, spool) as made:
        made.write(0, "gone", "one")
        made.write(0, "past", "one")
        made.settle()
        made.path(0, "past").unlink()
        made.settle()
        assert made.tree(1) == {"gone"}
        for lane in (0, 1):
            made.stop(lane)
            made.path(lane, "gone").unlink()
        for lane in (0, 1):
            made.restart(lane)
        made.settle()
        for lane in range(3):
            made.stop(lane)
        yield made


def offline(*setups: BoxSetup) -> Offline:
    """The boxes as one node's."""
    made = Offline([], "", ())
    made._setups = list(setups)
    return made


def test_a_box_whose_disk_is_away_is_left_out(flock: Guarded) -> None:
    away = flock.setup(2)
    flock.path(2).rename(flock.root / "elsewhere")
    boxes = offline(away, flock.setup(1))
    for answer, known in (
        (boxes.deleted(None, 10), "box: past"),
        (boxes.conflicts(None), "no conflicts"),
        (boxes.approve(None), "box: 1 deletion approved"),
        (boxes.approve(None), "nothing waited"),
    ):
        text = str(answer["text"])
        assert known in text
        assert f"empty: is left out: {away.path}: there is no such directory" in text
    with pytest.raises(FlocksyError, match="no such directory"):
        boxes.approve("empty")
    with pytest.raises(FlocksyError, match="no such directory"):
        boxes.deleted(away.path, 10)


def test_a_send_only_box_is_no_obstacle_where_nothing_waits(flock: Guarded) -> None:
    text = offline(flock.setup(2), flock.setup(1)).reject(None)["text"]
    assert "box: 1 deletion undone" in str(text)
    assert "left out" not in str(text)


def test_nothing_is_answered_where_not_all_can_be(flock: Guarded) -> None:
    boxes = offline(flock.setup(1), flock.setup(0))
    with pytest.raises(FlocksyError, match="sends: is send-only"):
        boxes.reject(None)
    assert "box: 1 deletion undone" in str(boxes.reject("box")["text"])
