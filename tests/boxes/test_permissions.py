"""What an ordinary user may and may not do; the tests themselves often run as root, who may all."""

from __future__ import annotations

import errno
import os
import shutil
import tempfile
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest

from flocksy.boxes.apply.applier import Report, Result
from flocksy.boxes.apply.insisting import insist
from flocksy.boxes.apply.journal import IndexJournal, JournalEntry
from flocksy.boxes.disk.filesystem import RealDisk
from flocksy.boxes.disk.port import Stat
from flocksy.errors import FlocksyError
from flocksy.index.store import BoxIndex
from flocksy.sync.capabilities import Capabilities
from flocksy.sync.operations import DiskOperation
from flocksy.sync.version import Kind
from tests.boxes.bench import Bench, finish
from tests.boxes.disks import Died, Dying, DyingAndFolding, folding_bench, recover_in_two

NOBODY = 65534


@pytest.fixture
def own_place() -> Iterator[Path]:
    """A directory that `ordinarily` can use; pytest's own are closed to other users."""
    with tempfile.TemporaryDirectory() as name:
        if os.geteuid() == 0:
            os.chown(name, NOBODY, NOBODY)
        yield Path(name)


@pytest.fixture
def quick_place() -> Iterator[Path]:
    """The same in memory, where flushes cost nothing."""
    memory = "/dev/shm" if os.path.isdir("/dev/shm") else None
    with tempfile.TemporaryDirectory(dir=memory) as name:
        if os.geteuid() == 0:
            os.chown(name, NOBODY, NOBODY)
        yield Path(name)


def ordinarily(do: Callable[[], None]) -> None:
    """Run `do` in a child without privileges; what fails there fails here."""
    pid = os.fork()
    if pid == 0:
        try:
            if os.geteuid() == 0:
                os.setgroups([])
                os.setgid(NOBODY)
                os.setuid(NOBODY)
            do()
            os._exit(0)
        except BaseException:  # noqa: BLE001  # the child has no other way to say it
            traceback.print_exc()
        finally:
            os._exit(1)
    assert os.waitpid(pid, 0)[1] == 0, "see the traceback above"


@pytest.mark.parametrize("poor", [False, True])
def test_read_only_directories_follow_the_flock(own_place: Path, poor: bool) -> None:
    """Also where a rename is a link and its removal, of which the second is denied at first."""

    def do() -> None:
        bench = Bench(own_place)
        if poor:
            bench.disk._exchange = bench.disk._noreplace = False
        bench.apply(
            bench.make_directory("d", 0o555), bench.put("d/f", b"1"), bench.put("d/g", b"1")
        )
        report = bench.apply(bench.put("d/f", b"2"), bench.remove("d/g"), bench.put("d/new", b"3"))
        assert [outcome.result for outcome in report.outcomes] == [Result.DONE] * 3
        assert bench.paths() == {"d", "d/f", "d/new"}
        assert len(bench.kept()) == 2
        assert os.stat(bench.root / "d").st_mode & 0o777 == 0o555

    ordinarily(do)


def test_files_that_nobody_may_read(own_place: Path) -> None:
    def do() -> None:
        bench = Bench(own_place)
        bench.apply(bench.put("f", b"1", mode=0o000))
        assert os.stat(bench.root / "f").st_mode & 0o777 == 0
        report = bench.apply(bench.set_metadata("f", 0o644, 9))
        assert [outcome.result for outcome in report.outcomes] == [Result.DONE]
        assert bench.read("f") == b"1"
        assert os.stat(bench.root / "f").st_mtime_ns == 9
        bench.apply(bench.set_metadata("f", 0o000, 9))
        report = bench.apply(bench.put("f", b"2"))
        assert [outcome.result for outcome in report.outcomes] == [Result.DONE]
        assert bench.read("f") == b"2"

    ordinarily(do)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can make what belongs to somebody else")
