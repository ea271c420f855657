"""What the bursts after a join carry: what was missed, from all who have it in equal shares."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Generator, Iterator
from pathlib import Path

import pytest

from flocksy.boxes.apply import flushing
from flocksy.testing.lockstep import PROGRAMME_BURSTS, PROGRAMME_CELLS
from tests.boxes.flock_of_boxes import Flock, spool
from tests.boxes.test_lockstep import noise

__all__ = ["spool"]

SIZE = 4
JOINER = 3
FILES = 150
FILE_BYTES = 12_000
SHARE_FACTOR = 1.5
"""No holder serves more than so many times what another one does. With some 150 chunks a hash
spreads them to within a quarter; one helper would be beyond any factor."""


def at_once(do: Callable[[], object]) -> Generator[float, None, object]:
    """As `in_thread`: rounds here are shorter than a flush takes."""
    yield 0.0
    return do()


@pytest.fixture
def joins(tmp_path: Path, spool: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Flock]:
    """Four nodes, of which one has been away while much was changed on another."""
    monkeypatch.setattr(flushing, "in_thread", at_once)
    with Flock(tmp_path, spool, SIZE, programme=True) as flock:
        for number in range(FILES):
            flock.write(number % SIZE, f"d{number % 5}/before {number}", noise(3_000, number))
        flock.settle_equal()
        flock.stop(JOINER)
        for number in range(FILES):
            flock.write(0, f"d{number % 7}/away {number}", noise(FILE_BYTES, 1_000 + number))
        for number in range(0, FILES, 10):
            flock.path(1, f"d{number % 5}/before {number}").unlink()
        flock.settle_equal()
        yield flock


def served(flock: Flock, before: list[int]) -> list[int]:
    """Bytes that the holders have said since then in bursts."""
    now = flock.said_in_bursts
    return [now[lane] - before[lane] for lane in range(SIZE) if lane != JOINER]


def test_all_serve_who_was_away_in_the_programme_and_in_equal_shares(joins: Flock) -> None:
    before, said = len(joins.bursts), list(joins.said_in_bursts)
    joins.restart(JOINER)
    joins.settle_equal()
    lengths = [burst.length for burst in joins.bursts[before:]]
    assert lengths == [PROGRAMME_CELLS] * PROGRAMME_BURSTS
    shares = served(joins, said)
    assert sum(shares) > FILES * FILE_BYTES
    assert max(shares) < SHARE_FACTOR * min(shares), shares

    # Who has missed nothing is followed by the very same.
    joins.stop(JOINER)
    before = len(joins.bursts)
    joins.restart(JOINER)
    joins.run_until(lambda: len(joins.bursts) == before + PROGRAMME_BURSTS)
    joins.settle_equal()
    assert [burst.length for burst in joins.bursts[before:]] == lengths


def test_so_they_do_when_it_comes_with_nothing(joins: Flock) -> None:
    said = list(joins.said_in_bursts)
    shutil.rmtree(joins.path(JOINER))
    for left in joins.root.glob(f"state{JOINER}/box*"):
        left.unlink()
    joins.restart(JOINER)
    joins.settle_equal()
    shares = served(joins, said)
    assert max(shares) < SHARE_FACTOR * min(shares), shares
