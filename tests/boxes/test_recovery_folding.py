"""Death while a directory gets another case, on a disk that takes both for one name.

Whatever stands in it at that moment is found by either name, so a recovery is easily mistaken in
what was done. Everything that a batch can do to what is in such a directory is in this one.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import pytest

from flocksy.boxes.disk.port import Stat
from flocksy.sync.capabilities import Capabilities
from flocksy.sync.operations import DiskOperation
from tests.boxes.bench import Bench, finish
from tests.boxes.disks import Died, Dying, Folding, Links

FOLDING = Capabilities(case_folding=True)
BEFORE = {
    "d/f": b"f",
    "d/x": b"x",
    "d/gone": b"gone",
    "d/old": b"old",
    "d/same": b"was",
    "d/still": b"still",
    "d/a": b"a",
    "d/b": b"b",
    "d/e/f": b"ef",
    "d/s/f": b"sf",
}
AFTER = {
    "D/g": b"f",
    "D/X": b"x",
    "D/OLD": b"new",
    "D/same": b"is",
    "D/still": b"still",
    "D/a": b"b",
    "D/b": b"a",
    "D/E/f": b"ef",
    "D/new": b"n",
    "D/t/t": b"t",
}
SOURCES = {
    "D/g": "d/f",
    "D/X": "d/x",
    "D/still": "d/still",
    "D/a": "d/b",
    "D/b": "d/a",
    "D/E/f": "d/e/f",
}
FOLDERS = {"d", "d/e", "d/s"}, {"D", "D/E", "D/t"}
STEP = 7
"""Every so many calls of the disk one death: all of them take minutes, and the ways differ."""

OVER = {b"gone", b"old", b"was", b"sf"}


class DyingAndFolding(Folding, Dying):
    """Both."""


class WithoutLinks(DyingAndFolding):
    """As memory sticks are."""

    def link(self, _source: str, _target: str) -> bool:
        return False


class InTwoSteps(Folding, Links):
    """As a disk that renames over everything: a move is a link, and a removal."""


class Lowering(DyingAndFolding):
    """One that knows fewer letters than we: "ss" and "ß" are two names to it."""

    fold = staticmethod(str.lower)


Kind = DyingAndFolding | InTwoSteps


def another_case(bench: Bench) -> list[DiskOperation]:
    return [
        *(bench.make_directory(path) for path in sorted(FOLDERS[1])),
        *(bench.put(path, data, source=SOURCES.get(path)) for path, data in AFTER.items()),
        *(bench.remove(path) for path in sorted(BEFORE)),
        *(bench.remove(path) for path in sorted(FOLDERS[0], reverse=True)),
    ]


def made_bench(place: Path, kind: type[Kind]) -> tuple[Bench, Kind]:
    (place / "box").mkdir(parents=True)
    disk = kind(str(place / "box"))
    return Bench(place, disk, FOLDING), disk


def die(bench: Bench, disk: Kind, calls: int, batch: Sequence[DiskOperation]) -> bool:
    """Whether the batch did not get to its end in so many calls of the disk."""
    disk.calls_left = calls
    try:
        bench.apply(*batch)
    except Died:
        return True
    finally:
        disk.calls_left = None
    return False


def check_is_whole(bench: Bench, about: object, *, links: bool) -> None:
    """It is as it was or as it was to be, the index says the same, and no file has two names."""
    paths = bench.paths()
    files = {path: bench.read(path) for path in paths if (bench.root / path).is_file()}
    was = FOLDERS[0] | BEFORE.keys(), BEFORE
    shall = FOLDERS[1] | AFTER.keys(), AFTER
    assert (paths, files) in (was, shall), about
    known = {path for path in was[0] | shall[0] if bench.index.local(path) is not None}
    assert known == paths, about
    assert all((bench.root / path).stat().st_nlink == 1 for path in files), about
    kept = sorted(bench.kept().values())
    gone = set() if files == BEFORE else OVER
    assert gone <= set(kept) <= gone | set(BEFORE.values()), about
    assert len(kept) == len(set(kept)) and (kept == sorted(gone) or not links), about


@pytest.mark.parametrize(
    ("kind", "again"),
    [
        (DyingAndFolding, None),
        (DyingAndFolding, 5),
        (DyingAndFolding, 20),
        (WithoutLinks, None),
        (WithoutLinks, 11),
        (InTwoSteps, None),
        (InTwoSteps, 7),
    ],
)
def test_death_at_any_call_leaves_one_case_or_the_other(
    tmp_path: Path, kind: type[Kind], again: int | None
) -> None:
    links = kind is not WithoutLinks
    for calls in range((again or 0) % STEP, 400, STEP):
        bench, disk = made_bench(tmp_path / str(calls), kind)
        bench.apply(
            *(bench.make_directory(path) for path in sorted(FOLDERS[0])),
            *(bench.put(path, data) for path, data in BEFORE.items()),
        )
        if not die(bench, disk, calls, another_case(bench)):
            check_is_whole(bench, calls, links=links)
            assert calls > 30 and bench.paths() == FOLDERS[1] | AFTER.keys()
            return
        disk.calls_left = again
        with suppress(Died):
            finish(bench.applier.recover())
        disk.calls_left = None
        finish(bench.applier.recover())
        check_is_whole(bench, calls, links=links)
        bench.close()
    raise AssertionError("there is no end to it")


def test_a_name_that_is_another_one_to_the_disk_goes(tmp_path: Path) -> None:
    for calls in range(100):
        bench, disk = made_bench(tmp_path / str(calls), Lowering)
        bench.apply(bench.make_directory("d"), bench.put("d/ss", b"1"))
        batch: list[DiskOperation] = [
            bench.make_directory("D"),
            bench.put("D/ß", b"1", source="d/ss"),
            bench.remove("d/ss"),
            bench.remove("d"),
        ]
        if not die(bench, disk, calls, batch):
            assert calls > 10 and bench.paths() == {"D", "D/ß"}
            return
        finish(bench.applier.recover())
        assert bench.paths() in ({"d", "d/ss"}, {"D", "D/ß"}), calls
        bench.close()
    raise AssertionError("there is no end to it")


def rename(bench: Bench) -> None:
    if (bench.root / "f").exists():
        os.rename(bench.root / "f", bench.root / "F")


def make_another(bench: Bench) -> None:
    if (bench.root / "f").exists():
        (bench.root / "f").unlink()
        (bench.root / "F").write_bytes(b"theirs")


@pytest.mark.parametrize("somebody", [rename, make_another])
def test_what_somebody_calls_by_another_case_since_the_crash_stays(
    tmp_path: Path, somebody: Callable[[Bench], None]
) -> None:
    for calls in range(100):
        bench, disk = made_bench(tmp_path / str(calls), DyingAndFolding)
        bench.apply(bench.put("f", b"1"))
        if not die(bench, disk, calls, [bench.remove("f"), bench.put("k", b"2")]):
            assert calls > 5
            return
        somebody(bench)
        theirs = (bench.root / "F").exists()
        finish(bench.applier.recover())
        assert (bench.root / "F").exists() == theirs, calls
        bench.close()
    raise AssertionError("there is no end to it")


def test_an_edit_of_what_was_to_make_way_stays(tmp_path: Path) -> None:
    """One of two files gets the other's name, in another case; that one is on its way."""
    for calls in range(100):
        bench, disk = made_bench(tmp_path / str(calls), DyingAndFolding)
        bench.apply(bench.put("b", b"1"), bench.put("c", b"22"))
        batch: list[DiskOperation] = [
            bench.put("C", b"1", source="b"),
            bench.put("N", b"22", source="c"),
            bench.remove("b"),
            bench.remove("c"),
        ]
        if not die(bench, disk, calls, batch):
            assert calls > 10 and bench.paths() == {"C", "N"}
            return
        is_there = "c" in bench.paths()
        if is_there:
            (bench.root / "c").write_bytes(b"theirs")
        finish(bench.applier.recover())
        if is_there:
            assert b"theirs" in {bench.read(path) for path in bench.paths()}, calls
        bench.close()
    raise AssertionError("there is no end to it")


