"""Directories that are opened for an instant, though no scan has seen how they are closed."""

from __future__ import annotations

import errno
import os
import random
import shutil
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest

from flocksy.boxes.apply.applier import Applier, Result
from flocksy.boxes.apply.insisting import insist
from flocksy.boxes.apply.journal import IndexJournal, JournalEntry
from flocksy.boxes.apply.placing import INCOMING
from flocksy.boxes.disk.filesystem import RealDisk
from flocksy.boxes.disk.port import Stat
from flocksy.errors import FlocksyError
from flocksy.sync.capabilities import Capabilities
from flocksy.sync.operations import DiskOperation
from tests.boxes.bench import Bench, finish
from tests.boxes.disks import Died, Dying, Folding, recover_in_two
from tests.boxes.power_cut import PowerRecord, RecordedDisk, RestoredDisk
from tests.boxes.test_attributes import BLUE, RED, WANTING, results, skip_without
from tests.boxes.test_flushing import Noting, noting
from tests.boxes.test_permissions import (
    Listing,
    all_done,
    nothing_is_lost,
    ordinarily,
    own_place,
    quick_place,
)
from tests.boxes.test_power_cut import RecordedJournal

__all__ = ["own_place", "quick_place"]


class Modes(RealDisk):
    """Notes each mode that is set."""

    def __init__(self, root: str) -> None:
        super().__init__(root)
        self.set_to: list[tuple[str, int | None]] = []

    def set_metadata(
        self, path: str, mode: int | None, mtime_ns: int | None, inode: int | None = None
    ) -> Stat:
        self.set_to.append((path, mode))
        return super().set_metadata(path, mode, mtime_ns, inode)


class FatalBatch(IndexJournal):
    """Who has opened it for more than looks dies."""

    def open(self, entries: Sequence[JournalEntry]) -> None:
        super().open(entries)
        if not all(entry.is_look for entry in entries):
            raise Died


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
    found = insist(bench.disk, path, partial(bench.disk.stat, path), None)
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
        recover_in_two(bench, disk, calls)
        assert [shown(bench, path) for path in ("d", "d/e")] == [mode, mode], calls
        nothing_is_lost(bench, "d/f", "d/g", "d/e/f", "d/e/g")
        bench.close()
        if done:
            assert calls > 10
            return
    raise AssertionError("there is no end to it")


@pytest.mark.parametrize(("known", "mode"), KNOWN)
def test_death_while_a_directory_is_open_that_somebody_had_closed(
    quick_place: Path, known: int, mode: int
) -> None:
    """It gets back what it was found with, and not what the index knows."""

    def batch(bench: Bench) -> None:
        bench.apply(bench.put("d/f", b"2"), bench.put("d/e/f", b"2"), bench.remove("d/g"))

    ordinarily(lambda: all_deaths(quick_place, batch, known, mode))


def test_death_while_a_directory_is_open_that_gets_a_mode_and_had_got_another(
    quick_place: Path,
) -> None:
    """Without the death theirs stays."""

    def batch(bench: Bench) -> None:
        bench.apply(bench.set_metadata("d", 0o750), bench.put("d/f", b"2"))

    ordinarily(lambda: all_deaths(quick_place, batch, 0o755, 0o000))


@pytest.mark.parametrize("mode", [0o000, 0o300])
def test_death_while_a_directory_is_open_to_be_flushed(
    quick_place: Path, monkeypatch: pytest.MonkeyPatch, mode: int
) -> None:
    """Where the system cannot flush a disk as a whole."""
    monkeypatch.setattr(Dying, "flush_all", lambda _: False)

    def batch(bench: Bench) -> None:
        bench.apply(bench.put("d/f", b"2"), bench.put("d/e/f", b"2"))

    ordinarily(lambda: all_deaths(quick_place, batch, 0o755, mode))


def test_what_is_above_is_opened_to_flush_what_is_below_and_journalled(own_place: Path) -> None:
    """Also where somebody has closed it since all else was done."""

    class Late(RealDisk):
        mode = 0o755

        def flush_all(self) -> bool:
            os.chmod(os.path.join(self.root, "d"), self.mode)
            return False

    def do() -> None:
        (own_place / "box").mkdir()
        bench = Bench(own_place, disk := Late(str(own_place / "box")))
        bench.apply(bench.make_directory("d"), bench.make_directory("d/e", 0o300))
        disk.mode = 0o555
        bench.applier._journal = journal = Listing(bench.index)
        assert all_done(bench.apply(bench.put("d/e/f", b"2")))
        assert journal.paths == [["d/e"], ["d/e/f"], ["d"]]
        assert shown(bench, "d") == 0o555
        bench.close()

    ordinarily(do)


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


