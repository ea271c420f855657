"""The program dies in the middle of a batch: every path shows the old or the new content, the index
knows which, and nothing is lost."""

from __future__ import annotations

import errno
import os
import random
import signal
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from flocksy.boxes.apply.applier import Applier
from flocksy.boxes.apply.history import FOLDER
from flocksy.boxes.apply.journal import Applied, IndexJournal
from flocksy.boxes.apply.placing import INCOMING
from flocksy.boxes.content.scratch import Scratch
from flocksy.boxes.content.staging import Staging
from flocksy.boxes.disk.filesystem import RealDisk
from flocksy.boxes.disk.port import PARKED, Stat
from flocksy.index.journal import Kept
from flocksy.sync.capabilities import Capabilities
from flocksy.sync.content import symlink_root
from flocksy.sync.operations import DiskOperation, synced_after
from flocksy.sync.version import Kind
from tests.boxes.bench import MTIME_NS, Bench, finish, root_of
from tests.boxes.test_applier import Folding


class Died(BaseException):
    """Passes through everything, as a kill does."""


class Dying(RealDisk):
    """A disk whose program dies at the n-th call that changes something (None: never)."""

    calls_left: int | None = None

    def _step(self) -> None:
        if self.calls_left is not None:
            if self.calls_left == 0:
                raise Died
            self.calls_left -= 1

    def link(self, source: str, target: str) -> bool:
        self._step()
        return super().link(source, target)

    def make_directory(self, path: str, mode: int) -> None:
        self._step()
        super().make_directory(path, mode)

    def make_symlink(self, path: str, text: str) -> None:
        self._step()
        super().make_symlink(path, text)

    def set_metadata(
        self, path: str, mode: int | None, mtime_ns: int | None, inode: int | None = None
    ) -> Stat:
        self._step()
        if mode is not None and mtime_ns is not None:
            super().set_metadata(path, mode, None, inode)
            self._step()
        return super().set_metadata(path, mode, mtime_ns, inode)

    def move(self, source: str, target: str) -> None:
        self._step()
        super().move(source, target)
        self._step()

    def exchange(self, temporary: str, path: str) -> None:
        self._step()
        super().exchange(temporary, path)
        self._step()

    def remove_file(self, path: str) -> None:
        self._step()
        super().remove_file(path)

    def remove_directory(self, path: str) -> None:
        self._step()
        super().remove_directory(path)

    def flush_directory(self, path: str) -> None:
        self._step()
        super().flush_directory(path)


class Steps(Dying):
    """The same on a file system that cannot exchange in one step."""

    def __init__(self, root: str) -> None:
        super().__init__(root)
        self._exchange = False


def check(bench: Bench, ever: set[bytes]) -> None:
    """After a recovery: the index says of every path what the disk shows, and every content that
    was in the box is in the box or in the history."""
    there = set()
    for path in bench.paths():
        found = bench.disk.stat(path)
        assert found is not None
        entry = bench.index.local(path)
        assert entry is not None, f"{path} is there and the index does not know"
        synced = bench.index.synced(path)
        assert synced is not None and synced.disk == entry
        assert found.kind is entry.kind
        if found.kind is Kind.FILE:
            assert root_of(bench.read(path)) == entry.root, f"{path} is neither old nor new"
            assert os.stat(bench.root / path).st_nlink == 1
            there.add(entry.root)
        elif found.kind is Kind.SYMLINK:
            assert symlink_root(bench.disk.read_link(path).encode()) == entry.root
            there.add(entry.root)
    for path in bench.index.known_paths(None, 10_000):
        entry = bench.index.local(path)
        assert entry is None or path in bench.paths(), f"{path} is gone and the index has it"
    kept = bench.kept()
    assert set(bench.rows()) == set(kept), "a row for each thing kept"
    lost = ever - there - {root_of(data) for data in kept.values()}
    assert not lost
    assert not bench.index.journal.open_rows()
    assert not [name for name in bench.temporaries() if name.startswith("apply-")]


