"""What a person is told: the status as one value, and the log lines of what happens.

The log does not say who made a change: it names boxes, views and bursts, and is kept.
"""

from __future__ import annotations

import itertools
import logging
import os
from collections import deque
from collections.abc import Callable
from typing import TypeVar

from flocksy import __version__
from flocksy.boxes.box import Box
from flocksy.boxes.keeper import Keeper, Kept
from flocksy.boxes.lanes.exchange import Exchange
from flocksy.boxes.past.conflicts import some_copies
from flocksy.config.settings import NodeSettings
from flocksy.errors import FlocksyError
from flocksy.keys.samples import SAMPLE_PUBLIC_KEYS
from flocksy.seam.report import WireReport
from flocksy.status.links import advice, who_hears_whom
from flocksy.status.model import (
    COIN_TOSS,
    NOBODY_ELSE,
    BoxStatus,
    BrokenLine,
    BurstStatus,
    LinkStatus,
    QueueStatus,
    Status,
    make_box,
    make_status,
)
from flocksy.system import clocks

MAX_ERRORS = 8
MAX_LISTED = 20
"""Problems and conflicts of one box that a status lists."""

MAX_LOGGED = 5
"""Problems of one box that a look logs; the status has more."""

LOOK_SECONDS = 1.0
"""Between two looks at the boxes' problems."""

log = logging.getLogger("flocksy.flock")

Seen = TypeVar("Seen")


