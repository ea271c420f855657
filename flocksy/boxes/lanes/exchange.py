"""The exchange: what the boxes have to say to the flock, and what the flock says to them.

Theory of operation. The wire moves slots whether we have anything to say or not; here is decided
what is in them. A little rides in heartbeats at once. More than a little states a *need*, after a
random delay, and waits for a burst; when one is agreed, a `Feed` fills its slots ahead. Below
quorum nothing is offered: the slots that are filled stay in their ring.

What was said comes back in our own lane, and only then it counts as said. What the others may
have missed in a burst they get from its repeat; what is still missing then shows as a digest that
differs, or as content that somebody asks for. So nothing here has to remember who has what.
"""

from __future__ import annotations

import random
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

from flocksy.boxes.announcing import Announcing, Timing
from flocksy.boxes.box import Box
from flocksy.boxes.content.reader import SpoolReader
from flocksy.boxes.lanes.addresses import Addresses
from flocksy.boxes.lanes.answers import Answers
from flocksy.boxes.lanes.carried import Carried
from flocksy.boxes.lanes.crowd import Crowd
from flocksy.boxes.lanes.feed import BoxFailedError, Feed, Parts
from flocksy.boxes.lanes.heartbeats import Heartbeats, size_of
from flocksy.boxes.lanes.inbox import Inbox, Unpacker
from flocksy.boxes.lanes.peers import Peers
from flocksy.boxes.lanes.repair import Repair
from flocksy.boxes.lanes.unsaid import Unsaid
from flocksy.boxes.outside import Outside
from flocksy.errors import FlocksyError
from flocksy.seam.joint import BoxSeam
from flocksy.seam.report import KNOWN_BYTES, BoxReport, WireReport
from flocksy.sync import messages, reconcile
from flocksy.sync.messages import Address, Content, Message, Versions
from flocksy.sync.reconcile import KNOWN_TAG_BYTES
from flocksy.sync.stream import SLOT_HEAD_BYTES

DRAIN_SLOTS = 24
"""Slots taken per turn: a window of each lane of a small flock, before the wire is told."""

FILL_SLOTS = 16
"""Slots filled per turn: what one chunk of a large file takes."""

MAX_CONTROLS = 4096
"""Messages of the exchange itself that wait to be said; more are dropped, and asked anew later."""


