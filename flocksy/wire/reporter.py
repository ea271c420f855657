"""Makes the report that the box process reads once per round."""

from __future__ import annotations

from collections import deque
from functools import reduce

from flocksy.protocol.agreement import LOCKED, State
from flocksy.protocol.clock import FlockClock
from flocksy.protocol.header import Gear
from flocksy.protocol.heard import Unheard, slack_rounds, unheard
from flocksy.protocol.shown import Output, ViewChanged
from flocksy.seam.joint import WireSeam
from flocksy.seam.report import JOINING, LIVE, AgreedBurst, LaneReport, LastBurst, WireReport
from flocksy.wire.intake import Intake
from flocksy.wire.limits import ERRORS, SILENT_ROUNDS, TEXTS_NS, UNHEARD_ROUNDS
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
        self._joins = 0
        self._texts_ns = 0
        self._states: list[str] = ["starting"] * len(settings.members)
        self._addresses: list[tuple[str, str]] = [("", "")] * len(settings.members)
        nothing = Unheard((0,) * len(settings.members), 0)
        self._unheard: deque[Unheard] = deque([nothing] * UNHEARD_ROUNDS, maxlen=UNHEARD_ROUNDS)

    def report(
        self,
        output: Output,
        state: State,
        eligible: int,
        clock: FlockClock,
        now_ns: int,
        late_ns: int,
        burst: AgreedBurst | None,
        burst_cells: int,
        last_burst: LastBurst | None,
    ) -> None:
        """Publish the state of this round; the texts at most once a second."""
        shown = output.shown
        views = [one for one in output.commands if isinstance(one, ViewChanged)]
        self._joins += any(view.joins for view in views)
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
        lasting = self._lasting(state, shown.round)
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
                    lasting.by[index],
                )
            )
        report = WireReport(
            status=shown.status,
            state=state.mode.name.lower(),
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
            programme=state.needs.bursts_of_programme,
            away=lasting.away,
            joins=self._joins,
        )
        self._seam.tell(report, texts)

    def _lasting(self, state: State, round_: int) -> Unheard:
        """Who has not heard whom in any of the last rounds. It is looked at after the cell of this
        round has left, and nothing that leaves goes by it."""
        burst = state.proposal if state.mode in LOCKED else None
        slack = slack_rounds(self._settings.parameters, burst, round_) if burst is not None else 0
        self._unheard.append(unheard(self._settings.own_lane, state.history, slack))
        return reduce(Unheard.lasting, self._unheard)

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
