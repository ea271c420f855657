"""Asking for a burst: after a random delay, for as many cells as what waits takes (rule 8)."""

from __future__ import annotations

import random
from dataclasses import dataclass

MAX_BURST_BYTES = 1 << 30
"""A burst carries at most this much per lane (design 4.2); larger needs take several."""

MAX_DELAY_FACTOR = 10.0
"""The announcement delay is exponential, cut at so many times its mean."""


@dataclass(frozen=True, slots=True)
class Timing:
    """What the exchange needs of the settings."""

    announce_mean_s: float
    rest_mean_s: float
    period_s: float
    max_burst_bytes: int = MAX_BURST_BYTES
    outside_mean_s: float = 0.0
    """Of the delay of changes made while the node was in no view."""


class Announcing:
    """The need that this node states."""

    def __init__(self, timing: Timing, draw: random.Random) -> None:
        self._timing = timing
        self._draw = draw
        self._at: float | None = None
        self.need = 0
        """Cells; 0 while nothing is asked for."""

    def nothing(self) -> None:
        """Nothing waits for a burst, or one is here."""
        self._at, self.need = None, 0

    def wants(self, now: float, waiting: int, per_cell: int) -> None:
        """So many bytes wait, of which a cell takes `per_cell`."""
        if self._at is None:
            delay = self._draw.expovariate(1.0) * self._timing.announce_mean_s
            self._at = now + min(delay, MAX_DELAY_FACTOR * self._timing.announce_mean_s)
        if now >= self._at:
            size = min(waiting, self._timing.max_burst_bytes)
            self.need = max(1, -(-(size + size // 256) // per_cell))

    def deadline(self, now: float) -> float | None:
        """When the delay is over, while it runs."""
        return None if self._at is None or self._at <= now else self._at
