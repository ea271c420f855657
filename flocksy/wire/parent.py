"""The box process as the wire process sees it: there, gone, or standing still for good."""

from __future__ import annotations

from collections.abc import Callable

from flocksy.seam.joint import WireSeam
from flocksy.wire.limits import LEAVE_NS
from flocksy.wire.settings import WireSettings


def still_rounds(settings: WireSettings) -> int:
    """Looks that take a `stall_timeout`. Looks, and not time, in which this process may have stood
    still itself; and two at least."""
    return -(-settings.stall_timeout_ms * 1_000_000 // settings.period_ns) + 1


class Parent:
    """Whether the box process lives. Once it is gone, or was stopped for too long, that stays so,
    and the time to leave is bounded."""

    def __init__(
        self,
        seam: WireSeam,
        standstill: Callable[[], object] = lambda: None,
        rounds: int = 0,
    ) -> None:
        """`standstill`: something while that process is stopped, the same until it runs again, else
        None (`processes.standstill`). It stands still after so many `rounds` of the same."""
        self._seam = seam
        self._standstill = standstill
        self._rounds = rounds
        self._said: object = None
        self._seen = 0
        self._gone_ns: int | None = None
        self.stands_still = False
        """It was stopped, and nobody continued it: all would wait for it in every burst."""
        self.given_up = False
        """It has been gone for too long to end a burst for its sake."""

    def lives(self, now_ns: int) -> bool:
        """Look, once a round."""
        there = self._seam.poll() and not self._look()
        if there and self._gone_ns is None:
            return True
        if self._gone_ns is None:
            self._gone_ns = now_ns
        self.given_up = now_ns - self._gone_ns > LEAVE_NS
        return False

    def _look(self) -> bool:
        said = self._standstill()
        self._seen = self._seen + 1 if said == self._said else 1
        self._said = said
        if said is not None and self._seen >= self._rounds:
            self.stands_still = True
        return self.stands_still
