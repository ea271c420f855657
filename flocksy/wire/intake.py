"""From the sockets into the in ring: n slots in per round, whatever is in them.

Every cell of every lane, the own one included, goes the same way. Nothing here looks at a
payload; nothing waits: a full ring drops the cell and the next slot of that lane and gear says so.
"""

from __future__ import annotations

from flocksy.errors import HostileInput
from flocksy.protocol.cell import (
    VERSION,
    Codec,
    glance,
    read_prefix,
)
from flocksy.protocol.clock import FlockClock
from flocksy.protocol.flock_settings import FlockSettings
from flocksy.protocol.header import Gear, Header
from flocksy.protocol.padding import MAX_BURST_CELLS
from flocksy.protocol.schedule import BurstRun
from flocksy.seam.joint import WireSeam
from flocksy.wire.lane import Lane
from flocksy.wire.limits import DRAIN_CELLS, LATE_DRAINS, PENDING_HEADERS
from flocksy.wire.port import Port
from flocksy.wire.settings import WireSettings
from flocksy.wire.stamps import OwnStamps


class Intake:
    """All lanes as they come in."""

    def __init__(
        self, settings: WireSettings, hashes: FlockSettings, seam: WireSeam, port: Port
    ) -> None:
        self.lanes = [Lane() for _ in settings.members]
        self.stamps = OwnStamps(len(self.lanes))
        self._own = settings.own_lane
        self._others = [i for i in range(len(self.lanes)) if i != self._own]
        self._hashes = hashes
        self._seam = seam
        self._port = port
        self._scratch = memoryview(bytearray(settings.burst_cell))
        self._gears = {settings.idle_cell: int(Gear.IDLE), settings.burst_cell: int(Gear.BURST)}
        self._header = seam.shape.header
        self._expected = [(VERSION, int(g), self._header, hashes.digest) for g in Gear]

    def drain(self, now_ns: int, run: BurstRun | None) -> bool:
        """Take what the sockets hold, at most a few cells of each lane. True if there was any."""
        moved = False
        for index in self._others:
            for _ in range(DRAIN_CELLS):
                if not self._take(index, now_ns, run):
                    break
                moved = True
        return moved

    def own(self, cell: memoryview, gear: int, burst_id: bytes, k: int) -> bool:
        """The cell just emitted, into the own lane of the in ring. False if there was no room."""
        lane = self.lanes[self._own]
        lane.cells_in[gear] += 1
        room = self._seam.room()
        if room is None:
            lane.lost(gear)
            return False
        room[: len(cell)] = cell
        *_, known, round_ = glance(cell)
        self._seam.received(self._own, gear, round_, burst_id, k, lane.take_gap(gear), known)
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
                    ours = header.times.echoes[self._own]
                    if ours is not None:
                        self.stamps.given_back(index, ours.sent_us, received_ns)
                headers.append((index, header))
            lane.headers.clear()
        return headers

    def pass_over(self, now_ns: int, run: BurstRun | None) -> None:
        """Take in what waits after nobody has listened for a while. It says nothing of time, since
        nobody knows when it came in, nor of who lives."""
        for _ in range(LATE_DRAINS):
            if not self.drain(now_ns, run):
                break
        for lane in self.lanes:
            lane.headers.clear()

    def eligible(self, right: int) -> int:
        """Of the lanes whose clocks are right, those whose cells can be used, and our own."""
        usable = sum(1 << i for i, lane in enumerate(self.lanes) if not lane.difference)
        return (right & usable) | 1 << self._own

    def _take(self, index: int, now_ns: int, run: BurstRun | None) -> bool:
        """One cell of a lane. False if there was none."""
        room = self._seam.room()
        cell = room if room is not None else self._scratch
        size = self._port.receive(index, cell)
        if not size:
            return False
        lane = self.lanes[index]
        gear = self._gears.get(size)
        if gear is None:
            self._say_difference(lane, cell[: min(size, len(cell))])
            return True
        (
            version,
            shown_gear,
            header_bytes,
            digest,
            session,
            sequence,
            burst_id,
            k,
            length,
            credit,
            known,
            round_,
        ) = glance(cell)
        if (version, shown_gear, header_bytes, digest) != self._expected[gear]:
            self._say_difference(lane, cell)
            return True
        lane.difference = ""
        if session != lane.session:
            lane.headers.clear()
            lane.restarted = True
        if not lane.follow(session, sequence, gear):
            return True
        lane.heard_ns = now_ns
        if gear:
            if not k < length <= MAX_BURST_CELLS:
                lane.lost(gear)
                return True
            expected = lane.burst_next if lane.burst_id == burst_id else 0
            hole = lane.burst_hole if lane.burst_id == burst_id else False
            lane.burst_hole = hole or k != expected or room is None
            lane.burst_id, lane.burst_next, lane.burst_credit = burst_id, k + 1, credit
            if run is not None and run.burst_id == burst_id and run.expects(index, k):
                run.took(index, k, credit, now_ns)
                if room is None:
                    run.gap = True
        self._keep_header(lane, gear, now_ns, cell)
        if room is None:
            lane.lost(gear)
        else:
            self._seam.received(index, gear, round_, burst_id, k, lane.take_gap(gear), known)
        return True

    def _say_difference(self, lane: Lane, cell: memoryview) -> None:
        """A cell is not of our version, settings and size: the lane says why not."""
        lane.difference = "sends cells that make no sense"
        try:
            prefix = read_prefix(cell)
        except HostileInput:
            return
        if prefix.version != VERSION:
            lane.difference = f"speaks version {prefix.version} of the protocol, we {VERSION}"
            return
        name = self._hashes.first_difference(prefix.digest, prefix.vector)
        if name is not None:
            lane.difference = f"setting differs: {name}"

    def _keep_header(self, lane: Lane, gear: int, now_ns: int, cell: memoryview) -> None:
        header = (gear, now_ns, bytes(cell[: self._header]))
        kept = lane.headers
        if kept and ((gear and kept[-1][0]) or len(kept) >= PENDING_HEADERS):
            kept[-1] = header
        else:
            kept.append(header)
