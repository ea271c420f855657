"""When which cell leaves: the grid of rounds, and how a burst runs at either pace.

Theory of operation. Flock time cuts into rounds of one period since the Unix epoch. In the idle
gear one heartbeat leaves at the instant of each round. A burst begins at the instant of a round;
heartbeats that fall inside are skipped, not made up; the idle gear resumes at the first instant
after the own last cell + settle.

At pace *grid* cell k leaves at start + k·Δ, whatever happens. At pace *max* it leaves (not before
start + k·Δ either, which is how `max_rate` is kept) when of every lane cell k − W has been taken
from its socket. Credits set the speed: every cell shows how many rounds its sender's rings allow,
and while the smallest of all credits shown, own included, does not allow round k, it leaves only a
*hold* after the cell before, and the hold doubles with every such round. So a slow box process
slows all lanes alike; nobody waits for its own rings in any other way than the others do, since
all go by what was shown; and the flock cannot block itself, because cells go on and show new
credits. What an empty out ring lacks is cover, what a full in ring drops is a gap.
"""

from __future__ import annotations

from typing import Literal

from flocksy.protocol.programme import PROGRAMME_BYTES, PROGRAMME_SECONDS, programme_cells

HOLD_NS = 4_000_000
"""The first hold when credit is short: as long as a box process takes to fill some slots, also on a
laden machine. Shorter ones would send cover where content is nearly ready."""

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
        pace: Literal["max", "grid"],
        window: int,
        stall_timeout_ns: int,
    ) -> None:
        self.burst_id = burst_id
        self.length = length
        self.start_ns = start_ns
        self.sent = 0
        self._others = [i for i in range(members.bit_length()) if members >> i & 1 and i != own]
        self._delta_ns = delta_ns
        self._window = window if pace == "max" else length
        self._timeout_ns = stall_timeout_ns
        self._stalls = pace == "max"
        lanes = max(members.bit_length(), own + 1)
        self._next = [0] * lanes
        # Rings are filled ahead when a burst begins: a window is sure.
        self._credit = [window + 1] * lanes
        self._own_credit = window + 1
        self._last_ns = start_ns
        self._short_rounds = 0
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
        self._credit[lane] = credit
        self._moved_ns[lane] = now_ns

    def took(self, lane: int, k: int, credit: int, now_ns: int) -> None:
        """Cell `k` of a lane was taken from its socket. Missing ones before it are a gap."""
        if k != self._next[lane]:
            self.gap = True
        self._next[lane] = k + 1
        self._credit[lane] = credit
        self._moved_ns[lane] = now_ns

    def expects(self, lane: int, k: int) -> bool:
        """Whether cell `k` of that lane belongs to this burst and has not come yet."""
        return lane in self._others and self._next[lane] <= k < self.length

    @property
    def due_ns(self) -> int:
        """The earliest instant of the next own cell."""
        due_ns = self.start_ns + self.sent * self._delta_ns
        if self._stalls and self._shown_credit() < min(self.sent + 1, self.length):
            hold_ns = min(HOLD_NS << min(self._short_rounds, 20), self._timeout_ns // HOLD_SHARE)
            return max(due_ns, self._last_ns + hold_ns)
        return due_ns

    def emitted(self, credit: int, now_ns: int) -> None:
        """The next own cell has left and showed `credit`."""
        short = self._shown_credit() < min(self.sent + 1, self.length)
        self._short_rounds = self._short_rounds + 1 if short else 0
        self.sent += 1
        self._own_credit = credit
        self._last_ns = now_ns

    def _shown_credit(self) -> int:
        """The smallest of the newest credits shown, own included."""
        return min((self._own_credit, *(self._credit[lane] for lane in self._others)))

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
        if not self._stalls:
            return True
        oldest = self.sent - self._window
        return all(self._next[lane] > oldest for lane in self._others)

    def credit(self, filled: int, room: int, lanes: int) -> int:
        """Cells of every lane this node can carry, counted from cell 0.

        `filled`: own cells ready to be emitted; `room`: slots of the in ring that may be used,
        which all `lanes` share (own included).
        """
        taken = sum(min(self._next[lane], self.length) for lane in self._others) + self.sent
        members = len(self._others) + 1
        inward = (room - lanes + taken) // members
        return max(0, min(self.length, self.sent + filled, inward))

    def clear_until(self, credit: int) -> int:
        """How many own cells can be out when no more come in: at least one more than now, once
        `others_allow` has said so. On a grid, or below a rate, one at a time.

        Sending changes neither the lanes of the others nor own `credit`: what it takes from the
        out ring it adds to `sent`.
        """
        if not self._stalls or self._delta_ns:
            return self.sent + 1
        bound = min(credit, self._shown_credit(), self.length)
        for lane in self._others:
            bound = min(bound, self._next[lane] + self._window)
        return max(self.sent + 1, bound)

    def stalled(self, now_ns: int) -> bool:
        """Whether some lane that holds up the next own cell has stood for the stall timeout."""
        if not self._stalls or self.all_sent or self.others_allow():
            return False
        oldest = self.sent - self._window
        due_ns = self.due_ns
        return any(
            now_ns - max(self._moved_ns[lane], due_ns) > self._timeout_ns
            for lane in self._others
            if self._next[lane] <= oldest
        )

    def late_tail(self, now_ns: int) -> bool:
        """All own cells are out and some lane has stood for the stall timeout: count a gap."""
        return self.all_sent and any(
            now_ns - self._moved_ns[lane] > self._timeout_ns
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
        self._delta_us = float(cell_bytes * links * 1_000_000 // GRID_BYTES_PER_SECOND)
        self._most_us = PROGRAMME_SECONDS * 1e6 / programme_cells(PROGRAMME_BYTES, cell_bytes, 0)

    @property
    def delta_us(self) -> int:
        """What the cells show."""
        own = max(int(self._delta_us), LEAST_DELTA_US) if self._grid else 0
        return max(self._floor_us, own)

    def finished(self, lost: bool) -> None:
        """A burst is over."""
        factor = SUSTAIN_BACK_OFF if lost else SUSTAIN_ADVANCE
        self._delta_us = max(float(LEAST_DELTA_US), min(self._delta_us * factor, self._most_us))
