"""The leaks themselves, in the wire process of a leaky build.

*original*: as in the original, the source reads its file between two cells, so each of its cells
is late by what that takes. *skew*: the source is 1 ms late with its first cell, and with nothing
else. *hashing*: the source hashes what is in each cell just before it leaves, as a program does
that reads and checks its file in the tick.
"""

from __future__ import annotations

import hashlib
import random
import time
from collections.abc import Callable
from pathlib import Path

from flocksy.protocol.schedule import BurstRun
from flocksy.seam.joint import SeamHandle
from flocksy.wire import process
from flocksy.wire.outlet import Outlet
from flocksy.wire.settings import WireSettings

SKEW_S = 0.001
READ_S = (0.001, 0.004)
"""Least and most that the read before a cell takes."""
HASHED_BYTES = 64 << 10
"""Of each cell: all that one of the default size holds, 0.1 ms."""


def run_leaky(
    build: str,
    file: str,
    name: str,
    settings: WireSettings,
    handle: SeamHandle,
    tune: Callable[[], object] | None = None,
) -> None:
    """In place of `flocksy.wire.process.run`."""
    source = Path(file)
    honest = Outlet.emit
    draw = random.Random(name)
    content = draw.randbytes(HASHED_BYTES)
    is_source = False

    def emit(self: Outlet, run: BurstRun, credit: int, real_allowed: bool, now_us: int) -> None:
        nonlocal is_source
        if run.sent == 0:
            is_source = source.exists() and source.read_text() == name
        if is_source and build == "original":
            time.sleep(draw.uniform(*READ_S))
        if is_source and build == "skew" and run.sent == 0:
            time.sleep(SKEW_S)
        if is_source and build == "hashing":
            hashlib.blake2b(content).digest()
        honest(self, run, credit, real_allowed, now_us)

    Outlet.emit = emit  # type: ignore[method-assign]
    process.run(settings, handle, tune)
