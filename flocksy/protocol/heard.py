"""What a node holds of what the others have shown, and whom it counts alive for that.

Cells come in any order, late, or not at all. Of each lane the newest ones are held, one per round,
as long as a later step can still use them.
"""

from __future__ import annotations

from dataclasses import dataclass

from flocksy.protocol.parameters import Parameters
from flocksy.protocol.proposals import History, is_possible, newest_complete
from flocksy.protocol.shown import Inputs, Proposal, Shown
from flocksy.protocol.views import MAX_CELL_AGE, is_alive, largest_clique, members_of

KEEP_ROUNDS = 8
"""Cells older than this are forgotten. More than the oldest echo that counts (6), so that
forgetting changes nothing."""


@dataclass(frozen=True, slots=True)
class Heard:
    """All cells held in one round, before the own one of that round is made, and what follows.

    Args:
        own: own lane index.
        now: the round.
        history: per lane the cells held, newest first; own ones included.
        row: bitmap of the members counted alive, this node included.
        candidate: bitmap of the view it would like.
    """

    own: int
    now: int
    history: History
    row: int
    candidate: int

    def newest(self, members: int) -> list[Shown]:
        """The newest cells of the live others among `members`."""
        others = members & self.row & ~(1 << self.own)
        return [self.history[lane][0] for lane in members_of(others)]

    def lately(self, members: int) -> list[Shown]:
        """The newest cells of the others among `members`, as far as they are as new as of who is
        alive; whether or not these hear us, or stay. In a burst that stands nobody hears anybody
        for longer than counts as alive, and who leaves it says so in the first cell afterwards."""
        newest = (self.history[lane][:1] for lane in members_of(members & ~(1 << self.own)))
        return [cell for (cell,) in filter(None, newest) if cell.round >= self.now - MAX_CELL_AGE]

    def all_hear_all(self, members: int) -> bool:
        """Whether these hear each other, by what their newest cells show. Who misses one of them
        sends nothing real, so whoever still did would be known for it (rule 12)."""
        rows = (self.row, *(cell.row for cell in self.newest(members)))
        return not any(members & ~row for row in rows)

    def echo(self) -> tuple[int, ...]:
        """Per lane the newest round held, of the own lane the one that is now; none is later: a
        cell of a round that has not begun here is a sign of life like one of this round."""
        return tuple(
            self.now if lane == self.own else min(self.now, cells[0].round if cells else 0)
            for lane, cells in enumerate(self.history)
        )

    def kept(self, shown: Shown) -> History:
        """With the own cell what later steps can use: nothing before the newest complete round."""
        complete = newest_complete(self.history, self.candidate)
        return tuple(
            (shown, *(c for c in cells if c.round >= complete))
            if lane == self.own
            else tuple(c for c in cells if c.round >= complete or c is cells[0])
            for lane, cells in enumerate(self.history)
        )


def listen(parameters: Parameters, history: History, inputs: Inputs, slack: int) -> Heard:
    """What is held with the cells that came now. `slack`: see `slack_rounds`."""
    own, now = parameters.own, inputs.round
    held = _received(history, inputs, now - KEEP_ROUNDS - 3 * slack)
    row = _row(own, held, inputs, slack)
    rows = {lane: held[lane][0].row for lane in members_of(row & ~(1 << own))}
    rows[own] = row
    return Heard(own, now, held, row, largest_clique(own, rows))


def slack_rounds(parameters: Parameters, burst: Proposal, now: int) -> int:
    """Rounds by which cells are older than usual because a slow burst has few of them: from its
    start to its last cell. Before and after there is one a round, and nothing is excused."""
    period_us = parameters.period_ms * 1000
    start = parameters.start(burst)
    last = start + (burst.length - 1) * burst.delta_us // period_us
    return 3 * burst.delta_us // period_us if start < now <= last else 0


@dataclass(frozen=True, slots=True)
class Unheard:
    """Who does not hear whom, as far as the newest cells say: what people need to know which line
    to mend. Nothing in the protocol goes by it.

    Args:
        by: per lane a bitmap of the members that it does not hear, though somebody does.
        away: bitmap of the members of the view that nobody hears who is alive here.
    """

    by: tuple[int, ...]
    away: int

    def lasting(self, before: Unheard) -> Unheard:
        """What was so before, too."""
        return Unheard(
            tuple(now & then for now, then in zip(self.by, before.by, strict=True)),
            self.away & before.away,
        )


def unheard(own: int, history: History, slack: int) -> Unheard:
    """What the cells held say of that.

    A row names whom its member counts alive, both ways at once. Which way it is tells the echo: who
    still echoes new cells of one that it counts out hears it, and is not heard. Where both
    echo each other, one refuses the other (its clock), and the row is taken at its word.

    Args:
        history: as `step` leaves it, the own cell of this round in it.
        slack: see `slack_rounds`.
    """
    newest = {lane: cells[0] for lane, cells in enumerate(history) if cells}
    mine, age = newest[own], MAX_CELL_AGE + slack
    alive = list(members_of(mine.row))
    # Who leaves is gone for all at once, by its own word.
    leaving = sum(1 << lane for lane, cell in newest.items() if cell.leaving)
    expected = (mine.epoch.members | mine.row) & ~leaving
    heard = 0
    for lane in alive:
        heard |= newest[lane].row

    def hears(listener: int, speaker: int) -> bool:
        """By its newest cell. Of whom no new one is held nothing is known: no."""
        cell = newest.get(listener)
        if cell is None or cell.round < mine.round - age:
            return False
        return cell.echo[speaker] >= cell.round - age

    by = [0] * len(history)
    for lane in alive:
        for other in members_of(expected & heard & ~newest[lane].row):
            if hears(lane, other) and not hears(other, lane):
                by[other] |= 1 << lane
            else:
                by[lane] |= 1 << other
    return Unheard(tuple(by), expected & ~heard)


def highest_number(highest: int, inputs: Inputs) -> int:
    """The highest epoch number seen, this round's cells included."""
    found = highest
    for lane, cell in inputs.cells:
        # What is so high just now as only an attacker gets it is taken over in the next round.
        if inputs.eligible >> lane & 1 and cell.highest <= min(inputs.round, cell.round):
            found = max(found, cell.highest)
    return found


def _received(history: History, inputs: Inputs, oldest: int) -> History:
    lanes: list[dict[int, Shown]] = [{cell.round: cell for cell in cells} for cells in history]
    for lane, cell in inputs.cells:
        # A round that has not begun here: at most a quarter period early, see `clock`.
        if cell.round <= inputs.round + 1 and not _is_absurd(cell):
            lanes[lane][cell.round] = cell
    return tuple(
        tuple(held[r] for r in sorted(held, reverse=True) if r >= oldest) for held in lanes
    )


def _is_absurd(cell: Shown) -> bool:
    """Whether it shows an epoch number that nobody can have got to: there is at most one view a
    round. Such cells say nothing, else one member could use up all numbers for everybody."""
    view = cell.proposal
    return max(cell.highest, cell.epoch.number) > cell.round or (
        view is not None and not is_possible(view)
    )


def _row(own: int, held: History, inputs: Inputs, slack: int) -> int:
    row = 1 << own
    for lane, cells in enumerate(held):
        if lane == own or not cells or not inputs.eligible >> lane & 1:
            continue
        if is_alive(cells[0], own, inputs.round, slack):
            row |= 1 << lane
    return row
