"""What the disk under a box can hold, as the probe found it."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Capabilities:
    """What one disk can hold. What it cannot hold is not a change.

    The planner looks at the first three; the rest is for those who decide what is `held` and how
    entries are recognised.
    """

    mode_bits: bool = True
    symlinks: bool = True
    mtime_grain_ns: int = 1
    case_folding: bool = False  # "A" and "a" are one entry
    normalising: bool = False  # composed and decomposed names are one entry
    stable_inodes: bool = True
