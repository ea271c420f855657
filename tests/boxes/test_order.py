"""The order of a batch, which is what a power cut is survived by: contents are durable before the
journal, the journal before the first rename, the names before the index learns of them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from flocksy.boxes.apply.applier import Applier
from flocksy.boxes.apply.journal import Applied, IndexJournal, JournalEntry
from flocksy.boxes.disk.filesystem import RealDisk
from flocksy.boxes.disk.port import PRIVATE, Stat
from flocksy.index.journal import Kept
from flocksy.sync.operations import DiskOperation
from tests.boxes.bench import Bench, finish

Call = tuple[str, ...]


class Logged(RealDisk):
    """Writes down what is done, in order."""

    def __init__(self, root: str) -> None:
        super().__init__(root)
        self.log: list[Call] = []

    def set_metadata(
        self, path: str, mode: int | None, mtime_ns: int | None, inode: int | None = None
    ) -> Stat:
        self.log.append(("dress", path))
        return super().set_metadata(path, mode, mtime_ns, inode)

    def move(self, source: str, target: str) -> None:
        self.log.append(("rename", source, target))
        super().move(source, target)

    def exchange(self, temporary: str, path: str) -> None:
        self.log.append(("rename", temporary, path))
        super().exchange(temporary, path)

    def remove_directory(self, path: str) -> None:
        self.log.append(("remove", path))
        super().remove_directory(path)

    def flush_file(self, path: str) -> None:
        super().flush_file(path)
        self.log.append(("flush", path))

    def flush_directory(self, path: str) -> None:
        super().flush_directory(path)
        self.log.append(("flush", path))

    def flush_all(self) -> bool:
        self.log.append(("flush all",))
        return super().flush_all()


class LoggedJournal(IndexJournal):
    log: list[Call]

    def open(self, entries: Sequence[JournalEntry]) -> None:
        super().open(entries)
        self.log.append(("open",))

    def commit(self, applied: Sequence[Applied], kept: Sequence[Kept]) -> None:
        self.log.append(("commit",))
        super().commit(applied, kept)


@pytest.fixture
def logged(tmp_path: Path) -> Iterator[tuple[Bench, Logged]]:
    (tmp_path / "box").mkdir()
    disk = Logged(str(tmp_path / "box"))
    bench = Bench(tmp_path, disk)
    journal = LoggedJournal(bench.index)
    journal.log = disk.log
    bench.applier = Applier(disk, journal, bench.history, bench, bench.capabilities)
    yield bench, disk
    bench.close()


def in_box(path: str) -> bool:
    return not path.startswith(PRIVATE)


def check_order(log: list[Call], contents: set[str]) -> None:
    opened, committed = log.index(("open",)), log.index(("commit",))
    flushed = log[:opened]
    for name in contents:
        dressed = log.index(("dress", name))
        assert ("flush", name) in flushed[dressed:] or ("flush all",) in flushed[dressed:]
    moved = [
        index
        for index, call in enumerate(log)
        if call[0] in ("rename", "remove") and any(in_box(path) for path in call[1:])
    ]
    assert opened < min(moved), "no path of the box before the journal"
    assert max(moved) < committed
    names_durable = log[max(moved) : committed]
    for index in moved:
        for path in log[index][1:]:
            folder = path.rpartition("/")[0]
            # Temporaries may come back: nobody looks for them there.
            if in_box(path) or "history" in path:
                assert ("flush", folder) in names_durable or ("flush all",) in names_durable, folder


@pytest.mark.parametrize("many", [3, 40], ids=["one by one", "all at once"])
def test_every_batch_is_done_in_the_order_that_power_cuts_ask_for(
    logged: tuple[Bench, Logged], many: int
) -> None:
    bench, disk = logged
    folders = [f"d{number}" for number in range(many // 3)]
    first: list[DiskOperation] = [bench.make_directory(folder) for folder in folders]
    first += [
        bench.put(f"{folders[number % len(folders)]}/f{number}", b"old") for number in range(many)
    ]
    bench.apply(*first)
    check_order(disk.log, set(bench.names.values()))
    paths = [operation.path for operation in first[len(folders) :]]
    disk.log.clear()
    bench.names.clear()
    second: list[DiskOperation] = [bench.put(path, b"new") for path in paths[1:-1]]
    second += [bench.put("renamed", b"old", source=paths[0]), bench.remove(paths[0])]
    second += [bench.remove(paths[-1])]
    bench.apply(*second)
    check_order(disk.log, set(bench.names.values()))
    assert len(bench.paths()) == many + len(folders) - 1


def test_thousands_of_files_are_not_thousands_of_flushes(logged: tuple[Bench, Logged]) -> None:
    bench, disk = logged
    bench.apply(*(bench.put(f"f{number}", b"1") for number in range(1000)))
    flushes = [call for call in disk.log if call[0].startswith("flush")]
    assert len(flushes) <= 4


def test_the_rehearsal_costs_the_same_calls(logged: tuple[Bench, Logged]) -> None:
    bench, disk = logged
    operations = [bench.put(f"f{number}", b"1") for number in range(20)]
    bench.apply(*operations)
    applied = [call[0] for call in disk.log]
    disk.log.clear()
    names = [bench.stage(f"g{number}", b"1") for number in range(20)]
    finish(bench.applier.rehearse(names))
    assert [call[0] for call in disk.log] == applied