def a_bit_of_everything(bench: Bench) -> list[DiskOperation]:
    return [
        bench.make_directory("new dir", 0o555),
        bench.make_directory("file to dir"),
        bench.put("new dir/new", b"n"),
        bench.put("file to dir/below", b"below"),
        bench.put("replaced", b"replaced, new"),
        bench.put_link("file to link", "text"),
        bench.put("new dir/renamed", b"to rename", source="to rename", mtime_ns=7),
        bench.put("dir to file", b"was a directory"),
        bench.set_metadata("dressed", 0o600, 1),
        bench.remove("to rename"),
        bench.remove("gone dir/gone"),
        bench.remove("gone dir"),
    ]


def prepare(bench: Bench) -> set[bytes]:
    files = ("replaced", "file to dir", "file to link", "to rename", "dressed", "gone dir/gone")
    bench.apply(
        bench.make_directory("gone dir"),
        bench.make_directory("dir to file"),
        *(bench.put(path, path.rpartition("/")[2].encode()) for path in files),
    )
    return {bench.local(path).root for path in files}


@pytest.fixture
def quick_place() -> Iterator[Path]:
    """A directory in memory where there is such a thing: a flush costs nothing there, and what a
    flush is good for is not what dying processes show."""
    memory = "/dev/shm"
    with tempfile.TemporaryDirectory(dir=memory if os.path.isdir(memory) else None) as place:
        yield Path(place)


@pytest.mark.parametrize("kind", [Dying, Steps])
def test_death_at_every_single_step(quick_place: Path, kind: type[Dying]) -> None:
    for calls in range(1000):
        place = quick_place / str(calls)
        (place / "box").mkdir(parents=True)
        disk = kind(str(place / "box"))
        bench = Bench(place, disk)
        ever = prepare(bench)
        operations = a_bit_of_everything(bench)
        disk.calls_left = calls
        try:
            bench.apply(*operations)
            died = False
        except Died:
            died = True
        disk.calls_left = None
        bench.index.close()
        again = Bench(place, disk)
        # The recovery may die as well.
        disk.calls_left = 4 + calls % 9  # four make the folders
        try:
            finish(again.applier.recover())
        except Died:
            disk.calls_left = None
            again.index.close()
            again = Bench(place, disk)
        disk.calls_left = None
        finish(again.applier.recover())
        check(again, ever)
        # What was not done is planned again and works.
        again.names, again.count = {}, 1000
        for operation in a_bit_of_everything_left(again):
            again.apply(operation)
        check(again, ever)
        again.close()
        if not died:
            assert calls > 50
            return
    raise AssertionError("there is no end to it")


def a_bit_of_everything_left(bench: Bench) -> Iterator[DiskOperation]:
    """Something simple that would stumble over leftovers."""
    yield bench.put("replaced", b"replaced, later")
    yield bench.put("new dir 2", b"1")


def test_an_edit_made_after_the_crash_is_left_to_the_scan(tmp_path: Path) -> None:
    for calls in range(0, 60, 3):
        place = tmp_path / str(calls)
        (place / "box").mkdir(parents=True)
        disk = Dying(str(place / "box"))
        bench = Bench(place, disk)
        bench.apply(bench.put("a", b"old"), bench.put("b", b"old b"), bench.put("c", b"old c"))
        operations = bench.put("a", b"new"), bench.set_metadata("b", 0o600, 9), bench.remove("c")
        disk.calls_left = calls
        try:
            bench.apply(*operations)
        except Died:
            pass
        else:
            return
        finally:
            disk.calls_left = None
        for name in ("a", "b", "c"):
            (bench.root / name).write_bytes(b"edit of " + name.encode())
        bench.index.close()
        again = Bench(place, disk)
        report = finish(again.applier.recover())
        assert [again.read(name) for name in "abc"] == [b"edit of a", b"edit of b", b"edit of c"]
        for name in again.rows().values():
            assert name in ("a", "c")
        assert all(again.index.journal.contains(name) is False for name in "abc")
        assert set(report.rescan) <= {"a", "b", "c"}
        again.close()
    raise AssertionError("there is no end to it")


KILLS = 30