def test_what_belongs_to_others_is_a_problem_until_it_is_ours(own_place: Path) -> None:
    foreign = own_place / "box" / "theirs"
    foreign.mkdir(parents=True)
    (foreign / "f").write_bytes(b"theirs")
    os.chown(own_place / "box", NOBODY, NOBODY)

    def apply(expected: list[Result], text: bytes) -> None:
        bench = Bench(own_place)
        found = bench.disk.stat("theirs/f")
        assert found is not None
        bench.index.set_local("theirs/f", found.entry(b"r" * 32))
        report = bench.apply(
            bench.put("theirs/new", text),
            bench.set_metadata("theirs/f", 0o600),
            bench.put("mine", text),
        )
        assert [outcome.result for outcome in report.outcomes] == expected
        for outcome in report.outcomes:
            assert ("permi" in outcome.problem) == (outcome.result is Result.PROBLEM)
        report = bench.apply(bench.put("theirs/f", text))
        assert [outcome.result for outcome in report.outcomes] == expected[:1]
        assert bench.read("theirs/f") == (text if expected[0] is Result.DONE else b"theirs")
        bench.close()

    ordinarily(lambda: apply([Result.PROBLEM, Result.PROBLEM, Result.DONE], b"2"))
    for path in (foreign, foreign / "f"):
        os.chown(path, NOBODY, NOBODY)
    ordinarily(lambda: apply([Result.DONE] * 3, b"3"))


CLOSED = (0o000, 0o300, 0o311)


def test_a_directory_that_its_own_batch_closes_comes_with_what_is_in_it(own_place: Path) -> None:
    def do() -> None:
        bench = Bench(own_place)
        for mode in CLOSED:
            name = f"d{mode:o}"
            report = bench.apply(
                bench.make_directory(name, mode),
                bench.put(f"{name}/f", b"1"),
                bench.put_link(f"{name}/link", "f"),
                bench.make_directory(f"{name}/e", mode),
                bench.put(f"{name}/e/f", b"1"),
            )
            assert [outcome.result for outcome in report.outcomes] == [Result.DONE] * 5
            assert not report.rescan
            assert os.stat(bench.root / name).st_mode & 0o777 == mode
            bench.apply(bench.set_metadata(name, 0o755))
            report = bench.apply(
                bench.put(f"{name}/f", b"2"),
                bench.remove(f"{name}/link"),
                bench.set_metadata(name, mode),
            )
            assert [outcome.result for outcome in report.outcomes] == [Result.DONE] * 3
            assert os.stat(bench.root / name).st_mode & 0o777 == mode
            bench.apply(bench.set_metadata(name, 0o755))
            assert bench.read(f"{name}/f") == b"2"
            bench.apply(bench.set_metadata(f"{name}/e", 0o755))
            assert bench.read(f"{name}/e/f") == b"1"
        assert not bench.index.journal.open_rows()
        bench.close()

    ordinarily(do)


def closed_bench(place: Path, mode: int) -> tuple[Bench, str]:
    """A box with a closed directory that holds some things, and its name."""
    name = f"d{mode:o}"
    (place / name).mkdir()
    bench = Bench(place / name)
    things = (
        *(bench.put(f"{name}/{one}", b"1") for one in ("f", "g", "source")),
        bench.put_link(f"{name}/link", "f"),
        bench.make_directory(f"{name}/e"),
        bench.put(f"{name}/e/f", b"1"),
    )
    assert all_done(bench.apply(bench.make_directory(name, mode), *things))
    return bench, name


def all_done(report: Report) -> bool:
    return not [one for one in report.outcomes if one.result is not Result.DONE]


