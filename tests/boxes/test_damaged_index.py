"""An index that is damaged, however and whenever it shows: set aside, made anew, nothing lost and
nothing deleted. And one of a newer flocksy, which is not damaged."""

from __future__ import annotations

import random
import sqlite3
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from flocksy.boxes.activation import MODE
from flocksy.boxes.disk.mounts import MOUNTS
from flocksy.boxes.held import CHOICE, CHOOSING
from flocksy.boxes.scan.links import LINKS
from flocksy.boxes.setup import BoxSetup
from flocksy.index.migrations import VERSION
from flocksy.index.store import BoxIndex
from tests.boxes.flock_of_boxes import Flock, flock, spool

__all__ = ["flock", "spool"]

PAGE = 4096


class Following(Flock):
    """Node 2 follows links."""

    def setup(self, lane: int) -> BoxSetup:
        return replace(super().setup(lane), follow_symlinks=lane == 2)


def overwrite(path: Path, data: bytes) -> None:
    path.write_bytes(data * 1000)


def cut_in_half(path: Path) -> None:
    data = path.read_bytes()
    path.write_bytes(data[: len(data) // 2])


def spoil_pages(path: Path, seed: int, share: float) -> None:
    """Some pages but the first are garbage."""
    draw = random.Random(seed)
    data = bytearray(path.read_bytes())
    for at in range(PAGE, len(data), PAGE):
        if draw.random() < share:
            data[at : at + PAGE] = draw.randbytes(PAGE)
    path.write_bytes(data)


def zero_pages(path: Path) -> None:
    data = path.read_bytes()
    path.write_bytes(data[:PAGE] + bytes(len(data) - PAGE))


def spoil_log(path: Path) -> None:
    """What was written last, and is not in the database itself yet."""
    log = path.with_name(path.name + "-wal")
    if log.exists():
        log.write_bytes(random.Random(1).randbytes(log.stat().st_size))


def spoil_open_batch(path: Path) -> None:
    """The database is whole, and what a crash left open in it is not."""
    connection = sqlite3.connect(path)
    connection.execute("INSERT INTO journal (path, plan) VALUES (?, ?)", (b"a", b'{"synced": 1}'))
    connection.commit()
    connection.close()


def spoil_records(path: Path) -> None:
    """The database is whole for SQLite, which keeps no check sums; what versions say is garbage."""
    connection = sqlite3.connect(path)
    connection.execute("UPDATE heads SET record = zeroblob(length(record))")
    connection.commit()
    connection.close()


def spoil_kinds(path: Path) -> None:
    """Likewise, of what the disk showed."""
    connection = sqlite3.connect(path)
    for table in ("local", "synced"):
        connection.execute(f"UPDATE {table} SET kind = 9")
    connection.commit()
    connection.close()


def spoil_version(path: Path) -> None:
    """A byte of the first page: it says that it is of another flocksy."""
    connection = sqlite3.connect(path)
    connection.execute(f"PRAGMA user_version = {VERSION - 1}")
    connection.close()


HARMS: dict[str, Callable[[Path], None]] = {
    "no database at all": lambda path: overwrite(path, b"this was one once"),
    "cut in half": cut_in_half,
    "all but the first page zeros": zero_pages,
    "most pages garbage": lambda path: spoil_pages(path, 1, 0.9),
    "some pages garbage": lambda path: spoil_pages(path, 2, 0.3),
    "its log garbage": spoil_log,
    "its open batch garbage": spoil_open_batch,
    "its records garbage": spoil_records,
    "its kinds garbage": spoil_kinds,
    "its version another": spoil_version,
}


def some_files(flock: Flock) -> None:
    for number in range(120):
        flock.write(number % 3, f"folder {number % 5}/file {number}", f"content {number}" * 50)
    flock.settle_equal()


@pytest.mark.parametrize("harm", HARMS.values(), ids=HARMS.keys())
@pytest.mark.parametrize("clean", [True, False], ids=["stopped", "killed"])
def test_damage_while_the_node_was_away(
    flock: Flock, harm: Callable[[Path], None], clean: bool
) -> None:
    some_files(flock)
    before = flock.tree(0)
    (flock.stop if clean else flock.kill)(2)
    flock.write(2, "folder 1/file 1", "edited meanwhile")
    harm(flock.root / "state2" / "box.sqlite")
    flock.restart(2)
    flock.settle_equal()
    assert flock.tree(0) >= before
    assert "edited meanwhile" in {path.read_text() for path in flock.path(0, "folder 1").iterdir()}


def test_damage_while_the_node_runs(flock: Flock) -> None:
    some_files(flock)
    before = flock.tree(0)
    flock.box(2).index._database.checkpoint()
    zero_pages(flock.root / "state2" / "box.sqlite")
    # As if memory were short: what is known of the file has to be read anew.
    flock.box(2).index._database.execute("PRAGMA shrink_memory")
    flock.write(0, "folder 2/file 2", "edited")
    flock.box(2).rescan(flock.now)
    flock.settle_equal()
    assert flock.path(2, "folder 2/file 2").read_text() == "edited"
    assert flock.tree(0) >= before


@pytest.mark.parametrize("name", [CHOICE, CHOOSING, LINKS, MODE, MOUNTS])
@pytest.mark.parametrize("value", [b"\xff", b"[1]", b'{"folders": [1], "ignore": 2}'])
def test_what_it_remembers_is_garbage(tmp_path: Path, spool: Path, name: str, value: bytes) -> None:
    with Following(tmp_path, spool) as flock:
        flock.write(0, "file", "content")
        flock.settle_equal()
        flock.stop(2)
        index = BoxIndex.open(flock.root / "state2" / "box.sqlite")
        index.remember(name, value)
        index.close()
        flock.restart(2)
        flock.settle_equal()
        assert flock.tree(2) == {"file"}
        assert list((flock.root / "state2").glob("*.damaged-*"))


def of_version(path: Path, version: int) -> bytes:
    connection = sqlite3.connect(path)
    connection.execute(f"PRAGMA user_version = {version}")
    connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    connection.close()
    return path.read_bytes()


def test_a_box_whose_index_is_newer_rests_until_flocksy_is_updated(flock: Flock) -> None:
    some_files(flock)
    flock.stop(2)
    index = flock.root / "state2" / "box.sqlite"
    before = of_version(index, VERSION + 1)
    flock.restart(2)
    reason = flock.kept(2).reason
    assert "newer flocksy" in reason and str(index) in reason and "\n" not in reason
    flock.write(0, "meanwhile", "on another node")
    flock.write(2, "here", "on this one")
    for _ in range(40):
        flock.step()
    assert flock.kept(2).reason == reason, "it goes on resting"
    assert index.read_bytes() == before
    assert [one.name for one in index.parent.iterdir() if "sqlite" in one.name] == [index.name]
    assert not flock.path(2, "meanwhile").exists()
    of_version(index, VERSION)  # the update
    flock.run_until(lambda: flock.kept(2).box is not None)
    flock.settle_equal()
    assert flock.path(2, "meanwhile").exists() and flock.path(0, "here").exists()
