"""What of the world the code under test meets in the simulator instead of the real one.

Nothing of flocksy is changed: names of the outside world (`time`, `os`, the disk, the watcher,
shared memory) are bound to something else where its modules look them up.
"""

from __future__ import annotations

import io
import itertools
import os
import random
import sqlite3
import sys
import time
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from types import SimpleNamespace
from typing import Any
from unittest import mock

from flocksy.boxes.apply.batch import Report
from flocksy.seam import shape
from flocksy.sync.version import Version
from flocksy.wire.settings import WireSettings
from tests.simulator.memory import SharedMemory

TICK_NS = 1_000_000
"""How often a burst looks what may leave. With cells as small as here it would be oftener, and a
node that waits for a lane that is cut would be turned ten thousand times a second for nothing."""

CALL_S = 0.0001
"""What every look at a clock costs: so that work in slices is cut into slices here, too."""


@contextmanager
def one_process() -> Iterator[None]:
    """Shared memory is memory."""
    with ExitStack() as stack:
        stack.enter_context(
            mock.patch.object(shape, "shared_memory", SimpleNamespace(SharedMemory=SharedMemory))
        )
        stack.enter_context(mock.patch.object(WireSettings, "tick_ns", TICK_NS))
        yield


class Here:
    """Whose code runs just now, and when it is there. One for all: there is one thread."""

    def __init__(self) -> None:
        self.local_ns = 0
        self.wall_ns = 0
        self.calls = 0
        self.draw = random.Random(0)
        self.connections: list[sqlite3.Connection] = []
        self.flushed: Callable[[str], None] = lambda _: None
        self.applied: Callable[[Report], None] = lambda _: None
        self.recorded: Callable[[str, Version], None] = lambda _path, _version: None

    def enter(self, local_ns: int, wall_ns: int) -> None:
        """A node has its turn."""
        self.local_ns, self.wall_ns, self.calls = local_ns, wall_ns, 0

    def passed_ns(self) -> int:
        """How much of the turn is over."""
        self.calls += 1
        return int(self.calls * CALL_S * 1e9)


HERE = Here()


class _Time:
    """`time`, where it is the node's."""

    def __getattr__(self, name: str) -> Any:
        return getattr(time, name)

    @staticmethod
    def monotonic() -> float:
        return (HERE.local_ns + HERE.passed_ns()) / 1e9

    perf_counter = thread_time = monotonic

    @staticmethod
    def monotonic_ns() -> int:
        return HERE.local_ns + HERE.passed_ns()

    @staticmethod
    def time_ns() -> int:
        return HERE.wall_ns + HERE.passed_ns()

    @staticmethod
    def time() -> float:
        return (HERE.wall_ns + HERE.passed_ns()) / 1e9


class _Os:
    """`os`, where descriptors are of simulated disks."""

    def __init__(self, disks: Callable[[], Any]) -> None:
        self._disks = disks

    def __getattr__(self, name: str) -> Any:
        return getattr(os, name)

    def _find(self, descriptor: int) -> tuple[Any, Any]:
        for disk in self._disks():
            inode = disk.of_descriptor(descriptor)
            if inode is not None:
                return disk, inode
        return None, None

    def fstat(self, descriptor: int) -> Any:
        _, inode = self._find(descriptor)
        if inode is None:
            return os.fstat(descriptor)
        return SimpleNamespace(
            st_mode=0o100000 | inode.mode,
            st_size=inode.size,
            st_ino=inode.number,
            st_mtime_ns=inode.mtime_ns,
            st_ctime_ns=inode.ctime_ns,
            st_dev=7,
            st_nlink=inode.names,
        )

    def fsync(self, descriptor: int) -> None:
        disk, inode = self._find(descriptor)
        if inode is not None:
            disk.flush(inode)

    def read(self, descriptor: int, size: int) -> bytes:
        disk, inode = self._find(descriptor)
        if inode is not None:
            disk.read(inode)
        return os.read(descriptor, size)

    def write(self, descriptor: int, data: bytes) -> int:
        raise NotImplementedError("written past the simulated disk")


def _at_once(do: Callable[[], Any]) -> Generator[float, None, Any]:
    """As `in_thread`, but that nothing is beside the loop here."""
    yield 0.002
    return do()


def _as_found(_: Any, findings: Sequence[Any]) -> Generator[float, None, Sequence[Any]]:
    """As `made_durable`: what hands do is durable at once here."""
    yield from ()
    return findings


