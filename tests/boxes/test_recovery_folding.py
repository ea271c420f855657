"""Death while a directory gets another case, on a disk that takes both for one name.

Whatever stands in it at that moment is found by either name, so a recovery is easily mistaken in
what was done. Everything that a batch can do to what is in such a directory is in this one.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import pytest

from flocksy.boxes.disk.port import Stat
from flocksy.sync.capabilities import Capabilities
from flocksy.sync.operations import DiskOperation
from tests.boxes.bench import Bench, finish
from tests.boxes.disks import Died, DyingAndFolding, Folding, Links

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
OVER = {b"gone", b"old", b"was", b"sf"}
STEP = 7
"""Every so many calls of the disk one death: all of them take minutes, and the ways differ."""


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


def made_bench(
    place: Path, kind: type[Kind], capabilities: Capabilities = FOLDING
) -> tuple[Bench, Kind]:
    (place / "box").mkdir(parents=True)
    disk = kind(str(place / "box"))
    return Bench(place, disk, capabilities), disk


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


def deaths(
    place: Path,
    kind: type[Kind],
    before: Callable[[Bench], list[DiskOperation]],
    batch: Callable[[Bench], list[DiskOperation]],
    calls: range = range(100),
) -> Iterator[tuple[int, bool, Bench, Kind]]:
    """The box after so many calls of its disk, and whether the batch was cut off by that; the last
    one is after the whole batch, and has seen some."""
    for count in calls:
        bench, disk = made_bench(place / str(count), kind)
        bench.apply(*before(bench))
        died = die(bench, disk, count, batch(bench))
        yield count, died, bench, disk
        bench.close()
        if not died:
            assert count > 5
            return
    raise AssertionError("there is no end to it")


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

    def before(bench: Bench) -> list[DiskOperation]:
        return [
            *(bench.make_directory(path) for path in sorted(FOLDERS[0])),
            *(bench.put(path, data) for path, data in BEFORE.items()),
        ]

    every = range((again or 0) % STEP, 400, STEP)
    for calls, died, bench, disk in deaths(tmp_path, kind, before, another_case, every):
        if died:
            disk.calls_left = again
            with suppress(Died):
                finish(bench.applier.recover())
            disk.calls_left = None
            finish(bench.applier.recover())
        check_is_whole(bench, calls, links=links)
        assert died or bench.paths() == FOLDERS[1] | AFTER.keys()


def test_a_name_that_is_another_one_to_the_disk_goes(tmp_path: Path) -> None:
    def batch(bench: Bench) -> list[DiskOperation]:
        return [
            bench.make_directory("D"),
            bench.put("D/ß", b"1", source="d/ss"),
            bench.remove("d/ss"),
            bench.remove("d"),
        ]

    def before(bench: Bench) -> list[DiskOperation]:
        return [bench.make_directory("d"), bench.put("d/ss", b"1")]

    for calls, died, bench, _ in deaths(tmp_path, Lowering, before, batch):
        if died:
            finish(bench.applier.recover())
        assert bench.paths() == {"D", "D/ß"} or (died and bench.paths() == {"d", "d/ss"}), calls


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
    for calls, died, bench, _ in deaths(
        tmp_path,
        DyingAndFolding,
        lambda bench: [bench.put("f", b"1")],
        lambda bench: [bench.remove("f"), bench.put("k", b"2")],
    ):
        if died:
            somebody(bench)
            theirs = (bench.root / "F").exists()
            finish(bench.applier.recover())
            assert (bench.root / "F").exists() == theirs, calls


def test_an_edit_of_what_was_to_make_way_stays(tmp_path: Path) -> None:
    """One of two files gets the other's name, in another case; that one is on its way."""

    def batch(bench: Bench) -> list[DiskOperation]:
        return [
            bench.put("C", b"1", source="b"),
            bench.put("N", b"22", source="c"),
            bench.remove("b"),
            bench.remove("c"),
        ]

    def before(bench: Bench) -> list[DiskOperation]:
        return [bench.put("b", b"1"), bench.put("c", b"22")]

    for calls, died, bench, _ in deaths(tmp_path, DyingAndFolding, before, batch):
        if died and "c" in bench.paths():
            (bench.root / "c").write_bytes(b"theirs")
            finish(bench.applier.recover())
            assert b"theirs" in {bench.read(path) for path in bench.paths()}, calls
        assert died or bench.paths() == {"C", "N"}


def test_no_file_has_two_names_where_somebody_respells_its_directory(tmp_path: Path) -> None:
    for calls, died, bench, _ in deaths(
        tmp_path,
        DyingAndFolding,
        lambda bench: [bench.make_directory("d"), bench.put("d/f", b"1")],
        lambda bench: [bench.put("g", b"1", source="d/f"), bench.remove("d/f")],
    ):
        if died:
            os.rename(bench.root / "d", bench.root / "D")
            finish(bench.applier.recover())
        files = [bench.root / path for path in bench.paths() if (bench.root / path).is_file()]
        assert files and all(file.stat().st_nlink == 1 for file in files), calls


def test_an_edit_under_the_new_case_keeps_it(tmp_path: Path) -> None:
    for calls, died, bench, _ in deaths(
        tmp_path,
        DyingAndFolding,
        lambda bench: [bench.put("x", b"1")],
        lambda bench: [bench.put("X", b"1", source="x"), bench.remove("x")],
    ):
        if died and "X" in bench.paths():
            (bench.root / "X").write_bytes(b"theirs")
            finish(bench.applier.recover())
            assert bench.paths() == {"X"} and bench.read("X") == b"theirs", calls


def test_a_directory_that_the_power_took_comes_once_more(tmp_path: Path) -> None:
    """And the file that made way for it has not been deleted by anybody."""

    def batch(bench: Bench) -> list[DiskOperation]:
        return [bench.remove("x"), replace(bench.make_directory("x"), expected=None)]

    for calls, died, bench, _ in deaths(
        tmp_path, DyingAndFolding, lambda bench: [bench.put("x", b"1")], batch
    ):
        if not died:
            continue
        for temporary in (bench.root / ".flocksy" / "incoming").iterdir():
            if temporary.is_dir() and not any(temporary.iterdir()):
                temporary.rmdir()
        finish(bench.applier.recover())
        if not (bench.root / "x").exists():
            assert bench.index.local("x") is None and bench.index.synced("x") is None, calls


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
