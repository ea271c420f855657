"""What a count is worth: intervals, corrections, and how much is enough."""

from __future__ import annotations

import math
from collections.abc import Sequence

Z = 1.96
GOAL = 0.08
"""Upper 95 % bound of the advantage that is wanted (docs/anonymity.md)."""
ENOUGH = 1200
"""Tested events for that bound which a build without leaks fails about once in thirty times, where
there are three answers or more."""
ENOUGH_OF_TWO = 2250
"""Likewise where there are two: of 1,200 it would fail one in five times."""


STEPS = 8
"""Parts of a row: the first is only learnt from, each other is tested by what has learnt from those
before it (see `judge`)."""


def flown(tested: int) -> int:
    """Events to be flown for so many to be tested."""
    return -(-tested * STEPS // (STEPS - 1))


def enough(classes: int) -> int:
    """Events that the bound takes, by how many answers are possible."""
    return ENOUGH_OF_TWO if classes == 2 else ENOUGH


def wilson(right: int, events: int) -> tuple[float, float, float]:
    """A share with its 95 % interval."""
    share = right / events
    middle = (share + Z * Z / (2 * events)) / (1 + Z * Z / events)
    spread = share * (1 - share) / events + Z * Z / (4 * events * events)
    half = Z / (1 + Z * Z / events) * math.sqrt(spread)
    return share, middle - half, middle + half


def advantage(share: float, classes: int) -> float:
    """Of a share of right answers over guessing: 0 is guessing, 1 is knowing."""
    chance = 1 / classes
    return (share - chance) / (1 - chance)


def holm(p: Sequence[float]) -> list[float]:
    """p-values corrected for how many there are."""
    corrected = [0.0] * len(p)
    most = 0.0
    for step, at in enumerate(sorted(range(len(p)), key=lambda at: p[at])):
        most = max(most, p[at] * (len(p) - step))
        corrected[at] = min(1.0, most)
    return corrected
