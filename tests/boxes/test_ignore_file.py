"""Where `.flockignore` is looked for, and what is taken for it."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from flocksy.boxes.disk.port import Stat
from flocksy.boxes.setup import Mode
from flocksy.sync.ignore import IGNORE_FILE
from tests.boxes.flock_of_boxes import spool
from tests.boxes.test_held import Choosing

__all__ = ["spool"]


@pytest.fixture
def flock(tmp_path: Path, spool: Path) -> Iterator[Choosing]:
    with Choosing(tmp_path, spool) as made:
        yield made


def test_who_joins_to_send_only_shares_nothing_that_the_flock_ignores(flock: Choosing) -> None:
    keeper = flock.nodes[2].keeper
    keeper.remove("box")  # before it has met anybody
    flock.write(0, IGNORE_FILE, "*.o\n" + "# \n" * 3000)
    flock.write(0, "main.c", "source")
    flock.settle()
    flock.write(2, "junk.o", "object")
    flock.write(2, "mine", "shared")
    flock.how[2] = (Mode.SEND_ONLY, ())
    keeper.add(flock.setup(2), flock.now, agreed=True)
    assert flock.box(2).adopting
    flock.settle()
    assert flock.names(0) == flock.names(1) == {IGNORE_FILE, "main.c", "mine"}
    assert flock.box(2).index.flock("junk.o") is None
    assert flock.names(2) == {IGNORE_FILE, "junk.o", "mine"}
    flock.write(0, IGNORE_FILE, "*.c\n")
    flock.settle()
    assert flock.path(2, IGNORE_FILE).read_text().startswith("*.o"), "it only sends from then on"


def test_a_name_in_another_case_is_no_ignore_file(
    flock: Choosing, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first node's disk finds it all the same."""
    other = ".FlockIgnore"
    folding = flock.box(0)
    disk = folding.disk
    stat, open_read = disk.stat, disk.open_read

    def finds(path: str) -> Stat | None:
        return stat(path) or (stat(other) if path == IGNORE_FILE else None)

    def opens(path: str) -> int:
        return open_read(other if path == IGNORE_FILE and stat(path) is None else path)

    monkeypatch.setattr(disk, "stat", finds)
    monkeypatch.setattr(disk, "open_read", opens)
    held = folding.held
    monkeypatch.setattr(held, "_capabilities", replace(held._capabilities, case_folding=True))
    flock.write(0, other, "*.o\n")
    flock.write(0, "junk.o", "object")
    flock.settle_equal()
    assert flock.path(1, "junk.o").exists()
    os.rename(flock.path(0, other), flock.path(0, IGNORE_FILE))
    flock.settle_equal()
    flock.write(1, "more.o", "object")
    flock.settle()
    assert not flock.path(0, "more.o").exists()
