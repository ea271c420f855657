"""When which cell leaves: the grid of rounds, and how a burst runs at either pace.

Theory of operation. Flock time cuts into rounds of one period since the Unix epoch. In the idle
gear one heartbeat leaves at the instant of each round. A burst begins at the instant of a round;
heartbeats that fall inside are skipped, not made up; the idle gear resumes at the first instant
after the own last cell + settle.

At pace *grid* cell k leaves at start + k·Δ, whatever happens. At pace *max* it leaves (not before
start + k·Δ either, which is how `max_rate` is kept) when of every lane cell k − W has been taken
from its socket. Credits set the speed: every cell shows how many rounds its sender's rings allow.
Round k is allowed if the cells k − W of all lanes, the own one included, have shown so. Is it not,
then cell k waits for the cells k − 1 of all lanes; and if these do not allow it either, it leaves
only a *hold* after the cell before, and the hold doubles with every such round.

So a slow box process slows all lanes alike. Who may send cell k has the very cells that it is
judged by, and nothing newer counts, least of all the own credit, which its node knows before all
others: all nodes wait at the same cells, and whose rings were short goes on with the others. A hold
counts from the last of all cells before it, whosever that is, and ends at one of few instants: who
is woken late for a cell shows it in that one, and the next leaves all nodes together. The
flock cannot block itself, because cells go on and show new credits. What an empty out ring lacks is
cover, what a full in ring drops is a gap.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from flocksy.protocol.programme import PROGRAMME_BYTES, PROGRAMME_SECONDS, programme_cells

HOLD_NS = 4_000_000
"""The hold after a cell when credit is short: as long as a box process takes to fill some slots,
also on a laden machine. Shorter ones would send cover where content is nearly ready. All holds end
at multiples of it since the start, so one that follows no other can be shorter."""

HOLD_SHARE = 4
"""The longest hold as a fraction of the stall timeout, so that nobody is taken for dead."""

GRID_BYTES_PER_SECOND = 24 << 20
"""First guess of what a node can emit and take in per second on all links together at pace grid,
before any burst was measured: a tenth of what small machines do."""

SUSTAIN_BACK_OFF = 2.0
SUSTAIN_ADVANCE = 0.8
"""Change of the sustained Δ after a burst with and without own loss."""

LEAST_DELTA_US = 100


def round_at(flock_ns: int, period_ns: int) -> int:
    """The round that this flock time falls into."""
    return flock_ns // period_ns


def instant_ns(round_: int, period_ns: int) -> int:
    """Flock time at which a round begins."""
    return round_ * period_ns


def resume_round(last_cell_ns: int, settle_ns: int, period_ns: int) -> int:
    """The round of the first heartbeat after a burst whose last own cell left at that time."""
    return -(-(last_cell_ns + settle_ns) // period_ns)


def rate_delta_us(cell_bytes: int, max_rate: int) -> int:
    """Least time between two cells on a link that may carry `max_rate` bytes/s; 0: no limit."""
    return -(-cell_bytes * 1_000_000 // max_rate) if max_rate else 0


@dataclass(frozen=True, slots=True)
class BurstPace:
    """How the cells of bursts leave.

    Args:
        window: cells of a lane that may be under way at pace `max`.
        stall_timeout_ns: so long a lane may stand there.
        tick_ns: from one look there at what may leave to the next, counted from the start.
    """

    kind: Literal["max", "grid"]
    window: int
    stall_timeout_ns: int
    tick_ns: int


class BurstRun:
    """Where all lanes of one burst stand. Instants in monotonic ns of this host."""

    def __init__(
        self,
        burst_id: bytes,
        members: int,
        own: int,
        start_ns: int,
        length: int,
        delta_ns: int,
        pace: BurstPace,
    ) -> None:
        self.burst_id = burst_id
        self.length = length
        self.start_ns = start_ns
        self.sent = 0
        self._others = [i for i in range(members.bit_length()) if members >> i & 1 and i != own]
        self._members = [own, *self._others]
        self._own = own
        self._delta_ns = delta_ns
        self._stalls = pace.kind == "max"
        self._window = pace.window if self._stalls else length
        self._kept = 3 * pace.window
        self._timeout_ns = pace.stall_timeout_ns
        self._tick_ns = pace.tick_ns
        lanes = max(members.bit_length(), own + 1)
        self._next = [0] * lanes
        self._credits = [[0] * self._kept for _ in range(lanes)]
        """Those that the last cells have shown, by number of the cell."""
        # Rings are filled ahead when a burst begins: a window is sure.
        self._allowed = pace.window + 1
        """Rounds that all lanes allow, by the cells that the next own one is judged by."""
        self._short_rounds = 0
        self._came_ns = [[start_ns] * self._kept for _ in range(lanes)]
        """When the last cells of a lane left here or were taken, by number of the cell."""
        self._moved_ns = [start_ns] * lanes
        """When a lane last advanced; none counts as standing before the burst has begun."""
        self.real = False
        """Whether real bytes could leave with its first cell (rule 12)."""
        self.gap = False

    def joins(self, lane: int, k: int, credit: int, now_ns: int, hole: bool) -> None:
        """Where a lane stood when this node, late, learned of the burst, and whether cells of it
        were lost before."""
        self.gap = self.gap or hole
        self._next[lane] = k
        self._credits[lane] = [credit] * self._kept
        self._came_ns[lane] = [now_ns] * self._kept
        self._moved_ns[lane] = now_ns

    def took(self, lane: int, k: int, credit: int, now_ns: int) -> None:
        """Cell `k` of a lane was taken from its socket. Missing ones before it are a gap."""
        if k != self._next[lane]:
            self.gap = True
        shown, came_ns = self._credits[lane], self._came_ns[lane]
        newest = shown[(self._next[lane] - 1) % self._kept]
        for missed in range(max(self._next[lane], k - self._kept + 1), k):
            shown[missed % self._kept], came_ns[missed % self._kept] = newest, now_ns
        shown[k % self._kept], came_ns[k % self._kept] = credit, now_ns
        self._next[lane] = k + 1
        self._moved_ns[lane] = now_ns

    def expects(self, lane: int, k: int) -> bool:
        """Whether cell `k` of that lane belongs to this burst and has not come yet."""
        return lane in self._others and self._next[lane] <= k < self.length

    @property
    def due_ns(self) -> int:
        """The earliest instant of the next own cell."""
        due_ns = self.start_ns + self.sent * self._delta_ns
        self._judge()
        if self._is_short:
            hold_ns = min(HOLD_NS << min(self._short_rounds, 20), self._timeout_ns // HOLD_SHARE)
            # The next multiple of the first hold: with less lateness than that nobody's ends later.
            since_ns = self._came_before_ns() + hold_ns - HOLD_NS - self.start_ns
            return max(due_ns, self.start_ns + (since_ns // HOLD_NS + 1) * HOLD_NS)
        return due_ns

    def _came_before_ns(self) -> int:
        """When the last of the cells just before the next own one left or came, of those that have.

        Whoever is the last with such a cell, all have seen it: nobody goes on sooner or later.
        """
        k = self.sent - 1
        lanes = [lane for lane in self._others if self._next[lane] > k]
        return max(self._came_ns[lane][k % self._kept] for lane in (self._own, *lanes))

    @property
    def holds(self) -> bool:
        """Whether the next own cell waits for credit: it may leave before `due_ns` after all."""
        self._judge()
        return self._is_short

    def emitted(self, credit: int, now_ns: int) -> None:
        """The next own cell has left and showed `credit`."""
        self._judge()  # each by its own cells, however many leave in one go
        self._short_rounds = self._short_rounds + 1 if self._is_short else 0
        self._credits[self._own][self.sent % self._kept] = credit
        self._came_ns[self._own][self.sent % self._kept] = now_ns
        self.sent += 1

    def _judge(self) -> None:
        """What the cells a window before the next own one allow, and where that is too little those
        just before it, as far as all of them have come."""
        if self._have_come(self.sent - self._window):
            self._allowed = max(self._allowed, self._shown(self.sent - self._window))
        if self._is_short and self._have_come(self.sent - 1):
            self._allowed = max(self._allowed, self._shown(self.sent - 1))

    @property
    def _is_short(self) -> bool:
        """Whether the next own cell is not allowed, by all that it is judged by so far."""
        return self._stalls and self._allowed <= self.sent < self.length

    def _have_come(self, k: int) -> bool:
        """Whether cell `k` of every other lane was taken."""
        return all(self._next[lane] > k for lane in self._others)

    def _shown(self, k: int) -> int:
        """The smallest credit that the cells `k` of all lanes have shown."""
        return min(self._credits[lane][k % self._kept] for lane in self._members) if k >= 0 else 0

    @property
    def all_sent(self) -> bool:
        """No own cell is left."""
        return self.sent >= self.length

    @property
    def all_taken(self) -> bool:
        """Every lane is complete."""
        return all(self._next[lane] >= self.length for lane in self._others)

    def others_allow(self) -> bool:
        """Whether the lanes of all others let the next own cell leave (always on a grid)."""
        return not self._stalls or self._have_come(self._waits_for())

    def _waits_for(self) -> int:
        """The cell of every other lane without which the next own one does not leave."""
        self._judge()
        return self.sent - (1 if self._is_short else self._window)

    def credit(self, filled: int, room: int, lanes: int) -> int:
        """Cells of every lane this node can carry, counted from cell 0.

        `filled`: own cells ready to be emitted; `room`: slots of the in ring that may be used,
        which all `lanes` share (own included).
        """
        taken = sum(min(self._next[lane], self.length) for lane in self._others) + self.sent
        members = len(self._others) + 1
        inward = (room - lanes + taken) // members
        return max(0, min(self.length, self.sent + filled, inward))

    def clear_until(self) -> int:
        """How many own cells can be out when no more come in: at least one more than now, once
        `others_allow` has said so, and a window more at most. On a grid, or below a rate, one at a
        time."""
        until = self.sent + 1
        if not self._stalls or self._delta_ns:
            return until
        bound = min(self.length, self.sent + self._window)
        bound = min((bound, *(self._next[lane] + self._window for lane in self._others)))
        allowed = self._allowed
        while until < bound:
            allowed = max(allowed, self._shown(until - self._window))
            if allowed <= until:
                break
            until += 1
        return until

    def stalled(self, now_ns: int) -> bool:
        """Whether some lane that holds up the next own cell has stood for the stall timeout."""
        if not self._stalls or self.all_sent or self.others_allow():
            return False
        oldest = self._waits_for()
        due_ns = self.due_ns
        return any(
            now_ns - max(self._moved_ns[lane], due_ns) > self._timeout_ns
            for lane in self._others
            if self._next[lane] <= oldest
        )

    def late_tail(self, now_ns: int) -> bool:
        """All own cells are out and some lane has stood for the stall timeout: count a gap.

        Where cells leave Δ apart, none is late before it was due and had a Δ for its way: on a
        line that just carries the rate it is under way for so long.
        """
        last_ns = self.start_ns + (self.length - 1) * self._delta_ns
        return self.all_sent and any(
            now_ns - max(self._moved_ns[lane], last_ns) > self._timeout_ns + self._delta_ns
            for lane in self._others
            if self._next[lane] < self.length
        )


class Sustain:
    """The shortest Δ this node says it can sustain, equal for all roles: it learns from what
    its own sockets and in ring lost, which is the same work whoever the source is.

    What is lost for other reasons, with a member that comes and goes or on a bad network, is lost
    at any pace. So Δ is never so long that a burst of the programme would take more than its
    `PROGRAMME_SECONDS`: whose links are slower than that says so by `max_rate`.
    """

    def __init__(self, cell_bytes: int, members: int, pace: str, max_rate: int) -> None:
        self._floor_us = rate_delta_us(cell_bytes, max_rate)
        self._grid = pace == "grid"
        links = max(1, members - 1)
        self._most_us = PROGRAMME_SECONDS * 1e6 / programme_cells(PROGRAMME_BYTES, cell_bytes, 0)
        guess_us = cell_bytes * links * 1_000_000 // GRID_BYTES_PER_SECOND
        self._delta_us = min(float(guess_us), self._most_us)

    @property
    def delta_us(self) -> int:
        """What the cells show."""
        own = max(int(self._delta_us), LEAST_DELTA_US) if self._grid else 0
        return max(self._floor_us, own)

    @property
    def slowest_us(self) -> int:
        """The longest that any member of this flock shows, whatever it has lost."""
        return max(self._floor_us, int(self._most_us) if self._grid else 0)

    def finished(self, lost: bool) -> None:
        """A burst is over."""
        factor = SUSTAIN_BACK_OFF if lost else SUSTAIN_ADVANCE
        self._delta_us = max(float(LEAST_DELTA_US), min(self._delta_us * factor, self._most_us))
