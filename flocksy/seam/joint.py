"""The joint of the two processes: three rings, two reports and a wake-up, on both ends.

The box process makes a `BoxSeam` and hands its `handle` to the wire process, which makes a
`WireSeam` of it. Every slot is [meta][cell: header space, payload]: the wire process fills the
header in place and sends the cell straight from the slot, and receives straight into one.
"""

from __future__ import annotations

import contextlib
import enum
import socket
import struct
from dataclasses import dataclass
from typing import NamedTuple

from flocksy.seam.report import (
    BoxReport,
    WireReport,
)
from flocksy.seam.shape import META_BYTES, SeamMemory, SeamShape

__all__ = ["BoxSeam", "Gear", "Inbound", "SeamHandle", "SeamShape", "WireSeam"]

_META = struct.Struct("<BB?xIQ8s32s")
_BURST_ID = struct.Struct("<8x8x8s")
_AMONG = struct.Struct("<I")


class Gear(enum.IntEnum):
    """Which of the two streams of a lane a slot belongs to."""

    IDLE = 0
    BURST = 1


class Inbound(NamedTuple):
    """One received slot. `payload` is valid until `BoxSeam.done`."""

    lane: int
    gear: Gear
    round: int
    """The sender's round when it made the cell."""
    burst_id: bytes
    k: int
    """Index of the cell in its burst; 0 in the idle gear."""
    gap: bool
    """Cells of this lane and gear were lost between the slot before and this one."""
    known: bytes
    """The sender's digest of known state."""
    payload: memoryview


@dataclass(frozen=True, slots=True)
class SeamHandle:
    """What the wire process needs to attach; can be sent to a spawned process."""

    shape: SeamShape
    memory_name: str
    wake: socket.socket


class BoxSeam:
    """The box process's end: fill slots, take slots, state a need. Nothing here blocks.

    Made once per wire process. After starting that process call `launched`; when `poll` first
    says that it has attached, the memory's name is gone and cannot be left behind.
    """

    def __init__(self, shape: SeamShape) -> None:
        self.shape = shape
        self.lanes = shape.lanes
        self.own_lane = shape.own_lane
        self.idle_payload = shape.idle_cell - shape.header
        self.burst_payload = shape.burst_cell - shape.header
        self.attached = False
        self._start = META_BYTES + shape.header
        self._memory = SeamMemory(shape, None)
        self._wake, theirs = socket.socketpair()
        self._wake.setblocking(False)
        theirs.setblocking(False)
        self._theirs: socket.socket | None = theirs
        self._reported: BoxReport | None = None
        self.state(BoxReport())

    def handle(self) -> SeamHandle:
        """To be given to the wire process (once, before `launched`)."""
        assert self._theirs is not None
        return SeamHandle(self.shape, self._memory.shared.name, self._theirs)

    def launched(self) -> None:
        """The wire process has been started: let go of its end, so that its death shows."""
        if self._theirs is not None:
            self._theirs.close()
            self._theirs = None

    def fileno(self) -> int:
        """Readable when the wire has moved slots or a round has passed."""
        return self._wake.fileno()

    def poll(self) -> bool:
        """Swallow the wake-ups. False when the wire process is gone."""
        try:
            wakes = self._wake.recv(4096)
        except BlockingIOError:
            return True
        except OSError:
            return False
        if not wakes:
            return False
        if not self.attached:
            self.attached = True
            self._memory.shared.unlink()
        return True

    # Outwards

    def idle_slot(self) -> memoryview | None:
        """Payload of the next heartbeat to be filled, or None while enough are filled ahead.

        Fill all of it (what is not used with zeros), then `publish_idle`.
        """
        slot = self._memory.idle_out.reserve()
        return None if slot is None else slot[self._start : self._start + self.idle_payload]

    def publish_idle(self, among: int = 0) -> None:
        """The slot from `idle_slot` may leave in a heartbeat, in views that have all these lanes (a
        bitmap) and in no other."""
        slot = self._memory.idle_out.reserve()
        assert slot is not None
        _AMONG.pack_into(slot, 0, among)
        self._memory.idle_out.publish()

    @property
    def idle_ahead(self) -> int:
        """Heartbeats that are filled and have not left."""
        return self._memory.idle_out.filled

    def burst_slot(self) -> memoryview | None:
        """Payload of the next burst cell to be filled, or None while enough are filled ahead."""
        slot = self._memory.burst_out.reserve()
        return None if slot is None else slot[self._start : self._start + self.burst_payload]

    def publish_burst(self, burst_id: bytes) -> None:
        """The slot from `burst_slot` may leave in burst `burst_id`, and in no other."""
        slot = self._memory.burst_out.reserve()
        assert slot is not None
        _BURST_ID.pack_into(slot, 0, burst_id)
        self._memory.burst_out.publish()

    # Inwards

    def take(self) -> Inbound | None:
        """The oldest slot received, own lane included, or None. Call `done` after use."""
        slot = self._memory.inward.peek()
        if slot is None:
            return None
        lane, gear, gap, k, round_, burst_id, known = _META.unpack_from(slot)
        size = self.burst_payload if gear else self.idle_payload
        payload = slot[self._start : self._start + size]
        return Inbound(lane, Gear(gear), round_, burst_id, k, gap, known, payload)

    def done(self) -> None:
        """The slot from `take` is no longer used."""
        self._memory.inward.release()

    @property
    def waiting(self) -> int:
        """Slots received and not yet taken."""
        return self._memory.inward.filled

    # Reports

    def report(self) -> WireReport:
        """What the wire says, at most a round old."""
        return self._memory.wire_report.read()

    def state(self, report: BoxReport) -> None:
        """Tell the wire; cheap when nothing changed."""
        if report != self._reported:
            self._memory.box_report.write(report)
            self._reported = report

    def tell_address(self, lane: int, endpoint: str) -> None:
        """A member may be reached there: the wire tries it when nothing else works."""
        self._memory.addresses.write(lane, endpoint)

    def close(self) -> None:
        """Let go of everything. The wire process sees it and ends."""
        self.launched()
        self._wake.close()
        if not self.attached:
            self._memory.shared.unlink()
            self.attached = True
        self._memory.close()


