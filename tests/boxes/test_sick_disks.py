"""Disks that are full, read-only or have a wrong clock, with real file systems where they can be
mounted: a clear state each, nothing lost, and it heals by itself."""

from __future__ import annotations

import json
import os
import random
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from flocksy.errors import FlocksyError
from flocksy.node.past import Place, deleted, history
from flocksy.node.undo import Undo
from flocksy.status.control import Answer, Pending
from flocksy.system import clocks as elapsed
from tests.boxes.flock_of_boxes import Flock, flock, spool
from tests.boxes.mounts import MIB, mounted, remount
from tests.node.test_restore_what_is_gone import offline

__all__ = ["flock", "spool"]

DAY_MS = 24 * 60 * 60 * 1000
NOW_MS = 1_790_000_000_000
SMALL_BYTES = 6 * MIB


@pytest.fixture(params=["tmpfs", "ext4"])
def small(request: pytest.FixtureRequest, tmp_path: Path, spool: Path) -> Iterator[Flock]:
    """A flock whose first node keeps its box on a small disk."""
    with (
        mounted(request.param, tmp_path, "box0", size=SMALL_BYTES),
        Flock(tmp_path, spool) as made,
    ):
        made.settle()
        yield made


def rows(answer: Answer, command: str) -> list[dict[str, object]]:
    """The rows of what a command told."""
    told = answer[command]
    if isinstance(told, dict):
        told = told["versions"]
    assert isinstance(told, list)
    return told


def said(flock: Flock, words: str) -> bool:
    """Whether the first node says so of its box, which is open or rests."""
    kept = flock.kept(0)
    problems = [kept.reason] if kept.box is None else list(kept.box.problems.values())
    return any(words in line.lower() for line in problems)


def test_a_disk_that_gets_full(small: Flock) -> None:
    flock = small
    source = random.Random(1)
    flock.write(0, "old", "before")
    (flock.path(0) / "fill").write_bytes(bytes(MIB))
    flock.settle()
    ballast = fill(flock)
    flock.write(1, "old", source.randbytes(50_000))
    for number in range(20):
        flock.write(1, f"new {number}", source.randbytes(100_000))
    flock.run_until(lambda: said(flock, "full"))
    assert flock.path(0, "old").read_text() == "before"
    flock.run_until(lambda: flock.tree(1) == flock.tree(2))
    assert {"old", "fill", "new 0", "new 19"} <= flock.tree(2)
    ballast.unlink()
    flock.settle()
    assert not flock.unequal()
    assert not flock.box(0).problems


def test_a_disk_that_is_mounted_read_only(small: Flock) -> None:
    """As the system does it with a disk that has errors, and people with a switch on the card."""
    flock = small
    flock.write(0, "old", "before")
    flock.settle()
    flock.box(0).staging.close()  # what is open for writing forbids it
    remount(flock.path(0), writable=False)
    try:
        flock.write(1, "old", "after")
        flock.write(1, "new", "x" * 10_000)
        flock.run_until(lambda: said(flock, "read-only"))
        flock.run_until(lambda: flock.path(2, "new").exists())
        # Started anew it rests, and says why.
        flock.stop(0)
        flock.restart(0)
        flock.run_until(lambda: said(flock, "read-only file system"))
        assert flock.path(0, "old").read_text() == "before"
    finally:
        remount(flock.path(0), writable=True)
    flock.run_until(lambda: flock.kept(0).box is not None)
    flock.settle()
    assert not flock.unequal()
    assert flock.path(0, "old").read_text() == "after"


def fill(flock: Flock, left_bytes: int = 0) -> Path:
    """Take the room on the disk of the first node. Who removes the file makes room again."""
    ballast = flock.path(0, ".flocksy") / "ballast"
    with open(ballast, "wb", buffering=0) as file, pytest.raises(OSError):
        while file.write(bytes(4096)):
            pass
    os.truncate(ballast, ballast.stat().st_size - left_bytes)
    return ballast


@pytest.mark.parametrize("running", [True, False])
def test_what_a_full_disk_does_not_restore(small: Flock, running: bool) -> None:
    """It is the disk that has to be seen to, and not the members."""
    flock = small
    content = random.Random(2).randbytes(200_000)
    for one in (content, b"after"):
        flock.write(1, "file", one)
        flock.settle()
    ballast = fill(flock, 64 << 10)  # a box is opened, and no more
    line = "^file: is not restored: the disk is full: make room"
    if running:
        assert re.match(line, refusal(flock, "file"))
        ballast.unlink()
    else:
        flock.stop(0)
        with pytest.raises(FlocksyError, match=line):
            offline(flock, 0).restore(str(flock.path(0, "file")), None)
        ballast.unlink()
        offline(flock, 0).restore(str(flock.path(0, "file")), None)
        assert flock.path(0, "file").read_bytes() == content
        flock.restart(0)
    flock.settle()
    assert not flock.unequal()
    assert flock.path(0, "file").read_bytes() == (b"after" if running else content)


