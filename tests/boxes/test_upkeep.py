"""What a box does for itself, also where it has never nothing else to do."""

from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path

import pytest

from flocksy.boxes.apply import history
from flocksy.boxes.upkeep import PRUNE_SECONDS
from flocksy.index import past
from flocksy.system import clocks
from tests.boxes.flock_of_boxes import Flock, spool

__all__ = ["spool"]

NOW_MS = 1_700_000_000_000


class FlockOfOneClock(Flock):
    """Its wall clocks go as that which nobody sets."""

    def wall_ms(self, _lane: int) -> int:
        return NOW_MS + int(self.now * 1000)


@pytest.fixture
def flock(tmp_path: Path, spool: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Flock]:
    flocks: list[Flock] = []
    monkeypatch.setattr(clocks, "elapsed_ns", lambda: int(flocks[0].now * 1e9) if flocks else 0)
    with FlockOfOneClock(tmp_path, spool) as made:
        flocks.append(made)
        yield made


def make_old(flock: Flock, lane: int) -> Path:
    """Something in the history of a node that is old enough to go."""
    age_ms = (history.RETENTION_DAYS + 1) * 24 * 60 * 60 * 1000
    when_ms = NOW_MS - age_ms
    clock = flock.box(lane)._upkeep._opened.history._clock
    clock._shown_ms = age_ms
    folder = flock.path(lane, f"{history.FOLDER}/2020-01-01")
    folder.mkdir(parents=True, exist_ok=True)
    old = folder / f"{when_ms:011x}-0.1-old"
    old.write_text("old")
    return old


def test_the_history_is_thinned_out_also_while_something_is_waited_for(
    flock: Flock,
) -> None:
    flock.write(0, "file", "content")
    flock.settle_equal()
    flock.lost = lambda sender, receiver, _round: (
        ((sender, receiver) != (0, 2) and receiver == 2) or flock.box(2).planning.pending > 0
    )
    flock.write(0, "large", random.Random(1).randbytes(300_000))
    flock.run_until(lambda: flock.box(2).planning.pending > 0)
    old, upkeep = make_old(flock, 2), flock.box(2)._upkeep
    upkeep._prune_at = flock.now
    for _ in range(50):
        flock.step()
    assert old.exists() and flock.box(2).planning.pending
    flock.now += 2 * PRUNE_SECONDS
    flock.run_until(lambda: not old.exists(), rounds=50)
    assert flock.box(2).planning.pending


def test_a_path_has_only_so_many_versions_also_while_the_clock_is_not_believed(
    flock: Flock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(past, "MAX_PER_PATH", 3)
    for number in range(6):
        flock.write(0, "file", f"content {number}")
        flock.settle_equal()
    box = flock.box(0)
    assert len(box.index.past.of("file", 100)) == 5
    box._upkeep._prune_at = flock.now
    flock.run_until(lambda: len(box.index.past.of("file", 100)) == 3, rounds=50)
    assert box._upkeep._opened.history.expired_ms is None
