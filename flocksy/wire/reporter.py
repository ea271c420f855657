"""Makes the report that the box process reads once per round."""

from __future__ import annotations

from collections import deque

from flocksy.protocol.clock import FlockClock
from flocksy.protocol.header import Gear
from flocksy.protocol.shown import Output
from flocksy.seam.joint import WireSeam
from flocksy.seam.report import JOINING, LIVE, AgreedBurst, LaneReport, LastBurst, WireReport
from flocksy.wire.intake import Intake
from flocksy.wire.limits import ERRORS, SILENT_ROUNDS, TEXTS_NS
from flocksy.wire.monitor import TWIN
from flocksy.wire.outlet import Outlet
from flocksy.wire.port import Port
from flocksy.wire.settings import WireSettings


class Reporter:
    """Knows how to say what the wire side sees."""

    def __init__(
        self, settings: WireSettings, seam: WireSeam, port: Port, intake: Intake, outlet: Outlet
    ) -> None:
        self._settings = settings
        self._seam = seam
        self._port = port
        self._intake = intake
        self._outlet = outlet
        self._errors: deque[str] = deque(maxlen=ERRORS)
        self._texts_ns = 0
        self._states: list[str] = ["starting"] * len(settings.members)
        self._addresses: list[tuple[str, str]] = [("", "")] * len(settings.members)

    def report(
        self,
        output: Output,
        state: str,
        eligible: int,
        clock: FlockClock,
        now_ns: int,
        late_ns: int,
        burst: AgreedBurst | None,
        burst_cells: int,
        last_burst: LastBurst | None,
        programme: int,
    ) -> None:
        """Publish the state of this round; the texts at most once a second."""
        shown = output.shown
        self._errors.extend(self._port.complaints())
        texts = now_ns - self._texts_ns >= TEXTS_NS
        for told, endpoint in self._seam.told_addresses():
            self._port.told(told, endpoint)
        if texts:
            self._texts_ns = now_ns
            self._addresses = [self._port.address(lane) for lane in range(len(self._states))]
            self._states = [
                self._lane_state(lane, shown.epoch.members, clock, now_ns)
                for lane in range(len(self._states))
            ]
        lanes = []
        for index, lane in enumerate(self._intake.lanes):
            offset_ns = clock.offset_ns(index, now_ns) or 0
            idle, burst_in = lane.cells_in
            lanes.append(
                LaneReport(
                    self._states[index],
                    idle,
                    burst_in,
                    lane.gaps,
                    offset_ns // 1000,
                    *self._addresses[index],
                )
            )
        report = WireReport(
            status=shown.status,
            state=state,
            round=shown.round,
            epoch_number=shown.epoch.number,
            view=shown.epoch.members,
            eligible=eligible,
            own_lane=self._settings.own_lane,
            real_allowed=output.real_allowed,
            burst=burst,
            burst_cells=burst_cells,
            last_burst=last_burst,
            cells_out_idle=self._outlet.sent[Gear.IDLE],
            cells_out_burst=self._outlet.sent[Gear.BURST],
            late_us=late_ns // 1000,
            lanes=tuple(lanes),
            errors=tuple(self._errors),
            programme=programme,
        )
        self._seam.tell(report, texts)

    def _lane_state(self, index: int, view: int, clock: FlockClock, now_ns: int) -> str:
        link = self._port.link_state(index)
        if index == self._settings.own_lane:
            return TWIN if self._intake.stamps.twin(now_ns) else link or "this node"
        lane = self._intake.lanes[index]
        if link:
            return link
        if lane.difference:
            return lane.difference
        if now_ns - lane.heard_ns > SILENT_ROUNDS * self._settings.period_ns:
            # Bursts have no silence either: their cells count, too.
            return "silent"
        offset_ns = clock.offset_ns(index, now_ns)
        if offset_ns is None:
            return "measuring its clock"
        if not clock.right(index, now_ns):
            return f"clock wrong by {offset_ns / 1e9:+.1f} s"
        return LIVE if view >> index & 1 else JOINING
