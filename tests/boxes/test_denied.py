"""A receiver that may not write below one directory: said, in nobody's way, and over by itself."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from pathlib import Path
from typing import ClassVar

import pytest

from flocksy.boxes.disk.filesystem import RealDisk
from flocksy.boxes.disk.port import Stat
from flocksy.testing.lockstep import PERIOD_S
from tests.boxes.flock_of_boxes import Flock, spool

__all__ = ["spool"]

DENIED_ROUNDS = int(12 / PERIOD_S)
"""It is tried again after 5 s, and once more 10 s later."""

SOON_ROUNDS = int(30 / PERIOD_S)
"""More than the third pause."""


class Denying(RealDisk):
    """A disk that lets nobody change anything in the directory "theirs" of the boxes in `roots`,
    as where it belongs to another user: a mode of our own is not why."""

    roots: ClassVar[dict[str, int]] = {}
    """Root of a box -> as which error it is denied."""

    def _ask(self, *paths: str) -> None:
        if self.root in self.roots and any(path.startswith("theirs/") for path in paths):
            number = self.roots[self.root]
            raise OSError(number, os.strerror(number))

    def make_directory(self, path: str, mode: int) -> None:
        self._ask(path)
        super().make_directory(path, mode)

    def make_symlink(self, path: str, text: str) -> None:
        self._ask(path)
        super().make_symlink(path, text)

    def link(self, source: str, target: str) -> bool:
        self._ask(target)
        return super().link(source, target)

    def set_metadata(
        self, path: str, mode: int | None, mtime_ns: int | None, inode: int | None = None
    ) -> Stat:
        self._ask(path)
        return super().set_metadata(path, mode, mtime_ns, inode)

    def move(self, source: str, target: str) -> None:
        self._ask(source, target)
        super().move(source, target)

    def exchange(self, temporary: str, path: str) -> None:
        self._ask(temporary, path)
        super().exchange(temporary, path)

    def remove_file(self, path: str) -> None:
        self._ask(path)
        super().remove_file(path)

    def remove_directory(self, path: str) -> None:
        self._ask(path)
        super().remove_directory(path)


@pytest.fixture
def flock(tmp_path: Path, spool: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Flock]:
    """Three nodes on such disks."""
    monkeypatch.setattr("flocksy.boxes.activation.RealDisk", Denying)
    with Flock(tmp_path, spool) as made:
        yield made
    Denying.roots.clear()


@pytest.mark.parametrize(
    ("number", "words"),
    [(errno.EACCES, "permission denied"), (errno.EPERM, "not permitted")],
)
def test_what_may_not_be_written_heals_with_the_right_to_write(
    flock: Flock, number: int, words: str
) -> None:
    for name in ("edited", "deleted", "chmodded", "folder/deleted"):
        flock.write(0, f"theirs/{name}", "first")
    flock.write(0, "ours", "first")
    flock.settle_equal()
    before = flock.tree(2)
    Denying.roots[str(flock.path(2))] = number

    flock.write(0, "theirs/edited", "second")
    flock.write(0, "theirs/new", "second")
    flock.write(0, "theirs/made/new", "second")
    flock.path(0, "theirs/chmodded").chmod(0o700)
    flock.path(0, "theirs/deleted").unlink()
    flock.path(0, "theirs/folder/deleted").unlink()
    flock.path(0, "theirs/folder").rmdir()
    changed = {"edited", "new", "made", "chmodded", "deleted", "folder/deleted"}
    denied = {f"theirs/{name}" for name in changed}
    flock.run_until(lambda: denied <= flock.box(2).problems.keys())
    assert all(words in flock.box(2).problems[path].lower() for path in denied)
    assert flock.tree(2) == before
    assert flock.path(2, "theirs/edited").read_text() == "first"
    assert flock.path(2, "theirs/chmodded").stat().st_mode & 0o777 != 0o700

    # All else goes on, also to and from the others.
    flock.write(1, "ours", "second")
    flock.write(2, "from there", "new")
    flock.run_until(lambda: flock.path(0, "from there").exists())
    flock.run_until(lambda: flock.path(2, "ours").read_text() == "second")
    for _ in range(DENIED_ROUNDS):
        flock.step()
    assert denied <= flock.box(2).problems.keys(), "said as long as it is so"
    assert not flock.box(2).settled
    assert not flock.box(0).problems
    assert not flock.box(1).problems

    Denying.roots.clear()  # and nobody asks for anything
    flock.run_until(lambda: flock.settled() and not flock.unequal(), SOON_ROUNDS)
    assert not flock.box(2).problems
    assert flock.path(2, "theirs/made/new").read_text() == "second"
    flock.settle_equal()
