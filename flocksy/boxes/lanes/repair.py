"""Finding and mending what did not arrive: reconciliation, wants, answers.

Nothing here knows who lacks what. A digest that differs for some rounds starts a reconciliation by
ranges; content that does not come by itself is asked for; both are said in the lane and heard by
all, and who answers follows from a hash (`asking.serves`).
"""

from __future__ import annotations

import itertools
import random
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field

from flocksy.boxes.box import Box
from flocksy.boxes.lanes.answers import Answers
from flocksy.boxes.lanes.asking import (
    FEW_WANTED,
    MANY_WANTED,
    SOON_ROUNDS,
    Awaited,
    Patience,
    serves,
)
from flocksy.sync import reconcile
from flocksy.sync.messages import KEY_BYTES, Entry, Gone, Items, Message, Ranges, Want, WantRecords
from flocksy.sync.version import Kind, Version

MANY_AT_ONCE = 2 * FEW_WANTED
"""More wants than these are worth a burst of their own."""

MAX_WANTED_RECORDS = 65_536
"""Records asked for at a time; the next reconciliation finds the rest."""

ATTEMPTS = 256
"""Attempts that a message can name: of them all each member serves about equally many."""

TIMES_ASKED = 2
"""Every member that is here is asked so often before its word that content is gone is believed: by
then it has applied, or scanned again, what it was about to."""

SELDOM_SECONDS = 60.0
"""Between two questions for content that was given up. They ride in heartbeats."""

REFUSED_SECONDS = 20.0
"""Between two questions for content while the disk refuses to take any: what is asked for costs all
members a burst."""

RECONCILE_ROUNDS = 20
"""Between two openings of a reconciliation of one box by one member: enough for its messages to go
to and fro in heartbeats."""


@dataclass(slots=True)
class _Mending:
    """What is going on about one box."""

    content: Patience
    records: Patience
    missing: Patience
    """For content that was given up: seldom, but while `joined` counts down."""
    awaited: Awaited = field(default_factory=Awaited)
    """Of content."""
    awaited_records: Awaited = field(default_factory=Awaited)
    joined: int = 0
    denied: dict[bytes, int] = field(default_factory=dict)
    """Content given up since the view last moved -> lanes that all said that it is gone there."""
    gone: dict[bytes, int] = field(default_factory=dict)
    """Wanted chunk or list -> lanes that said that it is gone there."""
    wanted: set[bytes] = field(default_factory=set)
    """Keys of paths whose records somebody else has, and we have not, or not so."""
    differing: set[bytes] = field(default_factory=set)
    """Of `wanted`, those that only a comparison has shown, and no lane has brought anything of."""
    refused_until: float = 0.0
    """The disk takes nothing: do not ask before."""
    opened_at: float | None = None
    openings: int = 0
    """Reconciliations heard: another member serves in each."""


