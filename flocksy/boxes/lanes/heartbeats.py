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
        self.among = 0
        """The view (a bitmap) that was counted for the changes of our own that have not left; 0:
        there are none."""

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
        """Say nothing of what has no slot yet, nor the rest of what is half in one: it is said
        again when it has not come back."""
        self._queue.clear()
        self._writer.reset()
        self.bytes = self.among = 0

    def fill(self, *, bound: bool) -> None:
        """Fill slots ahead. `bound`: changes of our own may leave in no smaller view than was
        counted for them, not even once they have a slot."""
        while self._queue or self._writer.left:
            slot = self._seam.idle_slot()
            if slot is None:
                return
            self._writer.fill(slot, self._next)
            slot.release()
            self._seam.publish_idle(self.among if bound else 0)
        if not self._seam.idle_ahead:
            self.among = 0

    def _next(self, _: int) -> Parts | None:
        if not self._queue:
            return None
        parts = self._queue.popleft()
        self.bytes -= size_of(parts)
        return parts


def size_of(parts: Parts) -> int:
    """Bytes of the stream that a message takes."""
    return FRAME_BYTES + sum(map(len, parts))
