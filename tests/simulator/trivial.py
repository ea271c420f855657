"""A box side without boxes: it wants to send so and so many cells now and then.

It fills every slot it may with bytes that say what they are, and looks whether everything that
comes in is what its sender put in, and whether nothing is missing unsaid.
"""

from __future__ import annotations

from flocksy.protocol.header import Gear
from flocksy.seam.joint import BoxSeam
from flocksy.seam.report import BoxReport
from tests.simulator.checks import REAL, BrokenPromiseError


class Wish:
    """What a node would like to send. It outlives the node's processes."""

    def __init__(self) -> None:
        self.cells = 0
        self.checked_bytes = 0


class TrivialBox:
    """See the head of this module."""

    def __init__(self, seam: BoxSeam, wish: Wish, *, trusting: bool, in_parts: bool) -> None:
        """`in_parts`: what does not fit in one burst waits for the next (bursts are of a public
        length). Else one that is shorter than the wish has served nothing."""
        self._seam = seam
        self._wish = wish
        self._trusting = trusting
        self._in_parts = in_parts
        self._filled: tuple[bytes, int] = (b"", 0)
        self._next: dict[tuple[int, bytes], int] = {}
        self._last = b""
        self.leaving = False
        self.filling = True

    def turn(self, now_ns: int) -> int | None:
        """Take what came, fill what is free, say what is wanted."""
        del now_ns
        seam = self._seam
        seam.poll()
        report = seam.report()
        while (inbound := seam.take()) is not None:
            if inbound.gear == Gear.BURST and self._trusting:
                self._check(inbound.lane, inbound.burst_id, inbound.k, inbound.gap)
                head = bytes(inbound.payload[:16])
                real = REAL + inbound.lane.to_bytes(4, "little") + inbound.burst_id
                if head not in (bytes(16), real):
                    raise BrokenPromiseError(f"lane {inbound.lane} carried {head!r}")
                self._wish.checked_bytes += len(inbound.payload)
            inbound.payload.release()
            seam.done()
        if self.filling:
            self._fill()
        last, wish = report.last_burst, self._wish
        if last is not None and last.burst_id != self._last:
            self._last = last.burst_id
            if last.finished and self._filled[0] == self._last:
                if self._filled[1] >= wish.cells:
                    wish.cells = 0
                elif self._in_parts:
                    wish.cells -= self._filled[1]
        seam.state(BoxReport(need=wish.cells, known=REAL * 8, leaving=self.leaving))
        return None

    def _fill(self) -> None:
        seam = self._seam
        while (slot := seam.idle_slot()) is not None:
            slot[:4] = REAL
            slot.release()
            seam.publish_idle()
        burst = seam.report().burst
        if burst is None:
            return
        if self._filled[0] != burst.burst_id:
            self._filled = (burst.burst_id, 0)
        done = self._filled[1]
        head = REAL + seam.own_lane.to_bytes(4, "little") + burst.burst_id
        while done < burst.length and (slot := seam.burst_slot()) is not None:
            slot[:16] = head
            slot.release()
            seam.publish_burst(burst.burst_id)
            done += 1
        self._filled = (burst.burst_id, done)

    def _check(self, lane: int, burst: bytes, k: int, gap: bool) -> None:
        key = (lane, burst)
        expected = self._next.get(key)
        if expected is None and k:
            gap = gap or k > 0  # it came in the middle: what was before is not ours
        elif expected is not None and k != expected and not gap:
            raise BrokenPromiseError(f"lane {lane}: cell {k} of {burst.hex()} after {expected}")
        if len(self._next) > 256:
            self._next.clear()
        self._next[key] = k + 1

    def close(self) -> None:
        """Nothing to be closed."""

    def die(self) -> None:
        """Nor to be lost."""