def test_killed_at_random_instants(tmp_path: Path) -> None:
    """A process of its own applies random batches to one box until it is killed, again and
    again. The seed of a failing run is in the message."""
    seed = random.randrange(1 << 32)
    chance = random.Random(seed)
    (tmp_path / "box").mkdir()
    log = tmp_path / "contents"
    for kill in range(KILLS):
        reading, writing = os.pipe()
        pid = os.fork()
        if pid == 0:
            try:
                apply_for_ever(tmp_path, random.Random(seed + kill), log, writing)
            finally:
                os._exit(1)
        os.close(writing)
        for batches in range(chance.randrange(1, 5)):
            assert os.read(reading, 1) == b"!", f"seed {seed}, run {kill}: ended after {batches}"
        time.sleep(chance.uniform(0.0, 0.03))  # into the middle of the next one
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
        os.close(reading)
        bench = Bench(tmp_path)
        finish(bench.applier.recover())
        # The line of a batch is written when it is applied; the last may be cut off.
        lines = log.read_text().split("\n")[:-1] if log.exists() else []
        try:
            check(bench, {bytes.fromhex(root) for line in lines for root in line.split()})
        except AssertionError as error:
            raise AssertionError(f"seed {seed}, run {kill}") from error
        finally:
            bench.close()
    assert len(lines) > KILLS


def apply_for_ever(place: Path, chance: random.Random, log: Path, done: int) -> None:
    """The process that gets killed. It says when it has done a batch."""
    bench = Bench(place)
    with open(log, "a", encoding="ascii", buffering=1) as contents:
        contents.write("\n")  # ends a line that was cut off
        while True:
            operations = random_batch(bench, chance)
            bench.apply(*operations)
            roots = [bench.local(path).root.hex() for path in bench.paths() if path != "d"]
            contents.write(" ".join(root for root in roots if root) + "\n")
            os.write(done, b"!")


def random_batch(bench: Bench, chance: random.Random) -> list[DiskOperation]:
    files = sorted(path for path in bench.paths() if path != "d")
    operations: list[DiskOperation] = []
    if bench.index.local("d") is None:
        operations.append(bench.make_directory("d"))
    chance.shuffle(files)
    for number in range(chance.randrange(1, 8)):
        name = chance.choice(("", "d/")) + f"f{chance.randrange(12)}"
        if any(operation.path == name for operation in operations):
            continue
        data = chance.randbytes(chance.choice((0, 10, 5000, 300_000))) + number.to_bytes(1, "big")
        operations.append(bench.put(name, data))
    for path in files:
        if any(operation.path == path for operation in operations):
            continue
        entry = bench.local(path)
        draw = chance.random()
        if draw < 0.2:
            operations.append(bench.remove(path))
        elif draw < 0.4:
            operations.append(bench.set_metadata(path, chance.choice((0o600, 0o644)), entry.size))
        elif draw < 0.6:
            target = f"r{chance.randrange(1 << 30)}"
            operations.append(bench.put(target, bench.read(path), source=path))
            operations.append(bench.remove(path))
    return operations


@pytest.mark.parametrize("newcomer", [False, True])
def test_an_exchange_cut_in_its_middle(tmp_path: Path, newcomer: bool) -> None:
    """What was parked goes back to its path, or to the history when somebody's stands there."""
    (tmp_path / "box").mkdir()
    disk = Steps(str(tmp_path / "box"))
    bench = Bench(tmp_path, disk)
    bench.apply(bench.put("f", b"old"))
    operation = bench.put("f", b"new")
    work = bench.applier.apply([operation])
    temporary = bench.names["f", root_of(b"new")]
    move = disk.move

    def cut(source: str, target: str) -> None:
        if source == temporary:
            raise Died
        move(source, target)

    disk.move = cut  # type: ignore[method-assign]  # dies between two calls inside one method
    with pytest.raises(Died):
        # What would put it back is cut off as well.
        finish(work)
    disk.move = move  # type: ignore[method-assign]  # as above
    assert not (bench.root / "f").exists()
    if newcomer:
        (bench.root / "f").write_bytes(b"somebody's")
    Staging(bench.disk, bench.index.contents).sweep()
    finish(bench.applier.recover())
    assert bench.read("f") == (b"somebody's" if newcomer else b"old")
    assert list(bench.kept().values()) == ([b"old"] if newcomer else [])
    assert bench.rows() == dict.fromkeys(bench.kept(), "f")
    assert not [name for name in bench.temporaries() if name.endswith(PARKED)]
    bench.close()