class Repair:
    """Mends all boxes of one node."""

    def __init__(
        self,
        own_lane: int,
        uids: Sequence[str],
        pause_s: float,
        period_s: float,
        draw: random.Random,
        answers: Answers,
        say: Callable[[Message], None],
    ) -> None:
        """`pause_s`: how long to wait for what is missing to come by itself."""
        self._own_lane = own_lane
        self._uids = uids
        self._pause_s = pause_s
        self._period_s = period_s
        self._draw = draw
        self._answers = answers
        self._say = say
        self._boxes: dict[bytes, _Mending] = {}

    def add(self, box: Box) -> None:
        """A box has been opened."""
        content, records, missing = (Patience(self._pause_s) for _ in range(3))
        mending = self._boxes.setdefault(box.setup.tag, _Mending(content, records, missing))
        mending.joined = self._all_asked

    @property
    def _all_asked(self) -> int:
        return TIMES_ASKED * len(self._uids)

    def view_moved(self) -> None:
        """Other members are here than before: they may have what those lacked."""
        for mending in self._boxes.values():
            mending.joined = self._all_asked
            mending.content.attempt = mending.records.attempt = 0
            mending.gone.clear()
            mending.denied.clear()

    def denied(self, box: Box, shared: Sequence[int]) -> set[bytes]:
        """Contents that these members have all said to be gone. `shared` as for `ask`."""
        lanes = sum(1 << lane for lane in shared)
        denied = self._boxes[box.setup.tag].denied
        return {root for root, by in denied.items() if by & lanes == lanes}

    def hold(self, now: float) -> None:
        """A burst is agreed or runs: wait for what it brings."""
        for mending in self._boxes.values():
            # Not what was given up: nobody has said that it will come.
            mending.content.hold(now)
            mending.records.hold(now)

    def ask(
        self, box: Box, now: float, live: Sequence[int], shared: Sequence[int], *, soon: bool
    ) -> None:
        """Ask for what has not come by itself. To be called once per round outside bursts. `live`:
        lanes of the other members of the view; `shared`: of those that have the box. `soon`: there
        is a burst to come whether or not anybody needs it."""
        mending = self._boxes[box.setup.tag]
        soon_s = SOON_ROUNDS * self._period_s if soon else None
        self._ask_content(box, mending, now, live, shared, soon_s)
        self._ask_missing(box, mending, now)
        # Nothing brings these by itself: the lanes have said what they had to say of them.
        unknown = set(map(reconcile.path_key, box.unknown))
        mending.differing -= unknown
        self._ask_records(mending, box.setup.tag, unknown)
        box.unknown.clear()
        if mending.records.due(now, mending.awaited_records.left(mending.wanted)):
            attempt = mending.records.attempt
            if attempt > self._all_asked:
                # Only of what was wanted all the time: other things have joined it since.
                unanswered = mending.awaited_records.take()
                self._give_up_texts(box, mending, unanswered, shared)
                mending.wanted -= unanswered  # nobody has them; a difference that stands asks anew
                mending.differing -= unanswered
                return
            keys = tuple(itertools.islice(mending.wanted, MANY_WANTED))
            self._say(WantRecords(box.setup.tag, attempt, keys))

    def differs(self, box: Box, now: float, *, first: bool) -> None:
        """Some member's digest of the box has stood different: open a reconciliation.

        The `first` of the lanes that share the box does at once, the others if it does not help.
        """
        mending = self._boxes[box.setup.tag]
        if mending.wanted:
            return  # known, and asked for
        pause = RECONCILE_ROUNDS * self._period_s * self._draw.uniform(1.0, 2.0)
        if mending.opened_at is None and not first:
            mending.opened_at = now
        elif mending.opened_at is None or now - mending.opened_at >= pause:
            mending.opened_at = now
            self._say(reconcile.opening(box.setup.tag, box.index.items))

    def agreed(self, box: Box) -> None:
        """All members say the same of the box as we do: what a comparison has shown has come
        otherwise, or who had it has forgotten it (its power went)."""
        mending = self._boxes[box.setup.tag]
        mending.wanted -= mending.differing
        mending.differing.clear()

    def arrived(self, box: Box, entries: Sequence[Entry]) -> None:
        """Records came in a lane. Those of links whose text is missing here, and came with none,
        are asked for on: another member may have it. What was to be answered and has been said is
        not said once more."""
        by_path: dict[str, list[Entry]] = {}
        for entry in entries:
            by_path.setdefault(entry.path, []).append(entry)
        for path, said in by_path.items():
            if self._answers.waits(box, path) and box.offers.is_all_of(path, said):
                self._answers.carried(box, path)
        mending = self._boxes[box.setup.tag]
        if mending.wanted:
            lacking = {one.path for one in entries if _lacks_text(box, one.path, one.version)}
            mending.differing.difference_update(map(reconcile.path_key, by_path))
            mending.wanted.difference_update(map(reconcile.path_key, by_path.keys() - lacking))

    def heard(self, box: Box, lane: int, message: Message, view: int) -> None:
        """Another member asks or compares; `view` is the bitmap of who might answer."""
        match message:
            case Want():
                self._want(box, lane, message, view)
            case WantRecords():
                for key in message.keys:
                    self._offer(box, key, message.attempt, lane, view)
            case Ranges() | Items():
                self._compare(box, lane, message, view)
            case Gone():
                self._gone(box, lane, message)
            case _:
                pass  # versions and content are no repair's

    def _ask_content(
        self,
        box: Box,
        mending: _Mending,
        now: float,
        live: Sequence[int],
        shared: Sequence[int],
        soon_s: float | None,
    ) -> None:
        missing = box.planning.missing
        refused = box.staging.trouble(missing) is not None
        if box.planning.disk_full or refused:
            # Whatever came would be refused again; now and then something has to try.
            if now < mending.refused_until:
                return
            mending.refused_until = now + REFUSED_SECONDS
        wanted = box.staging.wants(MANY_WANTED, without=missing)
        if not wanted or soon_s is not None:
            mending.gone.clear()  # who has just come has hardly looked
        left = mending.awaited.left(wanted)
        # Before a burst that comes anyway all is asked for at once, when no more is named.
        if mending.content.due(now, left if soon_s is None else len(wanted), soon_s):
            if mending.content.attempt >= TIMES_ASKED * len(live) and not box.adopting:
                self._give_up(box, mending, wanted, shared)
            few = len(wanted) <= MANY_AT_ONCE and soon_s is None
            if few or refused:
                wanted = wanted[:FEW_WANTED]
            self._say(Want(box.setup.tag, mending.content.attempt, tuple(wanted)))

    def _give_up(
        self, box: Box, mending: _Mending, wanted: Sequence[bytes], shared: Sequence[int]
    ) -> None:
        """Everybody was asked: wait no longer for what all who have the box say is gone."""
        lanes = sum(1 << lane for lane in shared)
        gone = [name for name in wanted if lanes and mending.gone.get(name, 0) & lanes == lanes]
        with box.index.transaction():
            for path, root in box.staging.takers(gone):
                box.planning.give_up(path, root)
                mending.denied[root] = lanes

    def _give_up_texts(
        self, box: Box, mending: _Mending, keys: Iterable[bytes], shared: Sequence[int]
    ) -> None:
        """Everybody was asked for these records: wait no longer for the texts they came without."""
        lanes = sum(1 << lane for lane in shared)
        with box.index.transaction():
            for path in filter(None, map(box.index.items.path_of, keys)):
                state = box.index.flock(path)
                for version in () if state is None else state.heads.values():
                    if _lacks_text(box, path, version):
                        box.planning.give_up(path, version.root)
                        mending.denied[version.root] = lanes

    def _ask_missing(self, box: Box, mending: _Mending, now: float) -> None:
        """Ask now and then for what was given up; soon when somebody has come."""
        missing = box.planning.missing
        mending.missing.pause_s = self._pause_s if mending.joined else SELDOM_SECONDS
        if not mending.missing.due(now, len(missing)):
            return
        mending.joined = max(0, mending.joined - 1)
        # A piece of some: whoever has that has more, and then all are asked for.
        some = self._draw.sample(list(missing), min(len(missing), FEW_WANTED))
        wanted = box.staging.samples(some)
        if wanted:
            self._say(Want(box.setup.tag, mending.missing.attempt, tuple(wanted)))
        texts = tuple(
            reconcile.path_key(path) for path, root in some if missing.is_text(path, root)
        )
        if texts:
            self._say(WantRecords(box.setup.tag, mending.missing.attempt, texts))

    def _gone(self, box: Box, lane: int, message: Gone) -> None:
        gone = self._boxes[box.setup.tag].gone
        for name in message.chunk_ids:
            if box.staging.takers((name,)) and (name in gone or len(gone) < MAX_WANTED_RECORDS):
                gone[name] = gone.get(name, 0) | 1 << lane

    def _want(self, box: Box, lane: int, message: Want, view: int) -> None:
        gone = []
        coming = {name for push in box.offers.pushes for name, _ in push.chunks}
        for name in message.chunk_ids:
            if name in coming or not self._serves(name, message.attempt, lane, view):
                continue
            length = box.chunk_length(name)
            if length is None:
                gone.append(name)
            else:
                self._answers.add_chunk(name, box, length)
        if gone and box.scanned_once and not box.adopting:
            self._say(Gone(message.box, tuple(gone)))

    def _compare(self, box: Box, lane: int, message: Ranges | Items, view: int) -> None:
        mending = self._boxes[box.setup.tag]
        if isinstance(message, Ranges) and message.ranges[0].lower == bytes(KEY_BYTES):
            mending.openings += 1
        response = reconcile.respond(box.index.items, message)
        for answer in response.messages:
            self._say(answer)
        for key in response.offered:
            self._offer(box, key, mending.openings, lane, view)
        mending.differing |= self._ask_records(mending, message.box, response.wanted)

    def _ask_records(self, mending: _Mending, tag: bytes, keys: Iterable[bytes]) -> set[bytes]:
        """Returns those of them that were not asked for before."""
        new = set(keys) - mending.wanted
        if len(mending.wanted) >= MAX_WANTED_RECORDS:
            return set()
        mending.wanted |= new
        if new:
            # Whoever served the last time may have no more than we have, and nobody can tell.
            attempt = self._draw.randrange(ATTEMPTS)
            for some in _groups(sorted(new), MANY_WANTED):
                self._say(WantRecords(tag, attempt, some))
        return new

    def _offer(self, box: Box, key: bytes, attempt: int, asker: int, view: int) -> None:
        if self._serves(key, attempt, asker, view):
            path = box.index.items.path_of(key)
            if path is not None:
                self._answers.add_record(box, path)
                for name, length in box.offers.lists(path):
                    self._answers.add_chunk(name, box, length)

    def _serves(self, wanted: bytes, attempt: int, asker: int, view: int) -> bool:
        return serves(wanted, attempt, self._own_lane, asker, self._uids, view)


def _lacks_text(box: Box, path: str, version: Version) -> bool:
    return (
        version.kind is Kind.SYMLINK
        and box.planning.waits_for(path, version.root)
        and box.index.contents.blob(version.root) is None
    )


def _groups(keys: Sequence[bytes], size: int) -> Iterator[tuple[bytes, ...]]:
    for at in range(0, len(keys), size):
        yield tuple(keys[at : at + size])
