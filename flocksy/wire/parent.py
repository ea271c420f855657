"""The box process as the wire process sees it: there, or gone."""

from __future__ import annotations

from flocksy.seam.joint import WireSeam
from flocksy.wire.limits import LEAVE_NS


class Parent:
    """Whether the box process lives; once it is gone, the time to leave is bounded."""

    def __init__(self, seam: WireSeam) -> None:
        self._seam = seam
        self._gone_ns: int | None = None
        self.given_up = False
        """It has been gone for too long to end a burst for its sake."""

    def lives(self, now_ns: int) -> bool:
        """Look, once a round."""
        if self._seam.poll() and self._gone_ns is None:
            return True
        if self._gone_ns is None:
            self._gone_ns = now_ns
        self.given_up = now_ns - self._gone_ns > LEAVE_NS
        return False