def test_death_while_a_directory_is_taken_back_that_is_empty_no_longer(tmp_path: Path) -> None:
    (tmp_path / "box").mkdir()
    disk = Dying(str(tmp_path / "box"))
    bench = Bench(tmp_path, disk)
    bench.apply(bench.put("f", b"old"))
    exchange, done = disk.exchange, 0

    def exchanged(temporary: str, path: str) -> None:
        nonlocal done
        if done == 0:
            bench.edit(path, b"an edit")
        exchange(temporary, path)
        done += 1
        if done == 1:
            (bench.root / path / "x").write_bytes(b"put in")
        else:
            raise Died

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(disk, "exchange", exchanged)
        with pytest.raises(Died):
            bench.apply(bench.make_directory("f"))
    finish(bench.applier.recover())
    assert bench.read("f") == b"an edit"
    assert list(bench.kept().values()) == [b"put in"]
    assert bench.rows() == dict.fromkeys(bench.kept(), "f/x")
    assert not bench.temporaries()
    bench.close()


def test_a_new_name_overwritten_during_the_recovery(tmp_path: Path) -> None:
    """The old name of a renamed file is then the last of it."""
    (tmp_path / "box").mkdir()
    disk = Dying(str(tmp_path / "box"))
    bench = Bench(tmp_path, disk)
    bench.apply(bench.put("old name", b"content"))
    operations = [
        bench.put("new name", b"content", source="old name", mtime_ns=7),
        bench.remove("old name"),
    ]
    with pytest.MonkeyPatch.context() as patch:

        def die(_: str) -> None:
            raise Died

        patch.setattr(disk, "remove_file", die)
        with pytest.raises(Died):
            finish(bench.applier.apply(operations))
    assert not (bench.root / "old name").exists()
    dress = disk.set_metadata

    def overwritten(
        path: str, mode: int | None, mtime_ns: int | None, inode: int | None = None
    ) -> Stat:
        if path == "new name":
            (tmp_path / "saved").write_bytes(b"somebody's")
            os.replace(tmp_path / "saved", bench.root / path)
        return dress(path, mode, mtime_ns, inode)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(disk, "set_metadata", overwritten)
        finish(bench.applier.recover())
    assert bench.read("new name") == b"somebody's"
    assert list(bench.kept().values()) == [b"content"]
    assert bench.rows() == dict.fromkeys(bench.kept(), "old name")
    bench.close()


@pytest.mark.parametrize("kind", [Kind.FILE, Kind.SYMLINK])
@pytest.mark.parametrize("old", ["removed", "replaced", "there"])
def test_a_renamed_file_that_the_power_takes_back_to_no_name(
    tmp_path: Path, kind: Kind, old: str
) -> None:
    """Somebody saw it at its new name and removed the old one; the cut took the new one, and that
    is somebody's by now."""
    (tmp_path / "box").mkdir()
    disk = Dying(str(tmp_path / "box"))
    bench = Bench(tmp_path, disk)
    if kind is Kind.FILE:
        bench.apply(bench.put("old name", b"content"))
        put = bench.put("new name", b"content", source="old name", mtime_ns=7)
    else:
        bench.apply(bench.put_link("old name", "content"))
        put = bench.put_link("new name", "content")
    with pytest.MonkeyPatch.context() as patch:
        move = disk.move

        def cut(source: str, target: str) -> None:
            if source == "old name":
                raise Died
            move(source, target)
            if target == "new name":
                move(target, source)

        patch.setattr(disk, "move", cut)
        with pytest.raises(Died):
            finish(bench.applier.apply([put, bench.remove("old name")]))
    if old != "there":
        (bench.root / "old name").unlink()
    if old == "replaced":
        (bench.root / "old name").write_bytes(b"somebody's")
    (bench.root / "new name").write_bytes(b"somebody's")
    finish(bench.applier.recover())
    assert bench.read("new name") == b"somebody's"
    assert list(bench.kept().values()) == ([b"content"] if old != "there" else [])
    assert bench.rows() == dict.fromkeys(bench.kept(), "new name")
    assert not bench.temporaries()
    bench.close()


