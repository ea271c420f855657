"""Leaderless agreement on views and bursts: one pure step per round (design 4.4).

Theory of operation
===================

Cells are state, not events. Each round every node shows, in one cell to all, what it knows and
what it has promised. A step takes in the cells that came, brings the own state forward, and makes
the next cell. Nobody leads: whoever holds the same cells derives the same.

*Collect.* Who holds the cells of one round r0 from all members of the view it wishes for derives a
proposal V from these cells and nothing else (`proposals.collected`), and shows it. Who lacks one
of those cells takes over a V that another shows: it is the same V, since only cells of r0 went
into it. Only a larger r0 replaces a shown V, so what a node shows never goes back (`floor`).

*Confirm.* Who shows V now, and holds the cells of one round s in which all members show V, confirms
it. From then on it is locked: it proposes nothing else until the burst has ended or was left. One
cell that shows V confirmed is enough for the others of that epoch to do likewise. After r0 + K
nobody confirms any more by own collection, an unconfirmed V is dropped then.

*Why two different V are never confirmed in one epoch.* Say X confirms V because of round s, and Y
confirms W because of round u, both still showing it at that moment. What a node shows only moves to
larger r0 and a locked node does not move, so X shows V in every round from s on and Y shows W
in every round from u on. Let s ≤ u. In round u all members show W, X included, and X shows V: so
V = W. Losses, delays and reordering do not enter the argument: they only decide who holds what.
Confirmed by hearsay is confirmed by somebody. A restarted node has forgotten what it has shown, but
it is in no epoch either, and does not come back into the old one: members that show different
epochs make a new one.

*What is fixed by V.* Members, length, Δ, and the start r0 + K. Nothing is counted from the moment
in which somebody noticed: who learns late joins at cell 0 of the same burst.

*Views* are agreed by the same collect and confirm, without the lock: the new epoch takes effect
when its V is confirmed. Its number is above all numbers its members have seen. Who misses the
confirmation still shows the V and takes the epoch from a cell that shows it; who even then does
not get it shows another epoch than the rest, and the next view is collected.

*Needs* are latched: a shown need stays as it is until the burst that collected it is over, so the
burst with r0 not before the first cell that showed it is long enough for it.

*After a burst* all settle until nobody is in it any more, and hear each other's gaps meanwhile. The
round in which the last one was done is seen by all, and rest and pause are counted from there.
A burst that was left, or in which anybody saw a gap, is owed one repeat by every member alike.

*After a join*, a view with somebody who was not there before, all who share it owe a `programme`:
some bursts of one length, whether or not anybody needs anything. That it is a join is part of V,
and the begin is counted from the r0 of V: from that of the first join where one before is still
owed, which the newcomer does not know of. Before its begin nobody shows an ordinary need, and an
ordinary need shown later is in it. A burst of the epoch that is no repeat is one less, for all who
are in it.

The state machine (`fsm_table`) says which state follows on which event and what is to be done;
this module finds the events of the round and does it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from flocksy.protocol.draws import pause_rounds, rest_rounds
from flocksy.protocol.fsm_table import INITIAL, TABLE, Action, Event, Mode, Status
from flocksy.protocol.padding import MAX_BURST_CELLS
from flocksy.protocol.programme import STEP_ROUNDS, Programme, joined, one_less
from flocksy.protocol.proposals import (
    History,
    all_show,
    cells_of,
    collected,
    newest_complete,
)
from flocksy.protocol.shown import (
    NO_EPOCH,
    Command,
    Epoch,
    Inputs,
    Kind,
    LeaveBurst,
    Outcome,
    Output,
    Plan,
    Proposal,
    Shown,
    StartBurst,
    Stop,
    ViewChanged,
)
from flocksy.protocol.views import is_alive, largest_clique, members_of

KEEP_ROUNDS = 8
"""Cells older than this are forgotten. More than the oldest echo that counts (6), so that
forgetting changes nothing."""

SETTLE_ROUNDS = 8
"""Longest wait for others to come out of a burst: at pace max they are out within a window."""

MEMORY_ROUNDS = 16
"""So long after a burst a node shows that it left it or saw a gap in it: several times what a
member may stay unheard without being down, and a repeat can begin before that."""

VIEW_ROUNDS = 8
"""A proposal for a view stands so long. No instant hangs on it, so it can outlast some losses."""

MIN_LEAD_ROUNDS = 4
"""K at least (design 4.4)."""

LONGEST_WAY_MS = 250
"""The longest way of a cell, sender's instant to receiver's next step, for which K is made: the
far side of the earth and some buffers. Cells that take longer only make bursts rarer."""

MAX_EPOCH_JUMP = 1 << 32
"""How much larger than ours a number may be that a member shows. A view a second takes a century to
get there; without a bound one member could use up all numbers."""

LOCKED = frozenset({Mode.CONFIRMED, Mode.BURSTING})
"""A burst is certain: nothing else is proposed."""

FREE = frozenset({Mode.READY, Mode.ANNOUNCING, Mode.PROPOSING})
"""With quorum and without a burst: a burst may be proposed."""

SHOWS_NEED = frozenset({Mode.ANNOUNCING, Mode.PROPOSING, Mode.CONFIRMED, Mode.BURSTING})
REAL = FREE | LOCKED | {Mode.SETTLING}

Decide = Callable[[Mode, Event], tuple[Mode, Action]]
"""The state machine: the next state and what to do."""


@dataclass(frozen=True, slots=True)
class Parameters:
    """What does not change while a node runs. All but `own` is equal on all members.

    Args:
        lanes: members of the configured flock.
        own: own lane index.
        min_view: members that a view must have for anything real to leave (rule 12).
        period_ms: length of a round.
        rest_mean_ms: mean of the rest after a burst (rule 8), and of the pause before a repeat.
        programme_cells: of each burst after a join (rule 9); 0 where bursts happen anyway.
    """

    lanes: int
    own: int
    min_view: int
    period_ms: int
    rest_mean_ms: int
    programme_cells: int = 0

    @property
    def lead_rounds(self) -> int:
        """K, the rounds from r0 to the start of a burst.

        Three times the way of a cell: to collect, to take over a newer proposal after a loss, to
        confirm. With only twice the way, one loss can leave two generations of proposals that
        chase each other for ever.
        """
        way_rounds = -(-LONGEST_WAY_MS // self.period_ms)
        return max(MIN_LEAD_ROUNDS, 3 * way_rounds)


@dataclass(frozen=True, slots=True)
class Latch:
    """A need as it is shown, from `round` on. `repeat_of`: it is owed to that burst. `for_join`: it
    is there for the programme alone."""

    need: int
    round: int
    repeat_of: bytes | None = None
    for_join: bool = False


@dataclass(frozen=True, slots=True)
class Owed:
    """The repeat of a burst that was left or had a gap. No need is shown before `due`."""

    burst: bytes
    length: int
    due: int


@dataclass(frozen=True, slots=True)
class State:
    """What one node knows and has promised. Immutable; made by `initial`, changed by `step`.

    Args:
        mode: state of the machine.
        epoch: the view it is in.
        highest: highest epoch number ever seen.
        history: per lane the cells still needed, newest first; own ones included.
        latch: the shown need, and after a burst that did not serve it still: then it is shown again
            once the rest is over.
        proposal: V, proposed, or locked in `LOCKED` modes.
        floor: largest r0 ever shown, 0 once no cell of that age is held.
        recent: the burst that runs or ran last, until it is forgotten.
        gap_of, left: as in `Shown`.
        owed: the repeat to come.
        quiet_until: no ordinary need is shown before this round.
        ended: round in which `recent` was finished or left, 0 if it is forgotten or runs.
        newest: r0 of the newest burst this node was ever bound to. Never forgotten: whoever was cut
            off, or stood still, may show a burst long after it was over for all others.
        known: members of the newest view it was in, also after it left that.
        programme: what is owed because of joins.
    """

    mode: Mode
    epoch: Epoch
    highest: int
    history: History
    latch: Latch | None = None
    proposal: Proposal | None = None
    floor: int = 0
    recent: Proposal | None = None
    gap_of: bytes | None = None
    left: bytes | None = None
    owed: Owed | None = None
    quiet_until: int = 0
    ended: int = 0
    newest: int = 0
    known: int = 0
    programme: Programme | None = None


def initial(parameters: Parameters) -> State:
    """The state of a node that has just started and knows nothing."""
    return State(INITIAL, NO_EPOCH, 0, ((),) * parameters.lanes)


def decide_by_table(mode: Mode, event: Event) -> tuple[Mode, Action]:
    """The generated table itself; `machine` gives the same answers through its library."""
    return TABLE[mode, event]


def step(
    parameters: Parameters, state: State, inputs: Inputs, decide: Decide = decide_by_table
) -> tuple[State, Output]:
    """One round: take in what came, say what to show and do.

    Call it once per round, in bursts too. `inputs.cells` must be decoded and checked: lanes within
    the flock, echoes as long as it, lengths within bounds.
    """
    turn = _Turn(parameters, state, inputs, decide)
    turn.end_of_burst()
    turn.confirmation()
    turn.quorum()
    turn.aftermath()
    turn.leaving()
    turn.need()
    turn.proposing()
    return turn.result()


class _Turn:
    """The working copy of a state during one step. Each method is one part of the round."""

    def __init__(
        self, parameters: Parameters, state: State, inputs: Inputs, decide: Decide
    ) -> None:
        self.parameters = parameters
        self.inputs = inputs
        self.decide = decide
        self.now = inputs.round
        self.own_bit = 1 << parameters.own
        self.commands: list[Command] = []
        self.mode = state.mode
        self.epoch = state.epoch
        self.latch = state.latch
        self.proposal = state.proposal
        self.floor = state.floor
        self.recent = state.recent
        self.gap_of = state.gap_of
        self.left = state.left
        self.owed = state.owed
        self.quiet_until = state.quiet_until
        self.ended = state.ended
        self.newest = state.newest
        self.known = state.known
        self.programme = state.programme
        self.settled = self.now
        self.slack = self._slack()
        self.history = self._received(state.history)
        self.highest = state.highest
        for lane, cell in inputs.cells:
            # Who shows an absurd number must not use up all numbers for everybody.
            if inputs.eligible >> lane & 1 and cell.highest < state.highest + MAX_EPOCH_JUMP:
                self.highest = max(self.highest, cell.highest)
        self.row = self._row()
        self.candidate = self._candidate()

    # What came in.

    def _slack(self) -> int:
        """Rounds by which cells are older than usual because a slow burst has few of them: from its
        start to its last cell. Before and after there is one a round, and nothing is excused."""
        burst, period_us = self.proposal, self.parameters.period_ms * 1000
        if self.mode not in LOCKED or burst is None:
            return 0
        start = self._start(burst)
        last = start + (burst.length - 1) * burst.delta_us // period_us
        return 3 * burst.delta_us // period_us if start < self.now <= last else 0

    def _received(self, history: History) -> History:
        oldest = self.now - KEEP_ROUNDS - 3 * self.slack
        lanes: list[dict[int, Shown]] = [{} for _ in history]
        for lane, cells in enumerate(history):
            for cell in cells:
                lanes[lane][cell.round] = cell
        for lane, cell in self.inputs.cells:
            # A round that has not begun here: at most a quarter period early, see `clock`.
            if cell.round <= self.now + 1:
                lanes[lane][cell.round] = cell
        return tuple(
            tuple(held[r] for r in sorted(held, reverse=True) if r >= oldest) for held in lanes
        )

    def _row(self) -> int:
        own, eligible = self.parameters.own, self.inputs.eligible
        row = self.own_bit
        for lane, cells in enumerate(self.history):
            if lane == own or not cells or not eligible >> lane & 1:
                continue
            if is_alive(cells[0], own, self.now, self.slack):
                row |= 1 << lane
        return row

    def _candidate(self) -> int:
        rows = {lane: self.history[lane][0].row for lane in members_of(self.row ^ self.own_bit)}
        rows[self.parameters.own] = self.row
        return largest_clique(self.parameters.own, rows)

    def _heard(self, members: int) -> list[Shown]:
        """The newest cells of the live others among `members`."""
        return [self.history[lane][0] for lane in members_of(members & self.row & ~self.own_bit)]

    # The state machine.

    def feed(self, event: Event, proposal: Proposal | None = None) -> None:
        """Let the machine decide, then do what it says. `proposal` is what the event is about."""
        mode, action = self.decide(self.mode, event)
        self.mode = mode
        match action:
            case Action.LATCH_NEED:
                self._latch_need()
            case Action.SHOW_PROPOSAL:
                self._show(proposal)
            case Action.WITHDRAW:
                self.latch = self.proposal = None
            case Action.DROP_PROPOSAL:
                self.proposal = None
            case Action.ARM_BURST:
                self._arm_burst(proposal)
            case Action.FINISH_BURST:
                self._finish_burst()
            case Action.ABANDON_BURST:
                self._abandon_burst()
            case Action.STOP:
                self.proposal = None
                self.commands.append(Stop())
            case Action.REST:
                self._rest(self.settled)
            case Action.IGNORE | Action.RESUME | Action.BEGIN_BURST:
                pass

    def _latch_need(self) -> None:
        if self.owed is not None:
            self.latch = Latch(self.owed.length, self.now, self.owed.burst)
        elif self.latch is None:
            wanted = min(self.inputs.need, MAX_BURST_CELLS)
            least = self.parameters.programme_cells if self.programme is not None else 0
            self.latch = Latch(max(wanted, least), self.now, for_join=wanted == 0)

    def _show(self, proposal: Proposal | None) -> None:
        assert proposal is not None and proposal.round > self.floor
        self.proposal = proposal
        self.floor = proposal.round

    def _arm_burst(self, proposal: Proposal | None) -> None:
        assert proposal is not None
        self.proposal = self.recent = proposal
        self.newest = proposal.round
        self.floor = max(self.floor, proposal.round)
        self.gap_of = self.left = None
        self.ended = 0
        if not proposal.repeat:
            self.programme = one_less(self.programme)
        if self.owed is not None and (proposal.repeat or proposal.length >= self.owed.length):
            self.owed = None
        plan = Plan(
            proposal.id,
            proposal.members,
            self._start(proposal),
            proposal.length,
            proposal.delta_us,
            proposal.repeat,
        )
        self.commands.append(StartBurst(plan))

    def _finish_burst(self) -> None:
        burst, latch = self.proposal, self.latch
        assert burst is not None
        if latch is not None:
            # An ordinary burst has collected every need shown in r0; a repeat has its own length,
            # and whatever is as long stands for it.
            long_enough = burst.length >= latch.need
            by_length = burst.repeat or latch.repeat_of is not None
            collected = latch.for_join or burst.round >= latch.round
            if long_enough if by_length else collected:
                self.latch = None
        self.proposal = None
        self.ended = self.now

    def _abandon_burst(self) -> None:
        burst = self.proposal
        assert burst is not None
        self.left = burst.id
        self.proposal = self.latch = None
        self.epoch = NO_EPOCH
        self.ended = self.now
        self.commands += [LeaveBurst(burst.id), ViewChanged(NO_EPOCH)]
        self._owe(burst)
        self._rest(self.now)

    # The parts of a round, in their order.

    def _start(self, burst: Proposal) -> int:
        return burst.round + self.parameters.lead_rounds

    def _begin_if_due(self, burst: Proposal) -> None:
        if self.now >= self._start(burst):
            self.feed(Event.START_REACHED)

    def end_of_burst(self) -> None:
        """Begin and end of the burst that is locked."""
        burst = self.proposal
        if self.mode not in LOCKED or burst is None:
            return
        self._begin_if_due(burst)
        match self.inputs.outcome:
            case Outcome.STALLED:
                self.feed(Event.BURST_STALLED)
            case Outcome.FINISHED | Outcome.FINISHED_WITH_GAP as outcome:
                self.feed(Event.BURST_FINISHED)
                if outcome is Outcome.FINISHED_WITH_GAP:
                    self._note_gap()
            case None:
                pass
        if any(cell.left == burst.id for cell in self._heard(burst.members)):
            self.feed(Event.ABORT_HEARD)

    def confirmation(self) -> None:
        """Confirm what all showed in one round; adopt what somebody has confirmed."""
        for cell in self._heard(self.epoch.members):
            burst = cell.proposal
            if (
                burst is not None
                and cell.confirmed
                and burst.epoch == self.epoch
                and burst.round < self.now
                and burst.round > self.newest
            ):
                self.feed(Event.PROPOSAL_CONFIRMED, burst)
        ours = self.proposal
        if ours is not None and self.mode not in LOCKED:
            complete = newest_complete(self.history, ours.members)
            agreed = complete > ours.round and all_show(
                cells_of(self.history, ours.members, complete), ours
            )
            if ours.kind is Kind.VIEW:
                shown_by_others = any(c.epoch == ours.epoch for c in self._heard(ours.members))
                if agreed or shown_by_others:
                    self._enter_view(ours)
                elif ours.members != self.candidate or self._expired(ours):
                    self.proposal = None
            elif agreed:
                self.feed(Event.PROPOSAL_CONFIRMED, ours)
            elif self._expired(ours):
                self.feed(Event.PROPOSAL_EXPIRED)
        if self.mode is Mode.CONFIRMED and self.proposal is not None:
            self._begin_if_due(self.proposal)

    def _expired(self, proposal: Proposal) -> bool:
        if proposal.kind is Kind.VIEW:
            return self.now >= proposal.round + VIEW_ROUNDS
        return self.now >= self._start(proposal)

    def _enter_view(self, view: Proposal) -> None:
        self.proposal = None
        self.epoch = view.epoch
        self.known = view.members
        self.highest = max(self.highest, view.number)
        self.commands.append(ViewChanged(view.epoch))
        if view.joins:
            self.programme = joined(self.programme, view.round)
        self.feed(Event.SOMEBODY_JOINED if view.joins else Event.VIEW_FORMED)

    def _has_quorum(self) -> bool:
        members = self.epoch.members
        return members.bit_count() >= self.parameters.min_view and not members & ~self.row

    def quorum(self) -> None:
        """Rule 12."""
        self.feed(Event.QUORUM_FORMED if self._has_quorum() else Event.QUORUM_LOST)

    def aftermath(self) -> None:
        """Settle after a burst, hear of gaps, forget it in the end."""
        recent = self.recent
        if recent is None or self.mode in LOCKED:
            return
        heard = self._heard(recent.members)
        if any(recent.id in (cell.gap_of, cell.left) for cell in heard):
            self._note_gap()
        if self.mode in (Mode.SETTLING, Mode.LEFT):
            self._settle(recent)
        elif self.now - self.ended >= MEMORY_ROUNDS and not any(
            cell.confirmed and cell.proposal == recent for cell in heard
        ):
            self.recent = self.gap_of = self.left = None
            self.ended = 0

    def _settle(self, burst: Proposal) -> None:
        """All out of the burst in one round: all members see the same round and count from it."""
        around = burst.members & self.row
        complete = newest_complete(self.history, around)
        if complete >= self.ended and not any(
            cell.status in (Status.CONFIRMED, Status.BURSTING)
            for cell in cells_of(self.history, around, complete)
        ):
            self.settled = complete
        elif self.now - self.ended >= SETTLE_ROUNDS:
            self.settled = self.now
        else:
            return
        self.feed(Event.FLOCK_SETTLED)

    def _note_gap(self) -> None:
        burst = self.recent
        if burst is None or self.gap_of == burst.id or self.left == burst.id:
            return
        self.gap_of = burst.id
        self._owe(burst)

    def _owe(self, burst: Proposal) -> None:
        """One repeat, and none of a repeat (rule 7)."""
        if burst.repeat:
            return
        pause = pause_rounds(burst.id, self.parameters.rest_mean_ms, self.parameters.period_ms)
        if self.owed is None or self.owed.length <= burst.length:
            self.owed = Owed(burst.id, burst.length, self.now + pause)

    def _rest(self, since: int) -> None:
        """Rules 7 and 8: rest and pause are drawn from the id, equal on all."""
        burst = self.recent
        assert burst is not None
        mean_ms, period_ms = self.parameters.rest_mean_ms, self.parameters.period_ms
        rest = rest_rounds(burst.id, mean_ms, period_ms)
        if self.programme is not None:
            rest = max(rest, STEP_ROUNDS)
        self.quiet_until = since + rest
        if self.latch is not None and self.latch.repeat_of is None:
            # Not even in the burst of a newcomer, who does not rest.
            self.latch = replace(self.latch, round=max(self.latch.round, self.quiet_until))
        if self.owed is None:
            return
        if self.owed.burst == burst.id:
            due = since + pause_rounds(burst.id, mean_ms, period_ms)
            self.owed = Owed(burst.id, burst.length, due)
        elif self.owed.due < self.quiet_until:
            # The repeat of an older burst: this one came in between, and has its rest like any.
            self.owed = Owed(self.owed.burst, self.owed.length, self.quiet_until)
        if self.latch is not None and self.latch.repeat_of is not None:
            self.latch = Latch(self.owed.length, self.owed.due, self.owed.burst)

    def leaving(self) -> None:
        """Status 500."""
        if self.inputs.leaving:
            self.feed(Event.LEAVE_REQUESTED)

    def need(self) -> None:
        """Raise the need whose time has come: a repeat before one's own, or the programme's."""
        programme = self.programme
        if self.owed is not None:
            raised = self.now >= self.owed.due
        elif programme is not None:
            raised = self.now >= max(self.quiet_until, programme.begins)
        else:
            waiting = self.latch is not None or self.inputs.need > 0
            raised = waiting and self.now >= self.quiet_until
        if raised:
            self.feed(Event.NEED_RAISED)

    def proposing(self) -> None:
        """Show the newest proposal there is: one that others show, or one collected here."""
        free = self.mode in FREE
        if self.inputs.leaving or not (free or self.mode in (Mode.WAITING, Mode.LEFT)):
            return
        best = self._newest_shown()
        if best is None and self.proposal is None:
            best = self._collect()
        if best is None:
            return
        if best.kind is Kind.BURST:
            self.feed(Event.PROPOSAL_MADE, best)
        elif self.mode is not Mode.PROPOSING:
            self._show(best)

    def _newest_shown(self) -> Proposal | None:
        best: Proposal | None = None
        for cell in self._heard(self.candidate):
            seen = cell.proposal
            if (
                seen is not None
                and not cell.confirmed
                and self.floor < seen.round < self.now
                and not self._expired(seen)
                and self._welcome(seen)
                and (best is None or seen.round > best.round)
            ):
                best = seen
        return best

    def _welcome(self, proposal: Proposal) -> bool:
        if proposal.members != self.candidate:
            return False
        if proposal.kind is Kind.BURST:
            return self.mode in FREE and proposal.epoch == self.epoch
        return self.mode is not Mode.PROPOSING and self._worth_a_view(proposal)

    def _worth_a_view(self, proposal: Proposal) -> bool:
        large = proposal.members.bit_count() >= self.parameters.min_view
        return large and proposal.number > self.epoch.number

    def _collect(self) -> Proposal | None:
        complete = newest_complete(self.history, self.candidate)
        if complete <= self.floor:
            return None
        found = collected(cells_of(self.history, self.candidate, complete), self.candidate)
        if found is None or self._expired(found) or not self._welcome(found):
            return None
        return found

    # What goes out.

    def result(self) -> tuple[State, Output]:
        """The new state, with the new own cell in it, and the output."""
        own, now = self.parameters.own, self.now
        quorum = self._has_quorum()
        need = self.latch if quorum and self.mode in SHOWS_NEED else None
        if need is not None and now < need.round:
            need = None
        shown = Shown(
            round=now,
            status=self.mode.value,
            epoch=self.epoch,
            highest=self.highest,
            row=self.row,
            candidate=self.candidate,
            echo=tuple(
                now if lane == own else (cells[0].round if cells else 0)
                for lane, cells in enumerate(self.history)
            ),
            need=need.need if need else 0,
            repeat_of=need.repeat_of if need else None,
            proposal=self.proposal,
            confirmed=self.mode in LOCKED,
            position=None,
            gap_of=self.gap_of,
            left=self.left,
            sustain_us=self.inputs.sustain_us,
            leaving=self.mode is Mode.LEAVING,
            joins=self.parameters.programme_cells > 0 and bool(self.candidate & ~self.known),
        )
        state = State(
            mode=self.mode,
            epoch=self.epoch,
            highest=self.highest,
            history=self._kept(shown),
            latch=self.latch,
            proposal=self.proposal,
            floor=self.floor if self.floor >= now - KEEP_ROUNDS else 0,
            recent=self.recent,
            gap_of=self.gap_of,
            left=self.left,
            owed=self.owed,
            quiet_until=self.quiet_until if self.quiet_until > now else 0,
            ended=self.ended,
            newest=self.newest,
            known=self.known,
            programme=self.programme,
        )
        real = quorum and self.mode in REAL
        return state, Output(shown, real, tuple(self.commands))

    def _kept(self, shown: Shown) -> History:
        """What later steps can still use: nothing before the newest complete round."""
        complete = newest_complete(self.history, self.candidate)
        return tuple(
            (shown, *(c for c in cells if c.round >= complete))
            if lane == self.parameters.own
            else tuple(c for c in cells if c.round >= complete or c is cells[0])
            for lane, cells in enumerate(self.history)
        )
