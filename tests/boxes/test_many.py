"""Large numbers and sizes: what they cost must not grow with what did not change."""

from __future__ import annotations

import os
import random

import pytest

from flocksy.index.database import Database
from flocksy.system import files
from tests.boxes.flock_of_boxes import Flock, flock, spool

__all__ = ["flock", "spool"]

FILES = 300

MOST_FLUSHES = 40
"""On three nodes together, of any number of files: 300 make some 10, and 2,000 as many as 20."""


class Flushes:
    """Counts what waits for a disk: of files, directories, file systems and transactions."""

    def __init__(self, patch: pytest.MonkeyPatch) -> None:
        self.count = 0
        for owner, name in (
            (os, "fsync"),
            (files, "flush_directory"),
            (files, "sync_filesystem"),
        ):
            self._count_calls(patch, owner, name)
        transaction = Database.transaction

        def counted(database: Database, *, durable: bool = False) -> object:
            self.count += durable
            return transaction(database, durable=durable)

        patch.setattr(Database, "transaction", counted)

    def _count_calls(self, patch: pytest.MonkeyPatch, owner: object, name: str) -> None:
        original = getattr(owner, name)

        def counted(*arguments: object) -> object:
            self.count += 1
            return original(*arguments)

        patch.setattr(owner, name, counted)


def test_many_small_files_are_flushed_together(
    flock: Flock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On three nodes. (That a crash loses nothing all the same: `test_recovery`, `test_chaos`.)"""
    flock.settle_equal()
    flushes = Flushes(monkeypatch)
    for number in range(FILES):
        flock.write(0, f"d{number % 10}/f{number}", random.Random(number).randbytes(4096))
    flock.settle_equal()
    assert 0 < flushes.count < MOST_FLUSHES
    new = flushes.count
    for number in range(FILES):
        flock.path(1, f"d{number % 10}/f{number}").unlink()
    flock.settle_equal()
    assert flushes.count - new < MOST_FLUSHES


def test_one_change_asks_the_index_for_itself_alone(
    flock: Flock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The statements that a change of one file takes on all nodes, in a box of few and of many."""
    counted = 0
    for name in ("execute", "row", "rows", "execute_many", "insert"):
        original = getattr(Database, name)

        def count(*arguments: object, original: object = original) -> object:
            nonlocal counted
            counted += 1
            return original(*arguments)  # type: ignore[operator]

        monkeypatch.setattr(Database, name, count)

    def cost(words: str) -> int:
        nonlocal counted
        flock.settle_equal()
        counted = 0
        flock.write(0, "d0/f0", words)
        flock.run_until(lambda: flock.path(2, "d0/f0").read_text() == words)
        return counted

    flock.write(0, "d0/f0", "zero")
    few = cost("one")
    for number in range(FILES):
        flock.write(0, f"d{number % 10}/f{number + 1}", str(number))
    many = cost("two")
    assert many < 1.5 * few + 100


def test_a_sparse_file_stays_sparse_everywhere(flock: Flock) -> None:
    """100 MB of nothing between two words."""
    size = 100_000_000
    path = flock.write(0, "disk.img", b"begin")
    with path.open("r+b") as file:
        file.seek(size)
        file.write(b"end")
    flock.settle_equal()
    for lane in (1, 2):
        found = flock.path(lane, "disk.img").stat()
        assert found.st_size == size + 3
        assert found.st_blocks * 512 < size / 4
    assert flock.said_bytes < 8_000_000
    # Of what changes something far inside comes first, and the nothing before it afterwards.
    with path.open("r+b") as file:
        file.seek(size // 2)
        file.write(b"middle")
    flock.settle_equal()
    for lane in (1, 2):
        assert flock.path(lane, "disk.img").stat().st_blocks * 512 < size / 4


def test_zeros_are_written_where_something_else_may_be(flock: Flock) -> None:
    """A content that ends in zeros, and one with zeros that come last although they stand first."""
    noise = random.Random(1).randbytes(3_000_000)
    contents = {"a": noise + bytes(3_000_000), "b": bytes(3_000_000) + noise, "c": bytes(70_000)}
    for name, content in contents.items():
        flock.write(1, name, content)
    flock.settle_equal()
    for name, content in contents.items():
        assert flock.path(0, name).read_bytes() == content
