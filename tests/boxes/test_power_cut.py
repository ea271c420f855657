"""The power goes at any instant: no half file stands under a real name, nothing is lost, and the
index is right about what is there, or finds out.

Without pytest, through whole flocks: `python -m tests.boxes.test_power_cut --seeds 100`.
"""

from __future__ import annotations

import argparse
import dataclasses
import os
import random
import shutil
import sys
import tempfile
import traceback
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import TypeVar

import pytest

from flocksy.boxes import activation
from flocksy.boxes.apply import applier, flushing
from flocksy.boxes.apply.applier import Applier
from flocksy.boxes.apply.journal import Applied, IndexJournal, JournalEntry
from flocksy.boxes.apply.placing import INCOMING
from flocksy.boxes.apply.probe import probe
from flocksy.boxes.disk.beside import FLUSH_POLL_S
from flocksy.boxes.disk.port import Disk
from flocksy.boxes.past.dismissing import dismiss
from flocksy.index.database import Database
from flocksy.index.journal import Kept
from flocksy.sync.capabilities import Capabilities
from flocksy.sync.content import symlink_root
from flocksy.sync.version import Kind
from tests.boxes.bench import Bench, finish
from tests.boxes.flock_of_boxes import Flock, digest_of, make_spool, spool
from tests.boxes.power_cut import Cut, PowerRecord, RecordedDisk, RestoredDisk, remove
from tests.boxes.test_chaos import Chaos
from tests.boxes.test_recovery import a_bit_of_everything, check, prepare

__all__ = ["spool"]

_Value = TypeVar("_Value")

CUTS_PER_STEP = 3
CUTS_AFTERWARDS = 20
SEEDS = 4
IN_MEMORY = "/dev/shm" if os.path.isdir("/dev/shm") else None
"""Flushes cost nothing there, and no inode number comes twice."""


@pytest.fixture
def place() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(dir=IN_MEMORY) as name:
        yield Path(name)


class RecordedJournal(IndexJournal):
    """Tells the record when the index has changed."""

    record: PowerRecord

    def open(self, entries: Sequence[JournalEntry]) -> None:
        super().open(entries)
        self.record.committed(durable=True)

    def commit(self, applied: Sequence[Applied], kept: Sequence[Kept]) -> None:
        super().commit(applied, kept)
        self.record.committed(durable=False)
        self.record.on_step()


def cuts_of_a_batch(place: Path, chance: random.Random) -> tuple[list[Cut], set[bytes]]:
    """States that cuts in one batch may leave, and the contents there were before it."""
    (place / "box").mkdir()
    disk = RecordedDisk(str(place / "box"))
    bench = Bench(place, disk)
    ever = prepare(bench)
    record = disk.record = PowerRecord(place / "box", place / "index.sqlite", chance)
    operations = a_bit_of_everything(bench)
    journal = RecordedJournal(bench.index)
    journal.record = record
    bench.applier = Applier(disk, journal, bench.history, bench, bench.capabilities)
    cuts: list[Cut] = []
    record.on_step = lambda: cuts.extend(record.cut() for _ in range(CUTS_PER_STEP))
    bench.apply(*operations)
    # The index has learnt of everything, and that alone may be what survives.
    cuts.extend(record.cut() for _ in range(CUTS_AFTERWARDS))
    bench.close()
    return cuts, ever


def says_what_is_shown(bench: Bench) -> None:
    """What the index takes for known of a file is what the disk shows: else the next scan tells the
    flock of a change that nobody has made."""
    for path in bench.paths():
        found, entry = bench.disk.stat(path), bench.index.local(path)
        assert found is not None and entry is not None
        if found.kind is Kind.FILE:
            shows, known = (found.mode, found.mtime_ns), (entry.mode, entry.mtime_ns)
            assert shows == known, f"{path} shows {shows}, and the index has {known}"
        elif found.kind is Kind.DIRECTORY:
            assert found.mode == entry.mode, f"{path} has another mode than the index says"


def survive(place: Path, cut: Cut, ever: set[bytes]) -> None:
    """Start after a cut, and check what is there."""
    place.mkdir()
    cut.restore(place / "box", place / "index.sqlite")
    bench = Bench(place, RestoredDisk(str(place / "box"), cut))
    try:
        finish(bench.applier.recover())
        check(bench, ever)
        says_what_is_shown(bench)
        # What was not done is planned again and works.
        bench.count = 1000
        bench.apply(bench.put("replaced", b"replaced, later"), bench.put("new dir 2", b"1"))
        check(bench, ever)
    finally:
        bench.close()


@pytest.mark.parametrize("singly", [flushing.FLUSH_SINGLY, 1000])
def test_a_cut_after_every_step_of_a_batch(
    place: Path, monkeypatch: pytest.MonkeyPatch, singly: int
) -> None:
    monkeypatch.setattr(flushing, "FLUSH_SINGLY", singly)
    seed = random.randrange(1 << 32)
    cuts, ever = cuts_of_a_batch(place, random.Random(seed))
    assert len(cuts) > 100
    for number, cut in enumerate(cuts):
        try:
            survive(place / str(number), cut, ever)
        except AssertionError as error:
            raise AssertionError(f"seed {seed}, cut {number} of {len(cuts)}: {error}") from error
        shutil.rmtree(place / str(number))