class Exchange:
    """All lanes of one node, seen from its boxes."""

    def __init__(
        self,
        seam: BoxSeam,
        uids: Sequence[str],
        spool: SpoolReader,
        timing: Timing,
        draw: random.Random,
        problem: Callable[[str], None],
    ) -> None:
        self._seam = seam
        self._uids = uids
        self._spool = spool
        self._timing = timing
        self._draw = draw
        self._problem = problem
        self.boxes: dict[bytes, Box] = {}
        self.peers = Peers(seam.lanes, seam.own_lane)
        self._inbox = Inbox(seam, self.peers.heard, self._handle)
        self._unpacker = Unpacker()
        self._now = 0.0
        self._report = WireReport()
        self._feed: Feed | None = None
        self._carried: Carried | None = None
        self._unchecked: Carried | None = None
        self._heartbeats = Heartbeats(seam)
        self._controls: deque[Parts] = deque()
        self._answers = Answers()
        self._announcing = Announcing(timing, draw)
        self.outside = Outside(timing.outside_mean_s, draw)
        """When changes may be told that were made before this node came into its view."""
        self._round = 0
        self._known: dict[bytes, bytes] = {}
        period_s = timing.period_s
        self._unsaid = Unsaid(period_s)
        # Longer than whoever has something ready usually takes to get it into a burst.
        pause_s = 3 * (timing.announce_mean_s + timing.rest_mean_s) + 12 * period_s
        self.ask_pause_s = pause_s
        """How long each member that may have what is missing is given to send it, in seconds."""
        self.repair = Repair(seam.own_lane, uids, pause_s, period_s, draw, self._answers, self._say)
        self.crowd = Crowd(uids)
        """Among whom our own changes were told. Set by the node, which knows where it is kept."""
        self.addresses: Addresses | None = None
        """Where members are reached. Set by the node; None: nobody is told of that."""
        self.leaving = False
        """Set by the node when it stops."""
        self.on_failure: Callable[[Box, OSError | FlocksyError], None] = _raise
        """Told that the disk or the index of a box failed; has to `remove` the box. Set by who
        keeps the boxes."""

    # -- boxes ------------------------------------------------------------------------------

    def add(self, box: Box) -> None:
        """A box has been opened."""
        self.boxes[box.setup.tag] = box
        self._known.pop(box.setup.tag, None)  # the index may be another than before
        self.repair.add(box)
        box.untold.follow(self.outside)

    def remove(self, box: Box) -> None:
        """A box rests or goes: forget what was to be said of it. Its index still knows."""
        self.boxes.pop(box.setup.tag, None)
        self._known.pop(box.setup.tag, None)
        self._answers.forget(box)
        self._carried = self._unchecked = None
        if self._feed is not None:
            self._feed.forget()

    # -- turns ------------------------------------------------------------------------------

    def turn(self, now: float) -> float | None:
        """Drain, fill, state the need. Returns when to come again (0.0: at once)."""
        self._now = now
        # The report is read before the slots are taken: what it says is over is then in them.
        report = self._seam.report()
        more = self._inbox.drain(DRAIN_SLOTS) == DRAIN_SLOTS
        self._follow(report)
        if self._feed is not None:
            more = self._feed.fill(self._seam, FILL_SLOTS) or more
        elif self.quiet:
            self._idle_turn(report)
        self._state(report)
        if more:
            return 0.0
        deadlines = (self._announcing.deadline(now), self.outside.deadline(now))
        return min((when for when in deadlines if when is not None), default=None)

    @property
    def quiet(self) -> bool:
        """Whether no burst is agreed or running and all that came in one has been taken."""
        return self._feed is None and self._seam.waiting == 0

    @property
    def report(self) -> WireReport:
        """What the wire said at the last turn."""
        return self._report

    def live(self) -> list[int]:
        """Lanes of the other members of the view."""
        others = self._report.view & ~(1 << self._seam.own_lane)
        return [lane for lane in range(self._seam.lanes) if others >> lane & 1]

    def agrees(self, box: Box) -> bool:
        """Whether all members of the view say the same of the box as we do."""
        known, is_allowed = self._known_of(box), self._report.real_allowed
        tag, digest = known[:KNOWN_TAG_BYTES], known[KNOWN_TAG_BYTES:]
        return is_allowed and self.peers.agree(tag, digest, self.live())

    def has_met(self, box: Box) -> bool:
        """Whether some member of the view has the box, and all who have it say the same of it."""
        return bool(self.peers.sharing(box.setup.tag, self.live())) and self.agrees(box)

    @property
    def waiting_bytes(self) -> int:
        """Payload bytes that wait to be said."""
        pushes = sum(box.offers.pushes.bytes for box in self.boxes.values())
        return pushes + self._answers.payload_bytes + self._heartbeats.bytes

    @property
    def carried_bytes(self) -> int:
        """Bytes of messages that lanes have carried since the start, cover not counted."""
        return self._inbox.carried_bytes

    # -- bursts -----------------------------------------------------------------------------

    def _follow(self, report: WireReport) -> None:
        """Notice that a burst was agreed or is over."""
        before, self._report = self._report, report
        self.peers.follow(before, report)
        if before.epoch_number != report.epoch_number:
            self.repair.view_moved()
        # In no view nothing leaves, and there is nobody to be counted: the next one is asked about.
        if report.view and self._heartbeats.among & ~report.view:
            # With a floor the wire has dropped what was filled, so the rest is of no use.
            if self.crowd.floor or not self._tellers(report.view, own=True):
                self._heartbeats.drop()
            else:
                self._heartbeats.among = report.view
        burst, feed = report.burst, self._feed
        if feed is not None and (burst is None or burst.burst_id != feed.burst.burst_id):
            self._carried = self._unchecked = feed.carried
            self._feed = None
        in_view = report.real_allowed and self.crowd.allows(report.view)
        if self.outside.turn(self._now, report.round, report.joins, in_view=in_view):
            self._hold_what_is_untold()
        if burst is not None and self._feed is None and not burst.repeat:
            self._carried = None  # that of the last one, and not what this one's repeat is to say
        if burst is not None and self._feed is None and report.real_allowed:
            again = self._carried
            own = again is not None and again.own
            tellers = self._tellers(burst.members, own=own)
            self._feed = Feed(
                burst,
                tellers,
                self._controls,
                self._answers,
                self._spool,
                None if own and not tellers else again,
                lambda box, error: self.on_failure(box, error),
            )
            self._announcing.nothing()
        if self._feed is not None:
            self.peers.calm()
            self.repair.hold(self._now)

    def _tellers(self, view: int, *, own: bool = False) -> list[Box]:
        """The boxes whose own changes (`own`: there are some for certain) may be told in this view:
        all, or none for too small a crowd."""
        boxes = list(self.boxes.values())
        own = own or any(len(box.offers.pushes) for box in boxes)
        try:
            return boxes if self.crowd.admits(view, self._now, own=own) else []
        except FlocksyError as error:
            self._problem(str(error))
            return []

    def _hold_what_is_untold(self) -> None:
        """This node was in no view. Who lacks something that it was asked for asks again."""
        self._unchecked = None
        if self._feed is not None:
            self._feed.carried.let_go()
        self._heartbeats.drop()
        for box in list(self.boxes.values()):
            self._answers.forget(box)
            with self._open(box):
                box.untold.hold()

    def _say_what_was_left(self, carried: Carried) -> None:
        """A burst is over, our own lane is drained: what it did not bring back was in no cell."""
        for box, name in carried.lost_chunks():
            with self._open(box) as is_open:
                length = box.chunk_length(name) if is_open else None
                if length is not None:
                    self._answers.add_chunk(name, box, length)
        for box, path in carried.lost_records():
            with self._open(box) as is_open:
                if is_open and not box.offers.again(path):
                    self._answers.add_record(box, path)

    # -- heartbeats -------------------------------------------------------------------------

    def _idle_turn(self, report: WireReport) -> None:
        for box in self.boxes.values():
            box.untold.follow(self.outside)
        if self._unchecked is not None:
            self._say_what_was_left(self._unchecked)
            self._unchecked = None
        if report.round != self._round:
            self._round = report.round
            if report.real_allowed:
                self._once_per_round(report)
                self._tell_addresses(report)
        self._route()
        self._heartbeats.fill(bound=self.crowd.floor > 0)

    def _route(self) -> None:
        """What is little goes into heartbeats; for more a need is announced."""
        if not self._report.real_allowed:
            self._announcing.nothing()
            return
        room = self._heartbeats.room(joining=self._report.programme > 0)
        allowed = self.crowd.tries(self._report.view, self._now)
        waiting = sum(box.offers.pushes.bytes for box in self.boxes.values()) if allowed else 0
        controls = sum(map(size_of, self._controls))
        waiting += self._answers.payload_bytes + controls
        if waiting == 0:
            self._announcing.nothing()
            return
        if waiting <= room:
            self._announcing.nothing()
            self._say_in_heartbeats()
            return
        if self._report.programme and controls <= room:
            # What has to be asked and compared before the next burst, so that it can carry the
            # answers: there are only so many of these.
            while self._controls:
                self._heartbeats.add(self._controls.popleft())
        self._announcing.wants(self._now, waiting, self._seam.burst_payload - SLOT_HEAD_BYTES)

    def _say_in_heartbeats(self) -> None:
        boxes = self._tellers(self._report.view)
        if any(len(box.offers.pushes) for box in boxes):
            self._heartbeats.among = self._report.view
        self._unsaid.told(boxes)
        try:
            for parts in Feed.for_heartbeats(boxes, self._controls, self._answers, self._spool):
                self._heartbeats.add(parts)
        except BoxFailedError as failure:
            self.on_failure(failure.box, failure.error)

    def _once_per_round(self, report: WireReport) -> None:
        live = self.live()
        for box in list(self.boxes.values()):
            with self._open(box):
                self._compare_and_ask(box, live, report.round)
        for box, but in self._unsaid.turn(self._now, list(self.boxes.values())):
            with self._open(box):
                box.untold.resume(but)

    def _tell_addresses(self, report: WireReport) -> None:
        """Past all that waits: nothing is waited for on its account, and no need comes of it."""
        message = self.addresses and self.addresses.to_tell(report, self._now)
        if message:
            self._heartbeats.add(messages.encode(message))

    def _compare_and_ask(self, box: Box, live: Sequence[int], round_: int) -> None:
        known = self._known_of(box)
        tag, digest = known[:KNOWN_TAG_BYTES], known[KNOWN_TAG_BYTES:]
        shared = self.peers.sharing(tag, live)
        if self._controls or self._answers.payload_bytes:
            self.peers.calm()  # what waits to be said may be all of the difference
        elif self.peers.standing(tag, digest, live, round_):
            first = self._seam.own_lane < min(shared, default=self._seam.lanes)
            self.repair.differs(box, self._now, first=first)
        if self.agrees(box):
            self.repair.agreed(box)
        self.repair.ask(box, self._now, live, shared, soon=self._report.programme > 0)

    def _say(self, message: Message) -> None:
        """Queue a message of the exchange itself: with what waits, in heartbeats or a burst."""
        if len(self._controls) < MAX_CONTROLS:
            self._controls.append(messages.encode(message))

    # -- what lanes carried -----------------------------------------------------------------

    def _handle(self, lane: int, message: Message) -> None:
        own = lane == self._seam.own_lane
        said = self._unchecked if self._feed is None else self._feed.carried
        if isinstance(message, Content):
            again = own and said is not None and said.chunk_back(message.chunk_id)
            self._content(message, own, again)
            return
        if isinstance(message, Address):
            if self.addresses is not None and self.addresses.heard(lane, message, self._now):
                self._seam.tell_address(message.member, message.endpoint)
            return
        box = self.boxes.get(message.box)
        if box is None:
            return
        with self._open(box):
            if isinstance(message, Versions):
                back = said.records_back(message) if own and said is not None else ()
                box.receive(message, own=own, now=self._now, again=back)
                self._known.pop(message.box, None)
                if not own:
                    self.repair.arrived(box, message.entries)
            elif not own:
                self.repair.heard(box, lane, message, self._report.view)

    def _content(self, message: Content, own: bool, again: bool) -> None:
        data = self._unpacker.unpack(message)
        for box in list(self.boxes.values()):
            with self._open(box):
                try:
                    box.write(message.chunk_id, data, own=own, again=again)
                except OSError as error:
                    self._problem(f"box {box.setup.name}: {error.strerror or error}: content waits")

    @contextmanager
    def _open(self, box: Box) -> Iterator[bool]:
        """Whether the box is still open; when its disk or its index fails inside it no longer is.
        What it has missed then it gets as any box that has rested."""
        try:
            yield self.boxes.get(box.setup.tag) is box
        except (OSError, FlocksyError) as error:
            self.on_failure(box, error)

    # -- what the wire is told --------------------------------------------------------------

    def _known_of(self, box: Box) -> bytes:
        tag = box.setup.tag
        known = self._known.get(tag)
        if known is None:
            known = self._known[tag] = reconcile.known_bytes(tag, box.index.items)
        return known

    def _state(self, report: WireReport) -> None:
        known = bytes(KNOWN_BYTES)
        if self.boxes:
            box = self.boxes[sorted(self.boxes)[report.round % len(self.boxes)]]
            with self._open(box):
                known = self._known_of(box)
        self._seam.state(BoxReport(need=self._announcing.need, known=known, leaving=self.leaving))


def _raise(_: Box, error: OSError | FlocksyError) -> None:
    raise error