def test_what_was_parked_is_never_swept(tmp_path: Path) -> None:
    (tmp_path / "box").mkdir()
    bench = Bench(tmp_path)
    for prefix in ("in-", "own-", "apply-"):
        (bench.root / INCOMING / f"{prefix}1{PARKED}").write_bytes(b"somebody's")
        (bench.root / INCOMING / f"{prefix}1").write_bytes(b"ours")
    Staging(bench.disk, bench.index.contents).sweep()
    Scratch(bench.disk, bench.index.contents)
    finish(bench.applier.recover())
    assert bench.temporaries() == [f"{name}-1{PARKED}" for name in ("apply", "in", "own")]
    bench.close()


@pytest.mark.parametrize("change", ["nothing", "edited"])
def test_the_power_takes_the_days_directory_in_the_history(tmp_path: Path, change: str) -> None:
    """It was made before the batch was journalled, and would have been flushed with it."""
    (tmp_path / "box").mkdir()
    disk = Dying(str(tmp_path / "box"))
    bench = Bench(tmp_path, disk)
    bench.apply(bench.put("replaced", b"old"), bench.put("renamed", b"content"))
    operations = [
        bench.put("replaced", b"new"),
        bench.put("new name", b"content", source="renamed"),
        bench.remove("renamed"),
    ]

    move = disk.move

    def die(source: str, target: str) -> None:
        if target.startswith(FOLDER):
            raise Died
        move(source, target)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(disk, "move", die)
        with pytest.raises(Died):
            bench.apply(*operations)
    (day,) = (bench.root / FOLDER).iterdir()
    day.rmdir()
    if change == "edited":
        bench.edit("replaced", b"mine")
    bench.index.close()
    again = Bench(tmp_path, disk)
    finish(again.applier.recover())
    assert again.read("replaced") == (b"mine" if change == "edited" else b"new")
    assert list(again.kept().values()) == [b"old"]
    assert again.rows() == dict.fromkeys(again.kept(), "replaced")
    assert again.paths() == {"replaced", "new name"}, "the second half of the rename is done"
    again.close()


def test_an_edit_that_a_removal_took_away_and_whose_folder_is_gone(tmp_path: Path) -> None:
    (tmp_path / "box").mkdir()
    disk = Dying(str(tmp_path / "box"))
    bench = Bench(tmp_path, disk)
    bench.apply(bench.make_directory("d"), bench.put("d/f", b"old"))
    operation = bench.remove("d/f")
    move = disk.move

    def take(source: str, target: str) -> None:
        bench.edit("d/f", b"an edit")
        move(source, target)
        raise Died

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(disk, "move", take)
        with pytest.raises(Died):
            bench.apply(operation)
    (bench.root / "d").rmdir()
    bench.index.close()
    again = Bench(tmp_path, disk)
    report = finish(again.applier.recover())
    assert report.rescan == ("d/f",)
    assert list(again.kept().values()) == [b"an edit"]
    assert again.rows() == dict.fromkeys(again.kept(), "d/f")
    again.close()


class Forgetful(IndexJournal):
    """The end of a batch is not in the index: who wanted to write it down died, or the power went
    before the index was flushed again."""

    def commit(self, applied: Sequence[Applied], kept: Sequence[Kept]) -> None:
        pass


