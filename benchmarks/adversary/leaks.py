"""The leaks themselves, in the wire process of a leaky build.

*original*: as in the original, the source reads its file between two cells, so each of its cells
is late by what that takes. *skew*: the source is 1 ms late with its first cell, and with nothing
else. *hashing*: the source hashes what is in each cell just before it leaves, as a program does
that reads and checks its file in the tick. *late*: the source is 1 ms late with three heartbeats
from its change on, and with the cells of the next burst. *needy*: who is told that it is asks for
three bursts more.
"""

from __future__ import annotations

import hashlib
import random
import time
from collections.abc import Callable
from pathlib import Path

from flocksy.protocol.schedule import BurstRun
from flocksy.protocol.timing import BurstTiming
from flocksy.seam.joint import SeamHandle
from flocksy.wire import process
from flocksy.wire.outlet import Outlet
from flocksy.wire.settings import WireSettings

LATE_S = 0.001
LATE_HEARTBEATS = 3
NEEDY_BURSTS = 4
"""That of the change, and so many more that it is no question of how many follow anyway."""
READ_S = (0.001, 0.004)
"""Least and most that the read before a cell takes."""
HASHED_BYTES = 64 << 10
"""Of each cell: all that one of the default size holds, 0.1 ms."""


class Leak:
    """What the wire process of one node knows of sources, and does about it."""

    def __init__(self, build: str, file: Path, name: str) -> None:
        self._build = build
        self._file = file
        self._name = name
        self._draw = random.Random(name)
        self._content = self._draw.randbytes(HASHED_BYTES)
        self._seen = (0, 0)
        self._is_source = False
        self._heartbeats = 0
        """To come since the node was told that it is the source."""
        self._bursts = 0
        """Likewise."""
        self._is_late = False

    def look(self) -> None:
        """See what FILE says. It is written anew for each change."""
        if not self._file.exists():
            return
        status = self._file.stat()
        if (told := (status.st_ino, status.st_mtime_ns)) != self._seen:
            self._seen = told
            self._is_source = self._file.read_text() == self._name
            self._heartbeats = LATE_HEARTBEATS if self._is_source else 0
            self._bursts = NEEDY_BURSTS if self._is_source else 0

    def before_heartbeat(self) -> None:
        """A heartbeat is about to leave."""
        self.look()
        if self._build == "late" and self._heartbeats:
            self._heartbeats -= 1
            time.sleep(LATE_S)

    def before_cell(self, number: int) -> None:
        """A cell of a burst is about to leave."""
        if number == 0:
            self.look()
            self._is_late = self._bursts == NEEDY_BURSTS
            self._bursts = max(0, self._bursts - 1)
        match self._build:
            case "original" if self._is_source:
                time.sleep(self._draw.uniform(*READ_S))
            case "skew" if self._is_source and number == 0:
                time.sleep(LATE_S)
            case "hashing" if self._is_source:
                hashlib.blake2b(self._content).digest()
            case "late" if self._is_late:
                time.sleep(LATE_S)

    def need(self, wanted: int) -> int:
        """The cells to ask for, where the boxes want `wanted`."""
        return max(wanted, 1) if self._build == "needy" and self._bursts else wanted


def run_leaky(
    build: str,
    file: str,
    name: str,
    settings: WireSettings,
    handle: SeamHandle,
    tune: Callable[[], object] | None = None,
) -> None:
    """In place of `flocksy.wire.process.run`."""
    leak = Leak(build, Path(file), name)
    honest_emit, honest_beat, honest_need = Outlet.emit, Outlet.beat, BurstTiming.need

    def emit(self: Outlet, run: BurstRun, credit: int, real_allowed: bool, now_us: int) -> None:
        leak.before_cell(run.sent)
        honest_emit(self, run, credit, real_allowed, now_us)

    def beat(self: Outlet, now_us: int) -> None:
        leak.before_heartbeat()
        honest_beat(self, now_us)

    def need(self: BurstTiming, round_: int, wanted: int) -> int:
        return honest_need(self, round_, leak.need(wanted))

    Outlet.emit, Outlet.beat = emit, beat  # type: ignore[method-assign]
    BurstTiming.need = need  # type: ignore[method-assign]
    process.run(settings, handle, tune)
