"""How the shared memory of a seam is cut, the same on both ends."""

from __future__ import annotations

import mmap
from dataclasses import dataclass
from multiprocessing import shared_memory

from flocksy.errors import LimitExceeded
from flocksy.seam.limits import (
    BURST_OUT_BYTES,
    BURST_OUT_WINDOWS,
    HOLD_ROUNDS,
    IDLE_OUT_SLOTS,
    IN_AWAY_BYTES,
    MAX_LANES,
    MAX_SEAM_BYTES,
    WINDOWS_IN,
)
from flocksy.seam.report import AddressBlock, BoxReportBlock, WireReportBlock
from flocksy.seam.ring import Ring, ring_bytes
from flocksy.system import memory

META_BYTES = 64
"""Before the cell in every slot: what the wire knows about it, or the burst it is meant for."""

_STILL_SEEN: list[shared_memory.SharedMemory] = []
"""Mappings that could not be closed; at most one per seam this process ever made."""


@dataclass(frozen=True, slots=True)
class SeamShape:
    """Sizes both ends must share. All cells in bytes of a whole frame."""

    lanes: int
    own_lane: int
    idle_cell: int
    burst_cell: int
    header: int
    """Bytes of a cell before its payload (`protocol.cell`; depends on `lanes` only)."""
    window: int
    """W: cells of a lane that may be under way at pace `max`."""

    @property
    def idle_slot(self) -> int:
        """Bytes of a slot for heartbeats, in whole cache lines."""
        return _lines(META_BYTES + self.idle_cell)

    @property
    def burst_slot(self) -> int:
        """Bytes of a slot for burst cells."""
        return _lines(META_BYTES + max(self.burst_cell, self.idle_cell))

    @property
    def burst_out_slots(self) -> int:
        """Depth of the out ring for bursts."""
        return max(BURST_OUT_WINDOWS * self.window, BURST_OUT_BYTES // self.burst_slot)

    @property
    def in_slots(self) -> int:
        """Depth of the in ring, shared by all lanes and both gears."""
        per_lane = WINDOWS_IN * self.window + 2 + HOLD_ROUNDS
        return self.lanes * per_lane + IN_AWAY_BYTES // self.burst_slot

    def sizes(self) -> tuple[int, int, int, int, int, int]:
        """Bytes of: idle out ring, burst out ring, in ring, wire's report, box's report, told
        addresses."""
        return (
            ring_bytes(IDLE_OUT_SLOTS, self.idle_slot),
            ring_bytes(self.burst_out_slots, self.burst_slot),
            ring_bytes(self.in_slots, self.burst_slot),
            WireReportBlock.bytes_for(self.lanes),
            BoxReportBlock.bytes_for(),
            AddressBlock.bytes_for(self.lanes),
        )

    def check(self) -> None:
        """Refuse a shape that does not fit its bounds.

        Raises `LimitExceeded`.
        """
        if self.lanes > MAX_LANES:
            raise LimitExceeded(f"{self.lanes} members: a flock has at most {MAX_LANES}")
        total = sum(self.sizes())
        if total > MAX_SEAM_BYTES:
            raise LimitExceeded(
                f"burst_cell = {self.burst_cell} with {self.lanes} members needs "
                f"{total >> 20} MiB of memory: choose a smaller burst_cell"
            )


class SeamMemory:
    """The shared memory of a seam cut into its parts, the same on both ends."""

    def __init__(self, shape: SeamShape, name: str | None) -> None:
        """`name`: of the memory that the other end has made, None to make it. Raises `OSError`
        where there is no room for it."""
        shape.check()
        total = sum(shape.sizes())
        self.shared = shared_memory.SharedMemory(name=name, create=name is None, size=total)
        if name is None:
            try:
                memory.reserve_shared(self.shared.name, total)
            except BaseException:
                self.shared.close()
                self.shared.unlink()
                raise
        assert self.shared.buf is not None
        view = memoryview(self.shared.buf)
        parts = []
        at = 0
        for size in shape.sizes():
            parts.append(view[at : at + size])
            at += size
        idle_out, burst_out, inward, wire_report, box_report, addresses = parts
        self.idle_out = Ring(idle_out, IDLE_OUT_SLOTS, shape.idle_slot)
        self.burst_out = Ring(burst_out, shape.burst_out_slots, shape.burst_slot)
        self.inward = Ring(inward, shape.in_slots, shape.burst_slot)
        self.wire_report = WireReportBlock(wire_report, shape.lanes, shape.own_lane)
        self.box_report = BoxReportBlock(box_report)
        self.addresses = AddressBlock(addresses, shape.lanes)
        self._views = [*parts, view]

    def touch(self) -> None:
        """Have every page in memory and mapped: the first use of one costs some 0.7 µs, which would
        fall into a tick of whoever has more slots in use than ever before. Reading is enough, and
        disturbs nothing that the other end has written."""
        bytes(self._views[-1][:: mmap.PAGESIZE])

    def close(self) -> None:
        for part in (self.idle_out, self.burst_out, self.inward):
            part.close()
        self.wire_report.close()
        self.box_report.close()
        self.addresses.close()
        for view in self._views:
            view.release()
        try:
            self.shared.close()
        except BufferError:
            # A caller still holds a payload: then the mapping ends with the process.
            _STILL_SEEN.append(self.shared)


def _lines(size: int) -> int:
    """`size` in whole cache lines."""
    return -(-size // 64) * 64