def test_what_a_read_only_disk_does_not_restore(small: Flock) -> None:
    flock = small
    for one in (random.Random(3).randbytes(50_000), b"after"):
        flock.write(1, "file", one)
        flock.settle()
    flock.box(0).staging.close()
    remount(flock.path(0), writable=False)
    try:
        assert "is not restored: the file system is mounted read-only" in refusal(flock, "file")
    finally:
        remount(flock.path(0), writable=True)
    flock.settle()
    assert flock.path(0, "file").read_text() == "after"


def refusal(flock: Flock, name: str) -> str:
    """What `flocksy restore` says in the end on the first node, where it fails."""
    node = flock.nodes[0]
    undo = Undo(node.exchange, node.keeper, lambda: flock.now, members=3)
    pending = undo.handlers["restore"]({"path": str(flock.path(0, name)), "at": None})
    assert isinstance(pending, Pending), pending
    told: list[bytes] = []
    pending._bind(1, told.append)

    def done() -> bool:
        undo.turn(flock.now)
        return bool(told)

    flock.run_until(done)
    return str(json.loads(told[0])["error"])


class WrongClocks(Flock):
    """The wall clock of each node, for all that takes one, is as wrong as the test says. The other
    clock, by which a node knows how much time has passed, is that of the flock."""

    def __init__(self, root: Path, spool: Path) -> None:
        self.wrong_ms = [0, 0, 0]
        super().__init__(root, spool)

    def wall_ms(self, lane: int) -> int:
        return NOW_MS + int(self.now * 1000) + self.wrong_ms[lane]

    def restore(self, lane: int, name: str, at: str | None = None) -> None:
        """`flocksy restore`, which waits until it is done."""
        node = self.nodes[lane]
        undo = Undo(node.exchange, node.keeper, lambda: self.now, members=3)
        pending = undo.handlers["restore"]({"path": str(self.path(lane, name)), "at": at})
        assert isinstance(pending, Pending), pending

        def done() -> bool:
            undo.turn(self.now)
            return pending.gone

        self.run_until(done)

    def told(self, lane: int, name: str = "") -> Answer:
        """What `flocksy history` says of a path, or `flocksy deleted` of the box."""
        box = self.box(lane)
        place = Place("box", box.index, box.disk, box.guard, name)
        return history(place) if name else deleted([place], 100)

    def thin_out(self) -> None:
        """The hour has come in which every node looks at the age of its history."""
        for node in self.up:
            upkeep = self.box(node.lane)._upkeep
            upkeep._prune_at = self.now
            self.run_until(lambda upkeep=upkeep: upkeep._prune_at > self.now and not upkeep.busy)


@pytest.fixture
def clocks(tmp_path: Path, spool: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[WrongClocks]:
    with WrongClocks(tmp_path, spool) as made:
        monkeypatch.setattr(elapsed, "elapsed_ns", lambda: int(made.now * 1e9))
        made.settle()
        yield made


JUMPS_MS = (0, 400 * DAY_MS, -4_000 * DAY_MS, 0, -7 * 60_000, 12_000 * DAY_MS, 3 * 60_000, -20_000)
"""Years and minutes, there and back."""


def test_a_wall_clock_that_jumps(clocks: WrongClocks) -> None:
    """While everybody edits, deletes and restores, the clock of node 0 is set anew, before what is
    done and in the midst of it; once it starts so. All are equal, no content goes, and what one is
    told and gets back is in the order in which it was made."""
    flock = clocks
    edits: list[object] = []
    for number, wrong_ms in enumerate(JUMPS_MS):
        flock.wrong_ms[0] = wrong_ms
        flock.write(number % 3, "edited", f"edit {number}")
        flock.write(0, f"made {number}", f"first {number}")
        flock.settle_equal()
        flock.write(1, f"made {number}", f"second {number}")
        if wrong_ms == min(JUMPS_MS):
            flock.stop(0)
            flock.restart(0)
        flock.step()
        flock.wrong_ms[0] = -wrong_ms
        flock.settle_equal()
        flock.path((number + 1) % 3, f"made {number}").unlink()
        before = flock.contents()
        flock.settle_equal()
        flock.thin_out()
        assert before <= flock.contents()
        versions = rows(flock.told(0, "edited"), "history")
        edits.insert(0, versions[0]["id"])
        assert [one["id"] for one in versions] == edits
        assert [one["until"] is None for one in versions] == [True] + [False] * number
        gone = {str(one["path"]) for one in rows(flock.told(0), "deleted")}
        assert gone == {f"made {n}" for n in range(number + 1)}
    for number in range(len(JUMPS_MS)):
        flock.restore(0, f"made {number}")
        flock.settle_equal()
        assert flock.path(1, f"made {number}").read_text() == f"second {number}"
    flock.path(0, "edited").unlink()
    flock.settle_equal()
    flock.restore(0, "")
    flock.settle_equal()
    assert flock.path(2, "edited").read_text() == f"edit {len(JUMPS_MS) - 1}"