class WireSeam:
    """The wire process's end: whole cells instead of payloads."""

    def __init__(self, handle: SeamHandle) -> None:
        shape = handle.shape
        self.shape = shape
        self._memory = SeamMemory(shape, handle.memory_name)
        self._memory.touch()
        self._wake = handle.wake.dup()
        self._wake.setblocking(False)
        self.idle_out = self._memory.idle_out
        self.burst_out = self._memory.burst_out
        self.inward = self._memory.inward
        self._idle_end = META_BYTES + shape.idle_cell
        self._burst_end = META_BYTES + shape.burst_cell
        self._room: memoryview | None = None
        self.wake_box()

    def fileno(self) -> int:
        """Readable when the box process is gone."""
        return self._wake.fileno()

    def idle_cell(self, view: int) -> memoryview | None:
        """The next filled heartbeat, header space first, or None: then cover leaves. Slots that
        need lanes which this view lacks are dropped.

        Call `idle_out.release` once it has been sent.
        """
        while (slot := self.idle_out.peek()) is not None:
            if not _AMONG.unpack_from(slot)[0] & ~view:
                return slot[META_BYTES : self._idle_end]
            self.idle_out.release()
        return None

    def burst_cell(self, burst_id: bytes) -> memoryview | None:
        """The next filled cell of this burst, or None. Slots for other bursts are dropped."""
        while (slot := self.burst_out.peek()) is not None:
            if _BURST_ID.unpack_from(slot)[0] == burst_id:
                return slot[META_BYTES : self._burst_end]
            self.burst_out.release()
        return None

    def burst_ahead(self, burst_id: bytes, least: int) -> bool:
        """Whether at least `least` cells of this burst are filled."""
        self.burst_cell(burst_id)
        return self.burst_out.filled >= least

    def room(self) -> memoryview | None:
        """The slot that the next received cell goes to, cell part only, or None if full."""
        slot = self._room = self.inward.reserve()
        return None if slot is None else slot[META_BYTES:]

    def received(
        self,
        lane: int,
        gear: int,
        round_: int,
        burst_id: bytes,
        k: int,
        gap: bool,
        known: bytes,
    ) -> None:
        """Describe the cell in the slot from `room` and hand it to the box process."""
        slot = self._room
        assert slot is not None
        _META.pack_into(slot, 0, lane, gear, gap, k, round_, burst_id, known)
        self.inward.publish()

    def wake_box(self) -> None:
        """Slots have moved. Never blocks: a full pipe means the box has wake-ups to read."""
        with contextlib.suppress(OSError):
            self._wake.send(b"\1")

    def poll(self) -> bool:
        """False when the box process is gone."""
        try:
            return bool(self._wake.recv(4096))
        except BlockingIOError:
            return True
        except OSError:
            return False

    def box(self) -> BoxReport:
        """What the box process says."""
        return self._memory.box_report.read()

    def told_addresses(self) -> list[tuple[int, str]]:
        """Lanes, and where they may be reached: what was told since the last call."""
        return self._memory.addresses.fresh()

    def tell(self, report: WireReport, texts: bool) -> None:
        """Publish this round's report; `texts` at most once a second."""
        if texts:
            # First, because readers look at the texts only when the numbers have changed.
            self._memory.wire_report.write_slow(report)
        self._memory.wire_report.write_hot(report)

    def close(self) -> None:
        """Let go of everything."""
        self._room = None
        self._wake.close()
        self._memory.close()
