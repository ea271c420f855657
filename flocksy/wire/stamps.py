"""Is it really us whom the others hear? Every heartbeat gives back the stamp of the newest cell of
every lane. A stamp on *our* lane that we never made was made by somebody else with our private key.

A foreign stamp or two can be left from before our start. New ones, again and again, are not.
"""

from __future__ import annotations

from flocksy.wire.limits import OWN_STAMPS, TWIN_NS, TWIN_STAMPS


class OwnStamps:
    """The stamps of our newest heartbeats, and the foreign ones that were given back to us."""

    def __init__(self, lanes: int) -> None:
        self._made: dict[int, None] = {}  # in order
        self._last = [0] * lanes
        self._foreign = [0] * lanes
        """Different foreign stamps that a lane gave back in a row."""
        self._seen_ns: int | None = None

    def made(self, sent_us: int) -> None:
        """A heartbeat of ours bears this stamp."""
        # As it comes back: `FlockClock.heard` puts 1 where 0 would mean "no echo".
        self._made[sent_us & 0xFFFFFFFF or 1] = None
        if len(self._made) > OWN_STAMPS:
            del self._made[next(iter(self._made))]

    def given_back(self, lane: int, sent_us: int, now_ns: int) -> None:
        """A member says that the newest cell of our lane bore this stamp (low 32 bits)."""
        if sent_us == self._last[lane]:
            return
        self._last[lane] = sent_us
        if sent_us in self._made:
            self._foreign[lane] = 0
            return
        self._foreign[lane] += 1
        if self._foreign[lane] >= TWIN_STAMPS:
            self._seen_ns = now_ns

    def twin(self, now_ns: int) -> bool:
        """Whether others have lately heard somebody else under our key."""
        return self._seen_ns is not None and now_ns - self._seen_ns < TWIN_NS
