"""Flock time: the clock all members share without any of them leading (design 4.4).

Theory of operation. A node has a *raw* clock: its monotonic clock plus a base taken once from the
wall clock (and, before the first cell, from what the others show). Raw clocks are never changed.
*Flock time* is the raw clock plus a *correction*. Cells carry the raw instant of sending, the
sender's correction, and for every lane what a two-way measurement needs: the stamp of that lane's
newest cell and when it came in. Of the last 64 measurements of a lane the one with the least delay
counts (an older one has to be better by the drift that may have happened since).

Every round the correction moves towards the median of all members' offsets, own 0 included, by at
most 200 ppm, and not at all near a burst: nothing about a node's rhythm can show its role. What has
passed in a burst is made up for after it, by all alike.
"""

from __future__ import annotations

import statistics
from collections import deque
from collections.abc import Mapping
from typing import NamedTuple

from flocksy.protocol.cell import MAX_TIME_US
from flocksy.protocol.header import Echo, Times

SAMPLES = 64
"""Measurements kept per lane: 16 s in profile `balanced`, short against the drift of a quartz."""

MAX_SLEW_PPM = 200
"""Far above the drift of real clocks (some 50 ppm), far below what shows as a change of rhythm."""

DRIFT_PPM = 100
"""How far two raw clocks may drift apart: what an older measurement is worse by."""

STALE_NS = 600_000_000_000
"""A lane not measured for so long says nothing about time any more: by then two quartzes may have
drifted apart by 60 ms. Longer than any burst, in which nothing is measured."""

MAX_DELAY_US = 30_000_000
"""A measurement with a longer way out and back is nonsense."""

MAX_STEP_US = MAX_TIME_US // 2
"""No clock jumps to a later flock time, or to one before the epoch: what its own cells cannot show
nobody would read or echo, so it would never learn that it is wrong."""


class Sample(NamedTuple):
    """One two-way measurement."""

    at_us: int
    delay_us: int
    offset_us: int
    """The other raw clock minus ours."""


