"""The status of a node as one frozen value.

The node makes it in one place, `make_status`; the command line, `--json` and later a page show
the same value. Texts may hold names from peers and disks: they are escaped when rendered as text,
never here, so that JSON carries them whole.
"""

from __future__ import annotations

import dataclasses
import enum
from dataclasses import dataclass

STATE_WORDS = {
    100: "idle",
    102: "waiting for the flock",
    120: "a need is shown, waiting for all to see it",
    121: "a burst is proposed",
    131: "a burst is agreed",
    200: "in a burst",
    150: "settling after a burst",
    410: "left the burst",
    500: "leaving",
}
"""What each status code of a cell means to a person (docs/state-machine.md has the machine)."""

COIN_TOSS = 2
"""A view of this size or less names the sender with a guess: each of two is it half the time."""


NOBODY_ELSE = (
    "no other member that is here has a box of this name, or it is paused there; is it spelt alike "
    "everywhere (flocksy box list)?"
)
"""What a box waits for that nobody else shares: equal with nobody is no backup."""


class BoxState(enum.StrEnum):
    """Where a box stands."""

    IN_SYNC = "in sync"
    SYNCING = "syncing"
    WAITING = "waiting for the flock"
    ASKING = "waits for your word"
    PAUSED = "paused"


@dataclass(frozen=True, slots=True)
class LinkStatus:
    """One link, seen from here."""

    uid: str
    endpoint: str
    in_view: bool
    text: str  # "live", "down", "refuses our key", "setting differs: period_ms", ...
    cells_out_idle: int
    cells_out_burst: int
    cells_in: int
    gaps: int
    address: str = ""  # where it is reached or tried, where that is not `endpoint`
    advice: str = ""  # what `text` means and what to do, where it does not say so itself


@dataclass(frozen=True, slots=True)
class BrokenLine:
    """Two members between whom cells have not come through for a while, as far as cells say that
    come through to this node."""

    listener: str  # the endpoint, as in `links`, of who does not hear the other
    speaker: str  # likewise, of who is not heard
    listener_uid: str
    speaker_uid: str
    both_ways: bool  # it does not hear the listener either


@dataclass(frozen=True, slots=True)
class BoxStatus:
    """One box of this node."""

    name: str
    path: str
    state: BoxState
    reason: str  # why it is paused, or waits though the flock flies; "" otherwise
    files: int
    bytes: int
    pending: int  # operations not applied yet, here or to be told to the others
    problems: tuple[str, ...] = ()  # what could not be read, held or applied, and what to do
    conflicts: tuple[str, ...] = ()  # paths of conflict copies in the box
    asks: str = ""  # what waits for flocksy approve or reject, in words
    waiting: tuple[str, ...] = ()  # paths whose deletion waits, some of them
    mode: str = "sync"
    folders: tuple[str, ...] = ()  # of the box that this node holds; empty: all
    set_aside: tuple[str, ...] = ()  # what was changed here and is told to nobody, some of it
    others: int = 0  # other members of the view
    lacking: int = 0  # of these, that surely have no such box, or have it paused

    @property
    def alone(self) -> bool:
        """Nobody else who is here has the box, so nobody gets what is in it."""
        return 0 < self.others == self.lacking


@dataclass(frozen=True, slots=True)
class QueueStatus:
    """What waits to travel."""

    versions: int = 0
    bytes_to_send: int = 0
    wanted: int = 0  # chunks
    bytes_wanted: int = 0
    bytes_carried: int = 0  # of messages in all lanes since the start, cover not counted


@dataclass(frozen=True, slots=True)
class BurstStatus:
    """The burst that runs now."""

    length: int  # cells
    done: int  # cells
    bytes_per_second: int
    repeat: bool


