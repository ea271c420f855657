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

The state machine (`fsm_table`) says which state follows on which event and what is to be done;
this module finds the events of the round and does it. What it goes by has files of its own:
`heard`, what came and who is alive for it; `choice`, what may be proposed; `needs`, what waits for
a burst, and until when; `aftermath`, what becomes of one that is over.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from flocksy.protocol.aftermath import Aftermath
from flocksy.protocol.choice import FREE, Choice
from flocksy.protocol.fsm_table import INITIAL, TABLE, Action, Event, Mode
from flocksy.protocol.heard import KEEP_ROUNDS, highest_number, listen, slack_rounds
from flocksy.protocol.needs import Needs
from flocksy.protocol.parameters import Parameters
from flocksy.protocol.proposals import History, all_show, cells_of, newest_complete
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

LOCKED = frozenset({Mode.CONFIRMED, Mode.BURSTING})
"""A burst is certain: nothing else is proposed."""

SHOWS_NEED = frozenset({Mode.ANNOUNCING, Mode.PROPOSING, Mode.CONFIRMED, Mode.BURSTING})
REAL = FREE | LOCKED | {Mode.SETTLING}
PROPOSES = FREE | {Mode.WAITING, Mode.LEFT}
"""A proposal may be shown: for a view, without quorum too."""

Decide = Callable[[Mode, Event], tuple[Mode, Action]]
"""The state machine: the next state and what to do."""


