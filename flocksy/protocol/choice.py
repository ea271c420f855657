"""Which proposal a node may show next: one that others show, or one that it collects itself.

What a node shows never goes back to a smaller r0, and never leads out of its epoch but by a view.
Who sees a join takes no view for which there is none: a newer round makes one that is.
"""

from __future__ import annotations

from dataclasses import dataclass

from flocksy.protocol.fsm_table import Mode
from flocksy.protocol.heard import Heard
from flocksy.protocol.parameters import Parameters
from flocksy.protocol.proposals import cells_of, collected, newest_complete
from flocksy.protocol.shown import Epoch, Kind, Proposal

FREE = frozenset({Mode.READY, Mode.ANNOUNCING, Mode.PROPOSING})
"""With quorum and without a burst: a burst may be proposed."""


@dataclass(frozen=True, slots=True)
class Choice:
    """What the next proposal depends on: what was heard, where the node stands, what it has shown.

    Args:
        floor: largest r0 ever shown.
        known: members of the newest view it was in.
        begins: round before which there is no burst but a repeat, for one of a programme is owed.
    """

    parameters: Parameters
    heard: Heard
    mode: Mode
    epoch: Epoch
    floor: int
    known: int
    begins: int

    def shown_by_others(self) -> Proposal | None:
        """The newest that others show and that this node may show too."""
        best: Proposal | None = None
        now = self.heard.now
        for cell in self.heard.newest(self.heard.candidate):
            seen = cell.proposal
            if (
                seen is not None
                and not cell.confirmed
                and self.floor < seen.round < now
                and not self.parameters.is_expired(seen, now)
                and self._is_welcome(seen)
                and (best is None or seen.round > best.round)
            ):
                best = seen
        return best

    def collected_here(self) -> Proposal | None:
        """What follows from the newest complete round of the candidate, if it may be shown."""
        history, candidate = self.heard.history, self.heard.candidate
        complete = newest_complete(history, candidate)
        if complete <= self.floor:
            return None
        found = collected(cells_of(history, candidate, complete), candidate)
        if (
            found is None
            or self.parameters.is_expired(found, self.heard.now)
            or not self._is_welcome(found)
        ):
            return None
        return found

    def _is_welcome(self, proposal: Proposal) -> bool:
        if proposal.members != self.heard.candidate:
            return False
        if proposal.kind is Kind.BURST:
            return self.mode in FREE and proposal.epoch == self.epoch and self._is_time(proposal)
        return self.mode is not Mode.PROPOSING and self._is_worth_a_view(proposal)

    def _is_time(self, burst: Proposal) -> bool:
        """Who has not heard yet that a repeat was spoilt may still show a need, larger perhaps than
        what a programme carries. Whoever knows takes no part in a burst for it."""
        return burst.repeat or burst.round >= self.begins

    def _is_worth_a_view(self, proposal: Proposal) -> bool:
        large = proposal.members.bit_count() >= self.parameters.min_view
        newer = proposal.number > self.epoch.number
        return large and newer and not self._misses_join(proposal)

    def _misses_join(self, view: Proposal) -> bool:
        """Whether it would be a join had it been collected from what this node shows now.

        Who has started again is offered a view that its earlier self had a part in. In it nobody
        would owe a programme, and the newcomer and who has made changes could be told apart.
        """
        return self.parameters.is_join(view.members, self.known) and not view.joins
