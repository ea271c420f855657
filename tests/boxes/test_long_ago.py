"""Who comes back with what it had long ago: after weeks away, or as a whole machine put back."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from flocksy.boxes import offers
from flocksy.boxes.apply.age import DAY_MS, MOST_AWAY_MS, SELDOM_MS
from flocksy.boxes.apply.history import RETENTION_DAYS
from flocksy.boxes.upkeep import PRUNE_SECONDS
from flocksy.sync import state
from flocksy.sync.state import PUSH_ANCESTRY
from tests.boxes.flock_of_boxes import Flock, spool
from tests.boxes.test_lockstep import copies, noise
from tests.boxes.test_upkeep import flock

__all__ = ["flock", "spool"]

AWAY_DAYS = RETENTION_DAYS + 10


def let_days_pass(flock: Flock, days: int) -> None:
    """In steps that the clocks of the histories believe; upkeep comes twice after the last."""
    end = flock.now + days * DAY_MS / 1000
    flock.scan_s, waited_s = 0.0, flock.scan_s  # an hourly look takes its time
    while flock.now < end:
        flock.now = min(end, flock.now + MOST_AWAY_MS / 1000)
        flock.step()
    while flock.now < end + 2.5 * PRUNE_SECONDS:
        flock.now += SELDOM_MS / 1000 - 1
        flock.step()
    flock.scan_s = waited_s
    flock.settle()


def test_who_was_away_for_longer_than_anything_is_kept(flock: Flock) -> None:
    names = ("edited here", "edited there", "edited by both", "deleted here", "deleted there")
    for name in (*names, "deleted here and edited there", "edited here and deleted there"):
        flock.write(0, name, name)
    for name in ("renamed here", "renamed there", "folder/deleted here", "old/folder/renamed here"):
        flock.write(1, name, noise(20_000, len(name)))
    flock.settle_equal()

    flock.stop(2)
    flock.write(0, "edited here", "newly edited here")
    flock.write(1, "edited by both", "edited here as well")
    flock.write(1, "edited here and deleted there", "newest here")
    flock.write(0, "made and deleted here", "of one day")
    flock.settle_equal()
    for name in ("deleted here", "deleted here and edited there", "made and deleted here"):
        flock.path(0, name).unlink()
    shutil.rmtree(flock.path(0, "folder"))
    flock.path(1, "renamed here").rename(flock.path(1, "new name here"))
    flock.path(1, "old").rename(flock.path(1, "new"))
    flock.settle_equal()
    assert flock.history(0) and flock.box(0).index.past.of("deleted here", 9)
    let_days_pass(flock, AWAY_DAYS)
    for lane in (0, 1):
        assert not flock.history(lane), "nothing is kept for so long"
        assert not any(flock.box(lane).index.past.of(name, 9) for name in names)
        assert not flock.box(lane).index.journal.kept_of("deleted here", 9)

    flock.write(2, "edited there", "newly edited there")
    flock.write(2, "edited by both", "edited there as well")
    flock.write(2, "deleted here and edited there", "newest there")
    flock.write(2, "new there", noise(50_000))
    for name in ("deleted there", "edited here and deleted there"):
        flock.path(2, name).unlink()
    flock.path(2, "renamed there").rename(flock.path(2, "new name there"))
    flock.restart(2)
    flock.settle_equal()
    (copy,) = copies(flock, 0)
    assert flock.tree(0) == {
        *("edited here", "edited there", "edited by both", copy),
        *("deleted here and edited there", "edited here and deleted there", "new there"),
        *("new name here", "new name there", "new", "new/folder", "new/folder/renamed here"),
    }
    texts = {
        "edited here": "newly edited here",
        "edited there": "newly edited there",
        "deleted here and edited there": "newest there",
        "edited here and deleted there": "newest here",
    }
    assert {name: flock.path(1, name).read_text() for name in texts} == texts
    both = {flock.path(1, name).read_text() for name in ("edited by both", copy)}
    assert both == {"edited here as well", "edited there as well"}
    assert flock.path(0, "new there").read_bytes() == noise(50_000)
    for name in ("renamed here", "renamed there"):
        assert flock.path(2, name.replace("renamed", "new name")).read_bytes() == noise(
            20_000, len(name)
        )


def put_by(flock: Flock, lane: int, name: str) -> Path:
    """Copy all that a node that is off has on its disks: box, marker, history and index."""
    backup = flock.root / name
    for what in (f"box{lane}", f"state{lane}"):
        shutil.copytree(flock.root / what, backup / what, symlinks=True)
    return backup


def put_back(flock: Flock, lane: int, backup: Path) -> None:
    """Its disks as they were, the box's own directory with its number too."""
    for what in (f"box{lane}", f"state{lane}"):
        for one in (flock.root / what).iterdir():
            shutil.rmtree(one) if one.is_dir() else one.unlink()
        for one in (backup / what).iterdir():
            one.rename(flock.root / what / one.name)


