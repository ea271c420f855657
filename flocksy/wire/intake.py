"""From the sockets into the in ring: n slots in per round, whatever is in them.

Every cell of every lane, the own one included, goes the same way. Nothing here looks at a
payload; nothing waits: a full ring drops the cell and the next slot of that lane and gear says so.
"""

from __future__ import annotations

from flocksy.errors import HostileInput
from flocksy.protocol.cell import (
    VERSION,
    Codec,
    Gear,
    Header,
    Prefix,
    Settings,
    peek,
    peek_known,
    peek_round,
    read_prefix,
)
from flocksy.protocol.clock import FlockClock
from flocksy.protocol.padding import MAX_BURST_CELLS
from flocksy.protocol.schedule import BurstRun
from flocksy.seam.joint import Gear as SlotGear
from flocksy.seam.joint import WireSeam
from flocksy.wire.lane import Lane
from flocksy.wire.limits import DRAIN_CELLS, PENDING_HEADERS
from flocksy.wire.port import Port
from flocksy.wire.settings import WireSettings


class Intake:
    """All lanes as they come in."""

    def __init__(
        self, settings: WireSettings, hashes: Settings, seam: WireSeam, port: Port
    ) -> None:
        self.lanes = [Lane() for _ in settings.members]
        self._own = settings.own_lane
        self._others = [i for i in range(len(self.lanes)) if i != self._own]
        self._hashes = hashes
        self._seam = seam
        self._port = port
        self._scratch = memoryview(bytearray(settings.burst_cell))
        self._gears = {settings.idle_cell: Gear.IDLE, settings.burst_cell: Gear.BURST}
        self._header = seam.shape.header

    def drain(self, now_ns: int, run: BurstRun | None) -> bool:
        """Take what the sockets hold, at most a few cells of each lane. True if there was any."""
        moved = False
        for index in self._others:
            for _ in range(DRAIN_CELLS):
                if not self._take(index, now_ns, run):
                    break
                moved = True
        return moved

    def own(self, cell: memoryview, gear: Gear, burst_id: bytes, k: int) -> bool:
        """The cell just emitted, into the own lane of the in ring. False if there was no room."""
        lane = self.lanes[self._own]
        lane.cells_in[gear] += 1
        room = self._seam.room()
        if room is None:
            lane.lost(gear)
            return False
        room[: len(cell)] = cell
        self._hand_on(self._own, lane, gear, room, burst_id, k)
        return True

    def decoded(self, codec: Codec, clock: FlockClock) -> list[tuple[int, Header]]:
        """The headers that came since the last call, oldest first in each lane."""
        headers = []
        for index in self._others:
            lane = self.lanes[index]
            if lane.restarted:
                lane.restarted = False
                clock.forget(index)
            for gear, received_ns, raw in lane.headers:
                try:
                    header = codec.unpack(raw)
                except HostileInput:
                    lane.difference = "sends cells that make no sense"
                    continue
                if gear == Gear.IDLE:
                    # Cells of a burst queue up behind each other: no measure of time.
                    clock.heard(index, header.times, received_ns)
                headers.append((index, header))
            lane.headers.clear()
        return headers

    def _take(self, index: int, now_ns: int, run: BurstRun | None) -> bool:
        room = self._seam.room()
        cell = room if room is not None else self._scratch
        size = self._port.receive(index, cell)
        if not size:
            return False
        lane = self.lanes[index]
        gear = self._gears.get(size)
        if not self._is_ours(lane, cell[: min(size, len(cell))], gear) or gear is None:
            return True
        prefix = read_prefix(cell)
        if prefix.session != lane.session:
            lane.headers.clear()
            lane.restarted = True
        if not lane.follow(prefix.session, prefix.sequence, gear):
            return True
        lane.heard_ns = now_ns
        burst_id, k, length, credit = peek(cell)
        if gear == Gear.BURST:
            if not k < length <= MAX_BURST_CELLS:
                lane.lost(gear)
                return True
            lane.burst_id, lane.burst_next, lane.burst_credit = burst_id, k + 1, credit
            if run is not None and run.burst_id == burst_id and run.expects(index, k):
                run.took(index, k, credit, now_ns)
                if room is None:
                    run.gap = True
        self._keep_header(lane, gear, now_ns, cell)
        if room is None:
            lane.lost(gear)
        else:
            self._hand_on(index, lane, gear, room, burst_id, k)
        return True

    def _is_ours(self, lane: Lane, cell: memoryview, gear: Gear | None) -> bool:
        """Whether a cell has our version, settings and size; else the lane says why not."""
        try:
            prefix = read_prefix(cell)
        except HostileInput:
            lane.difference = "sends cells that make no sense"
            return False
        if prefix.version != VERSION:
            lane.difference = f"speaks version {prefix.version} of the protocol, we {VERSION}"
            return False
        if prefix.digest != self._hashes.digest:
            lane.difference = self._name_difference(prefix)
            return False
        if prefix.gear != gear or prefix.header_bytes != self._header:
            lane.difference = "sends cells that make no sense"
            return False
        lane.difference = ""
        return True

    def _name_difference(self, prefix: Prefix) -> str:
        name = self._hashes.first_difference(prefix.digest, prefix.vector)
        return f"setting differs: {name}"

    def _keep_header(self, lane: Lane, gear: Gear, now_ns: int, cell: memoryview) -> None:
        header = (int(gear), now_ns, bytes(cell[: self._header]))
        kept = lane.headers
        if gear == Gear.BURST and kept and kept[-1][0] == Gear.BURST:
            kept[-1] = header
        elif len(kept) < PENDING_HEADERS:
            kept.append(header)
        else:
            kept[-1] = header

    def _hand_on(
        self, index: int, lane: Lane, gear: Gear, cell: memoryview, burst_id: bytes, k: int
    ) -> None:
        self._seam.received(
            index,
            SlotGear(gear),
            peek_round(cell),
            burst_id,
            k,
            lane.take_gap(gear),
            peek_known(cell),
        )
