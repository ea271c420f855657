"""All that the wire process is told when it starts. Checked before by `config`."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from flocksy.protocol.parameters import Parameters
from flocksy.protocol.programme import PROGRAMME_BYTES, programme_cells
from flocksy.protocol.schedule import BurstPace
from flocksy.protocol.timing import ON_DEMAND, BurstTiming
from flocksy.wire.limits import LEAST_TICK_NS, TICK_BYTES_PER_SECOND, TICK_NS, WINDOW

Pace = Literal["max", "grid"]


@dataclass(frozen=True, slots=True)
class Member:
    """One configured member of the flock."""

    uid: str
    """BLAKE2b-512 of the text of the member's first public key, in hex; rotation keeps it."""
    endpoints: tuple[str, ...]
    """Where its PUB socket is bound, `tcp://host:port` or `ipc://path`, the likeliest first."""
    public_key: str
    """Z85, 40 characters."""
    other_keys: tuple[str, ...] = ()
    """Keys that it may have as well, while a rotation lasts."""


@dataclass(frozen=True, slots=True)
class WireSettings:
    """Settings of one wire process. Lanes are the indexes of `members`."""

    own_uid: str
    public_key: str
    secret_key: str = field(repr=False)
    members: tuple[Member, ...]
    """All members including this node, sorted by uid."""
    bind: tuple[str, ...]
    """Endpoints this node's PUB socket is bound to."""
    flock_settings: tuple[tuple[str, str], ...]
    """(name, canonical JSON) of every flock-wide setting, in the canonical order, as they go into
    the cell header: a member that differs is not in the view, and the setting is named."""
    period_ms: int
    idle_cell: int = 1024
    """Bytes of the ZeroMQ frame of a heartbeat."""
    burst_cell: int = 65536
    """Bytes of the ZeroMQ frame of a burst cell."""
    pace: Pace = "max"
    max_rate: int = 0
    """Bytes per second that a node may emit on each link; 0 is unlimited. Flock-wide."""
    min_view: int = 2
    settle_ms: int = 100
    rest_mean_ms: int = 2000
    stall_timeout_ms: int = 5000
    window: int = WINDOW
    """W: cells of a lane that may be under way at pace `max`. Flock-wide."""
    knock: tuple[str, ...] = ()
    """Endpoints that are not ours, though the keystore has our own key for them."""
    timing: BurstTiming = ON_DEMAND
    """When bursts happen. Flock-wide."""
    programme_bytes: int = PROGRAMME_BYTES
    """Of each burst after a join, on every link; 0: no such bursts. Equal on all nodes, and no
    setting of a user."""
    socks: str = ""
    """`host:port` of a SOCKS5 proxy for outgoing links, or empty."""

    @property
    def own_lane(self) -> int:
        """Index of this node in `members`."""
        return next(i for i, member in enumerate(self.members) if member.uid == self.own_uid)

    @property
    def tick_ns(self) -> int:
        """How often a burst at pace `max` looks whether cells may leave."""
        window_ns = self.window * self.burst_cell * 1_000_000_000 // TICK_BYTES_PER_SECOND
        return max(LEAST_TICK_NS, min(TICK_NS, window_ns))

    @property
    def burst_pace(self) -> BurstPace:
        """How the cells of bursts leave."""
        timeout_ns = self.stall_timeout_ms * 1_000_000
        return BurstPace(self.pace, self.window, timeout_ns, self.tick_ns)

    @property
    def programme_cells(self) -> int:
        """Cells of each burst after a join; 0 where bursts happen anyway."""
        if self.timing.kind != "on-demand" or not self.programme_bytes:
            return 0
        return programme_cells(self.programme_bytes, self.burst_cell, self.max_rate)

    @property
    def parameters(self) -> Parameters:
        """What the agreement is told of them."""
        return Parameters(
            len(self.members),
            self.own_lane,
            self.min_view,
            self.period_ms,
            self.rest_mean_ms,
            self.programme_cells,
        )

    @property
    def period_ns(self) -> int:
        """One round of the idle gear."""
        return self.period_ms * 1_000_000