@pytest.mark.parametrize("change", ["deleted", "edited", "of another kind", "as it was before"])
def test_what_a_batch_brought_and_somebody_changed_since(tmp_path: Path, change: str) -> None:
    """It is what the batch brought that was changed. What stood there before may be shown elsewhere
    by now, and nobody has deleted or replaced it."""
    bench = Bench(tmp_path)
    paths = ("file", "link", "file to folder", "link to folder", "gone")
    bench.apply(*(bench.put(path, b"old " + path.encode()) for path in paths if "link" not in path))
    bench.apply(*(bench.put_link(path, f"old {path}") for path in paths if "link" in path))
    old = {path: bench.local(path).root for path in paths}
    operations = [
        bench.put("file", b"new file"),
        bench.put_link("link", "new link"),
        bench.make_directory("file to folder"),
        bench.make_directory("link to folder"),
        bench.remove("gone"),
    ]
    journal = Forgetful(bench.index)
    bench.applier = Applier(bench.disk, journal, bench.history, bench, bench.capabilities)
    bench.apply(*operations)
    for path in paths:
        there = bench.root / path
        if there.is_dir():
            there.rmdir()
        else:
            there.unlink(missing_ok=True)
        if change == "of another kind" and path in ("file", "link"):
            there.mkdir()
        elif change == "of another kind":
            os.symlink("mine", there)
        elif change != "deleted":
            there.write_bytes(b"mine" if change == "edited" else b"old " + path.encode())
    bench.close()
    again = Bench(tmp_path)
    report = finish(again.applier.recover())
    for operation in operations:
        path = operation.path
        synced, local = again.index.synced(path), again.index.local(path)
        # Whatever the disk shows is not what it showed to the batch, and is to be looked at.
        assert path in report.rescan or (path, change) == ("gone", "deleted")
        if change == "deleted" and path != "gone":
            assert local is None, path
            assert synced is None, "it counts as never held"
            continue
        after = synced_after(operation, local)
        assert synced is not None
        assert after is not None
        assert synced.heads == after.heads, path
        assert synced.disk == local
        assert (local is None) is (path == "gone")
    assert {row.root for row in again.index.journal.kept(1 << 60, 100)} == set(old.values())
    assert set(again.rows()) == set(again.kept())
    assert not again.index.journal.open_rows()
    again.close()


@pytest.mark.parametrize("above", ["gone", "a file", "a FIFO", "taken"])
def test_what_was_cleared_out_of_the_way_of_what_cannot_come(tmp_path: Path, above: str) -> None:
    """Nobody has deleted it: it counts as never held."""
    (tmp_path / "box").mkdir()
    disk = Dying(str(tmp_path / "box"))
    bench = Bench(tmp_path, disk)
    bench.apply(bench.make_directory("d"), bench.make_directory("d/there"))
    clear = replace(bench.remove("d/there"), synced=None)
    operations = clear, replace(bench.put("d/there", b"new"), expected=None)

    def die(_source: str, target: str) -> None:
        assert target == "d/there"
        raise Died

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(disk, "move", die)
        with pytest.raises(Died):
            bench.apply(*operations)
    assert not list((bench.root / "d").iterdir())
    if above != "taken":
        (bench.root / "d").rmdir()
    if above == "a file":
        (bench.root / "d").write_bytes(b"somebody's")
    elif above == "a FIFO":
        os.mkfifo(bench.root / "d")
    bench.close()
    disk = Dying(str(tmp_path / "box"))
    again = Bench(tmp_path, disk)
    move = disk.move

    def taken(source: str, target: str) -> None:
        if above == "taken":
            (again.root / target).write_bytes(b"somebody's")
        move(source, target)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(disk, "move", taken)
        report = finish(again.applier.recover())
    assert report.rescan == ("d/there",)
    assert again.index.local("d/there") is None
    assert again.index.synced("d/there") is None
    assert not again.index.journal.open_rows()
    assert above != "taken" or again.read("d/there") == b"somebody's"
    again.close()


def test_a_filled_directory_that_cannot_come(tmp_path: Path) -> None:
    """Where only the case of its name changes, what is in it is among the temporaries meanwhile."""
    (tmp_path / "box").mkdir()
    disk = Dying(str(tmp_path / "box"))
    bench = Bench(tmp_path, disk)

    def die(source: str, _target: str) -> None:
        (bench.root / source / "inside").write_bytes(b"here alone")
        raise Died

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(disk, "move", die)
        with pytest.raises(Died):
            bench.apply(bench.make_directory("dir"))
    bench.close()
    disk = Dying(str(tmp_path / "box"))
    again = Bench(tmp_path, disk)
    move = disk.move

    def taken(source: str, target: str) -> None:
        if target == "dir":
            (again.root / target).write_bytes(b"somebody's")
        move(source, target)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(disk, "move", taken)
        finish(again.applier.recover())
    assert again.read("dir") == b"somebody's"
    assert list(again.kept().values()) == [b"here alone"]
    assert not again.temporaries()
    again.close()