def test_what_is_in_a_closed_directory_follows_the_flock(own_place: Path) -> None:
    def do() -> None:
        for mode in CLOSED:
            bench, name = closed_bench(own_place, mode)
            report = bench.apply(
                bench.put(f"{name}/f", b"2"),
                bench.put(f"{name}/new", b"2"),
                bench.put_link(f"{name}/link", "g"),
                bench.set_metadata(f"{name}/g", 0o600),
                bench.make_directory(f"{name}/e", 0o700),
                bench.put(f"{name}/renamed", b"1", source=f"{name}/source", mtime_ns=5),
                bench.put("other", b"1", source=f"{name}/source"),
                bench.remove(f"{name}/source"),
            )
            assert all_done(report), report
            assert report.rescan == (f"{name}/renamed",), "dated where people see it"
            assert os.stat(bench.root / name).st_mode & 0o777 == mode
            bench.disk.set_metadata(name, 0o700, None)
            assert bench.paths() == {"other", name} | {
                f"{name}/{one}" for one in ("f", "g", "new", "link", "e", "e/f", "renamed")
            }
            assert bench.read(f"{name}/f") == bench.read(f"{name}/new") == b"2"
            assert os.readlink(bench.root / name / "link") == "g"
            assert os.stat(bench.root / name / "renamed").st_mtime_ns == 5
            assert os.stat(bench.root / name / "e").st_mode & 0o777 == 0o700
            bench.close()

    ordinarily(do)


def test_a_closed_directory_on_a_disk_that_folds_case(own_place: Path) -> None:
    def do() -> None:
        for mode in (*CLOSED, 0o555):
            name = f"d{mode:o}"
            (own_place / name).mkdir()
            bench, disk = folding_bench(own_place / name)
            bench.apply(
                bench.make_directory(name),
                bench.put(f"{name}/f", b"1"),
                bench.make_directory(f"{name}/e"),
                bench.put(f"{name}/e/f", b"1"),
            )
            assert all_done(bench.apply(bench.set_metadata(name, mode)))
            report = bench.apply(
                bench.put(f"{name}/f", b"2"),
                bench.make_directory(f"{name}/E"),
                bench.put(f"{name}/E/f", b"1", source=f"{name}/e/f"),
                bench.remove(f"{name}/e/f"),
                bench.remove(f"{name}/e"),
            )
            assert all_done(report), report
            assert os.stat(bench.root / name).st_mode & 0o777 == mode
            other = name.upper()
            report = bench.apply(*to_another_case(bench, name, other, mode))
            assert all_done(report), report
            assert os.stat(bench.root / other).st_mode & 0o777 == mode
            disk.set_metadata(other, 0o700, None)
            inside = {f"{other}/f", f"{other}/E", f"{other}/E/f"}
            assert bench.paths() == {other, *inside}
            assert bench.read(f"{other}/f") == b"2"
            bench.close()

    ordinarily(do)


def to_another_case(bench: Bench, old: str, new: str, mode: int) -> list[DiskOperation]:
    return [
        bench.make_directory(new, mode),
        bench.make_directory(f"{new}/E"),
        bench.put(f"{new}/f", b"2", source=f"{old}/f"),
        bench.put(f"{new}/E/f", b"1", source=f"{old}/E/f"),
        *(bench.remove(f"{old}/{path}") for path in ("f", "E/f", "E")),
        bench.remove(old),
    ]


@pytest.mark.parametrize(("mode", "wanted"), [(0o555, 0o555), (0o555, 0o755)])
def test_death_while_a_closed_directory_gets_another_case(
    quick_place: Path, mode: int, wanted: int
) -> None:
    """It has one of its names with its mode, or what was in it is in the history."""

    def do() -> None:
        for calls in range(100):
            (quick_place / str(calls)).mkdir()
            disk = DyingAndFolding(str(_made(quick_place / str(calls))))
            bench = Bench(quick_place / str(calls), disk, Capabilities(case_folding=True))
            files = [bench.put(path, b"2" if path == "d/f" else b"1") for path in ("d/f", "d/E/f")]
            bench.apply(bench.make_directory("d", mode), bench.make_directory("d/E"), *files)
            batch = to_another_case(bench, "d", "D", wanted)
            disk.calls_left = calls
            with suppress(Died):
                assert all_done(bench.apply(*batch))
                assert calls > 10
                return
            disk.calls_left = 4 + calls % 7
            with suppress(Died):
                finish(bench.applier.recover())
            disk.calls_left = None
            finish(bench.applier.recover())
            assert not bench.index.journal.open_rows()
            found, known = disk.stat("D"), bench.index.local("D")
            listed = {name for name, _ in disk.scan("")}
            if known is not None:
                assert "D" in listed, f"{calls}: what has not got its name is not done"
                assert found is not None and found.mode == known.mode == wanted, calls
            elif found is not None:
                assert found.mode == mode, calls
            if found is not None:
                disk.set_metadata("D", 0o700, None)
            files_there = {bench.read(p) for p in bench.paths() if (bench.root / p).is_file()}
            assert files_there | set(bench.kept().values()) == {b"1", b"2"}, calls
            if "d" in listed:
                assert len(files_there) == 2 and not bench.kept(), calls
                assert bench.index.local("d/f") is not None, calls
            bench.close()
        raise AssertionError("there is no end to it")

    ordinarily(do)


