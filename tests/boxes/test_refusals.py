"""The disk refuses any call in the middle of a batch, a look or a change: whatever was in the box
is in the box or in the history once a recovery has run, and nothing counts as deleted."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from flocksy.boxes.disk.filesystem import RealDisk
from flocksy.errors import FlocksyError
from flocksy.sync.capabilities import Capabilities
from flocksy.sync.operations import DiskOperation, Remove
from tests.boxes.bench import Bench, finish, root_of
from tests.boxes.disks import Folding
from tests.boxes.test_recovery import a_bit_of_everything, prepare, quick_place

__all__ = ["quick_place"]

LOOKS = ("stat", "scan", "read_link")
CHANGES = ("move", "exchange", "settle", "set_metadata", "make_directory")
REMOVALS = ("remove_file", "remove_directory", "flush_directory", "flush_all")


class Refusing(RealDisk):
    """From the n-th call on, counted from the first that touches a path, it refuses some."""

    calls_left: int | None = None
    refuses = 2
    began = False
    refused = 0

    def _refuse(self, call: str) -> None:
        if self.calls_left is None:
            return
        self.began = self.began or call in ("move", "exchange")
        if not self.began:
            return
        self.calls_left -= 1
        if self.calls_left < 0 and self.refused < self.refuses:
            self.refused += 1
            raise OSError(errno.EIO, os.strerror(errno.EIO))


def _refusing(call: str) -> Any:
    def method(self: Refusing, *values: Any, **named: Any) -> Any:
        self._refuse(call)
        return getattr(super(Refusing, self), call)(*values, **named)

    return method


for _call in (*LOOKS, *CHANGES, *REMOVALS):
    setattr(Refusing, _call, _refusing(_call))


class RefusingSteps(Refusing):
    """The same where a file system cannot exchange in one step."""

    def __init__(self, root: str) -> None:
        super().__init__(root)
        self._exchange = False


class RefusingFolding(Refusing, Folding):
    """The same where "A" and "a" are one name."""


def prepare_names(bench: Bench) -> set[bytes]:
    names = ("readme", "Dir/below", "Dir/sub/deep")
    bench.apply(
        bench.make_directory("Dir"),
        bench.make_directory("Dir/sub"),
        *(bench.put(name, name.encode()) for name in names),
    )
    (bench.root / "Dir" / "ignored").write_bytes(b"ignored")
    return {root_of(data) for data in (b"ignored", *(name.encode() for name in names))}


def other_cases(bench: Bench) -> list[DiskOperation]:
    return [
        bench.make_directory("dir"),
        bench.make_directory("dir/sub"),
        bench.put("README", b"readme", source="readme"),
        bench.put("dir/below", b"Dir/below", source="Dir/below"),
        bench.put("dir/sub/deep", b"Dir/sub/deep", source="Dir/sub/deep"),
        *(bench.remove(name) for name in ("readme", "Dir/below", "Dir/sub/deep")),
        bench.remove("Dir/sub"),
        bench.remove("Dir"),
    ]


class Editor:
    """Writes into each file in the very instant before it is taken from its path."""

    def __init__(self, bench: Bench, patch: pytest.MonkeyPatch) -> None:
        self._bench = bench
        self.written: dict[str, bytes] = {}
        move, exchange = bench.disk.move, bench.disk.exchange

        def moved(source: str, target: str) -> None:
            self._edit(source)
            move(source, target)

        def exchanged(temporary: str, path: str) -> None:
            self._edit(path)
            exchange(temporary, path)

        patch.setattr(bench.disk, "move", moved)
        patch.setattr(bench.disk, "exchange", exchanged)

    def _edit(self, path: str) -> None:
        file = self._bench.root / path
        if not path.startswith(".flocksy") and path not in self.written and file.is_file():
            self.written[path] = b"edit of " + path.encode()
            file.write_bytes(self.written[path])


def somewhere(bench: Bench) -> set[bytes]:
    """Roots of all contents in the box and in the history."""
    files = (bench.root / path for path in bench.paths())
    there = {root_of(one.read_bytes()) for one in files if one.is_file() and not one.is_symlink()}
    return there | {root_of(data) for data in bench.kept().values()}


def seem_deleted(bench: Bench, operations: Sequence[DiskOperation]) -> Iterator[str]:
    """Paths whose absence a scan would take for a person's deletion."""
    removed = {one.path for one in operations if isinstance(one, Remove)}
    for path in bench.index.known_paths(None, 10_000):
        synced = bench.index.synced(path)
        held = synced is not None and synced.disk is not None
        if held and bench.disk.stat(path) is None and path not in removed:
            yield path


@pytest.mark.parametrize(
    ("kind", "edits"),
    [(Refusing, False), (Refusing, True), (RefusingSteps, True), (RefusingFolding, False)],
)
def test_a_refusal_at_every_single_call(
    quick_place: Path, kind: type[Refusing], edits: bool
) -> None:
    folding = issubclass(kind, Folding)
    for calls in range(1000):
        place = quick_place / str(calls)
        (place / "box").mkdir(parents=True)
        disk = kind(str(place / "box"))
        capabilities = Capabilities(case_folding=folding)
        bench = Bench(place, disk, capabilities)
        ever = (prepare_names if folding else prepare)(bench)
        operations = (other_cases if folding else a_bit_of_everything)(bench)
        with pytest.MonkeyPatch.context() as patch:
            if edits:
                editor = Editor(bench, patch)
            disk.calls_left = calls
            try:
                bench.apply(*operations)
            except (OSError, FlocksyError) as error:
                said = str(error)
            else:
                said = "went on"
            disk.calls_left = None
        if edits:
            ever = {root_of(data) for data in editor.written.values()}
        where = f"call {calls}: {said}"
        bench.index.close()
        again = Bench(place, disk, capabilities)
        finish(again.applier.recover())
        assert ever <= somewhere(again), where
        assert not list(seem_deleted(again, operations)), where
        assert set(again.rows()) == set(again.kept()), where
        assert not [name for name in again.temporaries() if name.startswith("apply-")], where
        again.close()
        if not disk.refused:
            assert calls > 30
            return
    raise AssertionError("there is no end to it")
