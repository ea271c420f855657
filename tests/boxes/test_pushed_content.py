"""New content goes out with its record, whatever is recorded of its path before it has gone."""

from __future__ import annotations

import pytest

from tests.boxes.flock_of_boxes import Flock, flock, spool
from tests.boxes.test_delta import noise

__all__ = ["flock", "spool"]

SIZE = 300_000


def alone(flock: Flock) -> None:
    """Nobody else is there: nothing is told."""
    flock.settle_equal()
    flock.stop(1)
    flock.stop(2)


def waiting(flock: Flock, path: str) -> set[bytes]:
    """Chunks and lists that the first node is to push for a path."""
    offers = flock.box(0).offers
    pushes = (offers.held.get(path), offers.pushes.get(path))
    return {name for push in pushes if push is not None for name, _ in push.chunks}


def see(flock: Flock) -> None:
    """What has changed gets its version. Alone, its rounds are over before a watcher has said a
    word."""
    flock.box(0).rescan(flock.now)
    flock.run_until(lambda: not flock.box(0).scanning and not flock.box(0).intake.changed)


def again(flock: Flock) -> None:
    """The first node ends, and starts once more."""
    flock.stop(0)
    flock.restart(0)
    flock.step()


@pytest.mark.parametrize("restarted", [False, True])
def test_of_a_file_whose_mode_was_set_before_it_was_told(flock: Flock, *, restarted: bool) -> None:
    alone(flock)
    path = flock.write(0, "tool", noise(SIZE, 7))
    see(flock)
    before = waiting(flock, "tool")
    path.chmod(0o755)
    see(flock)
    if restarted:
        again(flock)
    assert waiting(flock, "tool") == before != set()


def test_what_others_have_is_not_pushed_with_its_mode(flock: Flock) -> None:
    flock.write(0, "tool", noise(SIZE, 7))
    alone(flock)
    flock.path(0, "tool").chmod(0o755)
    see(flock)
    assert "tool" in flock.box(0).offers.held
    assert not waiting(flock, "tool")
    again(flock)
    assert not waiting(flock, "tool")


@pytest.mark.parametrize("restarted", [False, True])
def test_beside_a_copy_that_is_put_away(flock: Flock, *, restarted: bool) -> None:
    flock.write(0, "a", "one")
    flock.write(1, "a", "two")
    alone(flock)
    (copy,) = [name for name in flock.tree(0) if "conflict" in name]
    flock.write(0, "a", noise(SIZE, 8))
    flock.path(0, copy).unlink()
    see(flock)
    state = flock.box(0).index.flock("a")
    assert state is not None
    assert len(state.heads) == 2
    if restarted:
        again(flock)
    assert waiting(flock, "a")
