"""What does not change while a node runs, and the instants that follow from it alone."""

from __future__ import annotations

from dataclasses import dataclass

from flocksy.protocol.shown import Kind, Proposal

MIN_LEAD_ROUNDS = 4
"""K at least (design 4.4)."""

LONGEST_WAY_MS = 250
"""The longest way of a cell, sender's instant to receiver's next step, for which K is made: the
far side of the earth and some buffers. Cells that take longer only make bursts rarer."""

VIEW_ROUNDS = 8
"""A proposal for a view stands so long. No instant hangs on it, so it can outlast some losses."""


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

    def start(self, burst: Proposal) -> int:
        """The round in which a burst begins, for all alike."""
        return burst.round + self.lead_rounds

    def is_join(self, members: int, known: int) -> bool:
        """Whether a view of `members` is a join (rule 9) to who was last in one of `known`."""
        return self.programme_cells > 0 and bool(members & ~known)

    def is_expired(self, proposal: Proposal, now: int) -> bool:
        """Whether it is too late to confirm it."""
        if proposal.kind is Kind.VIEW:
            return now >= proposal.round + VIEW_ROUNDS
        return now >= self.start(proposal)
