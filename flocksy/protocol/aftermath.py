"""The burst that runs or ran last: how it ended here and elsewhere, until it is forgotten.

After a burst all settle until nobody is in it any more, and hear each other's gaps meanwhile. The
round in which the last one was done is seen by all, and rest and pause are counted from there.
A burst that was left, or in which anybody saw a gap, is owed one repeat by every member alike,
or a programme if it was one.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from flocksy.protocol.fsm_table import Status
from flocksy.protocol.heard import Heard
from flocksy.protocol.proposals import cells_of, newest_complete
from flocksy.protocol.shown import Proposal, Shown

SETTLE_ROUNDS = 8
"""Longest wait for others to come out of a burst: at pace max they are out within a window."""

MEMORY_ROUNDS = 16
"""So long after a burst a node shows that it left it or saw a gap in it, and after it has heard of
one: several times what a member may stay unheard without being down, and a repeat can begin before
that. And until it hears all who were in it: one of whom the last cells were lost waits for these
for `stall_timeout`, which may be longer, and only then has a gap to tell of."""


@dataclass(frozen=True, slots=True)
class Aftermath:
    """What is known of it. A method that answers with another says what is so afterwards.

    Args:
        burst: the burst that runs or ran last, until it is forgotten.
        gap_of, left: as in `Shown`.
        ended: round in which it was finished or left, 0 if it is forgotten or runs.
        noted: round in which a gap was seen or heard of, 0 for none.
        newest: r0 of the newest burst this node was ever bound to. Never forgotten: whoever was cut
            off, or stood still, may show a burst long after it was over for all others.
    """

    burst: Proposal | None = None
    gap_of: bytes | None = None
    left: bytes | None = None
    ended: int = 0
    noted: int = 0
    newest: int = 0

    @property
    def is_whole(self) -> bool:
        """Whether nobody is known to have left it or seen a gap: no repeat follows as yet."""
        return self.burst is not None and self.burst.id not in (self.gap_of, self.left)

    def finished(self, now: int) -> Aftermath:
        """All own cells are out."""
        return replace(self, ended=now)

    def abandoned(self, now: int) -> Aftermath:
        """It was left before its end."""
        assert self.burst is not None
        return replace(self, left=self.burst.id, ended=now)

    def with_gap(self, now: int) -> Aftermath:
        """Somebody saw a gap in it, or left it."""
        assert self.burst is not None
        return replace(self, gap_of=self.burst.id, noted=now)

    def has_gap_in(self, cells: Sequence[Shown]) -> bool:
        """Whether any of these cells says that there was a gap in it, or that it was left."""
        assert self.burst is not None
        return any(self.burst.id in (cell.gap_of, cell.left) for cell in cells)

    def settled(self, heard: Heard) -> int | None:
        """The round in which all were out of it, which all members see and count from; None while
        that is to come."""
        assert self.burst is not None
        around = self.burst.members & heard.row
        complete = newest_complete(heard.history, around)
        if complete >= self.ended and not any(
            cell.status in (Status.CONFIRMED, Status.BURSTING)
            for cell in cells_of(heard.history, around, complete)
        ):
            return complete
        return heard.now if heard.now - self.ended >= SETTLE_ROUNDS else None

    def is_past(self, heard: Heard) -> bool:
        """Whether it can be forgotten: long over, and all are heard and say that it is not on."""
        assert self.burst is not None
        members = self.burst.members
        return (
            heard.now - max(self.ended, self.noted) >= MEMORY_ROUNDS
            and not members & ~heard.row
            and not any(
                cell.confirmed and cell.proposal == self.burst for cell in heard.newest(members)
            )
        )

    def forgotten(self) -> Aftermath:
        """But for its age."""
        return Aftermath(newest=self.newest)
