"""Disks of tests: real ones that stop, or are like those of other systems; and one journal."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path

from flocksy.boxes.apply.journal import Applied, IndexJournal
from flocksy.boxes.disk.filesystem import RealDisk
from flocksy.boxes.disk.port import Stat
from flocksy.index.journal import Kept
from flocksy.sync.capabilities import Capabilities
from flocksy.sync.version import Kind
from tests.boxes.bench import Bench, finish


class Died(BaseException):
    """Passes through everything, as a kill does."""


class Dying(RealDisk):
    """A disk whose program dies at the n-th call that changes something (None: never)."""

    calls_left: int | None = None

    def _step(self) -> None:
        if self.calls_left is not None:
            if self.calls_left == 0:
                raise Died
            self.calls_left -= 1

    def link(self, source: str, target: str) -> bool:
        self._step()
        return super().link(source, target)

    def make_directory(self, path: str, mode: int) -> None:
        self._step()
        super().make_directory(path, mode)

    def make_symlink(self, path: str, text: str) -> None:
        self._step()
        super().make_symlink(path, text)

    def set_metadata(
        self, path: str, mode: int | None, mtime_ns: int | None, inode: int | None = None
    ) -> Stat:
        self._step()
        if mode is not None and mtime_ns is not None:
            super().set_metadata(path, None, mtime_ns, inode)
            self._step()
        return super().set_metadata(path, mode, mtime_ns, inode)

    def move(self, source: str, target: str) -> None:
        self._step()
        super().move(source, target)
        self._step()

    def exchange(self, temporary: str, path: str) -> None:
        self._step()
        super().exchange(temporary, path)
        self._step()

    def remove_file(self, path: str) -> None:
        self._step()
        super().remove_file(path)

    def remove_directory(self, path: str) -> None:
        self._step()
        super().remove_directory(path)

    def flush_directory(self, path: str) -> None:
        self._step()
        super().flush_directory(path)

    def flush_later(self, path: str) -> Callable[[], None]:
        flush = super().flush_later(path)

        def stepping() -> None:
            self._step()
            flush()

        return stepping


def recover_in_two(bench: Bench, disk: Dying, calls: int) -> None:
    """Recover, dying in it at one of several calls, and once more."""
    disk.calls_left = 4 + calls % 7  # four make the folders
    with suppress(Died):
        finish(bench.applier.recover())
    disk.calls_left = None
    finish(bench.applier.recover())
    assert not bench.index.journal.open_rows()


class Steps(Dying):
    """The same on a file system that cannot exchange in one step."""

    def __init__(self, root: str) -> None:
        super().__init__(root)
        self._exchange = False


class Links(Steps):
    """The same where no rename leaves alone what stands at the new name either, so that it is a
    link, and then the removal of the old name."""

    def move(self, source: str, target: str) -> None:
        found = self.stat(source)
        if found is None or found.kind is Kind.DIRECTORY:
            super().move(source, target)
            return
        self._step()
        RealDisk.link(self, source, target)
        self._step()
        RealDisk.remove_file(self, source)
        self._step()


class Forgetful(IndexJournal):
    """The end of a batch is not in the index: who wanted to write it down died, or the power went
    before the index was flushed again."""

    def commit(self, applied: Sequence[Applied], kept: Sequence[Kept]) -> None:
        pass


class Folding(RealDisk):
    """A disk to which "A" and "a" are one name: each component means the entry that is there."""

    fold: Callable[[str], str] = staticmethod(str.casefold)

    def _open(self, path: str, flags: int) -> int:
        return super()._open(self._found(path), flags)

    def _found(self, path: str) -> str:
        here = self.root
        names = path.split("/")
        for index, name in enumerate(names):
            with os.scandir(here) as entries:
                spelt = [e.name for e in entries if self.fold(e.name) == self.fold(name)]
            names[index] = spelt[0] if spelt else name
            here = os.path.join(here, names[index])
            if not os.path.isdir(here):
                break
        return "/".join(names)

    def stat(self, path: str) -> Stat | None:
        return super().stat(self._found(path))

    def move(self, source: str, target: str) -> None:
        if os.path.lexists(os.path.join(self.root, self._found(target))):
            raise FileExistsError(errno.EEXIST, "exists", target)
        super().move(self._found(source), target)

    def link(self, source: str, target: str) -> bool:
        return super().link(self._found(source), target)


class DyingAndFolding(Folding, Dying):
    """Both."""


def folding_bench(place: Path) -> tuple[Bench, Folding]:
    """A box on a disk that folds case, and the disk."""
    (place / "box").mkdir()
    disk = Folding(str(place / "box"))
    return Bench(place, disk, Capabilities(case_folding=True)), disk