def test_no_file_has_two_names_where_somebody_respells_its_directory(tmp_path: Path) -> None:
    for calls in range(100):
        bench, disk = made_bench(tmp_path / str(calls), DyingAndFolding)
        bench.apply(bench.make_directory("d"), bench.put("d/f", b"1"))
        batch: list[DiskOperation] = [bench.put("g", b"1", source="d/f"), bench.remove("d/f")]
        if not die(bench, disk, calls, batch):
            assert calls > 5
            return
        os.rename(bench.root / "d", bench.root / "D")
        finish(bench.applier.recover())
        files = [bench.root / path for path in bench.paths() if (bench.root / path).is_file()]
        assert files and all(file.stat().st_nlink == 1 for file in files), calls
        bench.close()
    raise AssertionError("there is no end to it")


def test_an_edit_under_the_new_case_keeps_it(tmp_path: Path) -> None:
    for calls in range(100):
        bench, disk = made_bench(tmp_path / str(calls), DyingAndFolding)
        bench.apply(bench.put("x", b"1"))
        batch: list[DiskOperation] = [bench.put("X", b"1", source="x"), bench.remove("x")]
        if not die(bench, disk, calls, batch):
            assert calls > 5
            return
        is_there = (bench.root / "X").exists()
        if is_there:
            (bench.root / "X").write_bytes(b"theirs")
        finish(bench.applier.recover())
        if is_there:
            assert bench.paths() == {"X"} and bench.read("X") == b"theirs", calls
        bench.close()
    raise AssertionError("there is no end to it")


def test_a_directory_that_the_power_took_comes_once_more(tmp_path: Path) -> None:
    """And the file that made way for it has not been deleted by anybody."""
    for calls in range(60):
        bench, disk = made_bench(tmp_path / str(calls), DyingAndFolding)
        bench.apply(bench.put("x", b"1"))
        folder_comes = replace(bench.make_directory("x"), expected=None)
        if not die(bench, disk, calls, [bench.remove("x"), folder_comes]):
            assert calls > 10
            return
        for temporary in (bench.root / ".flocksy" / "incoming").iterdir():
            if temporary.is_dir() and not any(temporary.iterdir()):
                temporary.rmdir()
        finish(bench.applier.recover())
        if not (bench.root / "x").exists():
            assert bench.index.local("x") is None and bench.index.synced("x") is None, calls
        bench.close()
    raise AssertionError("there is no end to it")


class Counting(Folding):
    """Counts the listings, and dies at the first rename where it is to."""

    scans = 0
    dies = False

    def scan(self, path: str) -> list[tuple[str, Stat]]:
        self.scans += 1
        return super().scan(path)

    def move(self, source: str, target: str) -> None:
        if self.dies:
            raise Died
        super().move(source, target)


def test_no_directory_is_listed_for_every_file_in_it(tmp_path: Path) -> None:
    (tmp_path / "box").mkdir()
    disk = Counting(str(tmp_path / "box"))
    bench = Bench(tmp_path, disk, FOLDING)
    files = [bench.put(f"f{number}", b"1") for number in range(100)]
    disk.dies = True
    with pytest.raises(Died):
        bench.apply(*files)
    disk.dies, disk.scans = False, 0
    finish(bench.applier.recover())
    assert len(bench.paths()) == 100 and disk.scans < 10
