"""What a node is told: the one frozen value that every other part reads.

Nothing here reads a file. `flocksy.config.load.load` makes a `NodeSettings` that is complete and
checked: whoever holds one need not doubt it. It can be pickled, for the spawned processes.
"""

from __future__ import annotations

import enum
import hashlib
import json
from dataclasses import dataclass, field
from typing import Literal

from flocksy.keys.pair import KeyPair, uid_of

Profile = Literal["fast", "balanced", "quiet"]
Pace = Literal["max", "grid"]
BurstTimingKind = Literal["on-demand", "timetable", "constant"]
Mode = Literal["sync", "send-only", "receive-only", "archive"]


class Symlinks(enum.IntEnum):
    """What a box does with symbolic links. The numbers are those of the original's files."""

    FOLLOW = 0
    IGNORE = 1
    COPY = 2


@dataclass(frozen=True, slots=True)
class Member:
    """One configured identity of the flock."""

    uid: str  # 128 hex digits
    public_key: str  # 40 characters of Z85
    endpoints: tuple[str, ...]  # "tcp://host:port" or "ipc://path", never empty
    other_keys: tuple[str, ...] = ()  # accepted too while a rotation lasts


@dataclass(frozen=True, slots=True)
class HistoryCap:
    """How much the history of a box may take before it is thinned out: a share of the disk, or so
    many bytes where that is not 0."""

    percent: int = 0
    bytes: int = 0


@dataclass(frozen=True, slots=True)
class BoxSettings:
    """One shared folder as configured on this node."""

    name: str
    path: str  # absolute, no symbolic links resolved, no trailing slash
    symlinks: Symlinks = Symlinks.COPY
    removable: bool = False
    mode: Mode = "sync"
    folders: tuple[str, ...] = ()  # of the box that this node holds; empty: all of it
    paused: bool = False
    guard: int | None = 100
    """Percent of the files that may be deleted within ten minutes without a question; None: nobody
    is ever asked."""
    history_cap: HistoryCap = HistoryCap(percent=10)
    xattrs: bool = False
    """Whether extended attributes of files are synced."""

    @property
    def box_id(self) -> bytes:
        """BLAKE2b-512 of the name, 64 bytes: the same on every member, as in the original."""
        return hashlib.blake2b(self.name.encode("utf-8")).digest()


@dataclass(frozen=True, slots=True)
class Options:
    """What the command line says. It adds to the file: lists are joined, single values win."""

    config: str | None = None  # None: ~/.flocksy
    hostnames: tuple[str, ...] = ()
    nodes: tuple[str, ...] = ()
    boxes: tuple[str, ...] = ()  # "name@path" or "path"
    keystore: str | None = None
    privatekey: str | None = None
    state_dir: str | None = None


@dataclass(frozen=True, slots=True)
class NodeSettings:
    """Everything one node runs with. Paths are absolute; times carry their unit in the name."""

    key_pair: KeyPair
    identity: str  # the own endpoint that the key pair belongs to
    hostnames: tuple[str, ...]  # all own endpoints, to be bound
    members: tuple[Member, ...]  # sorted by uid, this node included
    boxes: tuple[BoxSettings, ...]

    profile: Profile
    pace: Pace
    period_ms: int
    idle_cell: int  # bytes of one frame before encryption
    burst_cell: int  # bytes of one frame before encryption
    max_rate: int  # bytes per second and link, 0: unlimited
    min_view: int  # members
    settle_ms: int
    rest_mean_ms: int
    stall_timeout_ms: int
    burst_timing: BurstTimingKind
    burst_every_ms: int  # between two bursts on a timetable; a multiple of the period
    burst_cells: int  # of a burst on a timetable, or all the time
    announce_delay_mean_ms: int  # of this node only, not flock-wide
    outside_delay_mean_ms: int  # likewise: of changes made while this node was in no view

    socks: str | None  # "host:port" of a SOCKS5 proxy
    keystore_path: str
    privatekey_path: str
    config_path: str
    state_dir: str  # may not exist yet: see flocksy.config.state.claim
    options: Options = field(default_factory=Options)  # what to load again with on SIGHUP
    first_key: str | None = None  # where our key was rotated: the one that the uid comes from
    possinymity_floor: int = 0  # members, of this node only: see flocksy.boxes.lanes.crowd
    own_key_elsewhere: tuple[str, ...] = ()  # endpoints with our key that are not ours

    @property
    def uid(self) -> str:
        """This node's uid, 128 hex digits."""
        return uid_of(self.first_key or self.key_pair.public_key)

    @property
    def lane(self) -> int:
        """This node's lane index: its position in the sorted uids."""
        return self.uids.index(self.uid)

    @property
    def uids(self) -> tuple[str, ...]:
        """The uids of the configured flock, sorted."""
        return tuple(member.uid for member in self.members)

    def _burst_timing(self) -> list[object]:
        """Only the numbers that count in this kind of timing must be the same."""
        match self.burst_timing:
            case "timetable":
                return ["timetable", self.burst_every_ms, self.burst_cells]
            case "constant":
                return ["constant", self.burst_cells]
            case _:
                return ["on-demand"]

    def flock_settings(self) -> tuple[tuple[str, str], ...]:
        """Name and canonical JSON of every setting that all members must share, in fixed order.

        The first differing name is what people are told, so the members come last: a differing
        number is the likelier mistake and the shorter word.
        """
        values: tuple[tuple[str, object], ...] = (
            ("period_ms", self.period_ms),
            ("idle_cell", self.idle_cell),
            ("burst_cell", self.burst_cell),
            ("pace", self.pace),
            ("max_rate", self.max_rate),
            ("min_view", self.min_view),
            ("settle_ms", self.settle_ms),
            ("rest_mean_ms", self.rest_mean_ms),
            ("stall_timeout_ms", self.stall_timeout_ms),
            ("burst_timing", self._burst_timing()),
            ("members", list(self.uids)),
        )
        return tuple((name, canonical_json(value)) for name, value in values)


def canonical_json(value: object) -> str:
    """One text per value: sorted keys, no spaces, ASCII only."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=True)
