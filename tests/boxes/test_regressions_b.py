"""Things that once went wrong with boxes, and must not again."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from flocksy.boxes.planning import Planning
from tests.boxes.flock_of_boxes import Flock, flock, spool

__all__ = ["flock", "spool"]


def test_a_time_that_no_version_can_say(flock: Flock) -> None:
    far = flock.write(0, "far", "from the future")
    os.utime(far, (13_600_000_000, 13_600_000_000))  # 2400, where the file system goes so far
    flock.settle()
    assert flock.path(1, "far").read_text() == "from the future"
    flock.write(1, "far", "and back")
    flock.settle_equal()
    assert far.read_text() == "and back"


def test_one_box_that_rests_does_not_stop_the_others(flock: Flock) -> None:
    flock.write(0, "a", "one")
    flock.settle_equal()
    flock.nodes[2].keeper.pause("box")
    flock.write(0, "a", "two")
    flock.box(0).rescan(flock.now)
    others = (flock.box(0), flock.box(1))
    flock.run_until(
        lambda: all(
            box.settled and node.exchange.agrees(box)
            for box, node in zip(others, flock.nodes, strict=False)
        ),
        300,
    )
    assert flock.path(1, "a").read_text() == "two"
    adopted = flock.nodes[1].keeper.adopt("box", flock.now).box
    assert adopted is not None
    flock.run_until(lambda: not adopted.adopting, 300)
    flock.nodes[2].keeper.resume("box", flock.now)
    flock.settle_equal()
    assert flock.path(2, "a").read_text() == "two"


@pytest.mark.parametrize("harm", [Path.unlink, lambda path: os.truncate(path, 1)])
def test_a_temporary_that_is_not_what_it_was_is_made_anew(
    flock: Flock, monkeypatch: pytest.MonkeyPatch, harm: Callable[[Path], object]
) -> None:
    plan = Planning._plan
    harmed: list[Path] = []

    def planned(self: Planning, now: float) -> None:
        for path in flock.path(1, ".flocksy/incoming").glob("in-*"):
            if not harmed:
                harmed.append(path)
                harm(path)
        plan(self, now)

    flock.settle_equal()
    monkeypatch.setattr(Planning, "_plan", planned)
    flock.write(0, "large", os.urandom(100_000))
    flock.settle_equal()
    assert harmed
