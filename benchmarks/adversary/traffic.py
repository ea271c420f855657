"""From a capture to what an observer can name: bursts, cells, heartbeats, acknowledgements.

All lengths are public (docs/protocol.md): a segment is part of a heartbeat, of a keep-alive or of
a burst, and the bytes of a burst are cells of one length from its first byte on.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.pcap import segments

CURVE_BYTES = 33 + 9
"""What CURVE and ZMTP (a long frame's head) put around a message."""
KEEPALIVES = frozenset({40, 42})
PAUSE_NS = 1_000_000_000
"""Between two bursts at least."""
Array = np.ndarray[Any, np.dtype[np.float64]]


@dataclass(slots=True)
class Way:
    """One direction of one link, while the capture is read."""

    data: list[tuple[int, int, int]] = field(default_factory=list)  # ns, bytes, sequence
    pure: list[tuple[int, int]] = field(default_factory=list)  # acknowledgements: ns, window


@dataclass(frozen=True, slots=True)
class Lane:
    """What one node sends on one link. Times in seconds since `Traffic.origin_ns`."""

    heartbeats: Array
    bursts: tuple[Array, ...]
    """For each burst the instant of the first byte of each cell."""
    data: Array
    """(time, bytes) of every segment."""
    back: Array
    """(time, window) of every pure acknowledgement that its peer gives back."""
    again: Array
    """Times of retransmissions."""


@dataclass(frozen=True, slots=True)
class Traffic:
    """All lanes of all links of a session: (from, to) as indexes of addresses."""

    origin_ns: int
    lanes: dict[tuple[int, int], Lane]

    def bursts(self, since: float, until: float) -> list[int]:
        """Indexes of the bursts whose first cell leaves in that time, by the first lane."""
        lane = self.lanes[min(self.lanes)]
        return [i for i, cells in enumerate(lane.bursts) if since <= cells[0] < until]


def read(path: Path, addresses: tuple[str, ...], port: int, idle: int, burst: int) -> Traffic:
    """`idle`, `burst`: bytes of the cells. Raises `ValueError` where two lanes differ in bursts."""
    number = {address: index for index, address in enumerate(addresses)}
    ways: dict[tuple[int, int, bool], Way] = defaultdict(Way)
    origin_ns = 0
    for segment in segments(path):
        (source, sport), (target, _) = segment.source, segment.target
        if source not in number or target not in number:
            continue
        origin_ns = origin_ns or segment.ns
        way = ways[number[source], number[target], sport == port]
        ns = segment.ns - origin_ns
        if segment.length:
            way.data.append((ns, segment.length, segment.sequence))
        else:
            way.pure.append((ns, segment.window))
    lanes = {
        (a, b): _lane(way, ways[b, a, False], idle + CURVE_BYTES, burst + CURVE_BYTES)
        for (a, b, lane), way in ways.items()
        if lane
    }
    counts = {tuple(len(cells) for cells in lane.bursts) for lane in lanes.values()}
    if len(counts) > 1:
        raise ValueError(f"{path}: lanes differ in their bursts: {counts}")
    return Traffic(origin_ns, lanes)


def _lane(way: Way, back: Way, idle: int, burst: int) -> Lane:
    seen: set[int] = set()
    heartbeats, again, stretches = [], [], []
    last_ns = -PAUSE_NS
    for ns, length, sequence in way.data:
        if sequence in seen:
            again.append(ns)
            continue
        seen.add(sequence)
        if length == idle:
            heartbeats.append(ns)
        elif length not in KEEPALIVES:
            if ns - last_ns > PAUSE_NS:
                stretches.append([(ns, length)])
            else:
                stretches[-1].append((ns, length))
            last_ns = ns
    bursts = []
    for stretch in stretches:
        times = np.array([ns for ns, _ in stretch], dtype=np.float64) / 1e9
        ends = np.cumsum([length for _, length in stretch])
        cells = round(ends[-1] / burst)
        if cells:  # handshakes are shorter than a cell
            first = np.searchsorted(ends, np.arange(cells) * burst, side="right")
            bursts.append(times[np.minimum(first, len(times) - 1)])
    data = np.array([(ns / 1e9, length) for ns, length, _ in way.data], dtype=np.float64)
    pure = np.array([(ns / 1e9, window) for ns, window in back.pure], dtype=np.float64)
    return Lane(
        np.array(heartbeats, dtype=np.float64) / 1e9,
        tuple(bursts),
        data.reshape(-1, 2),
        pure.reshape(-1, 2),
        np.array(again, dtype=np.float64) / 1e9,
    )
