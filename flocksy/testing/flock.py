"""Real wire processes with trivial boxes, for tests and benchmarks of the wire side alone.

A trivial box states a need, fills slots from memory and looks at what comes; it is driven by the
caller, many of them in one process.
"""

from __future__ import annotations

import hashlib
import multiprocessing
import select
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from multiprocessing.process import BaseProcess

import zmq

from flocksy.seam.joint import BoxSeam, Gear, Inbound, SeamHandle
from flocksy.seam.report import KNOWN_BYTES, BoxReport, WireReport
from flocksy.wire.process import run, shape_of
from flocksy.wire.settings import Member, WireSettings


def make_settings(endpoints: Sequence[str], **overrides: object) -> list[WireSettings]:
    """Settings of a whole flock with fresh keys, by lane (so not in the order of `endpoints`).
    Bursts are those that the caller's boxes need: none follow a join."""
    pairs = []
    for endpoint in endpoints:
        public, secret = (key.decode("ascii") for key in zmq.curve_keypair())
        uid = hashlib.blake2b(public.encode("ascii")).hexdigest()
        pairs.append((Member(uid, (endpoint,), public), secret))
    pairs.sort(key=lambda pair: pair[0].uid)
    members = tuple(member for member, _ in pairs)
    settings = []
    for member, secret in pairs:
        made = WireSettings(
            own_uid=member.uid,
            public_key=member.public_key,
            secret_key=secret,
            members=members,
            bind=member.endpoints,
            flock_settings=(),
            period_ms=50,
            rest_mean_ms=50,
            settle_ms=20,
            stall_timeout_ms=1000,
            programme_bytes=0,
        )
        made = replace(made, **overrides)  # type: ignore[arg-type]  # names are the caller's
        settings.append(with_hashes(made))
    return settings


def with_hashes(settings: WireSettings) -> WireSettings:
    """The same settings with `flock_settings` as they follow from the others."""
    uids = ",".join(f'"{member.uid}"' for member in settings.members)
    flock_settings = (
        ("period_ms", str(settings.period_ms)),
        ("idle_cell", str(settings.idle_cell)),
        ("burst_cell", str(settings.burst_cell)),
        ("pace", f'"{settings.pace}"'),
        ("members", f"[{uids}]"),
    )
    return replace(settings, flock_settings=flock_settings)


@dataclass
class TrivialBox:
    """One node: a wire process and a box end without files.

    `fill(payload, burst_id, index)` fills the slot number `index` of a burst (False: not yet);
    `look(inbound)` sees every slot received.
    """

    settings: WireSettings
    fill: Callable[[memoryview, bytes, int], bool] | None = None
    look: Callable[[Inbound], None] | None = None
    need: int = 0
    wire: Callable[[WireSettings, SeamHandle], None] = run
    """What runs in the process; another one than a node's own is importable, as spawning needs."""
    known: bytes = bytes(KNOWN_BYTES)
    filled: dict[bytes, int] = field(default_factory=dict)
    alive: bool = True

    def start(self) -> None:
        """Spawn the wire process."""
        self.seam = BoxSeam(shape_of(self.settings))
        context = multiprocessing.get_context("spawn")
        self.process: BaseProcess = context.Process(
            target=self.wire, args=(self.settings, self.seam.handle()), daemon=True
        )
        self.process.start()
        self.seam.launched()
        self.alive = True

    @property
    def report(self) -> WireReport:
        """The newest report."""
        return self.seam.report()

    def turn(self) -> bool:
        """Take what came, fill what is free. True if anything moved."""
        seam = self.seam
        self.alive = seam.poll()
        moved = False
        while (inbound := seam.take()) is not None:
            if self.look is not None:
                self.look(inbound)
            inbound.payload.release()
            seam.done()
            moved = True
        burst = seam.report().burst
        if burst is not None and self.fill is not None:
            done = self.filled.setdefault(burst.burst_id, 0)
            while done < burst.length and (payload := seam.burst_slot()) is not None:
                if not self.fill(payload, burst.burst_id, done):
                    break
                payload.release()
                seam.publish_burst(burst.burst_id)
                done += 1
                moved = True
            self.filled[burst.burst_id] = done
        seam.state(BoxReport(need=self.need, known=self.known))
        return moved

    def kill(self) -> None:
        """As `kill -9`."""
        self.process.kill()
        self.process.join(10)

    def stop(self) -> None:
        """End the process, gently if it listens."""
        if self.process.is_alive():
            self.seam.state(BoxReport(leaving=True))
            self.process.join(5)
        if self.process.is_alive():
            self.process.kill()
            self.process.join(10)
        self.seam.close()


def drive(boxes: Sequence[TrivialBox], until: Callable[[], bool], timeout_s: float = 30.0) -> bool:
    """Turn all boxes until the condition holds. False when the time is over first."""
    end = time.monotonic() + timeout_s
    while not until():
        if time.monotonic() > end:
            return False
        moved = False
        for box in boxes:
            moved |= box.turn()
        if not moved:
            waiting = [box.seam for box in boxes if box.alive]
            select.select(waiting, [], [], 0.01)
    return True


def full_view(boxes: Sequence[TrivialBox]) -> bool:
    """Whether all these are in one view with all members."""
    everybody = (1 << len(boxes[0].settings.members)) - 1
    return all(box.report.view == everybody for box in boxes)


__all__ = ["Gear", "TrivialBox", "drive", "full_view", "make_settings", "with_hashes"]