@dataclass(frozen=True, slots=True)
class State:
    """What one node knows and has promised. Immutable; made by `initial`, changed by `step`.

    Args:
        mode: state of the machine.
        epoch: the view it is in.
        highest: highest epoch number ever seen.
        history: per lane the cells still needed, newest first; own ones included.
        proposal: V, proposed, or locked in `LOCKED` modes.
        floor: largest r0 ever shown, 0 once no cell of that age is held.
        known: members of the newest view it was in, also after it left that.
        last: the burst that runs or ran last, and what came of it.
        needs: what waits for a burst.
    """

    mode: Mode
    epoch: Epoch
    highest: int
    history: History
    proposal: Proposal | None = None
    floor: int = 0
    known: int = 0
    last: Aftermath = field(default_factory=Aftermath)
    needs: Needs = field(default_factory=Needs)


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
        self.commands: list[Command] = []
        self.mode = state.mode
        self.epoch = state.epoch
        self.proposal = state.proposal
        self.floor = state.floor
        self.known = state.known
        self.last = state.last
        self.needs = state.needs
        self.settled = self.now
        burst = state.proposal if state.mode in LOCKED else None
        slack = slack_rounds(parameters, burst, self.now) if burst is not None else 0
        self.heard = listen(parameters, state.history, inputs, slack)
        self.highest = highest_number(state.highest, inputs)

    # The state machine.

    def feed(self, event: Event, proposal: Proposal | None = None) -> None:
        """Let the machine decide, then do what it says. `proposal` is what the event is about."""
        mode, action = self.decide(self.mode, event)
        self.mode = mode
        match action:
            case Action.LATCH_NEED:
                cells = self.parameters.programme_cells
                self.needs = self.needs.latched(self.now, self.inputs.need, cells)
            case Action.SHOW_PROPOSAL:
                self._show(proposal)
            case Action.WITHDRAW:
                self.proposal = None
                self.needs = self.needs.withdrawn()
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

    def _show(self, proposal: Proposal | None) -> None:
        assert proposal is not None and proposal.round > self.floor
        self.proposal = proposal
        self.floor = proposal.round

    def _arm_burst(self, burst: Proposal | None) -> None:
        assert burst is not None
        self.proposal = burst
        self.floor = max(self.floor, burst.round)
        self.last = Aftermath(burst, newest=burst.round)
        self.needs = self.needs.bound(burst)
        start = self.parameters.start(burst)
        plan = Plan(burst.id, burst.members, start, burst.length, burst.delta_us, burst.repeat)
        self.commands.append(StartBurst(plan))

    def _finish_burst(self) -> None:
        burst = self.proposal
        assert burst is not None
        self.proposal = None
        self.last = self.last.finished(self.now)
        self.needs = self.needs.served(burst)

    def _abandon_burst(self) -> None:
        burst = self.proposal
        assert burst is not None
        self.proposal = None
        self.epoch = NO_EPOCH
        self.last = self.last.abandoned(self.now)
        self.commands += [LeaveBurst(burst.id), ViewChanged(NO_EPOCH)]
        self.needs = self.needs.withdrawn().owing(burst, self.now, self.parameters)
        self._rest(self.now)

    def _rest(self, since: int) -> None:
        burst = self.last.burst
        assert burst is not None
        self.needs = self.needs.rested(burst, since, self.parameters)

    # The parts of a round, in their order.

    def _begin_if_due(self, burst: Proposal) -> None:
        if self.now >= self.parameters.start(burst):
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
        if any(cell.left == burst.id for cell in self.heard.lately(burst.members)):
            self.feed(Event.ABORT_HEARD)

    def _note_gap(self) -> None:
        burst = self.last.burst
        if burst is not None and self.last.is_whole:
            self.last = self.last.with_gap(self.now)
            self.needs = self.needs.owing(burst, self.now, self.parameters)
            if burst.repeat and self.needs.programme is not None:
                self.feed(Event.REPEAT_SPOILT)

    def confirmation(self) -> None:
        """Confirm what all showed in one round; adopt what somebody has confirmed."""
        for cell in self.heard.newest(self.epoch.members):
            burst = cell.proposal
            if (
                burst is not None
                and cell.confirmed
                and burst.kind is Kind.BURST
                and burst.epoch == self.epoch
                and self.last.newest < burst.round < self.now
            ):
                self.feed(Event.PROPOSAL_CONFIRMED, burst)
        ours = self.proposal
        if ours is not None and self.mode not in LOCKED:
            if ours.kind is Kind.VIEW:
                self._confirm_view(ours)
            elif self._is_shown_by_all(ours):
                self.feed(Event.PROPOSAL_CONFIRMED, ours)
            elif self.parameters.is_expired(ours, self.now):
                self.feed(Event.PROPOSAL_EXPIRED)
        if self.mode is Mode.CONFIRMED and self.proposal is not None:
            self._begin_if_due(self.proposal)

    def _confirm_view(self, view: Proposal) -> None:
        others = self.heard.newest(view.members)
        if self._is_shown_by_all(view) or any(cell.epoch == view.epoch for cell in others):
            self._enter_view(view)
        elif view.members != self.heard.candidate or self.parameters.is_expired(view, self.now):
            self.proposal = None

    def _is_shown_by_all(self, ours: Proposal) -> bool:
        history = self.heard.history
        complete = newest_complete(history, ours.members)
        return complete > ours.round and all_show(cells_of(history, ours.members, complete), ours)

    def _enter_view(self, view: Proposal) -> None:
        self.proposal = None
        self.epoch = view.epoch
        self.known = view.members
        self.highest = max(self.highest, view.number)
        self.commands.append(ViewChanged(view.epoch, view.joins))
        if view.joins and self.parameters.programme_cells:
            self.needs = self.needs.joined(view)
        self.feed(Event.SOMEBODY_JOINED if view.joins else Event.VIEW_FORMED)

    def _has_quorum(self) -> bool:
        members = self.epoch.members
        return members.bit_count() >= self.parameters.min_view and self.heard.all_hear_all(members)

    def quorum(self) -> None:
        """Rule 12."""
        self.feed(Event.QUORUM_FORMED if self._has_quorum() else Event.QUORUM_LOST)

    def aftermath(self) -> None:
        """Settle after a burst, hear of gaps, forget it in the end."""
        burst = self.last.burst
        if burst is None or self.mode in LOCKED:
            return
        cells = self.heard.newest(burst.members)
        if self.last.has_gap_in(cells):
            self._note_gap()
        if self.mode in (Mode.SETTLING, Mode.LEFT):
            settled = self.last.settled(self.heard)
            if settled is not None:
                self.settled = settled
                self.feed(Event.FLOCK_SETTLED)
        elif self.last.is_past(self.heard):
            self.last = self.last.forgotten()

    def leaving(self) -> None:
        """Status 500."""
        if self.inputs.leaving:
            self.feed(Event.LEAVE_REQUESTED)

    def need(self) -> None:
        """Raise the need whose time has come."""
        if self.needs.is_due(self.now, self.inputs.need):
            self.feed(Event.NEED_RAISED)

    def proposing(self) -> None:
        """Show the newest proposal there is: one that others show, or one collected here."""
        if self.inputs.leaving or self.mode not in PROPOSES:
            return
        begins = self.needs.programme.begins if self.needs.programme is not None else 0
        where = (self.mode, self.epoch, self.floor, self.known, begins)
        choice = Choice(self.parameters, self.heard, *where)
        best = choice.shown_by_others()
        if best is None and self.proposal is None:
            best = choice.collected_here()
        if best is None:
            return
        if best.kind is Kind.BURST:
            self.feed(Event.PROPOSAL_MADE, best)
        elif self.mode is not Mode.PROPOSING:
            self._show(best)

    # What goes out.

    def result(self) -> tuple[State, Output]:
        """The new state, with the new own cell in it, and the output."""
        heard, now = self.heard, self.now
        quorum = self._has_quorum()
        need = self.needs.shown(now) if quorum and self.mode in SHOWS_NEED else None
        shown = Shown(
            round=now,
            status=self.mode.value,
            epoch=self.epoch,
            highest=self.highest,
            row=heard.row,
            candidate=heard.candidate,
            echo=heard.echo(),
            need=need.need if need else 0,
            repeat_of=need.repeat_of if need else None,
            proposal=self.proposal,
            confirmed=self.mode in LOCKED,
            position=None,
            gap_of=self.last.gap_of,
            left=self.last.left,
            sustain_us=self.inputs.sustain_us,
            leaving=self.mode is Mode.LEAVING,
            joins=self.parameters.is_join(heard.candidate, self.known),
        )
        state = State(
            mode=self.mode,
            epoch=self.epoch,
            highest=self.highest,
            history=heard.kept(shown),
            proposal=self.proposal,
            floor=self.floor if self.floor >= now - KEEP_ROUNDS else 0,
            known=self.known,
            last=self.last,
            needs=self.needs.kept(now),
        )
        real = quorum and self.mode in REAL
        return state, Output(shown, real, tuple(self.commands))