def some_notice(place: Path, cuts: Sequence[Cut], ever: set[bytes]) -> bool:
    """Whether what was broken on purpose shows after one of the cuts."""
    for number, cut in enumerate(cuts):
        try:
            survive(place / str(number), cut, ever)
        except AssertionError:
            return True
    return False


def no_flush(*_: object) -> Generator[float, None, None]:
    """As an applier does that takes the system's word for it."""
    yield from ()


@pytest.mark.parametrize("flush", ["flush_contents", "flush_places"])
def test_the_cuts_notice_a_flush_that_is_missing(
    place: Path, monkeypatch: pytest.MonkeyPatch, flush: str
) -> None:
    with monkeypatch.context() as broken:
        broken.setattr(applier, flush, no_flush)
        cuts, ever = cuts_of_a_batch(place, random.Random(1))
    assert some_notice(place, cuts, ever)


def test_the_cuts_notice_metadata_that_is_not_flushed(
    place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as broken:
        broken.setattr(flushing, "FLUSH_SINGLY", 1000)
        broken.setattr(flushing, "_flush_file", lambda *_: None)
        cuts, ever = cuts_of_a_batch(place, random.Random(1))
    assert some_notice(place, cuts, ever)


def test_the_cuts_notice_a_journal_that_is_not_durable(
    place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    committed = PowerRecord.committed

    def never(self: PowerRecord, *, durable: bool) -> None:
        del durable
        committed(self, durable=False)

    with monkeypatch.context() as broken:
        broken.setattr(PowerRecord, "committed", never)
        cuts, ever = cuts_of_a_batch(place, random.Random(1))
    assert some_notice(place, cuts, ever)


REPLACED = ("replaced", "file to link", "file to dir")
"""Of `a_bit_of_everything`: where the batch puts something in the place of something else."""


def hands_after_a_batch(place: Path, chance: random.Random) -> tuple[list[Cut], Bench]:
    """Somebody goes on working with what the batch has brought, and then the power goes: what they
    did is durable, and the index may have forgotten that the batch was done."""
    (place / "box").mkdir()
    disk = RecordedDisk(str(place / "box"))
    bench = Bench(place, disk)
    prepare(bench)
    record = disk.record = PowerRecord(place / "box", place / "index.sqlite", chance)
    journal = RecordedJournal(bench.index)
    journal.record = record
    bench.applier = Applier(disk, journal, bench.history, bench, bench.capabilities)
    bench.apply(*a_bit_of_everything(bench))
    for path in REPLACED:
        there = bench.root / path
        if there.is_dir():
            shutil.rmtree(there)
        else:
            there.unlink()
        if chance.random() < 0.5:
            there.write_bytes(b"made after the batch")
    record.hands()
    return [record.cut() for _ in range(CUTS_AFTERWARDS)], bench


def test_what_is_done_after_a_batch_is_done_to_what_it_brought(place: Path) -> None:
    seed = random.randrange(1 << 32)
    cuts, bench = hands_after_a_batch(place, random.Random(seed))
    brought = {path: bench.index.synced(path) for path in REPLACED}
    bench.close()
    for number, cut in enumerate(cuts):
        (place / str(number)).mkdir()
        cut.restore(place / str(number) / "box", place / str(number) / "index.sqlite")
        again = Bench(place / str(number), RestoredDisk(str(place / str(number) / "box"), cut))
        finish(again.applier.recover())
        for path, before in brought.items():
            synced = again.index.synced(path)
            where = f"seed {seed}, cut {number}: {path}"
            assert before is not None
            if (again.root / path).exists():
                assert synced is not None, where
                assert synced.heads == before.heads, where
            else:
                # Or the index knows all of it, and the scan is to find that it went.
                assert synced is None or synced.heads == before.heads, where
        again.close()


# -- whole flocks ----------------------------------------------------------------------------------


class PoweredFlock(Flock):
    """A flock whose first node may lose its power."""

    def __init__(self, root: Path, spool: Path, seed: int) -> None:
        self.chance = random.Random(seed)
        self.record: PowerRecord | None = None
        self.cuts = 0
        super().__init__(root, spool, seed=seed)
        self.plug_in()

    @property
    def index_path(self) -> Path:
        return self.root / "state0" / "box.sqlite"

    def plug_in(self) -> None:
        """Record from now on. What was there before is durable."""
        self.record = PowerRecord(self.path(0), self.index_path, self.chance)
        disk = self.box(0).disk
        assert isinstance(disk, RecordedDisk)
        disk.record = self.record

    def settle_equal(self) -> None:
        """What nobody has, a hand took away before anybody else had it, and the index has forgotten
        that: it is missed until a person says that nobody has it."""
        self.settle()
        for node in self.up:
            box = self.box(node.lane)
            if box.planning.missing.below(""):
                dismiss(box, "", away=0, denied=(), anyway=True)
                self.settle()
        super().settle_equal()

    def is_on_its_way(self, digest: str) -> bool:
        """Whether somebody still has what the cut took from its place: a rename that was not
        flushed is undone, and the content is among the temporaries, or a link's text in the index;
        or among those of another node, where it is about to be shown.
        """
        lanes = [node.lane for node in self.up]
        if digest.startswith("-> "):
            root = symlink_root(digest.removeprefix("-> ").encode())
            return any(self.box(lane).index.contents.blob(root) is not None for lane in lanes)
        folders = [self.path(lane, INCOMING) for lane in lanes]
        return any(digest in map(digest_of, folder.iterdir()) for folder in folders)

    def cut_power(self) -> None:
        """The first node's machine goes dark, and comes back with what its disk has kept."""
        assert self.record is not None
        self.cuts += 1
        cut = self.record.cut()
        self.record = None
        self.kill(0)
        remove(self.path(0), self.index_path)
        cut.restore(self.path(0), self.index_path)
        self.restart(0)
        self.plug_in()


@contextmanager
def recording(patch: Callable[[object, str, object], None]) -> Iterator[None]:
    """Disks that can be recorded, indexes that tell, flushes that take their turns."""
    patch(activation, "RealDisk", RecordedDisk)
    patch(activation, "probe", without_inodes)
    patch(flushing, "in_thread", in_turn)
    patch(Database, "transaction", telling)
    yield


def without_inodes(disk: Disk, *, attributes: bool) -> Capabilities:
    """What is restored after a cut has other inode numbers, as on exFAT."""
    return dataclasses.replace(probe(disk, attributes=attributes), stable_inodes=False)


flocks: list[PoweredFlock] = []
_transaction = Database.transaction


def telling(self: Database, *, durable: bool = False) -> AbstractContextManager[None]:
    """`Database.transaction`, which tells the record of the index that it is in."""
    inner = _transaction(self, durable=durable)
    return inner if self._inside else told(self, inner, durable)


@contextmanager
def told(database: Database, inner: AbstractContextManager[None], durable: bool) -> Iterator[None]:
    with inner:
        yield
    for flock in flocks:
        (_, _, path) = database._connection.execute("PRAGMA database_list").fetchone()
        if flock.record is not None and Path(path) == flock.index_path:
            flock.record.committed(durable=durable)


def in_turn(do: Callable[[], _Value]) -> Generator[float, None, _Value]:
    """As `in_thread`, in this thread: nobody else may change what a record is looking at. How long
    it takes is drawn, so that hands and cuts come in between whatever else the machine has to do.
    """
    for _ in range(flocks[-1].chance.randrange(3) if flocks else 0):
        yield FLUSH_POLL_S
    return do()


class CutChaos(Chaos):
    """Random hands, and now and then no power at the first node."""

    flock: PoweredFlock

    def change(self, lane: int) -> None:
        super().change(lane)
        if lane == 0 and self.flock.record is not None:
            self.flock.record.hands()

    def stop_or_start(self) -> None:
        before = self.flock.contents()
        self.note("power cut")
        self.flock.cut_power()
        self.nothing_lost({one for one in before if not self.flock.is_on_its_way(one)})

    def rounds(self, count: int) -> None:
        super().rounds(count)
        if self.draw.random() < 0.3:
            self.stop_or_start()


def run(root: Path, spool: Path, seed: int) -> int:
    """One seed; returns how often the power went."""
    with PoweredFlock(root, spool, seed) as flock:
        flocks.append(flock)
        chaos = CutChaos(flock, seed)
        try:
            chaos.run()
        except Exception as error:
            story = "\n  ".join([f"seed {seed}", *chaos.script])
            raise AssertionError(f"{error}\n  {story}") from error
        finally:
            flocks.remove(flock)
        return flock.cuts


@pytest.mark.parametrize("seed", range(SEEDS))
def test_a_flock_in_which_the_power_goes(
    place: Path, spool: Path, seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    with recording(monkeypatch.setattr):
        run(place, spool, seed)


def main() -> int:
    """Run many seeds, and say which ones fail."""
    parser = argparse.ArgumentParser(description="flocks in which the power goes, seed by seed")
    parser.add_argument("--seeds", type=int, default=100)
    parser.add_argument("--first", type=int, default=0)
    options = parser.parse_args()
    failed = cuts = 0
    with tempfile.TemporaryDirectory() as folder, recording(setattr):
        spool = make_spool(Path(folder, "spool"))
        for seed in range(options.first, options.first + options.seeds):
            with tempfile.TemporaryDirectory(dir=IN_MEMORY) as root:
                try:
                    cuts += run(Path(root), spool, seed)
                except Exception:  # noqa: BLE001 - whatever it is, the other seeds are still to run
                    failed += 1
                    traceback.print_exc(file=sys.stdout)
                    print(f"seed {seed} failed", flush=True)
    print(f"{failed} of {options.seeds} seeds failed; {cuts} power cuts")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
