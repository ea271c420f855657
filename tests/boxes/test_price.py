"""What it costs the flock when a node comes back: as much as was changed meanwhile."""

from __future__ import annotations

import shutil
from collections import Counter

import pytest

from flocksy.index.database import Database
from flocksy.sync.messages import ITEM_BYTES, KEY_BYTES
from flocksy.sync.version import Kind, Version, version_id
from tests.boxes.flock_of_boxes import Flock, flock, spool
from tests.boxes.test_lockstep import noise

__all__ = ["flock", "spool"]

FILES = 160
FILE_BYTES = 400
FEW, MANY = 400, 4_000
MISSED = 5
GONE = Version(Kind.TOMBSTONE, 0, 0, 0, b"", 2, ())


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


def know(flock: Flock, paths: int) -> None:
    """All have heard of so many paths: to a comparison a file that has gone is as good as one that
    is there, and takes no disk."""
    for lane in range(3):
        index = flock.box(lane).index
        with index.transaction():
            for number in range(paths):
                index.join(f"gone/{number}", {version_id(GONE): GONE}, {})


def test_the_price_of_coming_back_does_not_follow_the_box(
    flock: Flock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As much is missed in a box of few paths and of ten times as many. `pytest -s` shows it."""
    statements: Counter[int] = Counter()
    for name in ("execute", "row", "rows", "pairs", "execute_many", "insert"):
        original = getattr(Database, name)

        def count(index: Database, *arguments: object, original: object = original) -> object:
            statements[id(index)] += 1
            return original(index, *arguments)  # type: ignore[operator]

        monkeypatch.setattr(Database, name, count)

    def cost(paths: int) -> dict[str, int]:
        know(flock, paths)
        flock.settle()
        flock.stop(2)
        for number in range(MISSED):
            flock.write(0, f"{number}", noise(FILE_BYTES, paths + number))
        flock.settle()
        said, in_bursts = flock.said_bytes, sum(flock.said_in_bursts)
        statements.clear()
        flock.restart(2)
        flock.settle_equal()
        asked = [statements[id(flock.box(lane).index._database)] for lane in range(3)]
        return {
            "bytes said": flock.said_bytes - said,
            "of them in bursts": sum(flock.said_in_bursts) - in_bursts,
            "statements of the others": asked[0] + asked[1],
            "of who comes back": asked[2],
        }

    for number in range(MISSED):
        flock.write(0, f"{number}", noise(FILE_BYTES, number))
    few, many = cost(FEW), cost(MANY)
    print(f"{MISSED} changes missed, {FEW} and {MANY} paths: {few} and {many}")
    assert many["bytes said"] < MANY * (KEY_BYTES + ITEM_BYTES) / 2, "nobody lists half of the box"
    assert many["statements of the others"] < MANY, "nor asks the index for all of it"
