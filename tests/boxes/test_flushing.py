"""What a batch shows at its paths is durable before the index says so."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from flocksy.boxes.apply.applier import Applier
from flocksy.boxes.apply.flushing import flush_places
from flocksy.boxes.apply.journal import Applied, IndexJournal
from flocksy.boxes.apply.placing import Placer
from flocksy.boxes.apply.skipped import Skipped
from flocksy.boxes.disk.filesystem import RealDisk
from flocksy.index.journal import Kept
from tests.boxes.bench import Bench, finish
from tests.boxes.test_permissions import ordinarily, own_place

__all__ = ["own_place"]


class Noting(RealDisk):
    """A disk that notes what is flushed, and with which mode."""

    def __init__(self, root: str) -> None:
        super().__init__(root)
        self.done: list[tuple[str, int]] = []

    def _note(self, path: str) -> None:
        self.done.append((path, os.stat(os.path.join(self.root, path)).st_mode & 0o777))

    def flush_file(self, path: str) -> None:
        super().flush_file(path)
        self._note(path)

    def flush_directory(self, path: str) -> None:
        super().flush_directory(path)
        self._note(path)

    def flush_later(self, path: str) -> Callable[[], None]:
        flush = super().flush_later(path)

        def noting() -> None:
            flush()
            self._note(path)

        return noting

    def flush_all(self) -> bool:
        self.done.append(("all", 0))
        return super().flush_all()


class NotingJournal(IndexJournal):
    """Notes on the same list when the index takes it."""

    done: list[tuple[str, int]]

    def commit(self, applied: Sequence[Applied], kept: Sequence[Kept]) -> None:
        self.done.append(("index", 0))
        super().commit(applied, kept)


def noting(place: Path) -> tuple[Bench, list[tuple[str, int]]]:
    (place / "box").mkdir()
    disk = Noting(str(place / "box"))
    bench = Bench(place, disk)
    journal = NotingJournal(bench.index)
    journal.done = disk.done
    bench.applier = Applier(disk, journal, bench.history, bench, bench.capabilities)
    return bench, disk.done


def test_what_is_only_dressed_is_flushed_by_itself(tmp_path: Path) -> None:
    bench, done = noting(tmp_path)
    bench.apply(bench.make_directory("d"), bench.put("d/f", b"1"))
    done.clear()
    bench.apply(bench.set_metadata("d/f", 0o600), bench.set_metadata("d", 0o700))
    assert done == [("d", 0o700), ("d/f", 0o600), ("index", 0)]
    bench.close()


def test_so_is_a_renamed_file_whose_time_is_another(tmp_path: Path) -> None:
    bench, done = noting(tmp_path)
    bench.apply(bench.put("a", b"1"))
    done.clear()
    renamed = bench.put("b", b"1", source="a", mtime_ns=7)
    bench.apply(renamed, bench.remove("a"))
    assert done[-2:] == [("b", 0o644), ("index", 0)]
    bench.close()


def test_many_are_flushed_at_once(tmp_path: Path) -> None:
    bench, done = noting(tmp_path)
    names = [f"f{number}" for number in range(9)]
    bench.apply(*(bench.put(name, b"1") for name in names))
    done.clear()
    bench.apply(*(bench.set_metadata(name, 0o600) for name in names))
    assert done == [("all", 0), ("index", 0)]
    bench.close()


@pytest.mark.parametrize("path", ["d", "d/f"])
def test_what_its_mode_closes_is_not_opened_to_be_flushed(own_place: Path, path: str) -> None:
    """What is flushed while it is open may be open after a power cut, and is so for everybody
    then."""

    def do() -> None:
        bench, done = noting(own_place)
        bench.apply(bench.make_directory("d"), bench.put("d/f", b"1"))
        done.clear()
        bench.apply(bench.set_metadata(path, 0o000))
        bench.apply(bench.put("d/g", b"2"))
        assert ("all", 0) in done[: done.index(("index", 0))]
        assert not [one for one in done if one[0] == path and one[1] != 0]
        assert os.stat(bench.root / "d").st_mode & 0o777 == (0 if path == "d" else 0o755)
        bench.close()

    ordinarily(do)


def test_what_stands_there_by_now_is_not_ours_to_flush(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    os.mkfifo(bench.root / "fifo")
    (bench.root / "folder").mkdir()
    (bench.root / "file").write_bytes(b"in its place")
    placer = Placer(bench.disk, bench.history, bench.capabilities, Skipped(ignore_symlinks=False))
    placer.dressed |= {"fifo", "folder", "gone", "gone/too", "file/below"}
    placer.touched |= {"away"}
    finish(flush_places(bench.disk, placer))
    bench.close()
