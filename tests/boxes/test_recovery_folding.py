"""Death while a directory gets another case, on a disk that takes both for one name.

Whatever stands in it at that moment is found by either name, so a recovery is easily mistaken in
what was done. Everything that a batch can do to what is in such a directory is in this one.
"""

from __future__ import annotations

from collections import Counter
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import pytest

from flocksy.boxes.disk.filesystem import RealDisk
from flocksy.boxes.disk.port import Stat
from flocksy.sync.capabilities import Capabilities
from flocksy.sync.operations import DiskOperation
from tests.boxes.bench import Bench, finish
from tests.boxes.disks import Died, Dying, Folding

FOLDING = Capabilities(case_folding=True)
BEFORE = {"d/f": b"f", "d/x": b"x", "d/gone": b"gone", "d/old": b"old", "d/e/f": b"ef"}
AFTER = {"D/g": b"f", "D/X": b"x", "D/OLD": b"new", "D/E/f": b"ef", "D/new": b"n", "D/s/t": b"t"}
FOLDERS = {"d", "d/e", "d/empty"}, {"D", "D/E", "D/s"}


class DyingAndFolding(Folding, Dying):
    """Both."""


def another_case(bench: Bench) -> list[DiskOperation]:
    sources = {"D/g": "d/f", "D/X": "d/x", "D/E/f": "d/e/f"}
    return [
        *(bench.make_directory(path) for path in sorted(FOLDERS[1])),
        *(bench.put(path, data, source=sources.get(path)) for path, data in AFTER.items()),
        *(bench.remove(path) for path in sorted(BEFORE)),
        *(bench.remove(path) for path in sorted(FOLDERS[0], reverse=True)),
    ]


def filled_bench(place: Path, disk: RealDisk) -> Bench:
    bench = Bench(place, disk, FOLDING)
    bench.apply(
        *(bench.make_directory(path) for path in sorted(FOLDERS[0])),
        *(bench.put(path, data) for path, data in BEFORE.items()),
    )
    return bench


def check_is_whole(bench: Bench, about: object) -> None:
    """It is as it was or as it was to be, the index says the same, and no file has two names."""
    paths = bench.paths()
    files = {path: bench.read(path) for path in paths if (bench.root / path).is_file()}
    was = FOLDERS[0] | BEFORE.keys(), BEFORE
    shall = FOLDERS[1] | AFTER.keys(), AFTER
    assert (paths, files) in (was, shall), about
    known = {path for path in was[0] | shall[0] if bench.index.local(path) is not None}
    assert known == paths, about
    assert all((bench.root / path).stat().st_nlink == 1 for path in files), about
    kept = Counter(bench.kept().values())
    gone = {} if files == BEFORE else {b"gone": 1, b"old": 1}
    assert kept == Counter(gone), about


@pytest.mark.parametrize("again", [None, 3, 9])
def test_death_at_any_call_leaves_one_case_or_the_other(tmp_path: Path, again: int | None) -> None:
    for calls in range(200):
        place = tmp_path / str(calls)
        (place / "box").mkdir(parents=True)
        disk = DyingAndFolding(str(place / "box"))
        bench = filled_bench(place, disk)
        batch = another_case(bench)
        disk.calls_left = calls
        with suppress(Died):
            bench.apply(*batch)
            check_is_whole(bench, calls)
            assert calls > 30 and bench.paths() == FOLDERS[1] | AFTER.keys()
            return
        disk.calls_left = again
        with suppress(Died):
            finish(bench.applier.recover())
        disk.calls_left = None
        finish(bench.applier.recover())
        check_is_whole(bench, calls)
        bench.close()
    raise AssertionError("there is no end to it")


def test_a_directory_that_the_power_took_comes_once_more(tmp_path: Path) -> None:
    """And the file that made way for it has not been deleted by anybody."""
    for calls in range(60):
        place = tmp_path / str(calls)
        (place / "box").mkdir(parents=True)
        disk = DyingAndFolding(str(place / "box"))
        bench = Bench(place, disk, FOLDING)
        bench.apply(bench.put("x", b"1"))
        file_goes, folder_comes = bench.remove("x"), bench.make_directory("x")
        disk.calls_left = calls
        with suppress(Died):
            bench.apply(file_goes, replace(folder_comes, expected=None))
            assert calls > 10
            return
        disk.calls_left = None
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