class Reporter:
    """Watches one node and says what is worth saying."""

    def __init__(self, settings: NodeSettings, exchange: Exchange, keeper: Keeper) -> None:
        self._settings = settings
        self._exchange = exchange
        self._keeper = keeper
        self._last = WireReport()
        self._errors: deque[str] = deque(maxlen=MAX_ERRORS)
        self._burst_began: tuple[bytes, float, int] | None = None
        self._repeat_id: bytes | None = None  # of the newest repeat
        self._burst_start = 0.0
        self._speed = 0
        self._look_at = 0.0
        self._logged: dict[str, set[str]] = {}
        self._unheard: dict[frozenset[str], bool] = {}

    def problem(self, text: str) -> None:
        """Something went wrong that a person should know of."""
        if not self._errors or self._errors[-1] != text:
            self._errors.append(text)
            log.warning("%s", text)

    def turn(self, now: float) -> None:
        """Log what has changed since the last turn."""
        if now >= self._look_at:
            self._look_at = now + LOOK_SECONDS
            self._say_problems()
            self._keep_addresses()
        report, last = self._exchange.report, self._last
        if report is last:
            return
        self._last = report
        if report.state == "failed":
            return  # the node ends, and this is the line it ends with
        for text in report.errors:
            if text not in last.errors:
                self.problem(text)
        if (report.view, report.real_allowed) != (last.view, last.real_allowed):
            self._say_view(report)
        self._say_links(report, last)
        self._say_unheard(report, last)
        self._say_burst(report, last, now)

    def status(self) -> Status:
        """Everything there is to see now."""
        settings, report = self._settings, self._exchange.report
        members = tuple(uid for lane, uid in enumerate(settings.uids) if report.view >> lane & 1)
        kept = self._keeper.boxes
        versions = sum(self._seen(one, lambda box: box.index.outgoing_count()) or 0 for one in kept)
        boxes = tuple(self.box_status(one) for one in kept)
        staging = [one.box.staging for one in kept if one.box is not None]  # none that failed now
        progress = [one.progress() for one in staging]
        burst = None
        if report.burst is not None:
            burst = BurstStatus(
                length=report.burst.length,
                done=report.burst_cells,
                bytes_per_second=self._speed,
                repeat=report.burst.repeat,
            )
        return make_status(
            version=__version__,
            pid=os.getpid(),
            uid=settings.uid,
            endpoint=settings.identity,
            profile=settings.profile,
            code=report.status,
            view=members,
            members=len(settings.members),
            min_view=settings.min_view,
            real_allowed=report.real_allowed,
            links=tuple(self._link(lane, report) for lane in range(len(report.lanes))),
            boxes=boxes,
            queue=QueueStatus(
                versions=versions,
                bytes_to_send=self._exchange.waiting_bytes,
                wanted=sum(len(one.wants(MAX_WANTS_COUNTED)) for one in staging),
                bytes_wanted=sum(expected - here for here, expected in progress),
                bytes_carried=self._exchange.carried_bytes,
            ),
            burst=burst,
            bursts_to_come=report.programme,
            possinymity=self._exchange.crowd.size,
            held_back=self._held_back(),
            heartbeat_late_us=report.late_us,
            broken_lines=self._broken_lines(report),
            away=self._away(report),
            errors=tuple(self._errors),
        )

    def _held_back(self) -> str:
        exchange = self._exchange
        crowd, view = exchange.crowd, exchange.report.view
        if not exchange.report.real_allowed:
            return ""
        if crowd.fails:
            why = "among whom could not be written down (see the errors)"
            return f"changes made here wait: {why}; it is tried again every few minutes"
        if crowd.allows(view):
            held = sum(len(box.offers.held) for box in exchange.boxes.values())
            what = "1 change was" if held == 1 else f"{held} changes were"
            told = "told after a random time (outside_delay)"
            return f"{what} made here before this node came into its view: {told}" if held else ""
        return (
            f"changes made here wait: told now, all of them together could come from only "
            f"{crowd.left(view)} members (possinymity_floor = {crowd.floor})"
        )

    def _keep_addresses(self) -> None:
        """What has worked is known again after a restart."""
        exchange = self._exchange
        if exchange.addresses is not None:
            try:
                exchange.addresses.note(exchange.report)
            except OSError as error:
                self.problem(f"addresses of members cannot be kept: {error.strerror or error}")

    def _say_problems(self) -> None:
        """Log what has gone wrong in a box since the last look, each problem once."""
        said, self._logged = self._logged, {}
        for kept in self._keeper.boxes:
            if kept.box is None:
                continue
            name = kept.setup.name
            lines = [*self._alone(kept), *_asked(kept.box), *_problem_lines(kept.box)]
            fresh = [line for line in lines if line not in said.get(name, ())]
            self._logged[name] = set(lines)
            for line in fresh[:MAX_LOGGED]:
                log.warning("box %s: %s", name, line)
            if len(fresh) > MAX_LOGGED:
                more = len(fresh) - MAX_LOGGED
                log.warning("box %s: and %d more problems; see flocksy status", name, more)

    def _alone(self, kept: Kept) -> list[str]:
        """That nobody else has the box. Of one that others had before no word: they sleep."""
        box = kept.box
        if box is None or box.guard.met:
            return []
        return [NOBODY_ELSE] if 0 < len(self._exchange.live()) == self._lacking(box) else []

    def _lacking(self, box: Box) -> int:
        """How many other members of the view surely have no such box. Below quorum nobody says
        which boxes it has."""
        exchange = self._exchange
        if not exchange.report.real_allowed:
            return 0
        return len(exchange.peers.lacking(box.setup.tag, exchange.live()))

    def box_status(self, kept: Kept) -> BoxStatus:
        """One box, open or resting; it rests from now on where its index cannot be read."""
        return self._seen(kept, lambda box: self._open_status(kept, box)) or make_box(
            name=kept.setup.name,
            path=kept.setup.path,
            paused=kept.reason,
            pending=0,
            settled=False,
            real_allowed=False,
            files=0,
            bytes=0,
            mode=kept.setup.mode,
            folders=kept.setup.folders,
        )

    def _seen(self, kept: Kept, look: Callable[[Box], Seen]) -> Seen | None:
        """What `look` makes of the box. None where it rests: also from now on, because its index
        or its disk fails while it is looked at, which must stop no other box."""
        box = kept.box
        if box is None:
            return None
        try:
            return look(box)
        except (OSError, FlocksyError) as error:
            self._keeper.failed(box, error)
            return None

    def _open_status(self, kept: Kept, box: Box) -> BoxStatus:
        exchange, counts = self._exchange, box.index.counts()
        return make_box(
            name=kept.setup.name,
            path=box.setup.path,
            paused=None,
            pending=box.pending,
            settled=box.settled and exchange.agrees(box),
            real_allowed=exchange.report.real_allowed,
            files=counts.files,
            bytes=counts.bytes,
            problems=tuple(_problem_lines(box)[:MAX_LISTED]),
            conflicts=tuple(some_copies(box.index, MAX_LISTED)),
            asks=box.guard.words(box.setup.name),
            waiting=tuple(itertools.islice(box.guard.waiting, MAX_LISTED)),
            mode=box.setup.mode,
            folders=box.setup.folders,
            set_aside=tuple(
                f"{change.path} ({change.how} here)" for change in box.set_aside.changes(MAX_LISTED)
            ),
            others=len(exchange.live()),
            lacking=self._lacking(box),
        )

    def _link(self, lane: int, report: WireReport) -> LinkStatus:
        member = self._settings.members[lane]
        link = report.lanes[lane]
        return LinkStatus(
            uid=member.uid,
            endpoint=member.endpoints[0],
            in_view=bool(report.view >> lane & 1),
            text=link.state,
            cells_out_idle=report.cells_out_idle,
            cells_out_burst=report.cells_out_burst,
            cells_in=link.cells_in_idle + link.cells_in_burst,
            gaps=link.gaps,
            address=link.address if link.address != member.endpoints[0] else "",
            advice=advice(link.state, sample=member.public_key in SAMPLE_PUBLIC_KEYS),
        )

    def _broken_lines(self, report: WireReport) -> tuple[BrokenLine, ...]:
        """Each pair of members once, between whom one at least does not hear the other."""
        found, members = [], self._settings.members
        for first, second in itertools.combinations(range(len(report.lanes)), 2):
            deaf = report.lanes[first].unheard >> second & 1
            mute = report.lanes[second].unheard >> first & 1
            if not deaf and not mute:
                continue
            one, other = (first, second) if deaf else (second, first)
            listener, speaker = members[one], members[other]
            found.append(
                BrokenLine(
                    listener=self._name(one),
                    speaker=self._name(other),
                    listener_uid=listener.uid,
                    speaker_uid=speaker.uid,
                    both_ways=bool(deaf and mute),
                )
            )
        return tuple(found)

    def _away(self, report: WireReport) -> tuple[str, ...]:
        lanes = range(len(report.lanes))
        return tuple(self._name(lane) for lane in lanes if report.away >> lane & 1)

    def _say_unheard(self, report: WireReport, last: WireReport) -> None:
        """Which lines are broken, each once until it is mended, and once more where it is found to
        be both ways: the ends notice one after the other. (Who is away is down: a link.)"""
        if [lane.unheard for lane in report.lanes] == [lane.unheard for lane in last.lanes]:
            return
        said, self._unheard = self._unheard, {}
        fresh = []
        for line in self._broken_lines(report):
            ends = frozenset((line.listener_uid, line.speaker_uid))
            if ends not in said or (line.both_ways and not said[ends]):
                fresh.append(line)
            self._unheard[ends] = line.both_ways or said.get(ends, False)
        for text in who_hears_whom(fresh[:MAX_LOGGED], (), self._settings.identity):
            log.warning("%s", text)
        if len(fresh) > MAX_LOGGED:
            log.warning("and %d more such lines; see flocksy status", len(fresh) - MAX_LOGGED)

    def _say_links(self, report: WireReport, last: WireReport) -> None:
        if not last.lanes:
            for member in self._settings.members:
                if member.public_key in SAMPLE_PUBLIC_KEYS:
                    where = member.endpoints[0]
                    log.warning("%s: %s", where, advice("", sample=True))
        for lane, (link, before) in enumerate(zip(report.lanes, last.lanes, strict=False)):
            if link.state == before.state:
                continue
            meaning = advice(link.state)
            if meaning:
                # A member that sleeps is nothing unusual.
                level = logging.INFO if link.state == "down" else logging.WARNING
                log.log(level, "%s: %s: %s", self._name(lane), link.state, meaning)
            elif lane != report.own_lane:
                log.info("%s: %s", self._name(lane), link.state)

    def _name(self, lane: int) -> str:
        return self._settings.members[lane].endpoints[0]

    def _say_view(self, report: WireReport) -> None:
        names = ", ".join(
            self._name(lane)
            for lane in range(len(report.lanes))
            if report.view >> lane & 1 and lane != report.own_lane
        )
        size = report.view.bit_count()
        if not report.real_allowed:
            needed = self._settings.min_view
            if size < needed:
                log.info("waiting for the flock: %d of %d members needed", size, needed)
            else:
                log.info("waiting for the flock: not all members of the view hear each other")
        elif size == 1:
            log.warning("flying alone: what is sent can only come from here")
        elif size <= COIN_TOSS:
            log.warning("flying with %s: in a view of two, who sent is a coin toss", names)
        else:
            log.info("flying with %s", names)

    def _say_burst(self, report: WireReport, last: WireReport, now: float) -> None:
        burst = report.burst
        if burst is not None and (last.burst is None or last.burst.burst_id != burst.burst_id):
            what = "repeated burst" if burst.repeat else "burst"
            if burst.repeat:
                self._repeat_id = burst.burst_id
            log.info("%s of %d cells agreed", what, burst.length)
            self._burst_began = None
            self._burst_start = now + (burst.start_elapsed_ns - clocks.elapsed_ns()) / 1e9
        if burst is not None and report.burst_cells:
            if self._burst_began is None:
                self._burst_began = (burst.burst_id, now, report.burst_cells)
            _, began, cells = self._burst_began
            if now > began:
                sent = (report.burst_cells - cells) * self._settings.burst_cell
                self._speed = int(sent / (now - began))
        over = report.last_burst
        if over is not None and over != last.last_burst:
            if over.burst_id != self._repeat_id:
                follows = "it is repeated"
            elif report.programme:
                follows = "as after a join, bursts follow, needed or not"
            else:
                follows = "it was a repeat, and is not repeated"
            if not over.finished:
                log.warning(
                    "burst aborted: some member fell silent; %s. If this happens again and again,"
                    " some line is too slow for burst_cell: set max_rate, on all members",
                    follows,
                )
            elif over.gap:
                log.info("burst ended, with cells lost somewhere: %s", follows)
            else:
                ran = now - self._burst_start if self._burst_start else 0.0
                log.info("burst ended after %.3f s", ran)


MAX_WANTS_COUNTED = 1_000_000
"""More missing chunks than this are shown as this many."""


def _asked(box: Box) -> list[str]:
    """Whether two trees wait for a person's word. Deletions that do are in the status alone: a log
    stays, and would say where they were made."""
    return [box.guard.words(box.setup.name)] if box.guard.strangers else []


def _problem_lines(box: Box) -> list[str]:
    return [f"{path}: {text}" if path else text for path, text in sorted(box.problems.items())]
