"""What is to be said in heartbeats, until it is in their slots."""

from __future__ import annotations

from collections import deque

from flocksy.boxes.lanes.feed import Parts
from flocksy.seam.joint import BoxSeam
from flocksy.sync.stream import SLOT_HEAD_BYTES, StreamWriter

IDLE_SLOTS = 6
"""Heartbeats that a small change may take; what needs more waits for a burst."""

JOIN_SLOTS = 3
"""Likewise while bursts follow because somebody joined: one will be here before more have left."""

FRAME_BYTES = 4
"""Of a message's length, before it in the stream."""


class Heartbeats:
    """A queue of messages, and the slots that they are filled into."""

    def __init__(self, seam: BoxSeam) -> None:
        self._seam = seam
        self._writer = StreamWriter()
        self._queue: deque[Parts] = deque()
        self.bytes = 0
        """Of what waits."""
        self.own = False
        """Changes of our own are among what has not left."""

    @property
    def waiting(self) -> bool:
        """Whether anything has no slot yet."""
        return bool(self._queue)

    def room(self, *, joining: bool) -> int:
        """Bytes of messages that heartbeats may take besides what waits already."""
        slots = JOIN_SLOTS if joining else IDLE_SLOTS
        return slots * (self._seam.idle_payload - SLOT_HEAD_BYTES) - self.bytes

    def add(self, parts: Parts) -> None:
        """One message more."""
        self._queue.append(parts)
        self.bytes += size_of(parts)

    def drop(self) -> None:
        """Say nothing of what has no slot yet: it is said again when it has not come back."""
        self._queue.clear()
        self.bytes = 0

    def fill(self) -> None:
        """Fill slots ahead."""
        while self._queue or self._writer.left:
            slot = self._seam.idle_slot()
            if slot is None:
                return
            self._writer.fill(slot, self._next)
            slot.release()
            self._seam.publish_idle()
        if not self._seam.idle_ahead:
            self.own = False

    def _next(self, _: int) -> Parts | None:
        if not self._queue:
            return None
        parts = self._queue.popleft()
        self.bytes -= size_of(parts)
        return parts


def size_of(parts: Parts) -> int:
    """Bytes of the stream that a message takes."""
    return FRAME_BYTES + sum(map(len, parts))
