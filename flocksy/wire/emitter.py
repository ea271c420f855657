"""The loop's body: what happens on the wire side at an instant, and when the next thing will.

Theory of operation. `turn` is called when something came in or a deadline has passed. It takes in
what is there; a little before the instant of each round it asks the agreement what to show and
makes the heartbeat; at the instant it only sends. In a burst a turn emits what may leave
without anything more coming in: at most a window of cells. Time, network and randomness are
arguments, so the simulator drives the very same code.

Which instants those are depends on flock time, the agreement and the lanes' progress, never on
what the payloads are (rules 1 to 3 of design 4.3).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from flocksy.protocol.agreement import initial, step
from flocksy.protocol.cell import Codec
from flocksy.protocol.clock import FlockClock
from flocksy.protocol.flock_settings import FlockSettings
from flocksy.protocol.header import SESSION_BYTES
from flocksy.protocol.machine import Machine
from flocksy.protocol.padding import most_cells
from flocksy.protocol.schedule import BurstRun, Sustain, instant_ns, resume_round, round_at
from flocksy.protocol.shown import Inputs, LeaveBurst, Outcome, Output, Plan, StartBurst, Stop
from flocksy.seam.joint import WireSeam
from flocksy.seam.limits import HOLD_ROUNDS
from flocksy.seam.report import AgreedBurst, LastBurst
from flocksy.wire.intake import Intake
from flocksy.wire.limits import (
    BOX_WAKE_NS,
    LISTEN_NS,
    LISTEN_PERIODS,
    LOST_ROUNDS,
    PREPARE_NS,
    PREPARE_SHARE,
)
from flocksy.wire.outlet import Outlet
from flocksy.wire.parent import Parent
from flocksy.wire.port import Port
from flocksy.wire.reporter import Reporter
from flocksy.wire.settings import WireSettings

_NEVER = 1 << 62


class Emitter:
    """One node's wire side without its sockets and its clock."""

    def __init__(
        self,
        settings: WireSettings,
        seam: WireSeam,
        port: Port,
        now_ns: int,
        wall_ns: int,
        draw: Callable[[int], bytes],
        parent: Parent | None = None,
    ) -> None:
        """`now_ns` is monotonic, `wall_ns` the same instant by the wall; `draw`: random bytes."""
        self._settings = settings
        self._seam = seam
        self._port = port
        self._draw = draw
        self._own = settings.own_lane
        self._lanes = len(settings.members)
        self._hashes = FlockSettings.of(settings.flock_settings)
        self._parameters = settings.parameters
        self._lead_ns = min(PREPARE_NS, settings.period_ns // PREPARE_SHARE)
        self._sustain = Sustain(settings.burst_cell, self._lanes, settings.pace, settings.max_rate)
        self._intake = Intake(settings, self._hashes, seam, port)
        self._outlet = Outlet(settings, seam, port, self._intake)
        self._reporter = Reporter(settings, seam, port, self._intake, self._outlet)
        self._last_burst: LastBurst | None = None
        self._parent = parent or Parent(seam)
        self._stopping = False
        self.ended = False
        """The last cell is out: leave."""
        clock = FlockClock(self._lanes, self._own, settings.period_ns, wall_ns - now_ns)
        self._begin(now_ns, clock)

    def _begin(self, now_ns: int, clock: FlockClock) -> None:
        """A new session: listen what time it is, know nothing."""
        settings = self._settings
        self._clock = clock
        self._longest = most_cells(settings.burst_cell)
        session, slowest_us = self._draw(SESSION_BYTES), self._sustain.slowest_us
        self._codec = Codec(self._lanes, self._hashes, session, self._longest, slowest_us)
        self._outlet.sent[:] = (0, 0)
        self._state = initial(self._parameters)
        self._machine = Machine()
        self._output: Output | None = None
        self._listen_until_ns = now_ns + max(LISTEN_NS, LISTEN_PERIODS * settings.period_ns)
        self._listening = True
        self._round = 0
        self._prepared = False
        self._run: BurstRun | None = None
        self._plan: Plan | None = None
        self._resume = 0
        self._outcome: Outcome | None = None
        self._slewed_ns = self._served_ns = now_ns
        self._lost_rounds = 0
        self._eligible = 0
        self._moved = False
        self._woken_ns = self._look_ns = now_ns
        self._awaited_ns = now_ns  # when `turn` was to be called, at the latest

    @property
    def in_burst(self) -> bool:
        """Whether heartbeats are skipped now."""
        return self._run is not None and self._resume == _NEVER

    @property
    def round(self) -> int:
        """The round that is prepared or comes next."""
        return self._round

    def turn(self, now_ns: int) -> int:
        """Do what is due at that instant; returns the next one. Call earlier if something came."""
        late_ns = now_ns - self._awaited_ns
        if late_ns > self._settings.period_ns:
            self._was_away(now_ns, late_ns)
        if self._prepared and now_ns >= self._instant_ns(self._round):
            deadline_ns = self._keep_rounds(now_ns)  # whatever has come must not delay the cell
            moved = self._intake.drain(now_ns, self._run)
        else:
            moved = self._intake.drain(now_ns, self._run)
            deadline_ns = self._listen(now_ns) if self._listening else self._keep_rounds(now_ns)
        run = self._run
        if run is not None:
            if now_ns >= self._look_ns:
                moved |= self._advance(run, now_ns)
                self._look_ns = self._look_again(run, now_ns)
            deadline_ns = min(deadline_ns, self._look_ns)
        self._moved |= moved
        if self._moved and now_ns - self._woken_ns >= BOX_WAKE_NS:
            self._wake_box(now_ns)
        if self._moved:
            deadline_ns = min(deadline_ns, self._woken_ns + BOX_WAKE_NS)
        self._awaited_ns = max(now_ns, deadline_ns)
        return deadline_ns

    def _was_away(self, now_ns: int, late_ns: int) -> None:
        """The process stood still for more than a round (SIGSTOP, a suspend): that round is passed
        over, and nothing real leaves before a step has seen who is there now (rule 12)."""
        self._withhold()
        self._intake.pass_over(now_ns, self._run)
        if self._run is not None:
            self._run.real = False
        if self._listening:
            self._listen_until_ns += late_ns
        else:
            passed = round_at(self._clock.flock_ns(now_ns), self._settings.period_ns)
            self._round, self._prepared = max(self._round, passed + 1), False

    def _withhold(self) -> None:
        if self._output is not None:
            self._output = replace(self._output, real_allowed=False)
            self._outlet.withhold()

    def _wake_box(self, now_ns: int) -> None:
        self._moved = False
        self._woken_ns = now_ns
        self._seam.wake_box()

    # The grid of rounds

    def _listen(self, now_ns: int) -> int:
        """Before the first cell: what time is it for the others?"""
        if now_ns - self._served_ns >= self._settings.period_ns // 4:
            self._served_ns = now_ns
            self._port.serve()
            self._intake.decoded(self._codec, self._clock)
            if not self._seam.poll() or self._seam.box().leaving:
                self.ended = True
        if now_ns < self._listen_until_ns:
            return min(self._listen_until_ns, now_ns + self._settings.period_ns // 4)
        self._clock.step()
        self._listening = False
        flock_ns = self._clock.flock_ns(now_ns)
        self._round = round_at(flock_ns, self._settings.period_ns) + 2
        return self._instant_ns(self._round) - self._lead_ns

    def _keep_rounds(self, now_ns: int) -> int:
        instant = self._instant_ns(self._round)
        if not self._prepared:
            if now_ns < instant - self._lead_ns:
                return instant - self._lead_ns
            self._decide(now_ns)
            instant = self._instant_ns(self._round)
        if now_ns < instant:
            return instant
        self._beat(now_ns, now_ns - instant)
        if self._listening:
            return now_ns
        # Rounds that passed meanwhile (a suspend) are skipped, not made up.
        passed = round_at(self._clock.flock_ns(now_ns), self._settings.period_ns)
        self._round = max(self._round, passed) + 1
        self._prepared = False
        return self._instant_ns(self._round) - self._lead_ns

    def _decide(self, now_ns: int) -> None:
        """Make this round's cell, just before its instant."""
        clock = self._clock
        cells = tuple(
            (lane, header.shown) for lane, header in self._intake.decoded(self._codec, clock)
        )
        # A burst measures no clocks: who was right at its start stays so.
        right = clock.rights(now_ns) if self._run is None else self._eligible
        self._eligible = self._intake.eligible(right)
        box = self._seam.box()
        leaving = box.leaving or not self._parent.lives(now_ns)
        self.ended |= self._parent.given_up
        run = self._run
        if run and self.in_burst and self._parent.stands_still and self._settings.pace == "max":
            self._abort(run, Outcome.STALLED)
        inputs = Inputs(
            round=self._round,
            cells=cells,
            eligible=self._eligible,
            need=self._settings.timing.need(self._round, min(box.need, self._longest)),
            sustain_us=self._sustain.delta_us,
            leaving=leaving,
            outcome=self._outcome,
        )
        self._outcome = None
        self._state, output = step(self._parameters, self._state, inputs, self._machine.decide)
        self._output = output
        for command in output.commands:
            match command:
                case StartBurst(plan):
                    self._start(plan, now_ns)
                case LeaveBurst(burst):
                    self._leave(burst)
                case Stop():
                    self._stopping = True
        run = self._run
        if run is not None and run.real and not run.all_sent and self._settings.pace == "max":
            # No cell of such a burst leaves before every member's cell of a window ago is here,
            # and that left after ours of a window before: the burst is its own two-way echo.
            self._output = replace(output, real_allowed=True)
        times = clock.times(now_ns)
        self._outlet.prepare(
            self._codec, self._output.shown, box.known, times, self._output.real_allowed
        )
        self._prepared = True

    def _beat(self, now_ns: int, late_ns: int) -> None:
        """The instant of a round: one heartbeat, unless a burst takes its place."""
        output = self._output
        assert output is not None
        beats = self._round >= self._resume and not self._begins_burst()
        if beats:
            self._outlet.beat(self._clock.raw_us(now_ns))
        if self._stopping and beats:
            self.ended = True
        if self._last_burst is not None and output.shown.gap_of == self._last_burst.burst_id:
            self._last_burst = replace(self._last_burst, gap=True)
        self._reporter.report(
            output,
            self._state,
            self._eligible,
            self._clock,
            now_ns,
            late_ns,
            self._agreed(),
            self._run.sent if self._run is not None else 0,
            self._last_burst,
        )
        self._wake_box(now_ns)  # it reads what has just been reported
        self._port.serve()
        self._slew(now_ns)  # not before the cell is out: its instant stands
        self._watch_clock(now_ns, output.real_allowed)

    def _begins_burst(self) -> bool:
        return (
            self._plan is not None and self._resume == 0 and self._round >= self._plan.start_round
        )

    # Bursts

    def _start(self, plan: Plan, now_ns: int) -> None:
        start_ns = self._instant_ns(plan.start_round)
        self._plan, self._resume, self._look_ns = plan, 0, start_ns
        self._run = run = BurstRun(
            plan.id,
            plan.members,
            self._own,
            start_ns,
            plan.length,
            plan.delta_us * 1000,
            self._settings.burst_pace,
        )
        for index, lane in enumerate(self._intake.lanes):
            if lane.burst_id == plan.id and plan.members >> index & 1 and index != self._own:
                run.joins(index, lane.burst_next, lane.burst_credit, now_ns, lane.burst_hole)
        # Slots for a burst that was aborted go now, so that the box fills ahead for this one.
        self._seam.burst_cell(plan.id)
        self._wake_box(now_ns)

    def _advance(self, run: BurstRun, now_ns: int) -> bool:
        """Emit the next cells that may leave. True if one left or the burst is over."""
        if run.all_sent:
            if not run.all_taken and not run.late_tail(now_ns):
                return False
            self._finish(run)
            self._wake_box(now_ns)
            return True
        self._resume = _NEVER
        if now_ns < run.due_ns:
            return False
        if not run.others_allow():
            if run.stalled(now_ns):
                self._abort(run, Outcome.STALLED)
                return True
            return False
        output = self._output
        real_allowed = output is not None and output.real_allowed
        if not run.sent:
            run.real = real_allowed
        seam = self._seam
        filled = run.length
        if real_allowed:
            seam.burst_cell(run.burst_id)
            filled = seam.burst_out.filled
        room = seam.inward.free - HOLD_ROUNDS * self._lanes
        credit = run.credit(filled, room, self._lanes)
        raw_us = self._clock.raw_us(now_ns)
        until = run.clear_until()
        while run.sent < until:
            self._outlet.emit(run, credit, real_allowed, raw_us)
            run.emitted(credit, now_ns)
        if run.all_sent:
            self._resume = resume_round(
                self._clock.flock_ns(now_ns),
                self._settings.settle_ms * 1_000_000,
                self._settings.period_ns,
            )
        return True

    def _look_again(self, run: BurstRun, now_ns: int) -> int:
        """When to see next whether cells may leave. Earlier would tell when others came in."""
        if self._run is not run:
            return now_ns
        due_ns, is_grid = run.due_ns, self._settings.pace == "grid"
        if not run.all_sent and (is_grid or (due_ns > now_ns and not run.holds)):
            return due_ns
        tick_ns = self._settings.tick_ns
        next_ns = now_ns + tick_ns - (now_ns - run.start_ns) % tick_ns
        return min(next_ns, due_ns) if due_ns > now_ns else next_ns

    def _finish(self, run: BurstRun) -> None:
        gap = run.gap or not run.all_taken
        self._outcome = Outcome.FINISHED_WITH_GAP if gap else Outcome.FINISHED
        self._last_burst = LastBurst(run.burst_id, True, gap)
        self._sustain.finished(gap)
        self._run = None
        self._plan = None

    def _abort(self, run: BurstRun, outcome: Outcome | None) -> None:
        self._outcome = outcome
        self._last_burst = LastBurst(run.burst_id, False, True)
        self._run = None
        self._plan = None
        self._resume = 0
        # The heartbeat that is ready was allowed more, for the sake of the burst.
        self._withhold()

    def _leave(self, burst: bytes) -> None:
        """Somebody else has left it: emit nothing more of it."""
        if self._run is not None and self._run.burst_id == burst:
            self._abort(self._run, None)

    def _agreed(self) -> AgreedBurst | None:
        run, plan = self._run, self._plan
        if run is None or plan is None:
            return None
        return AgreedBurst(plan.id, plan.members, run.start_ns, plan.length, plan.repeat)

    # Time

    def _instant_ns(self, round_: int) -> int:
        return self._clock.monotonic_ns(instant_ns(round_, self._settings.period_ns))

    def _slew(self, now_ns: int) -> None:
        if self._plan is None:  # what passes in a burst is made up for after it
            self._clock.slew(now_ns, now_ns - self._slewed_ns)
            self._slewed_ns = now_ns

    def _watch_clock(self, now_ns: int, in_view: bool) -> None:
        """Where all others agree that our clock is wrong: start anew, in silence first."""
        wrong_by_ns = self._clock.wrong_by_ns(now_ns)
        if in_view or self._run is not None or not wrong_by_ns:
            self._lost_rounds = 0
            return
        self._lost_rounds += 1
        if self._lost_rounds >= LOST_ROUNDS:
            self._begin(now_ns, self._clock.anew(wrong_by_ns))