def test_death_while_a_directory_is_open_for_the_attributes_of_a_file(own_place: Path) -> None:
    """Those of a file that nobody may read are denied by its own mode, and no directory helps."""
    skip_without(own_place)

    def do() -> None:
        for calls in range(30):
            place = own_place / str(calls)
            (place / "box").mkdir(parents=True)
            disk = Dying(str(place / "box"))
            bench = Bench(place, disk, WANTING)
            bench.apply(bench.make_directory("d"), bench.put("d/f", b"1", attributes=RED))
            bench.look_at_attributes()
            bench.apply(bench.set_metadata("d/f", 0o200, attributes=RED))
            synced = bench.index.synced("d/f")
            bench.index.set_local("d/f", synced and synced.disk)
            os.chmod(bench.root / "d", 0o555)
            batch = bench.set_metadata("d/f", 0o200, attributes=BLUE)
            disk.calls_left = calls
            with suppress(Died):
                assert results(bench.apply(batch)) == [Result.BLOCKED]
                assert calls > 1
                return
            assert bench.index.journal.open_rows()
            disk.calls_left = 4 + calls % 3
            with suppress(Died):
                finish(bench.applier.recover())
            disk.calls_left = None
            finish(bench.applier.recover())
            assert not bench.index.journal.open_rows()
            assert shown(bench, "d") == 0o555, calls
            bench.close()
        raise AssertionError("there is no end to it")

    ordinarily(do)


# -- what somebody puts where a directory was ------------------------------------------------------


def in_its_place(bench: Bench, make: Callable[[Path], None], mode: int = 0o000) -> None:
    """Somebody closes a directory in which another has become something else."""
    os.chmod(bench.root / "d", 0o700)
    shutil.rmtree(bench.root / "d/e")
    make(bench.root / "d/e")
    os.chmod(bench.root / "d/e", 0o644)
    os.chmod(bench.root / "d", mode)


@pytest.mark.parametrize("make", [os.mkfifo, Path.touch])
def test_what_is_no_directory_is_not_opened(own_place: Path, make: Callable[[Path], None]) -> None:
    """Who died then would leave a file that can be run."""

    def do() -> None:
        (own_place / "box").mkdir()
        disk = Modes(str(own_place / "box"))
        bench = Bench(own_place, disk)
        folders = bench.make_directory("d", 0o000), bench.make_directory("d/e")
        bench.apply(*folders, bench.put("d/e/f", b"1"))
        in_its_place(bench, make)
        disk.set_to.clear()
        report = bench.apply(bench.put("d/e/f", b"2"))
        assert results(report)[0] in (Result.CHANGED, Result.BLOCKED)
        assert {path for path, _ in disk.set_to if not path.startswith(".")} == {"d"}
        bench.close()

    ordinarily(do)


def test_a_fifo_in_place_of_a_directory_keeps_no_box_shut(own_place: Path) -> None:
    def do() -> None:
        bench = Bench(own_place)
        folders = bench.make_directory("d", 0o000), bench.make_directory("d/e")
        bench.apply(*folders, bench.put("d/e/f", b"1"))
        bench.applier._journal = FatalBatch(bench.index)
        with pytest.raises(Died):
            bench.apply(bench.put("d/e/f", b"2"))
        in_its_place(bench, os.mkfifo)
        bench.applier._journal = IndexJournal(bench.index)
        finish(bench.applier.recover())
        assert not bench.index.journal.open_rows()
        assert (shown(bench, "d"), shown(bench, "d/e")) == (0o000, 0o644)
        bench.close()

    ordinarily(do)


class Going(Folding):
    """Its program dies right after a directory has gone from its path to get another case."""

    def move(self, source: str, target: str) -> None:
        super().move(source, target)
        if source == "d":
            raise Died