def test_what_makes_way_for_what_has_not_come_is_in_the_journal(tmp_path: Path) -> None:
    (tmp_path / "box").mkdir()
    disk = Dying(str(tmp_path / "box"))
    bench = Bench(tmp_path, disk)
    bench.apply(bench.make_directory("d"))
    put = replace(bench.put("d", b"new"), expected=None)
    bench.names.clear()

    def die(_: str) -> None:
        raise Died

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(disk, "flush_directory", die)
        with pytest.raises(Died):
            bench.apply(replace(bench.remove("d"), synced=None), put)
    assert not (bench.root / "d").exists()
    bench.close()
    again = Bench(tmp_path)
    finish(again.applier.recover())
    assert again.index.local("d") is None
    assert again.index.synced("d") is None, "it counts as never held"
    again.close()


@pytest.mark.parametrize("edit", [b"as long", b"of another length"])
@pytest.mark.parametrize("was_done", ["content", "mode"])
def test_a_file_written_into_during_the_recovery(
    tmp_path: Path, was_done: str, edit: bytes
) -> None:
    """It keeps its time, and is not taken for what the batch had brought."""
    (tmp_path / "box").mkdir()
    disk = Dying(str(tmp_path / "box"))
    bench = Bench(tmp_path, disk)
    if was_done == "mode":
        bench.apply(bench.put("f", b"content"))
    journal = Forgetful(bench.index)
    bench.applier = Applier(disk, journal, bench.history, bench, bench.capabilities)
    bench.apply(
        bench.put("f", b"content") if was_done == "content" else bench.set_metadata("f", 0o600)
    )
    bench.close()
    disk = Dying(str(tmp_path / "box"))
    again = Bench(tmp_path, disk)
    dress = disk.set_metadata

    def written_into(
        path: str, mode: int | None, mtime_ns: int | None, inode: int | None = None
    ) -> Stat:
        if path == "f":
            again.edit(path, edit)
        return dress(path, mode, mtime_ns, inode)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(disk, "set_metadata", written_into)
        report = finish(again.applier.recover())
    assert report.rescan == ("f",)
    found, local, synced = disk.stat("f"), again.local("f"), again.index.synced("f")
    assert again.read("f") == edit
    assert found is not None
    assert synced is not None
    assert found.mtime_ns != MTIME_NS
    assert (local.mtime_ns, local.size, local.root) == (MTIME_NS, 7, root_of(b"content"))
    assert synced.disk == local, "so that the scan, which finds another time, finds an edit"
    again.close()


def test_a_recovery_flushes_what_it_takes_for_done(tmp_path: Path) -> None:
    """Who died had flushed nothing, and after the recovery the index says that it is there."""
    (tmp_path / "box").mkdir()
    disk = Dying(str(tmp_path / "box"))
    bench = Bench(tmp_path, disk)
    bench.apply(bench.make_directory("d"), bench.put("d/gone", b"gone"), bench.make_directory("e"))
    operations = bench.put("e/new", b"new"), bench.remove("d/gone")
    flushed: list[str] = []

    def die(_: str) -> None:
        raise Died

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(disk, "flush_directory", die)
        with pytest.raises(Died):
            bench.apply(*operations)
        patch.setattr(disk, "flush_directory", flushed.append)
        bench.index.close()
        again = Bench(tmp_path, disk)
        finish(again.applier.recover())
    assert {"d", "e"} <= set(flushed)
    again.close()


