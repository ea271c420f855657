"""The kernel's queue of events runs over: what it lost is found all the same."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from watchdog.observers.inotify_c import InotifyEvent, InotifyFD

from flocksy.boxes.scan.settling import Dirty
from flocksy.boxes.scan.watcher import Watcher
from tests.boxes.flock_of_boxes import Flock, flock, spool
from tests.boxes.test_watcher import DEADLINE_S, take_until, watched

__all__ = ["flock", "spool", "watched"]

LIMIT = Path("/proc/sys/fs/inotify/max_queued_events")
MOST_EVENTS = 70_000
"""More of them take too long to make."""


@contextmanager
def overflown(watcher: Watcher, first: Path, second: Path) -> Iterator[None]:
    """Nobody reads this watcher's events meanwhile, and there are more than the kernel keeps."""
    limit = int(LIMIT.read_text()) if LIMIT.exists() else MOST_EVENTS + 1
    if limit > MOST_EVENTS:
        pytest.skip(f"the kernel keeps {limit} events, which takes long to fill")
    inotify = watcher._eyes._inotify  # type: ignore[union-attr]
    real, held, go = InotifyFD.read_events, threading.Event(), threading.Event()

    def read_events(reader: InotifyFD) -> list[InotifyEvent]:
        if reader is inotify:
            held.set()
            assert go.wait(DEADLINE_S)
        return real(reader)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(InotifyFD, "read_events", read_events)
        try:
            first.chmod(0o600)  # the read that it waits in is the last one
            assert held.wait(DEADLINE_S)
            for _ in range(limit // 2 + 1):
                os.chmod(first, 0o644)  # in turn: what only repeats the last event is left out
                os.chmod(second, 0o644)
            yield
        finally:
            go.set()


def test_a_queue_that_runs_over_is_told(
    watched: tuple[Path, Watcher, threading.Event],
) -> None:
    root, watcher, woken = watched
    for name in ("first", "second"):
        (root / name).write_bytes(b"x")
    take_until(watcher, woken, "first", "second")
    with overflown(watcher, root / "first", root / "second"):
        (root / "unseen" / "below").mkdir(parents=True)
        (root / "old").rename(root / "unseen" / "old")
    until = time.monotonic() + DEADLINE_S
    found: Dirty = watcher.take(time.monotonic())
    while not found.lost:
        assert time.monotonic() < until
        woken.wait(1.0)
        woken.clear()
        found = watcher.take(time.monotonic())
    assert found == Dirty((), True, lost=True)
    # And all that came and moved unseen is watched.
    for name in ("unseen/below/file", "unseen/old/file", "unseen/file", "file"):
        (root / name).write_bytes(b"x")
    take_until(watcher, woken, "unseen/below/file", "unseen/old/file", "unseen/file", "file")


def test_what_happened_while_it_ran_over_reaches_all(
    flock: Flock, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("first", "second", "edited", "deleted", "folder/moved"):
        flock.write(1, name, name)
    flock.settle_equal()
    watcher, taken = flock.box(1)._opened.watcher, []
    real = watcher.take

    def take(now_s: float) -> Dirty:
        taken.append(real(now_s))
        return taken[-1]

    monkeypatch.setattr(watcher, "take", take)
    with overflown(watcher, flock.path(1, "first"), flock.path(1, "second")):
        flock.write(1, "edited", "meanwhile")
        flock.write(1, "new/deep/file", "new")
        flock.path(1, "deleted").unlink()
        flock.path(1, "folder").rename(flock.path(1, "new/folder"))
    # Nobody asks for a rescan but the watcher.
    flock.run_until(lambda: flock.path(0, "new/folder/moved").exists() and not flock.unequal())
    assert any(dirty.lost for dirty in taken)
    assert flock.tree(2) == {
        *("first", "second", "edited", "new", "new/deep", "new/deep/file"),
        *("new/folder", "new/folder/moved"),
    }
    assert flock.path(2, "edited").read_text() == "meanwhile"
    flock.settle_equal()
    flock.write(1, "new/folder/later", "watched as well")
    flock.run_until(lambda: flock.path(0, "new/folder/later").exists())
    flock.settle_equal()
