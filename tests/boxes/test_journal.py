"""The open batch survives in the index."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import pytest

from flocksy.boxes.apply.journal import Applied, IndexJournal, JournalEntry, decode, encode
from flocksy.errors import IndexDamaged
from flocksy.index.journal import Kept
from flocksy.index.store import BoxIndex
from flocksy.sync.trees import DiskEntry, SyncedEntry
from flocksy.sync.version import Kind

FILE = DiskEntry(Kind.FILE, 0o644, 1, 2, b"r" * 32, 3, 4, 5)
TAGGED = replace(FILE, attributes=b"\3\3\0tagred")
SYNCED = SyncedEntry(frozenset({b"1" * 16, b"2" * 16}), FILE, ("owner", b"3" * 16), 7)
NAME = os.fsdecode(b"caf\xe9 \xf0\x9f\x90\xa6")
ENTRIES = [
    JournalEntry(NAME, f"t/{NAME}", f"h/{NAME}", FILE, FILE, SYNCED),
    JournalEntry("new", "t", "", None, FILE, SyncedEntry(frozenset(), None)),
    JournalEntry("gone", "", "h", FILE, None, None),
    JournalEntry.look("closed", 0),
    JournalEntry("tagged", "", "", replace(FILE, attributes=b""), TAGGED, None),
]


def test_entries_come_back_as_they_were() -> None:
    assert [decode(entry.path, encode(entry)) for entry in ENTRIES] == ENTRIES


@pytest.mark.parametrize(
    "data",
    [b"", b"[]", b"{}", b"[" * 9999, b"\xff", b'{"synced": {"heads": 1}}']
    + [encode(ENTRIES[3]).replace(b'"mode":0', b'"mode":"0"')]
    + [encode(ENTRIES[0]).replace(old, b"null") for old in (b"420", b'"owner"', b"7", b'"t/')],
)
def test_what_was_not_written_here_is_damage(data: bytes) -> None:
    with pytest.raises(IndexDamaged):
        decode("a", data)


def test_a_look_that_knew_no_mode_is_read() -> None:
    """As an older flocksy has left it."""
    entry = replace(ENTRIES[3], mode=None)
    assert b"mode" not in encode(entry)
    assert decode(entry.path, encode(entry)) == entry
    assert entry.is_look


def test_a_batch_stays_open_until_it_is_committed(tmp_path: Path) -> None:
    index = BoxIndex.open(tmp_path / "index.sqlite")
    IndexJournal(index).open(ENTRIES)
    index.close()
    index = BoxIndex.open(tmp_path / "index.sqlite")
    noted: list[str] = []
    journal = IndexJournal(index, lambda one: noted.append(one.path))
    assert journal.recover() == ENTRIES
    kept = Kept("2026-01-01/1-1-gone", "gone", None, b"r" * 32, 2, 9)
    journal.commit([Applied(NAME, FILE, SYNCED), Applied("gone", None, None)], [kept])
    assert journal.recover() == []
    assert index.local(NAME) == FILE
    assert index.synced(NAME) == SYNCED
    assert index.local("gone") is None
    assert list(index.journal.kept_of("gone", 9)) == [kept]
    assert noted == [NAME, "gone"]
    index.close()


def test_attributes_that_are_none_are_damage() -> None:
    data = encode(ENTRIES[-1]).replace(b"AwMAdGFncmVk", b"BAMAdGFncmVk")
    assert data != encode(ENTRIES[-1])
    with pytest.raises(IndexDamaged):
        decode("a", data)
