"""When bursts happen: on demand, on a public timetable, or all the time.

On a timetable, and all the time, what a member shows as its need is the same public number for all
of them, whatever its boxes want. So the agreement runs as ever, and nothing of it, nor of the
bursts, depends on whether there is anything to be sent: changes are undetectable (design 4.2).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from flocksy.protocol.parameters import MIN_LEAD_ROUNDS

Kind = Literal["on-demand", "timetable", "constant"]

SLOT_ROUNDS = MIN_LEAD_ROUNDS + 1
"""How long after the instant of a timetable the need for its burst is raised. Who has no view by
then lets this one pass. No burst that was collected in that time is over before it has passed, so
that none is asked for twice."""


@dataclass(frozen=True, slots=True)
class BurstTiming:
    """`every`: rounds between two instants of a timetable, counted from the Unix epoch, so that
    anybody can know them. `cells`: of each burst on a timetable or all the time."""

    kind: Kind = "on-demand"
    every: int = 1
    cells: int = 0

    def need(self, round_: int, wanted: int) -> int:
        """The cells to ask for in this round, where the boxes want `wanted`."""
        if self.kind == "on-demand":
            return wanted
        if self.kind == "constant":
            return self.cells
        return self.cells if round_ % self.every < SLOT_ROUNDS else 0


ON_DEMAND = BurstTiming()
