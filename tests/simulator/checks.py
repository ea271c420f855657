"""What must hold at every step, told by somebody who sees all nodes at once.

* **One plan.** Nodes that are bound to a burst in the same epoch are bound to the same one.
* **Equal counts.** A node emits every cell of a burst once and in order, never more than its
  length, and all of them where it says that it finished. No heartbeat leaves in between.
* **The grid.** Heartbeats leave at the instants of their rounds, one in each (rule 1), but where a
  burst takes their place or the node stood still.
* **Quorum.** Real bytes leave only in a large enough view all of whose members were heard, and
  heard us, a moment ago, as they did each other the moment before (rule 12).
* **Rest.** After a burst nobody shows a need before the rest drawn from its id is over (rule 8),
  and a repeat not before its pause (rule 7).
* **Equal reactions.** Who has heard that another left a burst emits nothing more of it.
* **Latch.** A need that is shown does not change until a burst has ended or the view has (4.4), or
  a repeat turns out to have been left or to have had a gap: then it is taken back (rule 7).
* **Timetable.** Where bursts are on a timetable, or follow each other all the time, all ask for the
  same public number of cells whatever they wish to send, at the instants of the timetable and at no
  other time, and every burst is as long as that.
* **Programme.** Who sees somebody join its view, or hears of a repeat that was left or had a gap,
  is in as many bursts afterwards as a programme has, and no more of them are run without anybody's
  need. None is asked for before its time (rules 7 and 9), and none of them is longer. Where bursts
  happen anyway there is no programme.
"""

from __future__ import annotations

import itertools
from collections import Counter

from flocksy.protocol.agreement import LOCKED, State
from flocksy.protocol.cell import glance
from flocksy.protocol.draws import pause_rounds, rest_rounds
from flocksy.protocol.fsm_table import Mode
from flocksy.protocol.header import Gear
from flocksy.protocol.padding import padded
from flocksy.protocol.programme import PROGRAMME_BURSTS
from flocksy.protocol.shown import NO_EPOCH, Epoch, Kind, Outcome, Proposal, Shown
from flocksy.protocol.timing import SLOT_ROUNDS
from flocksy.protocol.views import members_of
from tests.simulator.faults import Plan
from tests.simulator.node import Node

REAL = b"REAL"
"""How a payload begins that must not leave below quorum."""

ROW_PERIODS = 3 + 2
"""A member is alive while its newest cell is 3 rounds old: so long after that cell was sent, the
round that has begun and a quarter period of wrong clock included."""
ECHO_PERIODS = 6 + 3
"""Likewise for what it echoes."""
SHOWN_PERIODS = 2 * ROW_PERIODS
"""And for whom it hears itself, which it shows in that cell."""
ROW_CELLS, ECHO_CELLS = 3, 6
"""Within a burst on a grid whose cells are rarer than rounds, it may be so many cells more."""

LEAVE_PERIODS = 2
"""A node that hears that another left its burst does so in its next step."""
STALLS = 2
"""So many stall timeouts after its last cell of a burst a node has left it, where it has not sent
them all: the lane that it waits for may come on a little meanwhile."""
SLACK_SHARE = 8
"""Of a period: what clocks may be slewed by in a burst."""
LATE_NS = 1_000
"""What the arithmetic of clocks may round away."""


class BrokenPromiseError(AssertionError):
    """Something that must always hold did not."""


