"""Directories that are opened for an instant, though no scan has seen how they are closed."""

from __future__ import annotations

import errno
import os
import random
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest

from flocksy.boxes.apply.applier import Applier, Result
from flocksy.boxes.apply.insisting import insist
from flocksy.boxes.apply.journal import IndexJournal, JournalEntry
from flocksy.boxes.disk.port import Stat
from tests.boxes.bench import Bench, finish
from tests.boxes.disks import Died, Dying
from tests.boxes.power_cut import PowerRecord, RecordedDisk, RestoredDisk
from tests.boxes.test_flushing import Noting, noting
from tests.boxes.test_permissions import Listing, all_done, ordinarily, own_place
from tests.boxes.test_power_cut import RecordedJournal

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


def test_a_directory_of_somebody_else_keeps_no_box_shut(
    own_place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody here may open it, so nobody has: neither a batch nor a recovery ends of that."""
    monkeypatch.setattr(Dying, "flush_all", lambda _: False)
    chmod = Dying.set_metadata

    def refused(
        disk: Dying, path: str, mode: int | None, mtime_ns: int | None, inode: int | None = None
    ) -> Stat:
        if path == "d":
            raise PermissionError(errno.EPERM, "Operation not permitted")
        return chmod(disk, path, mode, mtime_ns, inode)

    def do() -> None:
        (own_place / "box").mkdir(parents=True)
        bench = Bench(own_place, Dying(str(own_place / "box")))
        unseen(bench, 0o755, 0o000, "d")
        monkeypatch.setattr(Dying, "set_metadata", refused)
        report = bench.apply(bench.put("d/f", b"2"))
        assert [outcome.result for outcome in report.outcomes] == [Result.PROBLEM]
        bench.applier._journal.open([JournalEntry.look("d", 0)])
        finish(bench.applier.recover())
        assert not bench.applier._journal.recover()

    ordinarily(do)


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


# -- what is flushed -------------------------------------------------------------------------------


def only_looks(bench: Bench) -> None:
    """A batch of which nothing is left once it has been looked at what is there."""
    report = bench.apply(replace(bench.put("d/f", b"2"), expected=None))
    assert [one.result for one in report.outcomes] == [Result.CHANGED]


@pytest.mark.parametrize("mode", [0o000, 0o600])
def test_what_was_opened_for_a_look_is_flushed_before_the_journal_forgets_it(
    own_place: Path, mode: int
) -> None:
    def do() -> None:
        bench, done = noting(own_place)
        bench.apply(bench.make_directory("d", mode), bench.put("d/f", b"1"))
        done.clear()
        only_looks(bench)
        assert done[-1] == ("index", 0)
        assert ("all", 0) in done or ("d", mode) in done
        bench.close()

    ordinarily(do)


def test_the_power_goes_once_the_journal_has_forgotten_a_look(own_place: Path) -> None:
    """Box and index lie on different disks, and that of the index was the quicker."""

    def do() -> None:
        (own_place / "box").mkdir()
        disk = RecordedDisk(str(own_place / "box"))
        bench = Bench(own_place, disk)
        bench.apply(bench.make_directory("d", 0o000), bench.put("d/f", b"1"))
        record = PowerRecord(own_place / "box", own_place / "index.sqlite", random.Random(1))
        journal = RecordedJournal(bench.index)
        disk.record = journal.record = record
        bench.applier = Applier(disk, journal, bench.history, bench, bench.capabilities)
        only_looks(bench)
        for number in range(30):
            cut, place = record.cut(), own_place / str(number)
            place.mkdir()
            cut.restore(place / "box", place / "index.sqlite")
            again = Bench(place, RestoredDisk(str(place / "box"), cut))
            finish(again.applier.recover())
            assert shown(again, "d") == 0o000, number
            again.close()
        bench.close()

    ordinarily(do)


def test_so_it_is_where_another_path_of_the_batch_is_done(own_place: Path) -> None:
    def do() -> None:
        bench, done = noting(own_place)
        bench.apply(bench.make_directory("d", 0o600), bench.put("d/f", b"1"))
        done.clear()
        bench.apply(replace(bench.put("d/f", b"2"), expected=None), bench.put("a", b"2"))
        assert ("d", 0o600) in done[: done.index(("index", 0))]
        bench.close()

    ordinarily(do)


def test_so_it_is_when_a_crash_is_recovered_from(own_place: Path) -> None:
    """Who died had closed it again, perhaps, and flushed nothing."""

    def do() -> None:
        bench, done = noting(own_place)
        unseen(bench, 0o755, 0o600, "d")

        class Fatal(IndexJournal):
            def open(self, entries: Sequence[JournalEntry]) -> None:
                super().open(entries)
                assert not any(entry.after for entry in entries) or self._die()

            def _die(self) -> bool:
                raise Died

        recovering = bench.applier
        bench.applier = Applier(
            bench.disk, Fatal(bench.index), bench.history, bench, bench.capabilities
        )
        with pytest.raises(Died):
            bench.apply(bench.put("d/f", b"2"))
        done.clear()
        finish(recovering.recover())
        assert ("d", 0o600) in done[: done.index(("index", 0))]
        bench.close()

    ordinarily(do)


def test_where_nothing_is_closed_nothing_more_is_flushed(own_place: Path) -> None:
    def do() -> None:
        bench, done = noting(own_place)
        bench.apply(bench.make_directory("d"), bench.make_directory("d/e"))
        bench.apply(bench.put("d/f", b"1"), bench.put("d/e/f", b"1"))
        done.clear()
        only_looks(bench)
        assert not done
        bench.apply(bench.put("d/e/f", b"2"))
        assert isinstance(bench.disk, Noting)
        paths = [path for path, _ in done]
        assert paths.count("index") == 1
        assert "d" not in paths
        assert "d/e" in paths
        bench.close()

    ordinarily(do)
