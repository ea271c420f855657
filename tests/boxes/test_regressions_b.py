"""Things that once went wrong with boxes, and must not again."""

from __future__ import annotations

import os

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
