"""The state machine of one node, as data.

Generated from fsm/flock.toml by fsm/generate.py. Do not edit: change the model and run
`python fsm/generate.py`.
"""

from __future__ import annotations

from enum import Enum, IntEnum


class Status(IntEnum):
    """What a cell shows about its node. The numbers are the original's."""

    WAITING = 102
    """No view of enough live members: cover only."""
    IDLE = 100
    """Heartbeats; small diffs ride in them."""
    ANNOUNCED = 120
    """A need is latched and shown."""
    PROPOSED = 121
    """A proposal for a burst is shown."""
    CONFIRMED = 131
    """The burst is certain and has not begun."""
    BURSTING = 200
    """Sends cells of a burst, real or not."""
    SETTLING = 150
    """Own burst done, waits for the others."""
    LEFT = 410
    """Left a burst before its end."""
    LEAVING = 500
    """This cell is the last one."""


class Mode(Enum):
    """The state that a node is in; its value is the status that its cells show."""

    WAITING = Status.WAITING
    READY = Status.IDLE
    ANNOUNCING = Status.ANNOUNCED
    PROPOSING = Status.PROPOSED
    CONFIRMED = Status.CONFIRMED
    BURSTING = Status.BURSTING
    SETTLING = Status.SETTLING
    LEFT = Status.LEFT
    LEAVING = Status.LEAVING


class Event(Enum):
    """What can happen to a node."""

    QUORUM_FORMED = "quorum_formed"
    """The view is large enough, and all its members are heard and show that they hear all."""
    QUORUM_LOST = "quorum_lost"
    """The view is too small, or one of its members is not heard or does not hear all."""
    NEED_RAISED = "need_raised"
    """There is a need, own or a repeat's, and its time has come."""
    PROPOSAL_MADE = "proposal_made"
    """A proposal for a burst follows from a complete round, or was seen."""
    PROPOSAL_EXPIRED = "proposal_expired"
    """Too late to confirm the proposal."""
    PROPOSAL_CONFIRMED = "proposal_confirmed"
    """All showed the same proposal in one round, or somebody shows it confirmed."""
    START_REACHED = "start_reached"
    """The start round of the burst is here."""
    BURST_FINISHED = "burst_finished"
    """All own cells are out and nothing more is expected."""
    BURST_STALLED = "burst_stalled"
    """Some lane was silent for too long."""
    ABORT_HEARD = "abort_heard"
    """Somebody left our burst."""
    FLOCK_SETTLED = "flock_settled"
    """Nobody is in the burst any more, or we waited long enough."""
    VIEW_FORMED = "view_formed"
    """A new view was confirmed, with nobody in it who is new."""
    SOMEBODY_JOINED = "somebody_joined"
    """A new view was confirmed, with somebody new."""
    REPEAT_SPOILT = "repeat_spoilt"
    """There was a gap in a repeat, or somebody left it, and a programme follows."""
    LEAVE_REQUESTED = "leave_requested"
    """The node is asked to stop."""


class Action(Enum):
    """What the caller of the machine has to do."""

    IGNORE = "ignore"
    """Nothing: the event does not matter in this state."""
    LATCH_NEED = "latch_need"
    """Fix the need that is shown."""
    SHOW_PROPOSAL = "show_proposal"
    """Show the proposal."""
    WITHDRAW = "withdraw"
    """Show no need, drop the proposal."""
    DROP_PROPOSAL = "drop_proposal"
    """Drop the proposal, keep the need."""
    ARM_BURST = "arm_burst"
    """Lock the proposal, hand the plan to the emitter."""
    BEGIN_BURST = "begin_burst"
    """Show that the burst runs."""
    FINISH_BURST = "finish_burst"
    """Release the need that it served, wait for the others."""
    ABANDON_BURST = "abandon_burst"
    """Leave the burst and the epoch, owe one repeat."""
    REST = "rest"
    """Begin the rest, or the pause before the repeat."""
    RESUME = "resume"
    """Nothing but the new state."""
    STOP = "stop"
    """Show the leaving in one cell, then end."""


