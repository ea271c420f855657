"""From a capture to what an observer can name: bursts, cells, heartbeats, acknowledgements.

All lengths are public (docs/protocol.md): a segment is part of a heartbeat, of a keep-alive or of
a burst, and the bytes of a burst are cells of one length from its first byte on. No heartbeat
leaves in a burst and some leave between two, so that is where one ends.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.pcap import ACK, RST, SYN, Segment, segments

CURVE_BYTES = 33 + 9
"""What CURVE and ZMTP (a long frame's head) put around a message."""
KEEPALIVES = frozenset({40, 42})
INTO_CELL = 512
"""Bytes of some ten keep-alives, and fewer than any first segment of a cell has."""
PAUSE_S = 0.05
"""Two bursts are at least so far apart: they settle, and agree on the next one."""
Array = np.ndarray[Any, np.dtype[Any]]

TIME, BYTES, HOPS, SERVICE, IDENTIFICATION, STAMP = range(6)
"""Columns of `Lane.data`."""
WINDOW, ACKNOWLEDGED = 1, 2
"""Columns of `Lane.back`, after `TIME`."""


@dataclass(slots=True)
class Way:
    """One direction of one link, while the capture is read."""

    data: list[Segment] = field(default_factory=list)
    pure: list[Segment] = field(default_factory=list)  # acknowledgements
    opened: list[int] = field(default_factory=list)  # ns
    broken: list[int] = field(default_factory=list)  # ns


@dataclass(frozen=True, slots=True)
class Lane:
    """What one node sends on one link. Times in seconds since `Traffic.origin_ns`."""

    heartbeats: Array
    data: Array
    """A row for every segment, see above for its columns."""
    back: Array
    """A row for every pure acknowledgement that its peer gives back."""
    again: Array
    """Times of retransmissions."""
    opened: Array
    """Times of attempts to connect, by whoever takes the lane."""
    broken: Array
    """Times of resets, either way."""
    stretches: tuple[tuple[Array, Array], ...]
    """Of each burst: when its segments left, and bytes of it that had left with each."""


@dataclass(frozen=True, slots=True)
class Burst:
    """One burst of all lanes."""

    start: float
    end: float
    cells: dict[tuple[int, int], Array]
    """By lane: when the first byte of each cell left."""

    @property
    def whole(self) -> bool:
        """Whether all lanes carried equally many cells of it."""
        return len({len(times) for times in self.cells.values()}) == 1


@dataclass(frozen=True, slots=True)
class Traffic:
    """All lanes of all links of a session: (from, to) as indexes of addresses."""

    origin_ns: int
    lanes: dict[tuple[int, int], Lane]
    bursts: tuple[Burst, ...]
    end: float
    """When the capture ends."""

    def seconds(self, ns: int) -> float:
        """A wall-clock time as one of the capture."""
        return (ns - self.origin_ns) / 1e9

    def quiet_before(self, at: float, most: float) -> float:
        """When the window before `at` begins: `most` seconds earlier, or when the last burst that
        ended by then did. Bursts are public, so this says nothing of any role."""
        return max([at - most, *(burst.end for burst in self.bursts if burst.end <= at)])

    def quiet_after(self, at: float, most: float) -> float:
        """Likewise when the window after `at` ends."""
        later = [burst.start for burst in self.bursts if burst.start > at]
        return min([at + most, self.end, *later])


def read(path: Path, addresses: tuple[str, ...], port: int, idle: int, burst: int) -> Traffic:
    """`idle`, `burst`: bytes of the cells."""
    number = {address: index for index, address in enumerate(addresses)}
    ways: dict[tuple[int, int, bool], Way] = defaultdict(Way)
    origin_ns = last_ns = 0
    for segment in segments(path):
        (source, sport), (target, _) = segment.source, segment.target
        if source not in number or target not in number:
            continue
        origin_ns = origin_ns or segment.ns
        last_ns = segment.ns
        way = ways[number[source], number[target], sport == port]
        if segment.flags & RST:
            way.broken.append(segment.ns)
        elif segment.flags & SYN:
            if not segment.flags & ACK:
                way.opened.append(segment.ns)
        elif segment.length:
            way.data.append(segment)
        else:
            way.pure.append(segment)
    lanes = {
        (a, b): _lane(way, ways[b, a, False], origin_ns, idle + CURVE_BYTES)
        for (a, b, lane), way in sorted(ways.items())
        if lane
    }
    found = _bursts(lanes, burst + CURVE_BYTES)
    return Traffic(origin_ns, lanes, found, (last_ns - origin_ns) / 1e9)


def _lane(way: Way, back: Way, origin_ns: int, idle: int) -> Lane:
    def seconds(values: list[int]) -> Array:
        return (np.array(values, dtype=np.int64) - origin_ns) / 1e9

    seen: set[tuple[int, int]] = set()
    heartbeats: list[int] = []
    again: list[int] = []
    rest: list[tuple[int, int]] = []
    for segment in way.data:
        # The other end's port tells connections apart: numbers of an old one may come again.
        key = segment.target[1], segment.sequence
        if key in seen:
            again.append(segment.ns)
            continue
        seen.add(key)
        if segment.length == idle:
            heartbeats.append(segment.ns)
        elif segment.length not in KEEPALIVES:
            rest.append((segment.ns, segment.length))
    beats = seconds(heartbeats)
    data = np.array(
        [(s.length, s.hops, s.service, s.identification, s.stamp) for s in way.data],
        dtype=np.float64,
    ).reshape(-1, 5)
    pure = np.array([(s.window, s.acknowledged) for s in back.pure], dtype=np.float64)
    return Lane(
        beats,
        np.column_stack([seconds([s.ns for s in way.data]), data]),
        np.column_stack([seconds([s.ns for s in back.pure]), pure.reshape(-1, 2)]),
        seconds(again),
        seconds(back.opened),
        seconds(sorted(way.broken + back.broken)),
        tuple(_stretches(seconds([ns for ns, _ in rest]), [size for _, size in rest], beats)),
    )


def _stretches(times: Array, sizes: list[int], beats: Array) -> list[tuple[Array, Array]]:
    """Cut where nothing of a burst left for a while and heartbeats did."""
    if not len(times):
        return []
    beats_before = np.searchsorted(beats, times)
    ends = np.flatnonzero((np.diff(times) > PAUSE_S) & (np.diff(beats_before) > 0)) + 1
    pieces = zip(np.split(times, ends), np.split(np.array(sizes), ends), strict=True)
    return [(piece, np.cumsum(size)) for piece, size in pieces]


def _bursts(lanes: dict[tuple[int, int], Lane], burst: int) -> tuple[Burst, ...]:
    """What overlaps in time is one burst. Handshakes are shorter than a cell."""
    pieces = [
        (times[0], times[-1], lane, _cells(times, sums, burst))
        for lane, found in lanes.items()
        for times, sums in found.stretches
        if round(sums[-1] / burst)
    ]
    pieces.sort(key=lambda piece: piece[:3])
    groups: list[list[tuple[float, float, tuple[int, int], Array]]] = []
    end = -1.0
    for piece in pieces:
        if piece[0] > end:
            groups.append([])
        groups[-1].append(piece)
        end = max(end, piece[1])
    return tuple(
        Burst(
            float(min(start for start, *_ in group)),
            float(max(end for _, end, *_ in group)),
            {
                lane: np.concatenate(
                    [np.empty(0), *(cells for *_, each, cells in group if each == lane)]
                )
                for lane in lanes
            },
        )
        for group in groups
    )


def _cells(times: Array, sums: Array, burst: int) -> Array:
    # Keep-alives that shared a segment with cells are counted as well: not to take the end of one
    # cell for the beginning of the next, a byte some way into it is looked for.
    inside = np.arange(round(sums[-1] / burst)) * burst + INTO_CELL
    first = np.searchsorted(sums, inside, side="right")
    return np.asarray(times[np.minimum(first, len(times) - 1)])
