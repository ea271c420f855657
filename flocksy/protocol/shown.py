"""What one cell shows about the agreement: the words that nodes say to each other.

Plain values without behaviour. The codec packs them into the header of a cell, `agreement.step`
reads those of the others and makes the own. Sets of members are bitmaps over lane indexes (bit i
is lane i), rounds count periods since the Unix epoch, a burst id is 8 bytes.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum, IntEnum

from flocksy.protocol.fsm_table import Status

BURST_ID_BYTES = 8
"""Length of a burst id. It only tells apart the bursts of one flock within some minutes."""


class Kind(IntEnum):
    """What a proposal would have the flock agree on."""

    VIEW = 1
    BURST = 2


@dataclass(frozen=True, slots=True, order=True)
class Epoch:
    """A view with its number. Number 0 with no members: in no view."""

    number: int
    members: int


NO_EPOCH = Epoch(0, 0)


@dataclass(frozen=True, slots=True)
class Proposal:
    """V of design 4.4: all that a view or a burst needs, derived from the cells of one round.

    Args:
        id: 8 bytes, a hash of all the other fields.
        kind: a view or a burst.
        round: r0, the round whose cells it was derived from.
        number: epoch number. Of a view: the number it will have; of a burst: that of its epoch.
        members: bitmap of the view.
        length: cells of the burst, padded. 0 for a view.
        delta_us: microseconds between two cells of the burst at pace grid. 0 for a view.
        repeat: the burst repeats an earlier one (rule 7) and is not repeated itself.
        joins: with the view somebody comes who was not there before: a programme follows (rule 9).
    """

    id: bytes
    kind: Kind
    round: int
    number: int
    members: int
    length: int
    delta_us: int
    repeat: bool
    joins: bool = False

    @property
    def epoch(self) -> Epoch:
        """The epoch that a view would make, or that a burst belongs to."""
        return Epoch(self.number, self.members)


@dataclass(frozen=True, slots=True)
class Position:
    """Where in a burst a cell stands: the cell `k` of `length`, counted from 0."""

    burst: bytes
    k: int
    length: int


@dataclass(frozen=True, slots=True)
class Shown:
    """All about the agreement that one cell shows.

    Args:
        round: the round in which the cell was made.
        status: what the node is doing.
        epoch: the view the node is in, `NO_EPOCH` if none.
        highest: the highest epoch number the node has ever seen.
        row: bitmap of the members the node counts alive, itself included.
        candidate: bitmap of the view the node would like.
        echo: per lane the newest round of that lane the node holds, 0 for none; as long as the
            flock has members. Its own entry is its own round.
        need: cells the node would like a burst to have, latched; 0 for none.
        repeat_of: the need is not the node's own but the repeat of this burst (rule 7).
        proposal: V, if the node proposes or has confirmed one. Stays during its burst.
        confirmed: `proposal` is confirmed, not just proposed.
        position: where in the burst this cell stands. `step` always leaves it None; the
            emitter's burst cells carry it.
        gap_of: the burst in which the node saw a gap in any lane, or knows that another did.
        left: the burst the node left before its end.
        sustain_us: shortest time between two burst cells that the node can sustain.
        leaving: the node is about to stop.
        joins: somebody in `candidate` was not in the last view of this node, or it had none.
    """

    round: int
    status: Status
    epoch: Epoch
    highest: int
    row: int
    candidate: int
    echo: tuple[int, ...]
    need: int
    repeat_of: bytes | None
    proposal: Proposal | None
    confirmed: bool
    position: Position | None
    gap_of: bytes | None
    left: bytes | None
    sustain_us: int
    leaving: bool
    joins: bool = False


class Outcome(Enum):
    """How the burst that was running has ended, as the emitter saw it."""

    FINISHED = "finished"
    """All own cells are out and all lanes are in."""
    FINISHED_WITH_GAP = "finished with gap"
    """All own cells are out; in some lane, whichever, a cell is missing."""
    STALLED = "stalled"
    """Waited `stall_timeout` for some lane, or for the own box process (pace max only)."""


@dataclass(frozen=True, slots=True)
class Inputs:
    """What happened since the last step.

    Args:
        round: the round that begins now; larger than in the step before.
        cells: (lane, what it showed) of every cell that came in since the last step, in any
            order, several of one lane allowed, never of the own lane. In a burst the newest
            cell of each lane is enough.
        eligible: bitmap of lanes whose clock is right and whose settings are equal to ours.
        need: cells that the box process would like to send now, 0 for none. May grow at will.
        sustain_us: shortest time between two burst cells that this node can sustain.
        leaving: this node wants to stop.
        outcome: set in exactly one step after a burst has ended by itself.
    """

    round: int
    cells: tuple[tuple[int, Shown], ...]
    eligible: int
    need: int
    sustain_us: int
    leaving: bool = False
    outcome: Outcome | None = None


@dataclass(frozen=True, slots=True)
class Plan:
    """A burst to run. `start_round` may already be past for who learns late: begin at cell 0."""

    id: bytes
    members: int
    start_round: int
    length: int
    delta_us: int
    repeat: bool


@dataclass(frozen=True, slots=True)
class StartBurst:
    """Begin this burst on the grid at the instant of its start round, or at once if past."""

    plan: Plan


@dataclass(frozen=True, slots=True)
class LeaveBurst:
    """Emit nothing more of this burst, whether it has begun or not. No outcome follows."""

    burst: bytes


@dataclass(frozen=True, slots=True)
class ViewChanged:
    """The epoch is another one now; `NO_EPOCH` after an abort. `joins`: somebody came with it."""

    epoch: Epoch
    joins: bool = False


@dataclass(frozen=True, slots=True)
class Stop:
    """The cell of this round, which shows the leaving, is the last one. Then end."""


Command = StartBurst | LeaveBurst | ViewChanged | Stop


@dataclass(frozen=True, slots=True)
class Output:
    """What to do in this round.

    Args:
        shown: what every cell of this round shows.
        real_allowed: bytes derived from a box may leave (rule 12). Otherwise send cover.
        commands: in this order.
    """

    shown: Shown
    real_allowed: bool
    commands: tuple[Command, ...]
