"""New content goes out with its record, whatever is recorded of its path before it has gone."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

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


def as_the_burst_begins(
    flock: Flock, monkeypatch: pytest.MonkeyPatch, change: Callable[[Path], object]
) -> bytes:
    """A large new file of the first node is changed once its burst is agreed: nobody looks at it
    before that has ended. What it was before."""
    flock.settle_equal()
    flock.quorum = False
    before = noise(SIZE, 7)
    path = flock.write(0, "big", before)
    flock.run_until(lambda: flock.box(0).index.outgoing_count() == 1, 100)
    agreed = flock._burst

    def begins(need: int) -> None:
        monkeypatch.undo()
        change(path)
        agreed(need)

    monkeypatch.setattr(flock, "_burst", begins)
    flock.quorum = True
    number = len(flock.bursts)
    flock.run_until(lambda: len(flock.bursts) > number, 100)
    return before


def append(path: Path) -> None:
    with path.open("ab") as file:
        file.write(noise(1000, 8))


def touch(path: Path) -> None:
    os.utime(path, (1_700_000_000, 1_700_000_000))


def cut_off(path: Path) -> None:
    os.truncate(path, SIZE - 1000)


@pytest.mark.parametrize("change", [append, touch, cut_off])
def test_of_a_file_that_was_changed_as_its_burst_began(
    flock: Flock, monkeypatch: pytest.MonkeyPatch, change: Callable[[Path], object]
) -> None:
    """Its node may leave as soon as it has told it."""
    as_the_burst_begins(flock, monkeypatch, change)
    path = flock.path(0, "big")

    def is_told() -> bool:
        state = flock.box(1).index.flock("big")
        heads = () if state is None else state.heads.values()
        return any(one.mtime_ns == path.stat().st_mtime_ns for one in heads)

    flock.run_until(is_told, 100)
    flock.step()
    flock.stop(0)
    flock.settle()
    for lane in (1, 2):
        assert flock.path(lane, "big").read_bytes() == path.read_bytes()
        assert not flock.box(lane).problems


def test_what_is_shorter_than_it_was_is_not_told(
    flock: Flock, monkeypatch: pytest.MonkeyPatch
) -> None:
    as_the_burst_begins(flock, monkeypatch, cut_off)
    assert flock.box(1).index.flock("big") is None
    flock.settle_equal()


@pytest.mark.parametrize("change", [append, touch])
def test_what_has_grown_meanwhile_is_told_with_what_it_had(
    flock: Flock, monkeypatch: pytest.MonkeyPatch, change: Callable[[Path], object]
) -> None:
    """Else a log in a box would hardly ever be told."""
    before = as_the_burst_begins(flock, monkeypatch, change)
    flock.run_until(lambda: flock.path(1, "big").exists(), 3)
    assert flock.path(1, "big").read_bytes() == before
    flock.settle_equal()
