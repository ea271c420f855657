"""After a change its source does what all others do with it (design 4.3, rule 5)."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Sequence

import pytest

from flocksy.boxes.apply.journal import IndexJournal, JournalEntry
from flocksy.boxes.box import Box
from flocksy.boxes.scan.scanner import Scanner, ScanRequest
from flocksy.sync.messages import Versions
from tests.boxes.flock_of_boxes import Flock, flock, spool

__all__ = ["flock", "spool"]

MANY = 40


def edit(flock: Flock) -> None:
    flock.write(0, "file", "edited")


def rename(flock: Flock) -> None:
    flock.path(0, "file").rename(flock.path(0, "elsewhere"))


def delete(flock: Flock) -> None:
    flock.path(0, "file").unlink()


def chmod(flock: Flock) -> None:
    flock.path(0, "file").chmod(0o600)


def make_directory(flock: Flock) -> None:
    flock.path(0, "new").mkdir()


def link(flock: Flock) -> None:
    os.symlink("nowhere", flock.path(0, "link"))


def delete_many(flock: Flock) -> None:
    for number in range(MANY):
        flock.path(0, f"many {number}").unlink()


CHANGES = (edit, rename, delete, chmod, make_directory, link, delete_many)


@pytest.mark.parametrize("change", CHANGES)
def test_all_journal_it(
    flock: Flock, monkeypatch: pytest.MonkeyPatch, change: Callable[[Flock], None]
) -> None:
    flock.write(0, "file", "some text")
    for number in range(MANY):
        flock.write(0, f"many {number}", "")
    flock.settle_equal()
    journalled: Counter[str] = Counter()
    opened = IndexJournal.open

    def counted(self: IndexJournal, entries: Sequence[JournalEntry]) -> None:
        journalled[self._index.path.parent.name] += len(entries)
        opened(self, entries)

    monkeypatch.setattr(IndexJournal, "open", counted)
    change(flock)
    flock.settle_equal()
    least, most = min(journalled.values()), max(journalled.values())
    assert len(journalled) == 3, "all but some"
    assert most <= 2 * least
    assert not [name for name in os.listdir(flock.path(0, ".flocksy/incoming")) if "own-" in name]


def test_nothing_is_looked_for_in_a_burst(flock: Flock, monkeypatch: pytest.MonkeyPatch) -> None:
    flock.settle_equal()
    asked: list[ScanRequest] = []
    box = flock.box(0)
    monkeypatch.setattr(Scanner, "request", lambda _, one: asked.append(one))
    box.intake.look_again("file", flock.now)
    later = flock.now + 1
    assert box.turn(later, quiet=False) is None
    assert not asked
    box.turn(later, quiet=True)
    assert [one.paths for one in asked] == [("file",)]


def test_no_slot_takes_much_longer_than_cover(
    flock: Flock, monkeypatch: pytest.MonkeyPatch
) -> None:
    sizes: list[int] = []
    receive = Box.receive

    def received(self: Box, message: Versions, *, own: bool, now: float) -> None:
        sizes.append(len(message.entries))
        receive(self, message, own=own, now=now)

    monkeypatch.setattr(Box, "receive", received)
    for number in range(5 * MANY):
        flock.write(0, f"many {number}", str(number))
    flock.settle_equal()
    assert 1 < max(sizes) <= 32
