"""A network in memory under virtual time, behind the same port as the real links.

The simulator owns time: it decides how long each cell is under way, or that it is lost, and calls
`turn` of the emitters at the instants they ask for or when something arrives.
"""

from __future__ import annotations

import heapq
from collections import deque
from collections.abc import Callable

from flocksy.wire.emitter import Emitter

Delay = Callable[[int, int, int], int | None]
"""(from lane, to lane, now ns) → ns under way, None for lost."""


class MemoryPort:
    """One node's end."""

    def __init__(self, network: MemoryNetwork, lane: int) -> None:
        self._network = network
        self._lane = lane
        self.arrived: dict[int, deque[bytes]] = {}

    def send(self, cell: memoryview) -> None:
        """Put one cell on every link."""
        self._network.carry(self._lane, bytes(cell))

    def receive(self, lane: int, buffer: memoryview) -> int:
        """The next cell of a lane into `buffer`; its size, 0 when there is none."""
        queue = self.arrived.get(lane)
        if not queue:
            return 0
        cell = queue.popleft()
        fitting = min(len(cell), len(buffer))
        buffer[:fitting] = cell[:fitting]
        return len(cell)

    def serve(self) -> None:
        """Nothing to be answered here."""

    def link_state(self, lane: int) -> str:  # noqa: ARG002
        """Links in memory are always up."""
        return ""

    def told(self, lane: int, endpoint: str) -> None:
        """And need no other address."""

    def address(self, lane: int) -> tuple[str, str]:  # noqa: ARG002
        """Nor have they any."""
        return "", ""

    def complaints(self) -> list[str]:
        """Nor do they complain."""
        return []


class MemoryNetwork:
    """All links of a flock, and the virtual clock."""

    def __init__(self, lanes: int, delay: Delay, now_ns: int = 0) -> None:
        self.now_ns = now_ns
        self.delay = delay
        self.ports = [MemoryPort(self, lane) for lane in range(lanes)]
        self.sent: list[list[tuple[int, int]]] = [[] for _ in range(lanes)]
        """(instant, frame length) of every cell, by lane: what an observer of the network has."""
        self._under_way: list[tuple[int, int, int, int, bytes]] = []
        self._count = 0
        self._last: dict[tuple[int, int], int] = {}

    def carry(self, source: int, cell: bytes) -> None:
        """A cell goes out on all links of a lane. A link keeps the order of its cells."""
        self.sent[source].append((self.now_ns, len(cell)))
        for target in range(len(self.ports)):
            delay_ns = self.delay(source, target, self.now_ns) if target != source else None
            if delay_ns is None:
                continue
            arrival = max(self.now_ns + delay_ns, self._last.get((source, target), 0))
            self._last[source, target] = arrival
            self._count += 1
            heapq.heappush(self._under_way, (arrival, self._count, source, target, cell))

    def run(
        self,
        emitters: list[Emitter | None],
        until_ns: int,
        between: Callable[[], bool] = lambda: False,
    ) -> bool:
        """Let virtual time pass. None stands for a node that is down.

        `between` is called after every instant, for the boxes; True ends the run early, and the
        result says whether it did.
        """
        due = [self.now_ns] * len(emitters)
        while self.now_ns < until_ns:
            for lane, emitter in enumerate(emitters):
                if emitter is not None and not emitter.ended and due[lane] <= self.now_ns:
                    due[lane] = emitter.turn(self.now_ns)
            if between():
                return True
            self.now_ns = self._next_instant(emitters, due, until_ns)
            while self._under_way and self._under_way[0][0] <= self.now_ns:
                _, _, source, target, cell = heapq.heappop(self._under_way)
                self.ports[target].arrived.setdefault(source, deque()).append(cell)
                due[target] = self.now_ns
        return False

    def _next_instant(self, emitters: list[Emitter | None], due: list[int], until_ns: int) -> int:
        instants = [
            instant
            for instant, emitter in zip(due, emitters, strict=True)
            if emitter is not None and not emitter.ended
        ]
        if self._under_way:
            instants.append(self._under_way[0][0])
        return max(self.now_ns, min([*instants, until_ns]))