@dataclass(frozen=True, slots=True)
class Status:
    """Everything there is to see of one node at one moment."""

    version: str
    pid: int
    uid: str
    endpoint: str
    profile: str
    code: int
    state: str  # words for `code`
    view: tuple[str, ...]  # uids
    members: int  # configured
    min_view: int
    real_allowed: bool
    anonymity_set: int  # members a change could come from now, 0 while nothing real leaves
    possinymity: int | None  # members all changes told from here could come from; None: none told
    held_back: str  # why changes made here wait though the flock flies, "" otherwise
    heartbeat_late_us: int  # how long after its instant the newest heartbeat left
    links: tuple[LinkStatus, ...]
    broken_lines: tuple[BrokenLine, ...]  # each pair once: at most 496, of 32 members
    away: tuple[str, ...]  # endpoints of members of the view that nobody hears who is heard here
    boxes: tuple[BoxStatus, ...]
    queue: QueueStatus
    burst: BurstStatus | None
    bursts_to_come: int  # after a join or a spoilt repeat, needed or not
    errors: tuple[str, ...]  # the last ones, newest last

    @property
    def in_sync(self) -> bool:
        """All boxes are in sync."""
        return all(box.state is BoxState.IN_SYNC for box in self.boxes)

    def plain(self) -> dict[str, object]:
        """The value as plain JSON types, for `--json` and the control socket."""
        return dataclasses.asdict(self)


def make_box(
    *,
    name: str,
    path: str,
    paused: str | None,
    pending: int,
    settled: bool,
    real_allowed: bool,
    files: int,
    bytes: int,  # noqa: A002  (the field's name)
    problems: tuple[str, ...] = (),
    conflicts: tuple[str, ...] = (),
    asks: str = "",
    waiting: tuple[str, ...] = (),
    mode: str = "sync",
    folders: tuple[str, ...] = (),
    set_aside: tuple[str, ...] = (),
    others: int = 0,
    lacking: int = 0,
) -> BoxStatus:
    """The status of one box. `paused` is the reason or None.

    `settled` says that nothing is pending here and that the members' digests of the box are equal.
    A box that is not settled while nothing real may leave is waiting, not syncing; a settled one
    is in sync only while the flock can say so, and with nobody it waits.
    """
    reason = paused or ""
    if paused is not None:
        state = BoxState.PAUSED
    elif asks:
        state = BoxState.ASKING
    elif not real_allowed:
        state = BoxState.WAITING
    elif 0 < others == lacking:
        state, reason = BoxState.WAITING, NOBODY_ELSE
    elif settled and not pending:
        state = BoxState.IN_SYNC
    else:
        state = BoxState.SYNCING
    return BoxStatus(
        name,
        path,
        state,
        reason,
        files,
        bytes,
        pending,
        tuple(problems),
        tuple(conflicts),
        asks,
        tuple(waiting),
        mode,
        tuple(folders),
        tuple(set_aside),
        others,
        lacking,
    )


def make_status(
    *,
    version: str,
    pid: int,
    uid: str,
    endpoint: str,
    profile: str,
    code: int,
    view: tuple[str, ...],
    members: int,
    min_view: int,
    real_allowed: bool,
    links: tuple[LinkStatus, ...],
    boxes: tuple[BoxStatus, ...],
    queue: QueueStatus | None = None,
    burst: BurstStatus | None = None,
    bursts_to_come: int = 0,
    possinymity: int | None = None,
    held_back: str = "",
    heartbeat_late_us: int = 0,
    broken_lines: tuple[BrokenLine, ...] = (),
    away: tuple[str, ...] = (),
    errors: tuple[str, ...] = (),
) -> Status:
    """The one place where a status is made: what follows from other values follows here."""
    return Status(
        version=version,
        pid=pid,
        uid=uid,
        endpoint=endpoint,
        profile=profile,
        code=code,
        state=STATE_WORDS.get(code, f"status code {code}"),
        view=view,
        members=members,
        min_view=min_view,
        real_allowed=real_allowed,
        anonymity_set=len(view) if real_allowed else 0,
        possinymity=possinymity,
        held_back=held_back,
        heartbeat_late_us=heartbeat_late_us,
        links=links,
        broken_lines=broken_lines,
        away=away,
        boxes=boxes,
        queue=queue or QueueStatus(),
        bursts_to_come=bursts_to_come,
        burst=burst,
        errors=errors,
    )
