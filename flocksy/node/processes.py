"""The wire process as the box process sees it: started, watched, ended."""

from __future__ import annotations

import functools
import multiprocessing
import os
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from multiprocessing.process import BaseProcess

from flocksy.boxes.lanes.addresses import Addresses
from flocksy.config.settings import NodeSettings
from flocksy.errors import FlocksyError
from flocksy.protocol.timing import BurstTiming
from flocksy.seam.joint import BoxSeam
from flocksy.system import memory, processes
from flocksy.system.ports import listening_finding
from flocksy.wire.process import EXIT_STOOD_STILL, EXIT_WORLD, run, shape_of
from flocksy.wire.settings import Member, WireSettings

WIRE_NICE = -10
"""Before all else on this machine, where we may; without the right it stays where it is. What wakes
it at once needs no right: a short time slice, and no such hurry in the node's other processes."""

END_SECONDS = 5.0
"""How long the wire process may take to end after its last cell before it is ended."""


def wire_settings(settings: NodeSettings, addresses: Addresses | None = None) -> WireSettings:
    """What the wire process is told of the node's settings: nothing about boxes. `addresses`:
    where members were reached at last."""
    return WireSettings(
        own_uid=settings.uid,
        public_key=settings.key_pair.public_key,
        secret_key=settings.key_pair.private_key,
        members=tuple(
            Member(
                member.uid,
                member.endpoints if addresses is None else addresses.first(lane),
                member.public_key,
                member.other_keys,
            )
            for lane, member in enumerate(settings.members)
        ),
        bind=settings.hostnames,
        flock_settings=settings.flock_settings(),
        period_ms=settings.period_ms,
        idle_cell=settings.idle_cell,
        burst_cell=settings.burst_cell,
        pace=settings.pace,
        max_rate=settings.max_rate,
        min_view=settings.min_view,
        settle_ms=settings.settle_ms,
        rest_mean_ms=settings.rest_mean_ms,
        stall_timeout_ms=settings.stall_timeout_ms,
        timing=BurstTiming(
            settings.burst_timing,
            max(1, settings.burst_every_ms // settings.period_ms),
            settings.burst_cells,
        ),
        socks=settings.socks or "",
        knock=settings.own_key_elsewhere,
    )


def shared_bytes(settings: NodeSettings) -> int:
    """Shared memory that a node with these settings takes. Raises `FlocksyError` if it cannot."""
    return sum(shape_of(wire_settings(settings)).sizes())


def check_could_run(settings: NodeSettings, held: Collection[str]) -> None:
    """Raise `FlocksyError` where a node with these settings would not start, for its cells or for
    an endpoint of its own. `held`: own endpoints of the settings before, at which it listens: they
    are not tried."""
    shared_bytes(settings)
    for endpoint in settings.hostnames:
        if endpoint in held:
            continue
        level, text, remedy = listening_finding(endpoint, held)
        if level == "problem":
            raise FlocksyError(f"hostname = {text}; {remedy}")


@contextmanager
def starting(what: str) -> Iterator[None]:
    """While a process is started. What a person tells us comes afterwards, lest the new process
    dies of it. Raises `FlocksyError` where the system has no room for it."""
    try:
        with processes.held_back():
            yield
    except (OSError, RuntimeError) as error:
        why = (isinstance(error, OSError) and error.strerror) or error
        raise FlocksyError(
            f"the {what} process cannot be started ({why}): make room in memory and in /dev/shm, or"
            " for more processes of this user"
        ) from error


class WireProcess:
    """The running wire process and the seam to it."""

    def __init__(self, settings: NodeSettings, addresses: Addresses | None = None) -> None:
        """Raises `FlocksyError` where the process cannot be started."""
        wire = wire_settings(settings, addresses)
        with starting("wire"):  # Python starts a process of its own for shared memory
            self.seam = BoxSeam(shape_of(wire))
        context = multiprocessing.get_context("spawn")
        self.process: BaseProcess = context.Process(
            target=run,
            args=(wire, self.seam.handle(), functools.partial(_tune, os.getpid())),
            name="flocksy-wire",
            daemon=True,
        )
        try:
            with starting("wire"):
                self.process.start()
        except BaseException:
            self.seam.close()
            raise
        self.seam.launched()
        self.alive = True

    def poll(self) -> bool:
        """Swallow the wake-ups of the seam. False, and `alive` no more, when the process ended."""
        self.alive = self.alive and self.seam.poll()
        return self.alive

    def stand_still(self) -> None:
        """A terminal stops the node (Ctrl-Z), and does not know of this process. Alone it would
        keep the node in the view, and take in what nobody takes from it: all would wait."""
        processes.stand_still(self.process.pid if self.process.is_alive() else None)

    def has_left(self) -> bool:
        """Whether it has left the flock as one does, because this process was stopped; once
        `seam.poll` said that it has ended. Otherwise there is a `failure`."""
        self.process.join(END_SECONDS)
        return self.process.exitcode == EXIT_STOOD_STILL

    def failure(self) -> FlocksyError:
        """Why the process has ended, once `seam.poll` said that it has."""
        self.process.join(END_SECONDS)
        errors = self.seam.report().errors
        if self.process.exitcode == EXIT_WORLD and errors:
            return FlocksyError(errors[-1])
        return FlocksyError(
            f"the wire process ended unexpectedly (exit status {self.process.exitcode}); "
            "start flocksy again, and report it if it happens twice"
        )

    def close(self) -> None:
        """End the process if it has not ended by itself, and let go of the seam."""
        self.seam.close()
        self.process.join(END_SECONDS)
        if self.process.is_alive():
            self.process.kill()
            self.process.join()


def _tune(parent: int) -> None:
    """Runs in the wire process, before any other thread is there: first at the processor, and gone
    when the node is."""
    processes.die_with_parent(parent)
    processes.leave_session()
    processes.set_nice(WIRE_NICE)
    processes.set_short_slice()
    memory.keep_freed_memory()
