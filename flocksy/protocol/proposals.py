"""What follows from the cells of one round: the *collect* half of design 4.4.

Everything here is a function of cells alone, so all who hold the same cells derive the same.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from flocksy.protocol.draws import proposal_id
from flocksy.protocol.fsm_table import Status
from flocksy.protocol.padding import padded
from flocksy.protocol.shown import Epoch, Kind, Proposal, Shown
from flocksy.protocol.views import members_of

History = tuple[tuple[Shown, ...], ...]
"""Per lane the cells still held, newest first, one per round."""

ENGAGED = frozenset({Status.CONFIRMED, Status.BURSTING, Status.SETTLING, Status.LEAVING})
"""Who shows one of these is bound to a burst or gone: nothing is collected from that round."""

COLLECTING = frozenset({Status.IDLE, Status.ANNOUNCED, Status.PROPOSED})
"""What all must show for a burst: in the view, with quorum, and free."""


def held_cell(history: History, lane: int, round_: int) -> Shown | None:
    """The cell of that lane and round, if still held."""
    for cell in history[lane]:
        if cell.round == round_:
            return cell
    return None


def newest_complete(history: History, members: int) -> int:
    """The newest round of which a cell of every member is held; 0 if there is none."""
    lanes = list(members_of(members))
    if not lanes:
        return 0
    for cell in history[lanes[0]]:
        if all(held_cell(history, lane, cell.round) for lane in lanes[1:]):
            return cell.round
    return 0


def cells_of(history: History, members: int, round_: int) -> list[Shown]:
    """The cells of all members of one complete round, in the order of the lanes."""
    found = [held_cell(history, lane, round_) for lane in members_of(members)]
    return [cell for cell in found if cell is not None]


def all_show(cells: Iterable[Shown], proposal: Proposal) -> bool:
    """Whether all the cells show this very proposal."""
    return all(cell.proposal == proposal for cell in cells)


def collected(cells: Sequence[Shown], members: int) -> Proposal | None:
    """The proposal that follows from one round's cells of all `members`, if any.

    A view, if all wish for exactly these members and do not yet all share an epoch of them; it is
    a join if any of them sees one. Else a burst, if all share that epoch and some show a need. A
    repeat goes before ordinary needs, at its own length (rule 7).
    """
    round_ = cells[0].round
    if any(c.candidate != members or c.status in ENGAGED or c.leaving for c in cells):
        return None
    epoch = max(cell.epoch for cell in cells)
    if epoch.members != members or any(cell.epoch != epoch for cell in cells):
        if epoch.members == members and all(_is_entering(cell, epoch) for cell in cells):
            return None
        number = 1 + max(cell.highest for cell in cells)
        joins = any(cell.joins for cell in cells)
        return make_proposal(Kind.VIEW, round_, number, members, 0, 0, joins=joins)
    if any(cell.status not in COLLECTING for cell in cells):
        return None
    repeats = [cell.need for cell in cells if cell.repeat_of is not None]
    length = max(repeats) if repeats else max(cell.need for cell in cells)
    if length == 0:
        return None
    delta_us = max(cell.sustain_us for cell in cells)
    return make_proposal(
        Kind.BURST, round_, epoch.number, members, padded(length), delta_us, repeat=bool(repeats)
    )


def is_possible(proposal: Proposal) -> bool:
    """Whether its number can follow from cells of its round, of which none shows a higher one."""
    return proposal.number <= proposal.round + 1


def _is_entering(cell: Shown, epoch: Epoch) -> bool:
    """In that epoch, or about to take it from those who are.

    Without this, members whose cells take one and two rounds would always see the slower ones
    in the old epoch, and collect one view after the other for ever.
    """
    ours = cell.proposal
    return cell.epoch == epoch or (
        ours is not None and ours.kind is Kind.VIEW and ours.epoch == epoch
    )


def make_proposal(
    kind: Kind,
    round_: int,
    number: int,
    members: int,
    length: int,
    delta_us: int,
    *,
    repeat: bool = False,
    joins: bool = False,
) -> Proposal:
    """A proposal with its id."""
    id_ = proposal_id(kind, round_, number, members, length, delta_us, repeat, joins)
    return Proposal(id_, kind, round_, number, members, length, delta_us, repeat, joins)
