"""Directories that are opened for an instant, though no scan has seen how they are closed."""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from pathlib import Path

import pytest

from flocksy.boxes.apply.insisting import insist
from tests.boxes.bench import Bench, finish
from tests.boxes.disks import Died, Dying
from tests.boxes.test_permissions import Listing, all_done, ordinarily, own_place

__all__ = ["own_place"]

KNOWN = [(0o755, 0o000), (0o755, 0o555), (0o755, 0o300), (0o555, 0o000), (0o600, 0o500)]
"""What the index has of a directory, and what somebody has given it since."""


def unseen(bench: Bench, known: int, mode: int, *paths: str) -> None:
    """Directories, with a file "f" in each, that somebody has closed since the last scan."""
    assert all_done(
        bench.apply(
            *(bench.make_directory(path, known) for path in paths),
            *(bench.put(f"{path}/{name}", b"1") for path in paths for name in ("f", "g")),
        )
    )
    for path in paths:
        os.chmod(bench.root / path, 0o700)
    for path in sorted(paths, reverse=True):
        os.chmod(bench.root / path, mode)


def shown(bench: Bench, path: str) -> int:
    found = insist(bench.disk, path, partial(bench.disk.stat, path))
    assert found is not None
    return found.mode


def all_deaths(own_place: Path, batch: Callable[[Bench], None], known: int, mode: int) -> None:
    """Die at each call, in the recovery as well, and see with which modes that ends."""
    for calls in range(300):
        place = own_place / str(calls)
        (place / "box").mkdir(parents=True)
        disk = Dying(str(place / "box"))
        bench = Bench(place, disk)
        unseen(bench, known, mode, "d", "d/e")
        disk.calls_left = calls
        done = False
        with suppress(Died):
            batch(bench)
            done = True
        disk.calls_left = 4 + calls % 7  # four make the folders
        with suppress(Died):
            finish(bench.applier.recover())
        disk.calls_left = None
        finish(bench.applier.recover())
        assert not bench.index.journal.open_rows()
        assert [shown(bench, path) for path in ("d", "d/e")] == [mode, mode], calls
        bench.close()
        if done:
            assert calls > 10
            return
    raise AssertionError("there is no end to it")


@pytest.mark.parametrize(("known", "mode"), KNOWN)
def test_death_while_a_directory_is_open_that_somebody_had_closed(
    own_place: Path, known: int, mode: int
) -> None:
    """It gets back what it was found with, and not what the index knows."""

    def batch(bench: Bench) -> None:
        bench.apply(bench.put("d/f", b"2"), bench.put("d/e/f", b"2"), bench.remove("d/g"))

    ordinarily(lambda: all_deaths(own_place, batch, known, mode))


@pytest.mark.parametrize("mode", [0o000, 0o300])
def test_death_while_a_directory_is_open_to_be_flushed(
    own_place: Path, monkeypatch: pytest.MonkeyPatch, mode: int
) -> None:
    """Where the system cannot flush a disk as a whole."""
    monkeypatch.setattr(Dying, "flush_all", lambda _: False)

    def batch(bench: Bench) -> None:
        bench.apply(bench.put("d/f", b"2"), bench.put("d/e/f", b"2"))

    ordinarily(lambda: all_deaths(own_place, batch, 0o755, mode))


def test_many_that_nobody_has_seen_closed_are_journalled_at_once(own_place: Path) -> None:
    """Each time is a flush of the index."""

    def do() -> None:
        bench = Bench(own_place)
        names = [f"d{number}" for number in range(5)]
        unseen(bench, 0o755, 0o500, *names)
        bench.applier._journal = journal = Listing(bench.index)
        batch = [bench.put(f"{name}/f", b"2") for name in names]
        assert all_done(bench.apply(*batch))
        assert journal.paths == [[one.path for one in batch], names]
        bench.close()

    ordinarily(do)


def test_what_the_batch_itself_closes_is_not_journalled_once_more(own_place: Path) -> None:
    def do() -> None:
        bench = Bench(own_place)
        bench.apply(bench.make_directory("d"), bench.put("d/f", b"1"))
        bench.applier._journal = journal = Listing(bench.index)
        assert all_done(bench.apply(bench.set_metadata("d", 0o000), bench.put("d/f", b"2")))
        assert journal.paths == [["d", "d/f"]]
        bench.close()

    ordinarily(do)


def test_what_somebody_has_opened_meanwhile_is_not_taken_for_closed(own_place: Path) -> None:
    """Only another directory of the batch is opened for an instant."""

    def do() -> None:
        bench = Bench(own_place)
        for name in ("d", "e"):
            bench.apply(bench.make_directory(name, 0o000), bench.put(f"{name}/f", b"1"))
        os.chmod(bench.root / "e", 0o700)
        bench.applier._journal = journal = Listing(bench.index)
        assert all_done(bench.apply(bench.put("d/f", b"2"), bench.put("e/f", b"2")))
        assert journal.paths == [["d"], ["d/f", "e/f"]]
        bench.close()

    ordinarily(do)
