"""Indexes of other versions: an older one is brought up to date with all it knows, also when that
is cut off at any instant; a newer one is refused and left as it is."""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import signal
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

from flocksy.errors import IndexDamaged, IndexTooNew
from flocksy.index.database import damage_note
from flocksy.index.journal import Kept
from flocksy.index.migrations import STEPS, VERSION
from flocksy.index.store import BoxIndex
from flocksy.sync.trees import DiskEntry, SyncedEntry
from flocksy.sync.version import Kind, Version, version_id
from tests.index.test_store import as_plain

OLD_VERSIONS = range(1, VERSION)
ROOT = b"r" * 32
FILE = DiskEntry(Kind.FILE, 0o644, 3, 10, ROOT, 2**64 - 4, 5, 6)
RELEASED = (
    "ca3987736b75f58c5db80ad6bae248a5514c4c5168d2959cc8311555fed7c965",
    "756e6b16f7c2fb0b97920eaafe7eb484e3b2a16338cf1075c79079b85ee600d2",
    "04ac48440b752bc0b3c764336e108d4c5d17e74b9d156587b091b66eec39445a",
)
"""Digests of the steps as people have run them, comments and spaces aside. A new step adds one;
none is ever changed: what it made stands on disks."""
PATHS = ("", "d", "d/f", "gone", "new", os.fsdecode(b"caf\xe9"))


def fill(index: BoxIndex) -> None:
    """Something in every table."""
    first = Version(Kind.FILE, 0o644, 5, 7, ROOT, 1, ())
    second = Version(Kind.FILE, 0o600, 6, 8, b"s" * 32, 2, (version_id(first),))
    tombstone = Version(Kind.TOMBSTONE, 0, 0, 0, b"", 2, (version_id(first),))
    head = version_id(second)
    for path in ("d/f", PATHS[-1]):
        index.join(path, {head: second}, {version_id(first): ROOT})
        index.set_local(path, FILE)
        index.set_synced(path, SyncedEntry(frozenset((head,)), FILE, None, 2))
    index.join("gone", {version_id(tombstone): tombstone}, {version_id(first): ROOT})
    index.record("new", version_id(first), first, {}, batch=b"scan 001", due_ms=7)
    index.set_local("new", FILE, settled=False)
    index.contents.put(ROOT, [], [(ROOT, b"a list")])
    with index.transaction():
        index.journal.open([("d/f", b"a plan")])
        index.journal.keep(Kept("2026-01-01/1-f", "d/f", head, ROOT, 7, 9))
    index.remember("secret", b"s" * 16)


def told(index: BoxIndex) -> list[object]:
    """What the index says of all that `fill` put in."""
    said: list[object] = [
        (
            index.local(path),
            index.synced(path),
            as_plain(index.flock(path)),
            as_plain(index.lane_state(path)),
        )
        for path in PATHS
    ]
    said += [index.outgoing(10, 10), index.items.fingerprint(bytes(16), b""), index.counts()]
    said += [index.unsettled(10), index.contents.blob(ROOT), index.journal.open_rows()]
    said += [index.journal.kept_of("d/f", 9), index.remembered("secret")]
    said += [sorted(index.flock_children("")), sorted(index.local_children("d"))]
    return said


def old_index(path: Path, version: int) -> None:
    """A database as a flocksy of that version has left it, made by its own schema."""
    today = path.with_name("today")
    index = BoxIndex.open(today)
    fill(index)
    index.close()
    old = sqlite3.connect(path)
    old.execute("PRAGMA journal_mode = WAL")
    for step in STEPS[:version]:
        old.executescript(step)
    old.execute(f"PRAGMA user_version = {version}")
    old.execute("ATTACH ? AS today", (str(today),))
    tables = old.execute("SELECT name FROM main.sqlite_schema WHERE type = 'table'").fetchall()
    for (table,) in tables:
        columns = ", ".join(row[1] for row in old.execute(f"PRAGMA main.table_info({table})"))
        old.execute(f"INSERT INTO main.{table} ({columns}) SELECT {columns} FROM today.{table}")
    old.commit()
    old.close()


