"""Boxes that rest and go on: what is let go of, and what is done for them meanwhile."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest

from flocksy.boxes.keeper import LOOK_SECONDS
from tests.boxes.flock_of_boxes import Flock, flock, spool

__all__ = ["flock", "spool"]

DEADLINE_S = 30.0

ENDLESS_BYTES = 1 << 38
"""To be read for many minutes; on the disk it takes nothing."""


def wait_until(condition: Callable[[], bool]) -> None:
    until = time.monotonic() + DEADLINE_S
    while not condition():
        assert time.monotonic() < until, "never"
        time.sleep(0.002)


def make_endless(flock: Flock) -> Path:
    """A file in the box of node 0 that no look comes to the end of."""
    path = flock.path(0, "endless")
    with path.open("wb") as file:
        file.truncate(ENDLESS_BYTES)
    return path


def rest(flock: Flock) -> None:
    """The folder of node 2 is away for so long that its box rests, and back then."""
    folder, away = flock.path(2), flock.root / "away"
    folder.rename(away)
    flock.run_until(lambda: flock.kept(2).box is None)
    away.rename(folder)


@pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")
def test_the_scanner_lets_go_of_a_box_that_is_paused_in_the_middle_of_a_look(flock: Flock) -> None:
    """Or its drive could not be unmounted for as long as the look goes on."""
    flock.settle_equal()
    endless, node = make_endless(flock), flock.nodes[0]

    def held() -> set[str]:
        found = set()
        for descriptor in Path(f"/proc/{node.scanner.pid}/fd").iterdir():
            with suppress(OSError):
                found.add(os.readlink(descriptor))
        return {path for path in found if Path(path).is_relative_to(node.path)}

    flock.box(0).rescan(flock.now)
    wait_until(lambda: str(endless) in held())
    node.keeper.pause("box")
    wait_until(lambda: not held())
    endless.unlink()
    flock.write(0, "file", "made while it was paused")
    node.keeper.resume("box", flock.now)
    flock.settle_equal()
    assert flock.tree(1) == {"file"}


def test_of_many_openings_one_look_is_left(flock: Flock) -> None:
    flock.settle_equal()
    endless, node = make_endless(flock), flock.nodes[0]
    for _ in range(10):
        node.keeper.pause("box")
        node.keeper.resume("box", flock.now)
    asked = set(flock.box(0).scans.tickets)
    assert len(asked) == 1
    endless.unlink()  # so that whatever looks comes to its end
    ended: set[int] = set()

    def has_ended() -> bool:
        for report in node.scanner.reports():
            ended.update([report.ticket] if report.last else [])
            node.keeper.scanned(report, flock.now)
        return asked <= ended

    wait_until(has_ended)
    assert ended == asked, "one box's looks end in the order in which they were asked for"
    flock.settle_equal()


def test_in_a_burst_no_box_is_opened(flock: Flock) -> None:
    """Only who has a drive plugged in would have that to do."""
    flock.settle_equal()
    rest(flock)
    keeper, later = flock.nodes[2].keeper, flock.now + LOOK_SECONDS
    assert keeper.turn(later, quiet=False) is None
    assert flock.kept(2).box is None
    keeper.turn(later, quiet=True)
    assert flock.kept(2).box is not None, "as soon as it has ended"
    flock.settle_equal()
