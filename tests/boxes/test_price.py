"""What it costs the flock when a node comes back: as much as was changed meanwhile."""

from __future__ import annotations

import shutil

from tests.boxes.flock_of_boxes import Flock, flock, spool
from tests.boxes.test_lockstep import noise

__all__ = ["flock", "spool"]

FILES = 160
FILE_BYTES = 400


def price(flock: Flock, changed: int, *, afresh: bool = False) -> int:
    """Bytes in lanes until node 2 has caught up, without which so many files were changed.
    `afresh`: it comes back with nothing."""
    flock.stop(2)
    for number in range(changed):
        flock.write(0, f"{number}", noise(FILE_BYTES, flock.round + number))
    flock.settle()
    if afresh:
        shutil.rmtree(flock.path(2))
        shutil.rmtree(flock.path(2).with_name("state2"))
    before = flock.said_bytes
    flock.restart(2)
    flock.settle_equal()
    return flock.said_bytes - before


def test_the_price_of_coming_back_follows_the_difference(flock: Flock) -> None:
    for number in range(FILES):
        flock.write(0, f"{number}", noise(FILE_BYTES, number))
    flock.settle_equal()
    one, twenty, everything = price(flock, 1), price(flock, 20), price(flock, 0, afresh=True)
    assert one < twenty < everything
    assert one < everything / 10, "the box is not compared path by path"
