"""The programme: the bursts that always follow when somebody joins a view (design 4.3, rule 9).

Who comes back lacks something, or has something to tell, or neither. If bursts followed a join
only where there is need, their number and length would say which. So every join is followed by the
same few bursts of the same length, and whatever is needed meanwhile goes into them. What an
observer sees of it follows from the join alone, which was to be seen anyway.

A repeat that was left or had a gap owes the same bursts: a repeat is not repeated, and what is
missing after it is missing for whoever was hindered only if somebody's content was in it. Where a
line carries no bursts that goes on without end, but never sooner than after a fixed wait.

Everything here is a function of agreed values, and equal on all who share the view.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from flocksy.protocol.padding import padded

PROGRAMME_BURSTS = 3
"""One for records, one for asking for what they name, one for that content. Who needs more than
this carries has an ordinary need then."""

PROGRAMME_BYTES = 4 << 20
"""What each of them carries per lane: 64 cells of the default size, which is the shortest burst
there is. In bytes, so that other cells do not make another programme of it."""

PROGRAMME_SECONDS = 30
"""No burst of it lasts longer where `max_rate` is low (but for the least length of any burst)."""

JOIN_ROUNDS = 16
"""From r0 of the view to the first need of the programme. Until then digests have differed for 4
rounds (design 6.4), and some messages of a comparison by ranges have gone to and fro: without them
the first burst would have nothing to carry. Nobody shows an ordinary need meanwhile: that somebody
lacks much would be seen from it."""

MOST_JOIN_ROUNDS = 3 * JOIN_ROUNDS
"""Further joins put the first need off so long at most: a member that comes and goes all the time
must not keep the others from their bursts. And from r0 of a spoilt repeat to the first need: a line
that carries no bursts must not have them come all the time."""

STEP_ROUNDS = 8
"""Rest at least after each burst of a programme: to take in what came, and to ask for what it
names, takes a few rounds."""


@dataclass(frozen=True, slots=True)
class Programme:
    """What is owed because of joins and of spoilt repeats.

    Args:
        left: bursts to come, at least 1.
        begins: round before which no need is shown.
        since: r0 of the view of the first join that it is owed for, or the round in which it was to
            begin after a spoilt repeat.
    """

    left: int
    begins: int
    since: int


def joined(owed: Programme | None, round_: int) -> Programme:
    """After a join with a view of that r0. Debts are not added up: the new one is all there is. And
    where the last one could have begun for as long as a join waits, nothing is put off by it."""
    if owed is not None and round_ >= owed.begins + JOIN_ROUNDS:
        owed = None
    since = round_ if owed is None else owed.since
    begins = min(round_ + JOIN_ROUNDS, since + MOST_JOIN_ROUNDS)
    return Programme(PROGRAMME_BURSTS, begins, since)


def spoilt(owed: Programme | None, round_: int) -> Programme:
    """After a repeat with that r0 was left or had a gap. Not added up either; but heard of after a
    join it takes nothing from what that one waits."""
    begins = round_ + MOST_JOIN_ROUNDS
    if owed is not None:
        begins = max(begins, owed.begins)
    return Programme(PROGRAMME_BURSTS, begins, begins)


def one_less(owed: Programme | None) -> Programme | None:
    """After the agreement on a burst that is no repeat, whoever needed it."""
    if owed is None or owed.left <= 1:
        return None
    return replace(owed, left=owed.left - 1)


def programme_cells(programme_bytes: int, burst_cell: int, max_rate: int) -> int:
    """Cells of each burst, of flock-wide settings only."""
    if max_rate:
        programme_bytes = min(programme_bytes, max_rate * PROGRAMME_SECONDS)
    return padded(max(1, -(-programme_bytes // burst_cell)))