@contextmanager
def simulated_boxes(disks: Callable[[], list[Any]], watcher: type) -> Iterator[None]:
    """Disk, clocks, random numbers and watcher of the box side are the simulator's."""
    from flocksy.boxes import activation, planning, scans
    from flocksy.boxes.apply import flushing, history
    from flocksy.boxes.disk import marker
    from flocksy.boxes.scan import chunking, scanner, walk
    from flocksy.index import database, store
    from flocksy.system import clocks, files
    from tests.simulator.disk import OpenDisk

    fake_time, fake_os = _Time(), _Os(disks)
    real_connect, real_write_at, real_read_at = sqlite3.connect, files.write_at, files.read_at

    def connect(*arguments: Any, **named: Any) -> sqlite3.Connection:
        connection = real_connect(*arguments, **named)
        HERE.connections.append(connection)
        return connection

    def write_at(descriptor: int, data: bytes | memoryview, offset: int) -> None:
        disk, inode = fake_os._find(descriptor)
        if inode is None:
            real_write_at(descriptor, data, offset)
        else:
            disk.write(inode, data, offset, descriptor)

    def read_at(descriptor: int, length: int, offset: int) -> bytes:
        disk, inode = fake_os._find(descriptor)
        if inode is not None:
            disk.read(inode)
        return real_read_at(descriptor, length, offset)

    class Reading(io.FileIO):
        def readinto(self, buffer: Any) -> int | None:
            disk, inode = fake_os._find(self.fileno())
            if inode is not None:
                disk.read(inode)
            return super().readinto(buffer)

    def token_bytes(size: int) -> bytes:
        return HERE.draw.randbytes(size)

    outermost = database.Database._outermost

    @contextmanager
    def noted(self: Any, synchronous: str) -> Iterator[None]:
        with outermost(self, synchronous):
            yield
        if synchronous == "FULL":
            HERE.flushed(self.name)

    record = store.BoxIndex.record

    def recorded(
        self: Any, path: str, name: bytes, version: Version, superseded: Any, **named: Any
    ) -> None:
        HERE.recorded(path, version)
        record(self, path, name, version, superseded, **named)

    taken = planning.Planning._applied

    def applied(self: Any, report: Report, now: float) -> None:
        HERE.applied(report)
        taken(self, report, now)

    def checkpoint(self: Any) -> None:
        self.rows("PRAGMA wal_checkpoint(PASSIVE)")
        HERE.flushed(self.name)

    with ExitStack() as stack:
        put = stack.enter_context

        def patch(target: object, name: str, value: object) -> None:
            put(mock.patch.object(target, name, value))

        for name, module in list(sys.modules.items()):
            if module is None or not name.startswith(("flocksy.boxes", "flocksy.index")):
                continue
            if getattr(module, "time", None) is time:
                patch(module, "time", fake_time)
            if getattr(module, "os", None) is os:
                patch(module, "os", fake_os)
            if getattr(module, "sqlite3", None) is sqlite3:
                names = {**vars(sqlite3), "connect": connect}
                patch(module, "sqlite3", SimpleNamespace(**names))
            if hasattr(module, "secrets"):
                patch(module, "secrets", SimpleNamespace(token_bytes=token_bytes))
            if "RealDisk" in vars(module):
                patch(module, "RealDisk", OpenDisk)
        patch(activation, "Watcher", watcher)
        patch(flushing, "in_thread", _at_once)
        patch(scanner, "made_durable", _as_found)
        patch(scans, "_TICKETS", itertools.count(1))
        patch(files, "write_at", write_at)
        patch(files, "read_at", read_at)
        patch(chunking, "io", SimpleNamespace(FileIO=Reading))
        patch(files, "write_out", lambda _: None)
        patch(clocks, "elapsed_ns", lambda: HERE.local_ns)
        patch(database.Database, "_outermost", noted)
        patch(database.Database, "checkpoint", checkpoint)
        patch(store.BoxIndex, "record", recorded)
        patch(planning.Planning, "_applied", applied)
        patch(walk.Walk.__init__, "__defaults__", _with_clock(walk.Walk.__init__.__defaults__))
        patch(marker.activate, "__kwdefaults__", {"adopt": False, "random": token_bytes})
        del history, scanner
        yield


def _with_clock(defaults: tuple[Any, ...] | None) -> tuple[Any, ...]:
    """The default arguments of a function, its clock being the node's."""
    return tuple(_Time.time_ns if value is time.time_ns else value for value in defaults or ())
