"""When changes may be told that were made before this node came into its view (design 4.3, rule 9).

Told right after the node has come back they would be its own for anybody who saw it come. So they
wait for a random time more, counted from the view, and are then like any other change. That is so
whether they were made while the node was away or before: what it had not told by then, it brought.

In no view is who lacks a quorum, or has fewer around than the floor asks for: so all wait alike who
could tell nothing meanwhile. A view that only falters is not left: an abort, or some lost
heartbeats, after which the same members go on.
"""

from __future__ import annotations

import random
from collections.abc import Container, Iterable

from flocksy.boxes.announcing import MAX_DELAY_FACTOR
from flocksy.boxes.intake import Intake
from flocksy.boxes.offers import Offers
from flocksy.boxes.scan.scanner import ScanReport
from flocksy.boxes.scans import Scans
from flocksy.sync.names import ancestors

BRIEF_ROUNDS = 20
"""So long a view may falter: an abort and the agreement on the next view take less. Counted in
rounds of the flock, which go on while the machine sleeps: its own clocks may stand still."""


class Outside:
    """Whether this node is in a view, and whether what it did before may be told."""

    def __init__(self, mean_s: float, draw: random.Random) -> None:
        """`mean_s`: of the exponential delay."""
        self._mean_s = mean_s
        self._draw = draw
        self._round: int | None = None
        """The last one of which is known that the node was in a view then."""
        self._joins = 0
        self._until: float | None = None
        self.away = True
        """In no view: what is changed now has to wait."""

    @property
    def holding(self) -> bool:
        """Whether changes made outside are not to be told yet."""
        return self.away or self._until is not None

    def turn(self, now: float, round_: int, joins: int, *, in_view: bool) -> bool:
        """To be called with all that the wire says, in bursts too. `round_`: of what it says;
        `joins`: how many of the views up to now were joins. Whether the node has come back and a
        delay begins: for all that is untold."""
        if not in_view:
            self.away = True
            return False
        # A suspend leaves no trace but the rounds that have passed in it: what the wire had said
        # last is still there, that this node is in a view.
        brief = self._round is not None and 0 <= round_ - self._round <= BRIEF_ROUNDS
        # Others may have gone on meanwhile, however short it was. A join that the node was there
        # for is somebody else's.
        came = not brief or (self.away and joins != self._joins)
        self.away, self._round, self._joins = False, round_, joins
        if came:
            delay = self._draw.expovariate(1.0) * self._mean_s
            self._until = now + min(delay, MAX_DELAY_FACTOR * self._mean_s)
        if self._until is not None and now >= self._until:
            self._until = None
        return came and self.holding

    def deadline(self, now: float) -> float | None:
        """When the delay is over, while it runs in a view. None once it is: a burst that runs then
        has to end first."""
        if self.away or self._until is None or self._until <= now:
            return None
        return self._until


class Untold:
    """What of one box has to wait: versions that were made outside or not told before, and paths
    that were found changed by a look that began then, and are still to be decided about.

    A box that is opened takes the node to be outside, until it is told.
    """

    def __init__(self, scans: Scans, intake: Intake, offers: Offers) -> None:
        self._scans = scans
        self._intake = intake
        self._offers = offers
        self.away = self._holding = True
        self._found = set(intake.changed)  # by an earlier run
        self._below: set[str] = set()
        """Where something was still to be looked at when the node came into its view: whatever is
        found there or below, by whichever look, was there before."""
        offers.resume(held=True)

    def found(self, report: ScanReport) -> None:
        """The scanner found these, and they have been taken in."""
        if not self._holding:
            return
        paths: Iterable[str] = (finding.path for finding in report.findings)
        if report.ticket not in self._scans.earlier:
            paths = filter(self._is_below, paths)
        self._found.update(filter(self._intake.changed.__contains__, paths))

    def add(self, paths: Iterable[str]) -> None:
        """Whatever is found at these paths was there before."""
        if self._holding:
            self._found.update(paths)

    def decide_anew(self, but: Container[str]) -> None:
        """See `Intake`. What was not to be said so far was there before."""
        self._intake.decide_anew(but)
        self.add(self._intake.changed)

    def decided(self, paths: Iterable[str]) -> None:
        """What was found at these paths is a version now, or is none."""
        self._found.difference_update(paths)

    def holds(self, path: str) -> bool:
        """Whether a version made at `path` now has to wait."""
        return self.away or (self._holding and path in self._found)

    def resume(self, but: Container[str]) -> None:
        """See `Offers`. When it was made that was not told, nobody remembers."""
        self._offers.resume(held=self._holding, but=but)

    def hold(self) -> None:
        """The node has come into a view, and a delay begins: nothing that is not told yet, found or
        to be looked for, came about in this view."""
        self._holding = True
        self._offers.hold()
        self._below |= self._scans.come_back()
        self._found.update(self._intake.changed, self._below)

    def follow(self, outside: Outside) -> None:
        """The node has come into a view, or left it, or the delay is over."""
        self.away = self._scans.earlier.outside = outside.away
        if self._holding and not outside.holding:
            self._found.clear()
            self._below.clear()
            self._scans.earlier.come_inside()
            self._offers.release()
        self._holding = outside.holding

    def _is_below(self, path: str) -> bool:
        return any(one in self._below for one in (path, *ancestors(path)))