class Checks:
    """Looks over the shoulders of all nodes."""

    def __init__(self, nodes: list[Node], plan: Plan) -> None:
        self._nodes = nodes
        self._bursts = PROGRAMME_BURSTS if plan.programme and not plan.is_public else 0
        """That follow a join."""
        self._plan = plan
        self._hostile = plan.hostile
        """Cells may be forged: then views need not be real ones."""
        self._states: list[State | None] = [None] * len(nodes)
        self._shown: list[Shown | None] = [None] * len(nodes)
        self._outcomes: list[Outcome | None] = [None] * len(nodes)
        self._ended: list[dict[bytes, int]] = [{} for _ in nodes]
        self._beat: list[tuple[object, int] | None] = [None] * len(nodes)
        """The session and the round of a node's last heartbeat."""
        self._burst_ns: list[tuple[int, int] | None] = [None] * len(nodes)
        """When a node's first and last cells of bursts left since then."""
        self.delivered_ns: dict[tuple[int, int], int] = {}
        """When the newest cell was sent that has come in, by (source, target)."""
        self.began_ns: dict[bytes, int] = {}
        """By burst, when its first cell left."""
        self.bursts: dict[bytes, int] = {}
        """Lengths of all bursts ever begun."""
        self.finished: Counter[bytes] = Counter()
        self._left_ns: dict[tuple[int, bytes], tuple[int, int]] = {}
        """When a node showed first, and when last, that it left a burst."""
        self._heard_left: dict[tuple[int, bytes], tuple[int, int]] = {}
        """When a node took a cell that shows it of another, and of whom."""
        self._known = [0] * len(nodes)
        """Members of the last view a node was in."""
        self.owes = [0] * len(nodes)
        """Bursts a node has still to be in since somebody joined its view or spoilt a repeat."""
        self._wanted = [False] * len(nodes)
        """Whether the need that a node shows, or showed last, is one of its boxes."""
        self._agreed: set[bytes] = set()
        """Bursts that somebody has armed."""
        self._flights: Counter[Epoch] = Counter()
        """How often nodes came into an epoch that nobody was in: after a restart of all it may have
        the number and the members of an earlier one."""
        self._needless: Counter[tuple[Epoch, int]] = Counter()
        self._joins: set[tuple[Epoch, int]] = set()
        self._spoilt: dict[bytes, set[tuple[Epoch, int]]] = {}
        """Repeats that somebody left or saw a gap in, and in which epochs that was heard of."""
        self.now_ns = 0
        self.rounds = 0
        self.cells = 0
        self.real_cells = 0

    def started(self, node: Node) -> None:
        """A node begins, knowing nothing."""
        self.fell(node)
        self._wanted[node.lane] = False

    def fell(self, node: Node) -> None:
        """A node is no more. What it needed may still be agreed on."""
        lane = node.lane
        self._states[lane] = self._shown[lane] = self._outcomes[lane] = None
        self._ended[lane] = {}
        self._known[lane] = self.owes[lane] = 0
        for key in [key for key in self._heard_left if key[0] == lane]:
            del self._heard_left[key]
        self._beat[lane] = self._burst_ns[lane] = None

    def taken(self, source: int, target: int, sent_ns: int, now_ns: int) -> None:
        """A node takes a cell that was sent then."""
        pair = (source, target)
        # What waited while a node stood still says nothing to it (`Intake.pass_over`): what comes
        # after that does, if it still shows it.
        if self._nodes[target].went_on_ns != now_ns:
            for (lane, burst), (first_ns, last_ns) in self._left_ns.items():
                if lane == source and first_ns <= sent_ns <= last_ns:
                    self._heard_left.setdefault((target, burst), (now_ns, source))
        self.delivered_ns[pair] = max(self.delivered_ns.get(pair, -1), sent_ns)

    # -- what leaves -----------------------------------------------------------------------

    def sent(self, node: Node, cell: bytes, now_ns: int) -> None:
        """A node puts one cell on all its links."""
        self.cells += 1
        settings = node.settings
        if len(cell) == settings.idle_cell:
            gear = Gear.IDLE
        elif len(cell) == settings.burst_cell:
            gear = Gear.BURST
        else:
            raise BrokenPromiseError(f"node {node.lane}: a cell of {len(cell)} bytes")
        _, shown_gear, header, *_ = fields = glance(cell)
        burst, k, length = fields[6], fields[7], fields[8]
        if shown_gear != gear:
            raise BrokenPromiseError(f"node {node.lane}: a cell of the wrong length for its gear")
        if gear is Gear.BURST:
            self.began_ns.setdefault(burst, now_ns)
            self._burst_cell(node, burst, k, length)
            first_ns, _ = self._burst_ns[node.lane] or (now_ns, now_ns)
            self._burst_ns[node.lane] = first_ns, now_ns
            heard_ns, _ = self._heard_left.get((node.lane, burst), (now_ns, 0))
            if now_ns - heard_ns > LEAVE_PERIODS * settings.period_ns and not self._hostile:
                raise BrokenPromiseError(
                    f"node {node.lane} goes on with burst {burst.hex()}, which another has left"
                )
        else:
            self._heartbeat(node, fields[11], now_ns)
        if cell[header : header + len(REAL)] == REAL or any(fields[10]):
            self.real_cells += 1
            self._real(node, gear, k, now_ns)

    def _burst_cell(self, node: Node, burst: bytes, k: int, length: int) -> None:
        emitted = node.emitted
        if k == 0:
            if any(burst == before for before, _ in emitted):
                raise BrokenPromiseError(f"node {node.lane}: burst {burst.hex()} begins twice")
            emitted.append((burst, 1))
            self.bursts.setdefault(burst, length)
        elif not emitted or emitted[-1] != (burst, k):
            raise BrokenPromiseError(
                f"node {node.lane}: cell {k} of burst {burst.hex()} after {emitted[-1:]}"
            )
        else:
            emitted[-1] = (burst, k + 1)
        if k >= length or self.bursts[burst] != length:
            raise BrokenPromiseError(f"node {node.lane}: cell {k} of a burst of {length}")

    def _heartbeat(self, node: Node, round_: int, now_ns: int) -> None:
        emitter = node.emitter
        assert emitter is not None
        if emitter._output is not None and emitter._output.shown.left is not None:
            left = node.lane, emitter._output.shown.left
            self._left_ns[left] = self._left_ns.get(left, (now_ns, 0))[0], now_ns
        run = emitter._run
        if run is not None and 0 < run.sent < run.length:
            raise BrokenPromiseError(f"node {node.lane}: a heartbeat within a burst")
        session = emitter._codec
        before = self._beat[node.lane]
        if before is not None and before[0] is session:
            if round_ <= before[1]:
                raise BrokenPromiseError(f"node {node.lane}: round {round_} twice")
            if round_ > before[1] + 1:
                self._left_out(node, before[1] + 1, round_ - 1)
        self._beat[node.lane], self._burst_ns[node.lane] = (session, round_), None
        instant_ns = emitter._instant_ns(round_)
        late_ns = node.clock.local(now_ns) - instant_ns
        if late_ns < 0 or (late_ns > LATE_NS and node.went_on_ns != now_ns):
            raise BrokenPromiseError(f"node {node.lane}: a heartbeat {late_ns} ns off its instant")

    def _left_out(self, node: Node, first: int, last: int) -> None:
        """A node has sent no heartbeats in these rounds."""
        emitter, settings = node.emitter, node.settings
        assert emitter is not None
        begin_ns, end_ns = (
            node.clock.virtual(emitter._instant_ns(round_)) for round_ in (first, last)
        )
        slack_ns = settings.period_ns // SLACK_SHARE
        # Who stood still passes over what it would have sent meanwhile, and goes on with the next
        # round.
        until_ns = node.went_on_ns
        burst_ns = self._burst_ns[node.lane]
        next_ns = max(begin_ns, until_ns + settings.period_ns)
        if burst_ns is not None and burst_ns[0] <= next_ns + slack_ns:
            burst, sent = node.emitted[-1]
            after_ms = settings.settle_ms
            if sent < self.bursts[burst]:
                after_ms += STALLS * settings.stall_timeout_ms
            until_ns = max(until_ns, burst_ns[1] + after_ms * 1_000_000)
        if end_ns > until_ns + slack_ns:
            raise BrokenPromiseError(f"node {node.lane}: no heartbeats in rounds {first} to {last}")

    def _real(self, node: Node, gear: Gear, k: int, now_ns: int) -> None:
        emitter = node.emitter
        assert emitter is not None
        state, settings = emitter._state, node.settings
        rare_ns = 0
        if gear is Gear.BURST and settings.pace == "grid":
            assert emitter._plan is not None
            rare_ns = emitter._plan.delta_us * 1000
        elif gear is Gear.BURST and k > 0:
            return  # a burst at pace max is its own two-way echo
        members = state.epoch.members
        if members.bit_count() < settings.min_view:
            raise BrokenPromiseError(f"node {node.lane}: real bytes in a view of {members:b}")
        if self._hostile:
            return
        last = state.last.burst
        for pair in itertools.permutations(members_of(members), 2):
            if pair[1] == node.lane:
                oldest_ns = ROW_PERIODS * settings.period_ns + ROW_CELLS * rare_ns
            elif pair[0] == node.lane:
                oldest_ns = ECHO_PERIODS * settings.period_ns + ECHO_CELLS * rare_ns
            else:
                # Its newest cell may be of the burst that is over, and rare.
                rarest_ns = last.delta_us * 1000 if last is not None else 0
                oldest_ns = SHOWN_PERIODS * settings.period_ns + 2 * ROW_CELLS * rarest_ns
            sent_ns = self.delivered_ns.get(pair, -1)
            if sent_ns < now_ns - oldest_ns:
                raise BrokenPromiseError(
                    f"node {node.lane}: real bytes, and nothing has gone from {pair[0]} to "
                    f"{pair[1]} for {(now_ns - sent_ns) / settings.period_ns:.1f} rounds"
                )

    # -- what was decided ------------------------------------------------------------------

    def turned(self, node: Node, now_ns: int) -> bool:
        """A node has had its turn. Whether it took a step."""
        self.now_ns = now_ns
        emitter, lane = node.emitter, node.lane
        assert emitter is not None
        state = emitter._state
        if emitter._outcome is not None:
            self._outcomes[lane] = emitter._outcome
        if state is self._states[lane]:
            return False
        before, self._states[lane] = self._states[lane], state
        self.rounds += 1
        output = emitter._output
        if output is None:
            self._shown[lane] = None
            return True
        self._one_plan(node)
        self._together(node)
        shown, old = output.shown, self._shown[lane]
        if before is None or not _is_told_of_spoilt_repeat(before, state):
            self._latch(node, shown, old)
        self._rest(node, shown, before)
        if self._plan.is_public and not self._hostile:
            self._public_need(node, shown, before)
        if before is not None and not self._hostile:
            self._programme(node, shown, before)
        self._shown[lane] = shown
        return True

    def _one_plan(self, node: Node) -> None:
        assert node.emitter is not None
        ours = node.emitter._state
        if ours.mode not in LOCKED:
            return
        for other in self._nodes:
            if other.emitter is None or other is node:
                continue
            theirs = other.emitter._state
            if (
                theirs.mode in LOCKED
                and theirs.epoch == ours.epoch
                and theirs.proposal != ours.proposal
                and not self._hostile  # one flipped bit says that something is confirmed
            ):
                raise BrokenPromiseError(
                    f"nodes {node.lane} and {other.lane} are in epoch {ours.epoch} and bound to "
                    f"{ours.proposal} and {theirs.proposal}"
                )
            plans = node.emitter._plan, other.emitter._plan
            if all(plans) and theirs.proposal == ours.proposal and plans[0] != plans[1]:
                raise BrokenPromiseError(
                    f"nodes {node.lane} and {other.lane} are bound to {ours.proposal} and run "
                    f"{plans[0]} and {plans[1]}"
                )

    def _together(self, node: Node) -> None:
        """Who is in a burst in this step, which another has left and shows it."""
        assert node.emitter is not None
        state, output = node.emitter._state, node.emitter._output
        if state.mode not in LOCKED or state.proposal is None or output is None:
            return
        heard = self._heard_left.get((node.lane, state.proposal.id))
        if heard is None or self._hostile:
            return
        heard_ns, source = heard
        # The cell was there before this step, and who sent it counts as alive.
        if output.shown.echo[source] and output.shown.row >> source & 1:
            late_ns = self.now_ns - heard_ns
            if late_ns > LEAVE_PERIODS * node.settings.period_ns:
                raise BrokenPromiseError(
                    f"node {node.lane} is still in burst {state.proposal.id.hex()}, which "
                    f"{source} has left"
                )

    def _latch(self, node: Node, shown: Shown, old: Shown | None) -> None:
        if old is None or not old.need:
            return
        if not shown.need:
            assert node.emitter is not None
            if shown.epoch == old.epoch and node.emitter._state.mode is Mode.READY:
                raise BrokenPromiseError(f"node {node.lane}: its need was taken back while shown")
            return
        if (shown.need, shown.repeat_of) == (old.need, old.repeat_of) or shown.epoch != old.epoch:
            return
        raise BrokenPromiseError(
            f"node {node.lane}: its need changed from {old.need} to {shown.need} while shown"
        )

    def _public_need(self, node: Node, shown: Shown, before: State | None) -> None:
        """Bursts happen anyway: nothing of a need hangs on what anybody wishes to send."""
        plan = self._plan
        if not shown.need:
            return
        length = padded(plan.cells)
        if shown.need != (length if shown.repeat_of is not None else plan.cells):
            raise BrokenPromiseError(f"node {node.lane}: a need of {shown.need} of {plan.cells}")
        is_new = before is None or before.needs.latch is None
        if (
            plan.timing == "timetable"
            and shown.repeat_of is None
            and is_new
            and shown.round % plan.every >= SLOT_ROUNDS
        ):
            raise BrokenPromiseError(
                f"node {node.lane}: a need in round {shown.round}, which is not on the timetable"
            )

    def _programme(self, node: Node, shown: Shown, before: State) -> None:
        emitter, lane = node.emitter, node.lane
        assert emitter is not None
        state, burst = emitter._state, emitter._state.proposal
        if (
            shown.need
            and shown.repeat_of is None
            and not (before.needs.latch and before.needs.latch.need)
        ):
            self._wanted[lane] = node.wire_seam is not None and node.wire_seam.box().need > 0
        if state.epoch not in (before.epoch, NO_EPOCH):
            others = (one for at, one in enumerate(self._states) if at != lane and one is not None)
            if all(one.epoch != state.epoch for one in others):
                self._flights[state.epoch] += 1
            view = before.proposal
            if view is not None and view.joins:
                self._joins.add((state.epoch, self._flights[state.epoch]))
            if state.epoch.members & ~self._known[lane]:
                self.owes[lane] = self._bursts
                if state.needs.bursts_of_programme != self._bursts:
                    raise BrokenPromiseError(
                        f"node {lane}: somebody joined its view of {self._known[lane]:b}, which is "
                        f"{state.epoch.members:b} now, and it owes {state.needs.programme}"
                    )
            self._known[lane] = state.epoch.members
        self._spoilt_repeat(node, before)
        owed = state.needs.programme
        if shown.need and not shown.repeat_of and owed is not None:
            if shown.round < owed.begins:
                raise BrokenPromiseError(
                    f"node {lane}: a need in round {shown.round}, before the programme: {owed}"
                )
            if shown.need != emitter._parameters.programme_cells:
                raise BrokenPromiseError(f"node {lane}: a need of {shown.need} in a programme")
        if burst is None or state.mode not in LOCKED or before.last.newest == state.last.newest:
            return
        if not burst.repeat:
            self._count(burst)
            self.owes[lane] -= self.owes[lane] > 0

    def _spoilt_repeat(self, node: Node, before: State) -> None:
        """A node leaves a repeat, or sees a gap in it, or hears that another has."""
        assert node.emitter is not None
        state, lane = node.emitter._state, node.lane
        burst = state.last.burst
        if burst is None or not _is_told_of_spoilt_repeat(before, state):
            return
        flight = state.epoch, self._flights[state.epoch]
        self._spoilt.setdefault(burst.id, set()).add(flight)
        self.owes[lane] = self._bursts
        if state.needs.bursts_of_programme != self._bursts:
            raise BrokenPromiseError(
                f"node {lane}: repeat {burst.id.hex()} was left or had a gap, and it owes "
                f"{state.needs.programme}"
            )

    def _count(self, burst: Proposal) -> None:
        """One more burst that is no repeat; only the first who is bound to it is looked at."""
        if burst.id in self._agreed:
            return
        self._agreed.add(burst.id)
        if self._plan.is_public:
            if burst.length != padded(self._plan.cells):
                raise BrokenPromiseError(f"burst {burst} is not of {self._plan.cells} cells")
            return  # needed or not
        if any(self._wanted[lane] for lane in members_of(burst.members)):
            return
        flight = burst.epoch, self._flights[burst.epoch]
        self._needless[flight] += 1
        causes = len(self._joins) + len(self._spoilt)
        in_flight = sum(flight in flights for flights in self._spoilt.values())
        if self._needless[flight] > self._bursts * (1 + in_flight):
            raise BrokenPromiseError(
                f"{self._needless[flight]} bursts in epoch {burst.epoch} that nobody needed"
            )
        if self._needless.total() > self._bursts * causes:
            raise BrokenPromiseError(
                f"{self._needless.total()} bursts that nobody needed after {len(self._joins)} "
                f"joins and {len(self._spoilt)} spoilt repeats"
            )

    def _rest(self, node: Node, shown: Shown, before: object) -> None:
        assert node.emitter is not None
        state, lane = node.emitter._state, node.lane
        old = getattr(before, "mode", None)
        parameters = node.emitter._parameters
        rest_ms, period_ms = parameters.rest_mean_ms, parameters.period_ms
        if old in LOCKED and state.mode not in LOCKED:
            burst = getattr(before, "proposal", None)
            if burst is not None and burst.kind is Kind.BURST:
                # Before it could be counted from, whatever was heard of the others.
                self._ended[lane] = {burst.id: shown.round}
                if self._outcomes[lane] in (Outcome.FINISHED, Outcome.FINISHED_WITH_GAP):
                    self._whole(node, burst.id)
                self._outcomes[lane] = None
        if not shown.need or (old is not None and old in LOCKED) or state.mode in LOCKED:
            return
        for burst_id, ended in self._ended[lane].items():
            if shown.repeat_of == burst_id:
                earliest = ended + pause_rounds(burst_id, rest_ms, period_ms) - 1
            else:
                earliest = ended + rest_rounds(burst_id, rest_ms, period_ms) - 1
            if shown.round < earliest:
                raise BrokenPromiseError(
                    f"node {lane}: a need in round {shown.round}, and the rest after burst "
                    f"{burst_id.hex()} lasts until {earliest}"
                )

    def _whole(self, node: Node, burst: bytes) -> None:
        length = self.bursts.get(burst)
        if length is None or node.emitted[-1:] != [(burst, length)]:
            raise BrokenPromiseError(
                f"node {node.lane}: finished burst {burst.hex()} of {length} cells, "
                f"emitted {node.emitted[-1:]}"
            )
        self.finished[burst] += 1

    def bursts_of_all(self, since_ns: int) -> int:
        """How many that began since then all nodes have finished."""
        return sum(
            count == len(self._nodes) and self.began_ns[burst] >= since_ns
            for burst, count in self.finished.items()
        )


def _is_told_of_spoilt_repeat(before: State, state: State) -> bool:
    """Whether a node has left a repeat in this step, or has come to know of a gap in it."""
    burst = state.last.burst
    if burst is None or not burst.repeat or state.last.is_whole:
        return False
    return before.last.burst != burst or before.last.is_whole


def is_ready(node: Node, members: int, *, public: bool = False) -> bool:
    """Whether a node has all that it could wish for. `public`: bursts happen anyway."""
    emitter = node.emitter
    if emitter is None or emitter._output is None:
        return False
    state = emitter._state
    if public:
        return (
            state.epoch.members == members
            and emitter._output.real_allowed
            and state.needs.owed is None
            and state.needs.programme is None
        )
    return (
        state.mode is Mode.READY
        and state.epoch.members == members
        and emitter._output.real_allowed
        and state.needs.owed is None
        and state.needs.latch is None
        and state.needs.programme is None
    )
