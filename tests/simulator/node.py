"""One simulated node: the real emitter, the real seam, and a box side that may be real as well."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Protocol

from flocksy.seam.joint import BoxSeam, WireSeam
from flocksy.wire.emitter import Emitter
from flocksy.wire.process import shape_of
from flocksy.wire.settings import WireSettings
from tests.simulator.clock import LocalClock
from tests.simulator.network import SimulatedPort


class BoxSide(Protocol):
    """What stands above the seam of a running node."""

    leaving: bool

    def turn(self, now_ns: int) -> int | None:
        """Work until nothing more is to be done now. When to come again, on the local clock."""

    def close(self) -> None:
        """The process ends."""

    def die(self) -> None:
        """The process is killed."""


class Node:
    """One member. `emitter` is None while it is down."""

    def __init__(self, lane: int, settings: WireSettings, draw: random.Random) -> None:
        self.lane = lane
        self.settings = settings
        self.draw = draw
        self.clock = LocalClock(draw.randrange(1, 1_000) * 1_000_000_000)
        self.emitter: Emitter | None = None
        self.port = SimulatedPort(len(settings.members), lambda _: None, lambda _lane, _at: None)
        self.box: BoxSide | None = None
        self.box_seam: BoxSeam | None = None
        self.wire_seam: WireSeam | None = None
        self.wire_due_ns: int | None = None
        self.box_due_ns: int | None = None
        self.wire_hangs = self.box_hangs = 0
        self.box_latency_ns = 500_000
        self.went_on_ns = -1
        """When it last went on after it had hung."""
        self.starts = 0
        self.emitted: list[tuple[bytes, int]] = []
        """(burst, cells emitted) of this process, newest last."""

    @property
    def up(self) -> bool:
        """Whether it runs."""
        return self.emitter is not None

    def start(
        self,
        now_ns: int,
        send: Callable[[bytes], None],
        taken: Callable[[int, int], None],
        woken: Callable[[], None],
        box: Callable[[BoxSeam], BoxSide],
    ) -> None:
        """Both processes start."""
        self.starts += 1
        self.emitted = []
        self.port = SimulatedPort(len(self.settings.members), send, taken)
        self.box_seam = BoxSeam(shape_of(self.settings))
        self.wire_seam = WireSeam(self.box_seam.handle())
        self.box_seam.launched()
        wake = self.wire_seam.wake_box

        def wake_box() -> None:
            wake()
            woken()

        self.wire_seam.wake_box = wake_box  # type: ignore[method-assign]
        self.emitter = Emitter(
            self.settings,
            self.wire_seam,
            self.port,
            self.clock.local(now_ns),
            self.clock.wall(now_ns),
            self.draw.randbytes,
        )
        self.box = box(self.box_seam)

    def stop(self, *, killed: bool) -> None:
        """Both processes end."""
        if self.box is not None:
            if killed:
                self.box.die()
            else:
                self.box.close()
        if self.wire_seam is not None and self.box_seam is not None:
            self.wire_seam.close()
            self.box_seam.close()
        self.emitter = self.box = self.box_seam = self.wire_seam = None
        self.wire_due_ns = self.box_due_ns = None
        self.wire_hangs = self.box_hangs = 0
        self.box_latency_ns = 500_000