@pytest.mark.parametrize("mode", [0o555, 0o000])
@pytest.mark.parametrize("closed", ["d/s", "d"])
def test_a_closed_directory_on_its_way_to_another_case_keeps_no_box_shut(
    own_place: Path, closed: str, mode: int
) -> None:
    """Somebody takes the name, so what was in it goes to the history."""

    def do() -> None:
        (own_place / "box").mkdir()
        disk = Going(str(own_place / "box"))
        bench = Bench(own_place, disk, Capabilities(case_folding=True))
        bench.apply(
            bench.make_directory("d"), bench.make_directory("d/s"), bench.put("d/s/f", b"1")
        )
        bench.apply(bench.set_metadata(closed, mode))
        batch = [bench.make_directory("D"), bench.make_directory("D/s")]
        batch += [bench.put("D/s/f", b"1", source="d/s/f")]
        batch += [bench.remove(path) for path in ("d/s/f", "d/s", "d")]
        with pytest.raises(Died):
            bench.apply(*batch)
        (bench.root / "D").write_bytes(b"somebody's")
        if closed == "d":  # who has closed it in that very instant
            (moved,) = (one for one in (bench.root / INCOMING).iterdir() if one.is_dir())
            os.chmod(moved, mode)
        finish(bench.applier.recover())
        assert not bench.index.journal.open_rows()
        assert bench.paths() == {"D"}
        assert not bench.temporaries()
        assert set(bench.kept().values()) == {b"1"}
        bench.close()

    ordinarily(do)


def on_its_way(place: Path, disk: Folding) -> tuple[Bench, list[DiskOperation]]:
    """A closed directory, and what gives it another case."""
    bench = Bench(place, disk, Capabilities(case_folding=True))
    bench.apply(bench.make_directory("d"), bench.put("d/f", b"1"))
    bench.apply(bench.set_metadata("d", 0o555))
    batch: list[DiskOperation] = [bench.make_directory("D"), bench.put("D/f", b"2")]
    return bench, [*batch, bench.remove("d/f"), bench.remove("d")]


def everything(bench: Bench) -> set[bytes]:
    """The contents of the box and of its history."""
    files = [path for path in bench.paths() if (bench.root / path).is_file()]
    return {bench.read(path) for path in files} | set(bench.kept().values())


def test_a_closed_directory_on_its_way_comes_to_its_name(own_place: Path) -> None:
    """Also where it shows its mode again, since the power took the opening and not the move."""

    def do() -> None:
        (own_place / "box").mkdir()
        bench, batch = on_its_way(own_place, Going(str(own_place / "box")))
        with pytest.raises(Died):
            bench.apply(*batch)
        (moved,) = (one for one in (bench.root / INCOMING).iterdir() if one.is_dir())
        os.chmod(moved, 0o555)
        finish(bench.applier.recover())
        assert not bench.index.journal.open_rows()
        assert "D" in bench.paths()
        assert b"1" in everything(bench)
        bench.close()

    ordinarily(do)


class Breaking(Folding):
    """Fails at everything once a directory has gone from its path to get another case."""

    broken = False

    def move(self, source: str, target: str) -> None:
        self._check()
        super().move(source, target)
        self.broken = self.broken or source == "d"

    def stat(self, path: str) -> Stat | None:
        self._check()
        return super().stat(path)

    def _check(self) -> None:
        if self.broken:
            raise OSError(errno.EIO, "Input/output error")


def test_a_directory_that_can_neither_go_on_nor_back_keeps_its_batch_open(own_place: Path) -> None:
    """Else it would be cleared away with the temporaries, or stay among them for good."""

    def do() -> None:
        (own_place / "box").mkdir()
        disk = Breaking(str(own_place / "box"))
        bench, batch = on_its_way(own_place, disk)
        with pytest.raises(FlocksyError, match="has to stay there for now"):
            bench.apply(*batch)
        assert bench.index.journal.open_rows()
        disk.broken = False
        finish(bench.applier.recover())
        assert not bench.index.journal.open_rows()
        assert b"1" in everything(bench)
        bench.close()

    ordinarily(do)


