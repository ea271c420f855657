"""What a node asks of the flock: its own need, the repeat it owes, the programme after a join.

*Needs* are latched: a shown need stays as it is until the burst that collected it is over, so the
burst with r0 not before the first cell that showed it is long enough for it.

*After a burst* comes a rest, and before its repeat a pause. Both follow from its id and from the
round in which all were out of it, so they end for all alike.

*After a join*, a view with somebody who was not there before, all who share it owe a `programme`:
some bursts of one length, whether or not anybody needs anything. That it is a join is part of V,
and the begin is counted from the r0 of V: from that of the first join where one before is still
owed, which the newcomer does not know of. Before its begin nobody shows an ordinary need, and while
it is owed all show one of that length: what is wanted goes into it, and what is wanted still
afterwards is an ordinary need. A burst of the epoch that is no repeat is one less, for all who are
in it.

*After a repeat* that was left or had a gap comes such a programme as well, counted from its r0. An
ordinary burst for what is missing then would show that the lane that was cut carried something. So
a need that is shown already is taken back, as at a join: its burst would come before the others, or
be one of them, and be longer.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from flocksy.protocol.draws import pause_rounds, rest_rounds
from flocksy.protocol.padding import MAX_BURST_CELLS
from flocksy.protocol.parameters import Parameters
from flocksy.protocol.programme import STEP_ROUNDS, Programme, joined, one_less, spoilt
from flocksy.protocol.shown import Proposal


@dataclass(frozen=True, slots=True)
class Latch:
    """A need as it is shown, from `round` on. `repeat_of`: it is owed to that burst.
    `of_programme`: it is the programme's, also where it stands for an own one."""

    need: int
    round: int
    repeat_of: bytes | None = None
    of_programme: bool = False


@dataclass(frozen=True, slots=True)
class Owed:
    """The repeat of a burst that was left or had a gap. No need is shown before `due`."""

    burst: bytes
    length: int
    due: int


@dataclass(frozen=True, slots=True)
class Needs:
    """All that waits for a burst. Each method answers with what is so after something happened.

    Args:
        latch: the shown need, and after a burst that did not serve it still: then it is shown again
            once the rest is over, unless a repeat or a programme is owed by then.
        owed: the repeat to come.
        quiet_until: no ordinary need is shown before this round.
        programme: what is owed because of joins and of spoilt repeats.
    """

    latch: Latch | None = None
    owed: Owed | None = None
    quiet_until: int = 0
    programme: Programme | None = None

    @property
    def bursts_of_programme(self) -> int:
        """Of the programme, the bursts to come."""
        return self.programme.left if self.programme is not None else 0

    def is_due(self, now: int, wanted: int) -> bool:
        """Whether the time of a need has come: of a repeat before an own one or the programme's.
        One that is shown stays, also where a repeat has come to be owed since."""
        if self.shown(now) is not None:
            return True
        if self.owed is not None:
            return now >= self.owed.due
        if self.programme is not None:
            return now >= max(self.quiet_until, self.programme.begins)
        return (self.latch is not None or wanted > 0) and now >= self.quiet_until

    def latched(self, now: int, wanted: int, programme_cells: int) -> Needs:
        """With the need fixed that is shown from now on."""
        if self.shown(now) is not None:
            return self
        if self.owed is not None:
            return replace(self, latch=Latch(self.owed.length, now, self.owed.burst))
        if self.latch is not None:
            return self
        if self.programme is not None:
            # Not longer where somebody has something to say: that would say so.
            return replace(self, latch=Latch(programme_cells, now, of_programme=True))
        return replace(self, latch=Latch(min(wanted, MAX_BURST_CELLS), now))

    def shown(self, now: int) -> Latch | None:
        """The need to show in this round, to those who may see one."""
        return self.latch if self.latch is not None and now >= self.latch.round else None

    def withdrawn(self) -> Needs:
        """Nothing is shown any more; what is owed stays."""
        return replace(self, latch=None)

    def bound(self, burst: Proposal) -> Needs:
        """It is certain that there will be this burst: some debts are paid with it."""
        programme = self.programme if burst.repeat else one_less(self.programme)
        owed = self.owed
        if owed is not None and (burst.repeat or burst.length >= owed.length):
            owed = None
        return replace(self, owed=owed, programme=programme)

    def served(self, burst: Proposal) -> Needs:
        """The burst was finished: the need that it served is released."""
        latch = self.latch
        if latch is None:
            return self
        # An ordinary burst has collected every need shown in r0; a repeat has its own length,
        # and whatever is as long stands for it.
        long_enough = burst.length >= latch.need
        by_length = burst.repeat or latch.repeat_of is not None
        collected = latch.of_programme or burst.round >= latch.round
        return self.withdrawn() if (long_enough if by_length else collected) else self

    def owing(self, burst: Proposal, now: int, parameters: Parameters) -> Needs:
        """The burst was left or had a gap: it is owed one repeat, and of a repeat a programme
        (rule 7)."""
        if burst.repeat:
            if not parameters.programme_cells:
                return self  # on a timetable bursts come anyway
            return replace(self, latch=None, programme=spoilt(self.programme, burst.round))
        if self.owed is not None and self.owed.length > burst.length:
            return self
        pause = pause_rounds(burst.id, parameters.rest_mean_ms, parameters.period_ms)
        # A need that waits for a rest is stated anew after the repeat.
        return replace(self, latch=self.shown(now), owed=Owed(burst.id, burst.length, now + pause))

    def rested(self, burst: Proposal, since: int, parameters: Parameters) -> Needs:
        """Rules 7 and 8: after the burst come rest and pause, drawn from its id, equal on all."""
        mean_ms, period_ms = parameters.rest_mean_ms, parameters.period_ms
        rest = rest_rounds(burst.id, mean_ms, period_ms)
        if self.programme is not None:
            rest = max(rest, STEP_ROUNDS)
        quiet_until = since + rest
        latch, owed = self.latch, self.owed
        if owed is not None and owed.burst == burst.id:
            due = since + pause_rounds(burst.id, mean_ms, period_ms)
            owed = Owed(burst.id, burst.length, due)
        elif owed is not None and owed.due < quiet_until:
            # The repeat of an older burst: this one came in between, and has its rest like any.
            owed = replace(owed, due=quiet_until)
        if owed is not None or self.programme is not None:
            # These go first; what is wanted after them is stated anew.
            latch = None
        elif latch is not None:
            # Not even in the burst of a newcomer, who does not rest.
            latch = replace(latch, round=max(latch.round, quiet_until))
        return Needs(latch, owed, quiet_until, self.programme)

    def joined(self, view: Proposal) -> Needs:
        """Somebody came with the view: a programme is owed (rule 9)."""
        return replace(self, programme=joined(self.programme, view.round))

    def kept(self, now: int) -> Needs:
        """What later rounds need of it: not when a rest ended that is over."""
        return replace(self, quiet_until=0) if 0 < self.quiet_until <= now else self