def test_a_closed_directory_goes_with_what_is_in_it(own_place: Path) -> None:
    def do() -> None:
        for mode in CLOSED:
            bench, name = closed_bench(own_place, mode)
            inside = ("f", "g", "source", "link", "e/f", "e")
            report = bench.apply(
                *(bench.remove(f"{name}/{one}") for one in inside), bench.remove(name)
            )
            assert all_done(report), report
            assert bench.paths() == set()
            bench.close()

    ordinarily(do)


def test_what_has_gone_from_a_closed_directory_is_looked_for(own_place: Path) -> None:
    """With what it was in, too: it is no problem of the disk's."""

    def do() -> None:
        for mode in CLOSED:
            bench, name = closed_bench(own_place, mode)
            os.chmod(bench.root / name, 0o700)
            shutil.rmtree(bench.root / name / "e")
            os.chmod(bench.root / name, mode)
            report = bench.apply(bench.put(f"{name}/e/f", b"2"))
            assert [one.result for one in report.outcomes] == [Result.CHANGED]
            assert report.rescan == (f"{name}/e/f",)
            bench.close()

    ordinarily(do)


class Moving(RealDisk):
    """Somebody moves the directory away in the instant in which an exchange in it is done."""

    def exchange(self, temporary: str, path: str) -> None:
        super().exchange(temporary, path)
        folder = os.path.join(self.root, path.rpartition("/")[0])
        os.rename(folder, f"{folder} moved")


def test_what_was_done_in_a_directory_that_is_moved_before_it_is_closed_again(
    own_place: Path,
) -> None:
    def do() -> None:
        (own_place / "box").mkdir()
        bench = Bench(own_place, Moving(str(own_place / "box")))
        bench.apply(
            bench.make_directory("d", 0o555), bench.put("d/f", b"1"), bench.put("source", b"2")
        )
        bench.apply(bench.put("d/f", b"2", source="source"), bench.remove("source"))
        assert bench.read("d moved/f") == b"2"
        assert b"1" in bench.kept().values(), "what it has replaced"
        assert bench.rows().keys() == bench.kept().keys()
        assert not bench.temporaries()
        bench.close()

    ordinarily(do)


def test_a_directory_that_its_own_batch_closed_is_recovered(own_place: Path) -> None:
    def do() -> None:
        for mode in CLOSED:
            name = f"d{mode:o}"
            done = 0
            for calls in range(100):
                place = own_place / f"{mode:o}.{calls}"
                place.mkdir()
                bench = Bench(place, Dying(str(_made(place))))
                bench.apply(bench.put("a", b"1"), bench.put("b", b"1"))
                assert isinstance(bench.disk, Dying)
                bench.disk.calls_left = calls
                batch = (
                    bench.make_directory(name, mode),
                    bench.put(f"{name}/f", b"1"),
                    bench.put(f"{name}/a", b"1", source="a"),
                    bench.remove("a"),
                )
                try:
                    bench.apply(*batch)
                    done = calls
                except Died:
                    pass
                bench.disk.calls_left = None
                finish(bench.applier.recover())
                assert not bench.index.journal.open_rows()
                made = bench.disk.stat(name)
                assert made is not None or not done
                assert made is None or made.mode == mode, calls
                bench.close()
                if done:
                    break
            assert done

    ordinarily(do)