def expected(path: Path) -> list[object]:
    index = BoxIndex.open(path.with_name("today"))
    said = told(index)
    index.close()
    return said


def test_a_step_that_people_have_run_is_never_changed() -> None:
    """Old files are made from today's steps here, so nothing else would notice."""
    found = [" ".join(re.sub(r"--[^\n]*", "", step).split()) for step in STEPS]
    assert tuple(hashlib.sha256(step.encode()).hexdigest() for step in found) == RELEASED


@pytest.mark.parametrize("version", OLD_VERSIONS)
def test_an_older_index_is_brought_up_to_date_with_all_it_knows(
    version: int, tmp_path: Path
) -> None:
    path = tmp_path / "box.sqlite"
    old_index(path, version)
    index = BoxIndex.open(path)
    assert told(index) == expected(path)
    head = next(iter(index.flock("d/f").heads))  # type: ignore[union-attr]  # `told` has seen it
    assert (index.head_since_ms("d/f", head) == 0) == (version < 2), "nobody knew it then"
    third = Version(Kind.FILE, 0o644, 7, 9, b"t" * 32, 3, (head,))
    index.join("d/f", {version_id(third): third}, {head: b"s" * 32})
    assert [one.version.root for one in index.past.of("d/f", 9)] == [b"s" * 32]
    index.close()
    BoxIndex.open(path).close()


KILLED = """
import os, signal, sqlite3, sys
from flocksy.index.migrations import migrate
connection = sqlite3.connect(sys.argv[1], isolation_level=None)
connection.set_progress_handler(
    lambda: os.kill(os.getpid(), signal.SIGKILL), int(sys.argv[2])
)
migrate(connection)
"""
"""Dies as by `kill -9` after so many instructions of SQLite's machine."""


@pytest.mark.skipif(sys.platform == "win32", reason="there is no kill -9")
def test_a_migration_that_is_killed_leaves_an_index_that_can_be_used(tmp_path: Path) -> None:
    whole = tmp_path / "box.sqlite"
    old_index(whole, 1)
    says = expected(whole)
    instructions, killed = 8, 0
    while True:
        path = tmp_path / f"killed {instructions}"
        shutil.copyfile(whole, path)
        died = subprocess.run(
            [sys.executable, "-c", KILLED, path, str(instructions)], check=False
        ).returncode
        index = BoxIndex.open(path)
        assert told(index) == says, instructions
        index.close()
        assert died in (0, -signal.SIGKILL)
        if died == 0:
            break
        killed += 1
        instructions += 20
    assert killed > 6, "it was killed in the middle, too"


def test_a_newer_index_is_refused_in_one_line_and_left_as_it_is(tmp_path: Path) -> None:
    path = tmp_path / "box.sqlite"
    index = BoxIndex.open(path)
    fill(index)
    index.close()
    connection = sqlite3.connect(path)
    connection.execute("PRAGMA journal_mode = DELETE")  # the newer one may do without a log
    connection.execute(f"PRAGMA user_version = {VERSION + 1}")
    connection.close()
    before = path.read_bytes()
    for _ in range(2):
        with pytest.raises(IndexTooNew) as caught:
            BoxIndex.open(path)
        text = str(caught.value)
        assert "\n" not in text and str(path) in text
        assert f"version {VERSION + 1}, this one knows {VERSION}" in text
    assert path.read_bytes() == before
    assert not damage_note(path).exists()
    assert sorted(one.name for one in tmp_path.iterdir()) == ["box.sqlite"]


@pytest.mark.parametrize("said", [-3, *range(VERSION + 1)])
@pytest.mark.parametrize("version", range(VERSION + 1))
def test_a_version_that_is_not_the_one_it_says_is_damage(
    version: int, said: int, tmp_path: Path
) -> None:
    path = tmp_path / "box.sqlite"
    old_index(path, version)
    connection = sqlite3.connect(path)
    connection.execute(f"PRAGMA user_version = {said}")
    connection.close()
    if said == version:
        BoxIndex.open(path).close()
        return
    with pytest.raises(IndexDamaged) as caught:
        BoxIndex.open(path)
    assert "box.sqlite" in str(caught.value) and "\n" not in str(caught.value)
