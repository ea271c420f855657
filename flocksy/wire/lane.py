"""What this node remembers of one lane between two cells."""

from __future__ import annotations

from dataclasses import dataclass, field

from flocksy.protocol.header import NO_ID


@dataclass(slots=True)
class Lane:
    """One member's lane as it comes in. The two gears are independent streams."""

    session: bytes | None = None
    expected: list[int] = field(default_factory=lambda: [0, 0])
    """Sequence number of the next cell, per gear."""
    gap: list[bool] = field(default_factory=lambda: [False, False])
    """Cells were lost since the last slot handed on, per gear."""
    cells_in: list[int] = field(default_factory=lambda: [0, 0])
    gaps: int = 0
    headers: list[tuple[int, int, bytes]] = field(default_factory=list)
    """(gear, monotonic ns of arrival, header) since the last round."""
    difference: str = ""
    """Why its cells cannot be used, for people."""
    restarted: bool = False
    """It shows another session than before: what was measured of its clock is void."""
    heard_ns: int = 0
    burst_id: bytes = NO_ID
    burst_next: int = 0
    burst_credit: int = 1
    burst_hole: bool = False
    """Where it stands in the burst it last showed: needed by who learns of the burst late.
    `burst_hole`: cells of that burst were lost before."""

    def follow(self, session: bytes, sequence: int, gear: int) -> bool:
        """A cell with this number came. False: it is old or came twice, drop it."""
        if session != self.session:
            if self.session is not None:
                self.gap = [True, True]
                self.gaps += 1
            self.session = session
            self.expected = [0, 0]
        if sequence < self.expected[gear]:
            return False
        if sequence > self.expected[gear]:
            self.lost(gear)
        self.expected[gear] = sequence + 1
        self.cells_in[gear] += 1
        return True

    def lost(self, gear: int) -> None:
        """A cell of this gear is missing, or had to be dropped."""
        if not self.gap[gear]:
            self.gap[gear] = True
            self.gaps += 1

    def take_gap(self, gear: int) -> bool:
        """Whether the slot handed on now follows a gap."""
        gap, self.gap[gear] = self.gap[gear], False
        return gap
