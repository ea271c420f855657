"""`flocksy --once`: run until all is equal, then leave (the backup disk in the drawer).

Equal means: every box is in sync with all members of the view that have it, and has stayed so, with
nothing to be said, for long enough that whoever had missed something would have asked. A box that
rests, waits for a person's word, or that nobody else who is here has cannot become equal; when only
such are left the node leaves too, and its exit status says so. In a view of one it waits: there is
nobody yet to be equal with.

How long it stays does not say whether it brought something: it waits for the delay of what was
changed outside (`boxes/outside.py`) in either case, and for one more after that, lest it goes right
after what it has told. Without such a delay (profile `fast`) it does: telling takes its time.
"""

from __future__ import annotations

import random

from flocksy.boxes.announcing import MAX_DELAY_FACTOR
from flocksy.boxes.keeper import Keeper, Kept
from flocksy.boxes.lanes.exchange import Exchange
from flocksy.config.settings import NodeSettings
from flocksy.node.reports import Reporter
from flocksy.status.model import BoxState, BoxStatus
from flocksy.status.wording import EXIT_FAULT, EXIT_OK, EXIT_TIMEOUT

LOOK_SECONDS = 0.2
"""How often the boxes are looked at."""

MISSING_SECONDS = 10.0
"""A disk that is not there gets so long to come: plugged in just now, it is mounted by then."""

_STUCK = (BoxState.PAUSED, BoxState.ASKING)


class Once:
    """Decides when a node that runs once has done its work."""

    def __init__(
        self,
        settings: NodeSettings,
        exchange: Exchange,
        keeper: Keeper,
        reporter: Reporter,
        draw: random.Random,
    ) -> None:
        self._exchange = exchange
        self._keeper = keeper
        self._reporter = reporter
        pauses_ms = settings.announce_delay_mean_ms + settings.rest_mean_ms
        # As long as an exchange waits before it asks for what it lacks, and some more.
        self._steady_s = (5 * pauses_ms + 24 * settings.period_ms) / 1000 + 1.0
        mean_s = settings.outside_delay_mean_ms / 1000
        longer_s = min(draw.expovariate(1.0), MAX_DELAY_FACTOR) * mean_s
        # Of both together, as if it took so long to be sure that it may go: who is sure later, for
        # what it brought, goes at the same time all the same.
        self._stays_s = self._steady_s + longer_s
        self._released_at: float | None = None
        self._began: float | None = None
        self._steady_since: float | None = None
        self._look_at = 0.0
        self.exit_status = EXIT_TIMEOUT
        """Of the node when it ends: stopped by hand before all was equal, that is."""

    def turn(self, now: float) -> tuple[float | None, str | None]:
        """When to come again; and once it is time to leave, the words for that."""
        if self._began is None:
            self._began = now
        if now < self._look_at:
            return self._look_at, None
        self._look_at = now + LOOK_SECONDS
        kept = [one for one in self._keeper.boxes if not one.by_user]
        stuck: list[tuple[Kept, BoxStatus]] = []
        rest: list[BoxStatus] = []
        for one in kept:
            box = self._reporter.box_status(one)
            if box.state in _STUCK or box.alone:
                stuck.append((one, box))
            else:
                rest.append(box)
        exchange, report = self._exchange, self._exchange.report
        outside = exchange.outside
        if outside.holding and not outside.away:
            self._released_at = None  # a delay was drawn: not so after a view has only faltered
        elif self._released_at is None and report.real_allowed:
            self._released_at = now  # too few may be here for what is changed here, but others tell
        calm = report.real_allowed and report.burst is None and not exchange.waiting_bytes
        if (
            not calm
            or not exchange.live()
            or any(box.state is not BoxState.IN_SYNC for box in rest)
        ):
            self._steady_since = None
            return self._look_at, None
        if self._steady_since is None:
            self._steady_since = now
        if (
            now - self._steady_since < self._steady_s
            or self._released_at is None
            or now - self._released_at < self._stays_s
        ):
            return self._look_at, None
        if not stuck:
            self.exit_status = EXIT_OK
            return None, f"equal with {report.view.bit_count() - 1} other members; leaving"
        if now - self._began < MISSING_SECONDS:
            return self._look_at, None
        self.exit_status = EXIT_FAULT
        return None, f"not equal: {'; '.join(_why(*one) for one in stuck)}; leaving"


def _why(kept: Kept, status: BoxStatus) -> str:
    """For the log, which stays: deletions that wait are named nowhere but on their maker's node."""
    why = status.reason or status.asks
    if status.state is BoxState.ASKING and not (kept.box and kept.box.guard.strangers):
        why = "see flocksy deleted"
    return f"{status.name}: {status.state}: {why}"
