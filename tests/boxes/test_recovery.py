"""The program dies in the middle of a batch: every path shows the old or the new content, the index
knows which, and nothing is lost."""

from __future__ import annotations

import os
import random
import signal
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from flocksy.boxes.apply.history import FOLDER
from flocksy.boxes.apply.placing import INCOMING
from flocksy.boxes.content.scratch import Scratch
from flocksy.boxes.content.staging import Staging
from flocksy.boxes.disk.port import PARKED
from flocksy.sync.content import symlink_root
from flocksy.sync.operations import DiskOperation
from flocksy.sync.version import Kind
from tests.boxes.bench import Bench, finish, root_of
from tests.boxes.disks import Died, Dying, Links, Steps


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
    for path in (bench.root / FOLDER).glob("*/*"):
        assert os.lstat(path).st_nlink == 1
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


@pytest.mark.parametrize("kind", [Dying, Steps, Links])
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
