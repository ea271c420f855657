"""Clocks of the nodes: none of them is right, and some of them jump.

Virtual time is the simulator's own, in ns. A node's monotonic clock runs a little fast or slow
against it, and goes on while the machine sleeps; its wall clock is that plus an error.
"""

from __future__ import annotations

WALL_NS = 1_700_000_000_000_000_000
"""The wall clock at virtual time 0, for who has it right."""

_MILLION = 1_000_000


class LocalClock:
    """The clocks of one node."""

    def __init__(self, local_ns: int, ppm: int = 0) -> None:
        self._local_ns = local_ns
        self._virtual_ns = 0
        self._ppm = ppm
        self.wall_error_ns = 0
        self._began_ns = local_ns

    def local(self, virtual_ns: int) -> int:
        """The monotonic clock of the node at that instant."""
        passed_ns = virtual_ns - self._virtual_ns
        return self._local_ns + passed_ns * (_MILLION + self._ppm) // _MILLION

    def virtual(self, local_ns: int) -> int:
        """The first instant at which the monotonic clock shows at least that."""
        passed_ns = local_ns - self._local_ns
        return self._virtual_ns - (-passed_ns * _MILLION // (_MILLION + self._ppm))

    def wall(self, virtual_ns: int) -> int:
        """The wall clock of the node at that instant."""
        return WALL_NS + self.local(virtual_ns) - self._began_ns + self.wall_error_ns

    def drift(self, virtual_ns: int, ppm: int) -> None:
        """From now on the clock runs by so much too fast."""
        self._local_ns = self.local(virtual_ns)
        self._virtual_ns = virtual_ns
        self._ppm = ppm
