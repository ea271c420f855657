"""Where one member may be reached, and which of that is tried now (pure: `now` comes in).

A member has the endpoints it is configured with, and those that other members tell of. While the
link is down they take turns at a fixed pace; while it is up nothing changes. The member's key is
asked of whoever answers, so a false endpoint costs attempts and nothing else.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence

from flocksy.wire.limits import TOLD_ADDRESSES, TRY_ADDRESS_NS


class Candidates:
    """The endpoints of one member."""

    def __init__(self, configured: Sequence[str]) -> None:
        """The first of `configured` is tried first; there may be none."""
        self._configured = tuple(configured)
        self._told: deque[str] = deque(maxlen=TOLD_ADDRESSES)
        self.current = self._configured[0] if self._configured else ""
        """The one that is tried or used; empty where there is none."""
        self._since_ns: int | None = None

    def told(self, endpoint: str) -> None:
        """Somebody reaches the member there, or did."""
        if endpoint in self._configured:
            return
        if endpoint in self._told:
            self._told.remove(endpoint)
        elif self.current in self._told and len(self._told) == TOLD_ADDRESSES:
            # What is in use is not forgotten for what is only said.
            self._told.remove(self.current)
            self._told.append(self.current)
        self._told.append(endpoint)

    def moves(
        self, up: bool, now_ns: int, missing: Callable[[str], object] = lambda _: False
    ) -> bool:
        """To be called often. Whether `current` is another one from now on. `missing`: whether an
        endpoint has no address yet; its turn is for those that have one."""
        if up:
            self._since_ns = None
            return False
        if self._since_ns is None:
            self._since_ns = now_ns
        usable = [one for one in (*self._configured, *self._told) if not missing(one)]
        waits = self.current in usable and now_ns - self._since_ns < TRY_ADDRESS_NS
        if not usable or waits:
            return False
        self._since_ns = now_ns
        at = usable.index(self.current) + 1 if self.current in usable else 0
        before, self.current = self.current, usable[at % len(usable)]
        return self.current != before