class FlockClock:
    """Flock time of one node. All instants in are monotonic ns of this host."""

    def __init__(self, lanes: int, own: int, period_ns: int, base_ns: int) -> None:
        """`base_ns`: what makes the monotonic clock of this host its wall clock."""
        self._own = own
        self._period_ns = period_ns
        self._base_ns = base_ns
        self._correction_ns = 0
        self._measured = False
        self._samples: list[deque[Sample]] = [deque(maxlen=SAMPLES) for _ in range(lanes)]
        self._best: list[Sample | None] = [None] * lanes
        self._their_correction_us = [0] * lanes
        self._one_way_us: list[int | None] = [None] * lanes
        self._newest: list[Echo | None] = [None] * lanes

    def anew(self, wrong_by_ns: int = 0) -> FlockClock:
        """The clock of a new session: it knows nobody, and shows what this one does, and so much
        more. The raw clock is the same, so stamps that others still give back stay true."""
        clock = FlockClock(len(self._samples), self._own, self._period_ns, self._base_ns)
        clock._correction_ns = self._correction_ns + wrong_by_ns
        clock._measured = self._measured or wrong_by_ns != 0
        return clock

    def flock_ns(self, monotonic_ns: int) -> int:
        """Flock time at that instant."""
        return monotonic_ns + self._base_ns + self._correction_ns

    def monotonic_ns(self, flock_ns: int) -> int:
        """When this host's monotonic clock shows that flock time, as things stand."""
        return flock_ns - self._base_ns - self._correction_ns

    def raw_us(self, monotonic_ns: int) -> int:
        """The stamp of a cell that leaves at that instant."""
        return (monotonic_ns + self._base_ns) // 1000

    def times(self, monotonic_ns: int) -> Times:
        """What a cell made at that instant shows."""
        correction_us = self._correction_ns // 1000
        return Times(self.raw_us(monotonic_ns), correction_us, tuple(self._newest))

    def heard(self, lane: int, times: Times, received_ns: int) -> None:
        """A heartbeat of `lane` came in at that monotonic instant."""
        now_us = self.raw_us(received_ns)
        # Zero is how the cell says "no echo"; one microsecond more does not matter.
        self._newest[lane] = Echo(times.sent_us & 0xFFFFFFFF or 1, now_us & 0xFFFFFFFF or 1)
        self._their_correction_us[lane] = times.correction_us
        shown_us = times.sent_us + times.correction_us
        self._one_way_us[lane] = shown_us - now_us if 0 < shown_us < MAX_STEP_US else None
        echo = times.echoes[self._own]
        if echo is None:
            return
        way_us = (now_us - echo.sent_us) & 0xFFFFFFFF
        hold_us = (times.sent_us - echo.received_us) & 0xFFFFFFFF
        delay_us = way_us - hold_us
        if not 0 <= delay_us <= MAX_DELAY_US or way_us > MAX_DELAY_US:
            return
        theirs_us = (times.sent_us - hold_us + times.sent_us) / 2
        ours_us = (now_us - way_us + now_us) / 2
        sample = Sample(now_us, delay_us, round(theirs_us - ours_us))
        samples = self._samples[lane]
        samples.append(sample)
        # All grow worse with time alike, so who is best now stays it until there is a new one.
        self._best[lane] = min(samples, key=lambda s: s.delay_us * 1_000_000 - s.at_us * DRIFT_PPM)

    def forget(self, lane: int) -> None:
        """The member has started anew: its raw clock is another one."""
        self._samples[lane].clear()
        self._best[lane] = None
        self._newest[lane] = None
        self._one_way_us[lane] = None

    def offset_ns(self, lane: int, now_ns: int) -> int | None:
        """Flock time of that member minus ours; None when it is not known (any more)."""
        if lane == self._own:
            return 0
        best = self._best[lane]
        if best is None or self.raw_us(now_ns) - self._samples[lane][-1].at_us > STALE_NS // 1000:
            return None
        theirs_us = best.offset_us + self._their_correction_us[lane]
        return theirs_us * 1000 - self._correction_ns

    def right(self, lane: int, now_ns: int) -> bool:
        """Whether that member's flock time is known and at most a quarter period from ours."""
        offset = self.offset_ns(lane, now_ns)
        return offset is not None and abs(offset) <= self._period_ns // 4

    def rights(self, now_ns: int) -> int:
        """A bitmap of the members that are `right`."""
        return sum(1 << lane for lane in range(len(self._samples)) if self.right(lane, now_ns))

    def slew(self, now_ns: int, elapsed_ns: int) -> None:
        """Move towards the median, as far as `elapsed_ns` since the last call allow, and never by
        more than a quarter period: an instant stays nearest to the round that it was of.

        Not to be called from the confirmation of a burst to its end.
        """
        offsets = (self.offset_ns(lane, now_ns) for lane in range(len(self._samples)))
        wanted = round(statistics.median(offset for offset in offsets if offset is not None))
        most = min(elapsed_ns * MAX_SLEW_PPM // 1_000_000, self._period_ns // 4)
        self._correction_ns += max(-most, min(wanted, most))

    def step(self) -> None:
        """Before the first cell: jump to what the others show (one-way, so a delay late), unless
        that has been measured both ways.

        The own clock has a voice among two or more others; a single one is right against it,
        because it has a flock already and we do not.
        """
        if self._measured:
            return
        own_us = self._correction_ns // 1000
        shown_us = {lane: o - own_us for lane, o in enumerate(self._one_way_us) if o is not None}
        if len(shown_us) > 1:
            shown_us[self._own] = 0
        if shown_us:
            self._base_ns += middle(shown_us) * 1000

    def wrong_by_ns(self, now_ns: int) -> int:
        """What *this* clock lacks, where most members agree that it is wrong, as after a suspend;
        0 where they do not. Nobody is followed to a time that no cell of ours could show."""
        known = {self._own: 0}
        for lane in range(len(self._samples)):
            offset = self.offset_ns(lane, now_ns)
            if offset is not None and 0 < self.flock_ns(now_ns) + offset < MAX_STEP_US * 1000:
                known[lane] = offset
        wrong_by = middle(known)
        return wrong_by if abs(wrong_by) > self._period_ns // 4 else 0


def middle(values: Mapping[int, int]) -> int:
    """The middle one of the members' values; of two middle ones the one nearer to the first
    member's. For jumps and verdicts: a point between two camps is nowhere, and of two equally large
    camps one has to give way."""
    ordered = sorted(values.values())
    first = values[min(values)]
    candidates = (ordered[(len(ordered) - 1) // 2], ordered[len(ordered) // 2])
    return min(candidates, key=lambda value: abs(value - first))
