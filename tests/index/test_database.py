"""Transactions, migrations, and what another process may read."""

from __future__ import annotations

import os
import sqlite3
from pathlib import Path

import pytest

from flocksy.errors import FlocksyError, IndexDamaged
from flocksy.index.database import Database, damage_note, translated
from flocksy.index.known import KnownTree
from flocksy.index.migrations import VERSION
from flocksy.index.renewal import renew
from flocksy.index.store import BoxIndex
from flocksy.sync.trees import DiskEntry
from flocksy.sync.version import Kind

ENTRY = DiskEntry(Kind.FILE, 0o644, 1, 2, b"r" * 32, 2**64 - 5, 4, 5)


def test_an_inner_transaction_ends_with_the_outer(tmp_path: Path) -> None:
    database = Database(tmp_path / "db")
    with pytest.raises(RuntimeError), database.transaction():
        with database.transaction():
            database.execute("INSERT INTO remembered VALUES ('a', x'01')")
        raise RuntimeError
    assert database.row("SELECT 1 FROM remembered WHERE name = 'a'") is None
    with database.transaction(durable=True):
        database.execute("INSERT INTO remembered VALUES ('a', x'01')")
    assert database.row("SELECT 1 FROM remembered WHERE name = 'a'") is not None
    database.checkpoint()
    database.close()
    database.close()


def test_memory_is_told_of_a_rollback(tmp_path: Path) -> None:
    database = Database(tmp_path / "db")
    told: list[int] = []
    database.on_rollback(lambda: told.append(1))
    with database.transaction():
        pass
    assert told == []
    with pytest.raises(RuntimeError), database.transaction():
        raise RuntimeError
    assert told == [1]
    database.close()


def test_the_version_is_noted(tmp_path: Path) -> None:
    Database(tmp_path / "db").close()
    connection = sqlite3.connect(tmp_path / "db")
    assert connection.execute("PRAGMA user_version").fetchone() == (VERSION,)
    connection.close()
    Database(tmp_path / "db").close()


def test_every_table_is_strict_and_explained(tmp_path: Path) -> None:
    Database(tmp_path / "db").close()
    connection = sqlite3.connect(tmp_path / "db")
    tables = connection.execute("SELECT name, sql FROM sqlite_schema WHERE type = 'table'")
    assert all("STRICT" in sql for _, sql in tables)
    connection.close()


def test_a_place_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    with pytest.raises(FlocksyError, match="nowhere"):
        Database(tmp_path / "nowhere" / "db")


def test_a_path_that_is_too_long_for_sqlite_is_named(tmp_path: Path) -> None:
    """Longer than 512 bytes, which are no trouble to the disk."""
    deep = tmp_path.joinpath(*("d" * 100,) * 6)
    deep.mkdir(parents=True)
    with pytest.raises(FlocksyError, match="cannot use index db: unable to open"):
        Database(deep / "db")


@pytest.mark.parametrize("name", ["SQLITE_PERM", "SQLITE_PROTOCOL", "SQLITE_IOERR_READ"])
def test_what_a_disk_refuses_is_no_bug_of_ours(name: str) -> None:
    error = sqlite3.OperationalError("locking protocol")
    error.sqlite_errorname = name
    found = translated(error, "db")
    assert type(found) is FlocksyError
    assert str(found) == f"cannot use index db: locking protocol ({name})"


def test_another_process_reads_the_local_tree(tmp_path: Path) -> None:
    index = BoxIndex.open(tmp_path / "a box?.sqlite")
    odd = os.fsdecode(b"d/\xff")
    for path in ("d", odd, "d/e", "d/e/f", "d0", "x"):
        index.set_local(path, ENTRY, settled=path != "x")
    known = KnownTree(tmp_path / "a box?.sqlite")
    found = known.entry("x")
    assert found is not None
    assert found.entry == ENTRY
    assert not found.settled
    assert known.entry("y") is None
    assert sorted(known.children("")) == ["d", "d0", "x"]
    assert sorted(known.children("d")) == sorted(["d/e", odd])
    assert sorted(known.below("d")) == sorted(["d/e", "d/e/f", odd])
    with index.transaction():
        index.set_local("d/new", ENTRY)
        assert known.entry("d/new") is None
    assert known.entry("d/new") is not None
    known.close()
    index.close()


def test_damage_that_the_scanner_meets_is_noted(tmp_path: Path) -> None:
    path = tmp_path / "db"
    index = BoxIndex.open(path)
    for number in range(500):
        index.set_local(f"path {number}", ENTRY)
    index.close()
    index = BoxIndex.open(path)
    index.check_for_damage()
    data = path.read_bytes()
    path.write_bytes(data[:4096] + bytes(len(data) - 4096))
    known = KnownTree(path)
    with pytest.raises(IndexDamaged):
        list(known.below("path"))
        known.children("")
    known.close()
    with pytest.raises(IndexDamaged):
        index.check_for_damage()
    index.close()
    with pytest.raises(IndexDamaged):
        BoxIndex.open(path)
    aside = renew(path, "now", {})
    assert aside.exists()
    BoxIndex.open(path).close()


def test_a_scanner_that_meets_no_index_says_so(tmp_path: Path) -> None:
    """An empty file is a database for SQLite. The box process meets it too, and decides."""
    path = tmp_path / "box.sqlite"
    path.touch()
    known = KnownTree(path)
    with pytest.raises(FlocksyError, match=r"cannot read index box\.sqlite: no such table"):
        known.children("")
    known.close()
    assert not damage_note(path).exists()