class Fatal(IndexJournal):
    """Who has opened it has so many calls left."""

    def __init__(self, index: BoxIndex, disk: Dying, calls: int) -> None:
        super().__init__(index)
        self._disk = disk
        self._calls = calls

    def open(self, entries: Sequence[JournalEntry]) -> None:
        super().open(entries)
        self._disk.calls_left = self._calls


@pytest.mark.parametrize("removed", [False, True])
@pytest.mark.parametrize(
    ("mode", "folding"), [(0o555, False), (0o400, False), (0o000, False), (0o300, True)]
)
def test_death_while_a_closed_directory_is_open_for_an_instant(
    own_place: Path, mode: int, folding: bool, removed: bool
) -> None:
    """It gets back the mode that it is known to have: nobody has changed it. Also where it was open
    for the look before anything is done, which on a disk that folds case is one at its names."""

    def do() -> None:
        for calls in range(300):
            (own_place / str(calls)).mkdir()
            kind = DyingAndFolding if folding else Dying
            disk = kind(str(_made(own_place / str(calls))))
            bench = Bench(own_place / str(calls), disk, Capabilities(case_folding=folding))
            folders = bench.make_directory("d", mode), bench.make_directory("d/e", mode)
            bench.apply(*folders, *(bench.put(path, b"1") for path in ("d/f", "d/g", "d/e/f")))
            if removed:  # and a file takes the place
                batch = [bench.remove(path) for path in ("d/e/f", "d/e", "d/f", "d/g", "d")]
                batch.append(replace(bench.put("d", b"2"), expected=None))
            else:
                batch = [bench.put("d/f", b"2"), bench.put("d/e/f", b"2"), bench.remove("d/g")]
            disk.calls_left = calls
            with suppress(Died):
                bench.apply(*batch)
                assert calls > 10
                return
            recover_in_two(bench, disk, calls)
            assert _modes_of_folders(bench) <= {mode}, calls
            nothing_is_lost(bench, "d/f", "d/g", "d/e/f")
            bench.close()
        raise AssertionError("there is no end to it")

    ordinarily(do)


class Counting(IndexJournal):
    """Counts how often a batch was opened: each time is a flush."""

    count = 0

    def open(self, entries: Sequence[JournalEntry]) -> None:
        super().open(entries)
        self.count += 1


def test_a_look_is_journalled_once_and_only_where_a_directory_is_opened_for_it(
    own_place: Path,
) -> None:
    def do() -> None:
        bench = Bench(own_place)
        bench.applier._journal = journal = Counting(bench.index)
        for mode, count in ((0o755, 1), (0o555, 1), (0o600, 2), (0o000, 2)):
            name = f"d{mode:o}"
            bench.apply(bench.make_directory(name, mode), bench.put(f"{name}/f", b"1"))
            journal.count = 0
            batch = bench.put(f"{name}/f", b"2"), bench.put(f"{name}/g", b"2")
            assert all_done(bench.apply(*batch))
            assert journal.count == count, name
            assert not bench.index.journal.open_rows()
            report = bench.apply(replace(bench.put(f"{name}/f", b"3"), expected=None))
            assert [one.result for one in report.outcomes] == [Result.CHANGED]
            assert not bench.index.journal.open_rows(), "also where nothing is left to be done"
        bench.close()

    ordinarily(do)


def nothing_is_lost(bench: Bench, *paths: str) -> None:
    """Files that held "1", and got "2" or went: whole, and the old one is there or in the history.
    Opens all directories."""
    for folder, folders, _ in os.walk(bench.root):
        for name in folders:
            os.chmod(Path(folder, name), 0o700)
    rows, kept = bench.rows(), bench.kept()
    assert rows.keys() == kept.keys()
    for path in paths:
        there = bench.read(path) if (bench.root / path).is_file() else None
        assert there in (b"1", b"2", None), path
        olds = [data for name, data in kept.items() if rows[name] == path]
        assert there == b"1" or b"1" in olds, path