@pytest.mark.parametrize("edits", [False, True])
def test_a_whole_machine_that_is_put_back(flock: Flock, *, edits: bool) -> None:
    """Its index and its disk agree, so nothing says that their past is another one."""
    for name in ("kept", "edited", "edited twice", "deleted", "deleted by itself", "folder/gone"):
        flock.write(0, name, name)
    flock.write(1, "renamed", noise(20_000))
    flock.settle_equal()
    flock.stop(2)
    backup = put_by(flock, 2, "backup")
    flock.restart(2)

    flock.write(0, "edited", "newly edited")
    flock.write(2, "edited twice", "by itself")
    flock.write(2, "made by itself", noise(30_000, 1))
    flock.write(2, "made and deleted", "of one day")
    flock.settle_equal()
    flock.write(1, "edited twice", "and by another")
    flock.path(0, "deleted").unlink()
    flock.path(2, "deleted by itself").unlink()
    flock.path(1, "made and deleted").unlink()
    shutil.rmtree(flock.path(2, "folder"))
    flock.path(2, "renamed").rename(flock.path(2, "new name"))
    flock.settle_equal()
    now = flock.tree(0)
    flock.stop(2)
    put_back(flock, 2, backup)
    if edits:
        flock.write(2, "kept", "edited since")
        flock.write(2, "edited", "edited since as well")
        flock.write(2, "deleted", "edited since, too")
        flock.write(2, "made by itself", noise(30_000, 1))
        flock.write(2, "new", noise(40_000, 2))
    flock.restart(2)
    assert not flock.box(2).adopting
    flock.settle_equal()

    assert flock.path(2, "edited twice").read_text() == "and by another"
    assert flock.path(2, "made by itself").read_bytes() == noise(30_000, 1)
    assert flock.path(2, "new name").read_bytes() == noise(20_000)
    if not edits:
        assert flock.tree(0) == now
        assert flock.path(0, "edited").read_text() == "newly edited"
        return
    (copy,) = copies(flock, 0)
    assert flock.tree(0) == now | {"deleted", "new", copy}
    assert flock.path(0, "kept").read_text() == "edited since"
    assert flock.path(0, "deleted").read_text() == "edited since, too"
    assert flock.path(1, "new").read_bytes() == noise(40_000, 2)
    both = {flock.path(1, name).read_text() for name in ("edited", copy)}
    assert both == {"newly edited", "edited since as well"}


@pytest.mark.parametrize("deleted", [False, True])
def test_who_was_away_for_more_versions_than_an_answer_tells(
    flock: Flock, monkeypatch: pytest.MonkeyPatch, *, deleted: bool
) -> None:
    """What it has is the oldest of all: the youngest that are told say nothing of it."""
    for module in (offers, state):
        monkeypatch.setattr(module, "MAX_ANCESTRY", PUSH_ANCESTRY + 2)
    flock.write(0, "edited", "long ago")
    flock.settle_equal()
    flock.stop(2)
    for number in range(PUSH_ANCESTRY + 5):
        flock.write(number % 2, "edited", f"edit {number}")
        flock.settle()
    if deleted:
        flock.path(0, "edited").unlink()
    flock.settle_equal()
    flock.restart(2)
    flock.settle_equal()
    assert flock.tree(2) == (set() if deleted else {"edited"})
