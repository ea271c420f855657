"""The wire process: sockets, clock, schedule, agreement, and nothing else (design 4.3, rule 4).

It is spawned, and signals are its parent's affair. It ends after its last cell has shown 500, which
it decides by itself only where its parent is gone or was stopped (`EXIT_STOOD_STILL`); or when it
cannot begin: then the report's errors hold one line for the user, and the exit status is
`EXIT_WORLD`.
"""

from __future__ import annotations

import functools
import gc
import os
import sys
import time
from collections.abc import Callable

from flocksy.errors import FlocksyError
from flocksy.protocol.cell import check_sizes, header_bytes
from flocksy.seam.joint import SeamHandle, WireSeam
from flocksy.seam.report import WireReport
from flocksy.seam.shape import SeamShape
from flocksy.system import clocks, memory, processes
from flocksy.wire.emitter import Emitter
from flocksy.wire.limits import EXACT_NS
from flocksy.wire.link import Links
from flocksy.wire.parent import Parent, still_rounds
from flocksy.wire.settings import WireSettings

EXIT_WORLD = 3
"""Exit status when the world is not as needed (a port in use)."""

EXIT_STOOD_STILL = 4
"""Exit status after it has left because the box process was stopped."""

COLLECT_ROUNDS = 1024
"""Garbage is collected after the instants of rounds divisible by this, outside bursts: the same
ones on all nodes."""


def shape_of(settings: WireSettings) -> SeamShape:
    """The seam that goes with these settings.

    Raises `FlocksyError` when the cells are too small for the flock or the memory too large.
    """
    lanes = len(settings.members)
    check_sizes(lanes, settings.idle_cell, settings.burst_cell)
    shape = SeamShape(
        lanes=lanes,
        own_lane=settings.own_lane,
        idle_cell=settings.idle_cell,
        burst_cell=settings.burst_cell,
        header=header_bytes(lanes),
        window=settings.window,
    )
    shape.check()
    return shape


def run(
    settings: WireSettings, handle: SeamHandle, tune: Callable[[], object] | None = None
) -> None:
    """The target of the spawned process. `tune` sets its priority and the like."""
    processes.leave_to_parent()
    seam = WireSeam(handle)
    handle.wake.close()
    try:
        if tune is not None:
            tune()
        memory.lock_in_memory(settings.secret_key)
        links = Links(settings)
        memory.wipe(settings.secret_key)  # libzmq has its own copy
    except FlocksyError as error:
        seam.tell(WireReport(state="failed", errors=(str(error),)), texts=True)
        seam.close()
        sys.exit(EXIT_WORLD)
    look = functools.partial(processes.standstill, processes.parent())
    parent = Parent(seam, look, still_rounds(settings))
    try:
        _loop(settings, seam, links, parent)
    finally:
        links.close()
        seam.close()
    if parent.stands_still:
        sys.exit(EXIT_STOOD_STILL)


def _loop(settings: WireSettings, seam: WireSeam, links: Links, parent: Parent) -> None:
    now_ns, wall_ns = clocks.elapsed_ns(), time.time_ns()
    emitter = Emitter(settings, seam, links, now_ns, wall_ns, os.urandom, parent)
    links.watch(seam.fileno())
    gc.collect()
    gc.freeze()
    gc.disable()
    collected = 0
    watched = True
    while True:
        # A clock that goes on in a suspend: afterwards nothing known of the others is fresh.
        now_ns = clocks.elapsed_ns()
        deadline_ns = emitter.turn(now_ns)
        if emitter.ended:
            return
        left_ns = deadline_ns - clocks.elapsed_ns()
        if left_ns <= 0:
            continue
        if left_ns > EXACT_NS:
            links.wait(left_ns // 1_000_000 - 1)
            if watched and not seam.poll():
                watched = False  # at its end it would be readable for ever
                links.forget(seam.fileno())
        else:
            time.sleep(left_ns / 1e9)
        if emitter.round % COLLECT_ROUNDS == 0 and emitter.round != collected:
            collected = emitter.round
            if not emitter.in_burst:
                gc.collect()