def _modes_of_folders(bench: Bench) -> set[int]:
    modes = set()
    for path in ("d", "d/e"):
        found = insist(bench.disk, path, partial(bench.disk.stat, path), None)
        if found is not None and found.kind is Kind.DIRECTORY:
            modes.add(found.mode)
    return modes


def test_a_directory_that_somebody_has_opened_stays_open(own_place: Path) -> None:
    """Where the mode is another one than an instant needs, and where no batch was cut."""

    def do() -> None:
        disk = Dying(str(_made(own_place)))
        bench = Bench(own_place, disk)
        for name in ("d", "e"):
            bench.apply(bench.make_directory(name, 0o555), bench.put(f"{name}/f", b"1"))
        bench.applier._journal = Fatal(bench.index, disk, 0)
        with suppress(Died):
            bench.apply(bench.put("d/f", b"2"))
        assert bench.index.journal.open_rows()
        disk.calls_left = None
        os.chmod(bench.root / "d", 0o775)
        os.chmod(bench.root / "e", 0o755)
        finish(bench.applier.recover())
        assert os.stat(bench.root / "d").st_mode & 0o777 == 0o775
        assert os.stat(bench.root / "e").st_mode & 0o777 == 0o755

    ordinarily(do)


def _made(place: Path) -> Path:
    (place / "box").mkdir()
    return place / "box"


class Closing(RealDisk):
    """Refuses to close "d" again when it is `sick`."""

    sick = 0

    def set_metadata(
        self, path: str, mode: int | None, mtime_ns: int | None, inode: int | None = None
    ) -> Stat:
        if self.sick and path == "d" and mode is not None and mode & 0o700 != 0o700:
            raise OSError(self.sick, os.strerror(self.sick))
        return super().set_metadata(path, mode, mtime_ns, inode)


@pytest.mark.parametrize("number", [errno.EROFS, errno.EIO])
def test_a_directory_that_cannot_be_closed_again_leaves_the_batch_open(
    own_place: Path, number: int
) -> None:
    """Also where it was opened for a look: forgotten, it would be told to all as it is."""

    def do() -> None:
        disk = Closing(str(_made(own_place)))
        bench = Bench(own_place, disk)
        for mode in (0o000, 0o600, 0o555):
            bench.apply(bench.make_directory("d", mode), bench.put("d/f", b"%o" % mode))
            disk.sick = number
            with pytest.raises(FlocksyError, match="d: "):
                bench.apply(bench.put("d/f", b"2"), bench.put("d/g", b"2"))
            assert bench.index.journal.open_rows()
            with pytest.raises((FlocksyError, OSError)):
                finish(bench.applier.recover())
            disk.sick = 0
            finish(bench.applier.recover())
            assert not bench.index.journal.open_rows()
            assert os.stat(bench.root / "d").st_mode & 0o777 == mode
        bench.close()

    ordinarily(do)


class Listing(IndexJournal):
    """Notes what each journal spoke of."""

    def __init__(self, index: BoxIndex) -> None:
        super().__init__(index)
        self.paths: list[list[str]] = []

    def open(self, entries: Sequence[JournalEntry]) -> None:
        super().open(entries)
        self.paths.append(sorted(entry.path for entry in entries))


def test_only_directories_that_are_closed_are_journalled_for_a_look(own_place: Path) -> None:
    """Whatever is below those would wait for its look, and a mode that somebody gives an open one
    meanwhile would be taken back after a crash."""

    def do() -> None:
        bench = Bench(own_place)
        folders = [("open", 0o755), ("open/d", 0o600), ("open/d/e", 0o755), ("open/w", 0o555)]
        bench.apply(*(bench.make_directory(*one) for one in folders))
        bench.apply(*(bench.put(f"{path}/f", b"1") for path, _ in folders))
        bench.applier._journal = journal = Listing(bench.index)
        batch = [bench.put(f"{path}/f", b"2") for path, _ in folders]
        assert all_done(bench.apply(*batch))
        assert journal.paths == [["open/d", "open/w"], sorted(one.path for one in batch)]
        bench.close()

    ordinarily(do)