def test_a_file_that_came_over_a_directory_is_edited_before_the_recovery(tmp_path: Path) -> None:
    """The directory has no place in the history to go to."""
    (tmp_path / "box").mkdir()
    disk = Dying(str(tmp_path / "box"))
    bench = Bench(tmp_path, disk)
    bench.apply(bench.make_directory("d"))
    operation = bench.put("d", b"new")
    with pytest.MonkeyPatch.context() as patch:

        def die(_: str) -> None:
            raise Died

        patch.setattr(disk, "remove_directory", die)
        with pytest.raises(Died):
            bench.apply(operation)
    bench.edit("d", b"an edit")
    report = finish(bench.applier.recover())
    assert report.rescan == ("d",)
    assert bench.read("d") == b"an edit"
    synced = bench.index.synced("d")
    assert synced is not None and synced.heads == operation.synced_heads
    assert not bench.kept() and not bench.temporaries()
    bench.close()


def test_death_after_names_got_another_case(tmp_path: Path) -> None:
    """To the disk the old name, which is to go, is the new one."""
    (tmp_path / "box").mkdir()
    disk = Folding(str(tmp_path / "box"))
    bench = Bench(tmp_path, disk, Capabilities(case_folding=True))
    bench.apply(
        bench.put("readme", b"1"), bench.make_directory("Dir"), bench.put("Dir/below", b"2")
    )
    with pytest.MonkeyPatch.context() as patch:

        def die(_: str) -> None:
            raise Died

        patch.setattr(disk, "flush_directory", die)
        with pytest.raises(Died):
            bench.apply(
                bench.make_directory("dir"),
                bench.put("README", b"1", source="readme"),
                bench.put("dir/below", b"2", source="Dir/below"),
                bench.remove("readme"),
                bench.remove("Dir/below"),
                bench.remove("Dir"),
            )
    finish(bench.applier.recover())
    assert bench.paths() == {"README", "dir", "dir/below"}
    known = bench.index.known_paths(None, 10)
    assert {path for path in known if bench.index.local(path)} == bench.paths()
    assert not bench.kept() and not bench.temporaries()
    bench.close()


def test_what_is_not_permitted_hinders_no_recovery(tmp_path: Path) -> None:
    """Files and folders of somebody else are one problem each, also after a crash."""
    (tmp_path / "box").mkdir()
    disk = RealDisk(str(tmp_path / "box"))
    bench = Bench(tmp_path, disk)
    bench.apply(
        *(bench.put(name, name.encode()) for name in ("theirs", "to rename", "replaced")),
        bench.make_directory("folder"),
        bench.put("folder/old", b"folder/old"),
    )
    operations = (
        bench.set_metadata("theirs", 0o600, 1),
        bench.put("folder/new", b"new"),
        bench.put("replaced", b"replacement"),
        bench.put("renamed", b"to rename", source="to rename", mtime_ns=7),
        bench.remove("to rename"),
        bench.put("moved", b"folder/old", source="folder/old"),
        bench.remove("folder/old"),
    )
    set_metadata, move = disk.set_metadata, disk.move

    def no_metadata(
        path: str, mode: int | None, mtime_ns: int | None, inode: int | None = None
    ) -> Stat:
        if path in ("theirs", "renamed"):
            raise PermissionError(errno.EPERM, "not permitted")
        return set_metadata(path, mode, mtime_ns, inode)

    def no_move(source: str, target: str) -> None:
        if "folder/" in source + target or target.endswith("replaced"):
            raise PermissionError(errno.EACCES, "denied")
        move(source, target)

    def die(_: str) -> None:
        raise Died

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(disk, "set_metadata", no_metadata)
        patch.setattr(disk, "move", no_move)
        with pytest.MonkeyPatch.context() as cut:
            cut.setattr(disk, "flush_directory", die)
            with pytest.raises(Died):
                bench.apply(*operations)
        report = finish(bench.applier.recover())
    assert {"theirs", "folder/new", "replaced", "renamed", "folder/old"} <= set(report.rescan)
    files = {path: bench.read(path) for path in bench.paths() - {"folder"}}
    assert files == {
        "theirs": b"theirs",
        "replaced": b"replaced",
        "renamed": b"to rename",
        "moved": b"folder/old",
        "folder/old": b"folder/old",
    }
    assert not bench.kept()
    assert not [name for name in bench.temporaries() if name.startswith("apply-")]
    bench.close()