INITIAL = Mode.WAITING
FINAL = frozenset({Mode.LEAVING})

TABLE: dict[tuple[Mode, Event], tuple[Mode, Action]] = {
    (Mode.WAITING, Event.QUORUM_FORMED): (Mode.READY, Action.RESUME),
    (Mode.WAITING, Event.QUORUM_LOST): (Mode.WAITING, Action.IGNORE),
    (Mode.WAITING, Event.NEED_RAISED): (Mode.WAITING, Action.IGNORE),
    (Mode.WAITING, Event.PROPOSAL_MADE): (Mode.WAITING, Action.IGNORE),
    (Mode.WAITING, Event.PROPOSAL_EXPIRED): (Mode.WAITING, Action.IGNORE),
    (Mode.WAITING, Event.PROPOSAL_CONFIRMED): (Mode.CONFIRMED, Action.ARM_BURST),
    (Mode.WAITING, Event.START_REACHED): (Mode.WAITING, Action.IGNORE),
    (Mode.WAITING, Event.BURST_FINISHED): (Mode.WAITING, Action.IGNORE),
    (Mode.WAITING, Event.BURST_STALLED): (Mode.WAITING, Action.IGNORE),
    (Mode.WAITING, Event.ABORT_HEARD): (Mode.WAITING, Action.IGNORE),
    (Mode.WAITING, Event.FLOCK_SETTLED): (Mode.WAITING, Action.IGNORE),
    (Mode.WAITING, Event.VIEW_FORMED): (Mode.WAITING, Action.IGNORE),
    (Mode.WAITING, Event.SOMEBODY_JOINED): (Mode.WAITING, Action.IGNORE),
    (Mode.WAITING, Event.REPEAT_SPOILT): (Mode.WAITING, Action.IGNORE),
    (Mode.WAITING, Event.LEAVE_REQUESTED): (Mode.LEAVING, Action.STOP),
    (Mode.READY, Event.QUORUM_FORMED): (Mode.READY, Action.IGNORE),
    (Mode.READY, Event.QUORUM_LOST): (Mode.WAITING, Action.WITHDRAW),
    (Mode.READY, Event.NEED_RAISED): (Mode.ANNOUNCING, Action.LATCH_NEED),
    (Mode.READY, Event.PROPOSAL_MADE): (Mode.PROPOSING, Action.SHOW_PROPOSAL),
    (Mode.READY, Event.PROPOSAL_EXPIRED): (Mode.READY, Action.IGNORE),
    (Mode.READY, Event.PROPOSAL_CONFIRMED): (Mode.CONFIRMED, Action.ARM_BURST),
    (Mode.READY, Event.START_REACHED): (Mode.READY, Action.IGNORE),
    (Mode.READY, Event.BURST_FINISHED): (Mode.READY, Action.IGNORE),
    (Mode.READY, Event.BURST_STALLED): (Mode.READY, Action.IGNORE),
    (Mode.READY, Event.ABORT_HEARD): (Mode.READY, Action.IGNORE),
    (Mode.READY, Event.FLOCK_SETTLED): (Mode.READY, Action.IGNORE),
    (Mode.READY, Event.VIEW_FORMED): (Mode.READY, Action.IGNORE),
    (Mode.READY, Event.SOMEBODY_JOINED): (Mode.READY, Action.WITHDRAW),
    (Mode.READY, Event.REPEAT_SPOILT): (Mode.READY, Action.IGNORE),
    (Mode.READY, Event.LEAVE_REQUESTED): (Mode.LEAVING, Action.STOP),
    (Mode.ANNOUNCING, Event.QUORUM_FORMED): (Mode.ANNOUNCING, Action.IGNORE),
    (Mode.ANNOUNCING, Event.QUORUM_LOST): (Mode.WAITING, Action.WITHDRAW),
    (Mode.ANNOUNCING, Event.NEED_RAISED): (Mode.ANNOUNCING, Action.IGNORE),
    (Mode.ANNOUNCING, Event.PROPOSAL_MADE): (Mode.PROPOSING, Action.SHOW_PROPOSAL),
    (Mode.ANNOUNCING, Event.PROPOSAL_EXPIRED): (Mode.ANNOUNCING, Action.IGNORE),
    (Mode.ANNOUNCING, Event.PROPOSAL_CONFIRMED): (Mode.CONFIRMED, Action.ARM_BURST),
    (Mode.ANNOUNCING, Event.START_REACHED): (Mode.ANNOUNCING, Action.IGNORE),
    (Mode.ANNOUNCING, Event.BURST_FINISHED): (Mode.ANNOUNCING, Action.IGNORE),
    (Mode.ANNOUNCING, Event.BURST_STALLED): (Mode.ANNOUNCING, Action.IGNORE),
    (Mode.ANNOUNCING, Event.ABORT_HEARD): (Mode.ANNOUNCING, Action.IGNORE),
    (Mode.ANNOUNCING, Event.FLOCK_SETTLED): (Mode.ANNOUNCING, Action.IGNORE),
    (Mode.ANNOUNCING, Event.VIEW_FORMED): (Mode.ANNOUNCING, Action.IGNORE),
    (Mode.ANNOUNCING, Event.SOMEBODY_JOINED): (Mode.READY, Action.WITHDRAW),
    (Mode.ANNOUNCING, Event.REPEAT_SPOILT): (Mode.READY, Action.RESUME),
    (Mode.ANNOUNCING, Event.LEAVE_REQUESTED): (Mode.LEAVING, Action.STOP),
    (Mode.PROPOSING, Event.QUORUM_FORMED): (Mode.PROPOSING, Action.IGNORE),
    (Mode.PROPOSING, Event.QUORUM_LOST): (Mode.WAITING, Action.WITHDRAW),
    (Mode.PROPOSING, Event.NEED_RAISED): (Mode.PROPOSING, Action.IGNORE),
    (Mode.PROPOSING, Event.PROPOSAL_MADE): (Mode.PROPOSING, Action.SHOW_PROPOSAL),
    (Mode.PROPOSING, Event.PROPOSAL_EXPIRED): (Mode.READY, Action.DROP_PROPOSAL),
    (Mode.PROPOSING, Event.PROPOSAL_CONFIRMED): (Mode.CONFIRMED, Action.ARM_BURST),
    (Mode.PROPOSING, Event.START_REACHED): (Mode.PROPOSING, Action.IGNORE),
    (Mode.PROPOSING, Event.BURST_FINISHED): (Mode.PROPOSING, Action.IGNORE),
    (Mode.PROPOSING, Event.BURST_STALLED): (Mode.PROPOSING, Action.IGNORE),
    (Mode.PROPOSING, Event.ABORT_HEARD): (Mode.PROPOSING, Action.IGNORE),
    (Mode.PROPOSING, Event.FLOCK_SETTLED): (Mode.PROPOSING, Action.IGNORE),
    (Mode.PROPOSING, Event.VIEW_FORMED): (Mode.PROPOSING, Action.IGNORE),
    (Mode.PROPOSING, Event.SOMEBODY_JOINED): (Mode.PROPOSING, Action.IGNORE),
    (Mode.PROPOSING, Event.REPEAT_SPOILT): (Mode.PROPOSING, Action.IGNORE),
    (Mode.PROPOSING, Event.LEAVE_REQUESTED): (Mode.PROPOSING, Action.IGNORE),
    (Mode.CONFIRMED, Event.QUORUM_FORMED): (Mode.CONFIRMED, Action.IGNORE),
    (Mode.CONFIRMED, Event.QUORUM_LOST): (Mode.CONFIRMED, Action.IGNORE),
    (Mode.CONFIRMED, Event.NEED_RAISED): (Mode.CONFIRMED, Action.IGNORE),
    (Mode.CONFIRMED, Event.PROPOSAL_MADE): (Mode.CONFIRMED, Action.IGNORE),
    (Mode.CONFIRMED, Event.PROPOSAL_EXPIRED): (Mode.CONFIRMED, Action.IGNORE),
    (Mode.CONFIRMED, Event.PROPOSAL_CONFIRMED): (Mode.CONFIRMED, Action.IGNORE),
    (Mode.CONFIRMED, Event.START_REACHED): (Mode.BURSTING, Action.BEGIN_BURST),
    (Mode.CONFIRMED, Event.BURST_FINISHED): (Mode.CONFIRMED, Action.IGNORE),
    (Mode.CONFIRMED, Event.BURST_STALLED): (Mode.CONFIRMED, Action.IGNORE),
    (Mode.CONFIRMED, Event.ABORT_HEARD): (Mode.LEFT, Action.ABANDON_BURST),
    (Mode.CONFIRMED, Event.FLOCK_SETTLED): (Mode.CONFIRMED, Action.IGNORE),
    (Mode.CONFIRMED, Event.VIEW_FORMED): (Mode.CONFIRMED, Action.IGNORE),
    (Mode.CONFIRMED, Event.SOMEBODY_JOINED): (Mode.CONFIRMED, Action.IGNORE),
    (Mode.CONFIRMED, Event.REPEAT_SPOILT): (Mode.CONFIRMED, Action.IGNORE),
    (Mode.CONFIRMED, Event.LEAVE_REQUESTED): (Mode.CONFIRMED, Action.IGNORE),
    (Mode.BURSTING, Event.QUORUM_FORMED): (Mode.BURSTING, Action.IGNORE),
    (Mode.BURSTING, Event.QUORUM_LOST): (Mode.BURSTING, Action.IGNORE),
    (Mode.BURSTING, Event.NEED_RAISED): (Mode.BURSTING, Action.IGNORE),
    (Mode.BURSTING, Event.PROPOSAL_MADE): (Mode.BURSTING, Action.IGNORE),
    (Mode.BURSTING, Event.PROPOSAL_EXPIRED): (Mode.BURSTING, Action.IGNORE),
    (Mode.BURSTING, Event.PROPOSAL_CONFIRMED): (Mode.BURSTING, Action.IGNORE),
    (Mode.BURSTING, Event.START_REACHED): (Mode.BURSTING, Action.IGNORE),
    (Mode.BURSTING, Event.BURST_FINISHED): (Mode.SETTLING, Action.FINISH_BURST),
    (Mode.BURSTING, Event.BURST_STALLED): (Mode.LEFT, Action.ABANDON_BURST),
    (Mode.BURSTING, Event.ABORT_HEARD): (Mode.LEFT, Action.ABANDON_BURST),
    (Mode.BURSTING, Event.FLOCK_SETTLED): (Mode.BURSTING, Action.IGNORE),
    (Mode.BURSTING, Event.VIEW_FORMED): (Mode.BURSTING, Action.IGNORE),
    (Mode.BURSTING, Event.SOMEBODY_JOINED): (Mode.BURSTING, Action.IGNORE),
    (Mode.BURSTING, Event.REPEAT_SPOILT): (Mode.BURSTING, Action.IGNORE),
    (Mode.BURSTING, Event.LEAVE_REQUESTED): (Mode.BURSTING, Action.IGNORE),
    (Mode.SETTLING, Event.QUORUM_FORMED): (Mode.SETTLING, Action.IGNORE),
    (Mode.SETTLING, Event.QUORUM_LOST): (Mode.SETTLING, Action.IGNORE),
    (Mode.SETTLING, Event.NEED_RAISED): (Mode.SETTLING, Action.IGNORE),
    (Mode.SETTLING, Event.PROPOSAL_MADE): (Mode.SETTLING, Action.IGNORE),
    (Mode.SETTLING, Event.PROPOSAL_EXPIRED): (Mode.SETTLING, Action.IGNORE),
    (Mode.SETTLING, Event.PROPOSAL_CONFIRMED): (Mode.SETTLING, Action.IGNORE),
    (Mode.SETTLING, Event.START_REACHED): (Mode.SETTLING, Action.IGNORE),
    (Mode.SETTLING, Event.BURST_FINISHED): (Mode.SETTLING, Action.IGNORE),
    (Mode.SETTLING, Event.BURST_STALLED): (Mode.SETTLING, Action.IGNORE),
    (Mode.SETTLING, Event.ABORT_HEARD): (Mode.SETTLING, Action.IGNORE),
    (Mode.SETTLING, Event.FLOCK_SETTLED): (Mode.READY, Action.REST),
    (Mode.SETTLING, Event.VIEW_FORMED): (Mode.SETTLING, Action.IGNORE),
    (Mode.SETTLING, Event.SOMEBODY_JOINED): (Mode.SETTLING, Action.IGNORE),
    (Mode.SETTLING, Event.REPEAT_SPOILT): (Mode.SETTLING, Action.IGNORE),
    (Mode.SETTLING, Event.LEAVE_REQUESTED): (Mode.LEAVING, Action.STOP),
    (Mode.LEFT, Event.QUORUM_FORMED): (Mode.LEFT, Action.IGNORE),
    (Mode.LEFT, Event.QUORUM_LOST): (Mode.LEFT, Action.IGNORE),
    (Mode.LEFT, Event.NEED_RAISED): (Mode.LEFT, Action.IGNORE),
    (Mode.LEFT, Event.PROPOSAL_MADE): (Mode.LEFT, Action.IGNORE),
    (Mode.LEFT, Event.PROPOSAL_EXPIRED): (Mode.LEFT, Action.IGNORE),
    (Mode.LEFT, Event.PROPOSAL_CONFIRMED): (Mode.LEFT, Action.IGNORE),
    (Mode.LEFT, Event.START_REACHED): (Mode.LEFT, Action.IGNORE),
    (Mode.LEFT, Event.BURST_FINISHED): (Mode.LEFT, Action.IGNORE),
    (Mode.LEFT, Event.BURST_STALLED): (Mode.LEFT, Action.IGNORE),
    (Mode.LEFT, Event.ABORT_HEARD): (Mode.LEFT, Action.IGNORE),
    (Mode.LEFT, Event.FLOCK_SETTLED): (Mode.WAITING, Action.RESUME),
    (Mode.LEFT, Event.VIEW_FORMED): (Mode.WAITING, Action.RESUME),
    (Mode.LEFT, Event.SOMEBODY_JOINED): (Mode.WAITING, Action.RESUME),
    (Mode.LEFT, Event.REPEAT_SPOILT): (Mode.LEFT, Action.IGNORE),
    (Mode.LEFT, Event.LEAVE_REQUESTED): (Mode.LEAVING, Action.STOP),
    (Mode.LEAVING, Event.QUORUM_FORMED): (Mode.LEAVING, Action.IGNORE),
    (Mode.LEAVING, Event.QUORUM_LOST): (Mode.LEAVING, Action.IGNORE),
    (Mode.LEAVING, Event.NEED_RAISED): (Mode.LEAVING, Action.IGNORE),
    (Mode.LEAVING, Event.PROPOSAL_MADE): (Mode.LEAVING, Action.IGNORE),
    (Mode.LEAVING, Event.PROPOSAL_EXPIRED): (Mode.LEAVING, Action.IGNORE),
    (Mode.LEAVING, Event.PROPOSAL_CONFIRMED): (Mode.LEAVING, Action.IGNORE),
    (Mode.LEAVING, Event.START_REACHED): (Mode.LEAVING, Action.IGNORE),
    (Mode.LEAVING, Event.BURST_FINISHED): (Mode.LEAVING, Action.IGNORE),
    (Mode.LEAVING, Event.BURST_STALLED): (Mode.LEAVING, Action.IGNORE),
    (Mode.LEAVING, Event.ABORT_HEARD): (Mode.LEAVING, Action.IGNORE),
    (Mode.LEAVING, Event.FLOCK_SETTLED): (Mode.LEAVING, Action.IGNORE),
    (Mode.LEAVING, Event.VIEW_FORMED): (Mode.LEAVING, Action.IGNORE),
    (Mode.LEAVING, Event.SOMEBODY_JOINED): (Mode.LEAVING, Action.IGNORE),
    (Mode.LEAVING, Event.REPEAT_SPOILT): (Mode.LEAVING, Action.IGNORE),
    (Mode.LEAVING, Event.LEAVE_REQUESTED): (Mode.LEAVING, Action.IGNORE),
}
