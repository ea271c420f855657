"""The network between the nodes, which does what networks do.

A link carries cells in one direction. What it does to them is set by faults: cut it, lose some,
delay them, let them overtake each other, carry them twice, change their bytes.
"""

from __future__ import annotations

import random
from collections import Counter, deque
from collections.abc import Callable
from dataclasses import dataclass

MS = 1_000_000
DELAY_NS = 2 * MS
"""What a cell takes at least where nothing is wrong."""
FLIPS = 0.7
"""Where cells are spoilt so that they may still look like cells: how often only bits flip."""
FLIGHT_CELLS = 64
"""Cells that wait at a node that does not take them, per lane, before more are dropped."""


@dataclass(slots=True)
class Link:
    """One direction between two nodes."""

    up: bool = True
    delay_ns: int = DELAY_NS
    jitter_ns: int = MS
    loss: float = 0.0
    twice: float = 0.0
    overtake: float = 0.0
    """How often a cell may arrive before those sent earlier."""
    spoil: float = 0.0
    """How often bytes of a cell are changed."""
    last_ns: int = 0


Deliver = Callable[[int, int, int, bytes], None]
"""(instant, source, target, cell): have it arrive then."""


class Network:
    """All links of a flock."""

    def __init__(
        self, lanes: int, draw: random.Random, deliver: Deliver, distance_ns: int = 0
    ) -> None:
        """`distance_ns`: what one way takes longer on every link, whatever happens to it."""
        self.links = {(a, b): Link() for a in range(lanes) for b in range(lanes) if a != b}
        self.counts: Counter[str] = Counter()
        self.bitflips = False
        """Whether spoilt cells may still look like cells: as no link with CURVE would do it."""
        self.garbles = 0.0
        """How often a cell gets lost that the flock agrees by; such cells are late as well, by up
        to `garbled_ns`."""
        self.garbled_ns = 0
        self._distance_ns = distance_ns
        self._lanes = lanes
        self._draw = draw
        self._deliver = deliver

    def calm(self) -> None:
        """From now on every link does what it should."""
        self.garbles, self.garbled_ns = 0.0, 0
        for link in self.links.values():
            last_ns = link.last_ns
            link.__init__(last_ns=last_ns)  # type: ignore[misc]  # all but one field as when new

    def carry(self, source: int, cell: bytes, now_ns: int, *, agreeing: bool) -> None:
        """A node has put a cell on all its links. `agreeing`: it shows a need or a proposal."""
        draw, counts = self._draw, self.counts
        for target in range(self._lanes):
            if target == source:
                continue
            link = self.links[source, target]
            if not link.up:
                counts["cells cut off"] += 1
                continue
            if link.loss and draw.random() < link.loss:
                counts["cells lost"] += 1
                continue
            arrival_ns = (
                now_ns + self._distance_ns + link.delay_ns + draw.randrange(link.jitter_ns + 1)
            )
            is_late = link.delay_ns > DELAY_NS
            if agreeing and self.garbles:
                if draw.random() < self.garbles:
                    counts["cells lost while agreeing"] += 1
                    continue
                late_ns = draw.randrange(self.garbled_ns + 1)
                arrival_ns += late_ns
                is_late |= late_ns > 0
            counts["cells delayed"] += is_late
            if link.overtake and draw.random() < link.overtake:
                counts["cells overtaking"] += 1
            else:
                arrival_ns = link.last_ns = max(arrival_ns, link.last_ns)
            sent = cell
            if link.spoil and draw.random() < link.spoil:
                counts["cells spoilt"] += 1
                sent = self._spoilt(cell)
            self._deliver(arrival_ns, source, target, sent)
            if link.twice and draw.random() < link.twice:
                counts["cells twice"] += 1
                self._deliver(arrival_ns + draw.randrange(20 * MS), source, target, sent)

    def _spoilt(self, cell: bytes) -> bytes:
        draw = self._draw
        kind = 4 if self.bitflips and draw.random() < FLIPS else draw.randrange(4)
        if kind == 0:
            return cell[: draw.randrange(1, len(cell))]
        if kind == 1:
            return cell + bytes(draw.randrange(1, 64))
        if kind == 2:
            return draw.randbytes(len(cell))
        if kind == 3:
            return bytes(len(cell))
        changed = bytearray(cell)
        for _ in range(draw.randrange(1, 4)):
            changed[draw.randrange(min(400, len(cell)))] ^= 1 << draw.randrange(8)
        return bytes(changed)


class SimulatedPort:
    """One node's end of all its links, as the emitter sees it."""

    def __init__(
        self, lanes: int, send: Callable[[bytes], None], taken: Callable[[int, int], None]
    ) -> None:
        """`taken`: told the lane of every cell that is taken, and when it was sent."""
        self._send = send
        self._taken = taken
        self._arrived: list[deque[tuple[bytes, int]]] = [deque() for _ in range(lanes)]
        self.dropped = 0

    def send(self, cell: memoryview) -> None:
        """Put one cell on every link."""
        self._send(bytes(cell))

    def arrive(self, lane: int, cell: bytes, sent_ns: int) -> None:
        """The network has carried a cell here."""
        queue = self._arrived[lane]
        if len(queue) >= FLIGHT_CELLS:
            self.dropped += 1
            return
        queue.append((cell, sent_ns))

    def receive(self, lane: int, buffer: memoryview) -> int:
        """The next cell of a lane into `buffer`; its size, 0 when there is none."""
        queue = self._arrived[lane]
        if not queue:
            return 0
        cell, sent_ns = queue.popleft()
        self._taken(lane, sent_ns)
        fitting = min(len(cell), len(buffer))
        buffer[:fitting] = cell[:fitting]
        return len(cell)

    def serve(self) -> None:
        """No handshakes here."""

    def link_state(self, _: int) -> str:
        """A link says nothing about itself."""
        return ""

    def told(self, lane: int, endpoint: str) -> None:
        """It has no address."""

    def address(self, _: int) -> tuple[str, str]:
        """None at all."""
        return "", ""

    def complaints(self) -> list[str]:
        """Nor does it complain."""
        return []