def test_a_mode_that_the_batch_itself_gave_is_nobody_elses_after_a_crash(own_place: Path) -> None:
    """It is opened once more with it, so the journal has it like what somebody has set."""

    def do() -> None:
        for calls in range(300):
            place = own_place / str(calls)
            (place / "box").mkdir(parents=True)
            disk = Dying(str(place / "box"))
            bench = Bench(place, disk)
            bench.apply(bench.make_directory("d", 0o000), bench.put("d/f", b"1"))
            disk.calls_left = calls
            done = False
            with suppress(Died):
                bench.apply(bench.set_metadata("d", 0o400), bench.put("d/f", b"2"))
                done = True
            recover_in_two(bench, disk, calls)
            assert shown(bench, "d") == bench.local("d").mode, calls
            bench.close()
            if done:
                assert calls > 10
                return
        raise AssertionError("there is no end to it")

    ordinarily(do)


class Unclosable(RealDisk):
    """Flushes one by one, and refuses a mode once "d" has been opened to be flushed."""

    opened = False

    def flush_all(self) -> bool:
        return False

    def flush_later(self, path: str) -> Callable[[], None]:
        flush = super().flush_later(path)
        self.opened = self.opened or path == "d"
        return flush

    def set_metadata(
        self, path: str, mode: int | None, mtime_ns: int | None, inode: int | None = None
    ) -> Stat:
        if self.opened and mode is not None:
            raise OSError(errno.EIO, "Input/output error")
        return super().set_metadata(path, mode, mtime_ns, inode)


def test_no_handle_stays_open_where_a_directory_cannot_be_closed(own_place: Path) -> None:
    def do() -> None:
        (own_place / "box").mkdir()
        disk = Unclosable(str(own_place / "box"))
        bench = Bench(own_place, disk)
        bench.apply(bench.make_directory("d"), bench.put("d/f", b"1"))
        os.chmod(bench.root / "d", 0o300)
        before = len(os.listdir("/proc/self/fd"))
        with pytest.raises(FlocksyError, match="opened for an instant"):
            bench.apply(bench.put("d/f", b"2"))
        assert disk.opened
        assert len(os.listdir("/proc/self/fd")) == before
        bench.close()

    ordinarily(do)


def test_an_opening_that_takes_effect_and_reports_an_error(own_place: Path) -> None:
    """As a disk across a network may."""

    class Late(RealDisk):
        is_sick = True

        def set_metadata(
            self, path: str, mode: int | None, mtime_ns: int | None, inode: int | None = None
        ) -> Stat:
            found = super().set_metadata(path, mode, mtime_ns, inode)
            if self.is_sick and path == "d" and mode is not None and mode & 0o700 == 0o700:
                raise OSError(errno.EIO, "Input/output error")
            return found

    def do() -> None:
        (own_place / "box").mkdir()
        disk = Late(str(own_place / "box"))
        disk.is_sick = False
        bench = Bench(own_place, disk)
        unseen(bench, 0o755, 0o500, "d")
        disk.is_sick = True
        assert results(bench.apply(bench.put("d/f", b"2"))) == [Result.PROBLEM]
        assert shown(bench, "d") == 0o500
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


@pytest.mark.parametrize("mode", [0o000, 0o300])
def test_what_cannot_be_read_is_flushed_once_it_is_closed_again(
    own_place: Path, monkeypatch: pytest.MonkeyPatch, mode: int
) -> None:
    """Where the system cannot flush a disk as a whole: flushed while it is open, it may be open
    after a power cut, and the index, which has learnt of the end of the batch, knows of nothing."""
    monkeypatch.setattr(RecordedDisk, "flush_all", lambda _: False)

    def do() -> None:
        (own_place / "box").mkdir()
        disk = RecordedDisk(str(own_place / "box"))
        bench = Bench(own_place, disk)
        bench.apply(bench.make_directory("d", mode), bench.put("d/f", b"1"))
        record = PowerRecord(own_place / "box", own_place / "index.sqlite", random.Random(1))
        journal = RecordedJournal(bench.index)
        disk.record = journal.record = record
        bench.applier = Applier(disk, journal, bench.history, bench, bench.capabilities)
        assert all_done(bench.apply(bench.put("d/f", b"2")))
        for number in range(20):
            cut, place = record.cut(), own_place / str(number)
            place.mkdir()
            cut.restore(place / "box", place / "index.sqlite")
            again = Bench(place, RestoredDisk(str(place / "box"), cut))
            finish(again.applier.recover())
            assert shown(again, "d") == mode, number
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
        recovering = bench.applier
        bench.applier = Applier(
            bench.disk, FatalBatch(bench.index), bench.history, bench, bench.capabilities
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
