"""A ring of fixed slots in shared memory for one producer and one consumer.

Theory of operation. `head` counts the slots ever published, `tail` those ever released; both only
grow (64 bits last for ever). The producer alone writes `head`, the consumer alone `tail`, each on
a cache line of its own. A slot belongs to the producer while `head - tail < slots`, to the
consumer while `head > tail`; so nobody ever waits for a lock of the other process, and a process
killed at any instruction leaves the ring whole.

A counter is stored by one aligned 8-byte store. On processors that reorder stores (arm64) the
slot's bytes must be visible before the counter is: every counter access is done under an
uncontended lock of the accessing process, whose acquire and release are full enough fences.
"""

from __future__ import annotations

import threading

COUNTER_BYTES = 128
"""Two counters, one per 64-byte cache line."""

_HEAD, _TAIL = 0, 8


def ring_bytes(slots: int, slot_bytes: int) -> int:
    """The memory a ring of this shape takes. `slot_bytes` must be a multiple of 64."""
    return COUNTER_BYTES + slots * slot_bytes


class Ring:
    """One end of a ring; the same class serves producer and consumer.

    `memory` is the ring's part of the shared memory, zeroed when it is new.
    """

    __slots__ = ("_counters", "_fence", "_slots", "slots")

    def __init__(self, memory: memoryview, slots: int, slot_bytes: int) -> None:
        assert slot_bytes % 64 == 0
        assert len(memory) == ring_bytes(slots, slot_bytes)
        self.slots = slots
        self._fence = threading.Lock()
        self._counters = memory[:COUNTER_BYTES].cast("Q")
        body = memory[COUNTER_BYTES:]
        self._slots = [body[i * slot_bytes : (i + 1) * slot_bytes] for i in range(slots)]
        body.release()

    @property
    def filled(self) -> int:
        """Slots published and not yet released."""
        with self._fence:
            return self._counters[_HEAD] - self._counters[_TAIL]

    @property
    def free(self) -> int:
        """Slots that can still be published."""
        return self.slots - self.filled

    def reserve(self, ahead: int = 0) -> memoryview | None:
        """The slot to fill next (or the one `ahead` after it), or None while the ring is full.

        The caller fills it and then calls `publish`; asking again without it gives the same slot.
        """
        with self._fence:
            head = self._counters[_HEAD] + ahead
            if head - self._counters[_TAIL] >= self.slots:
                return None
        return self._slots[head % self.slots]

    def publish(self) -> None:
        """Hand the reserved slot to the consumer."""
        with self._fence:
            self._counters[_HEAD] += 1

    def peek(self, ahead: int = 0) -> memoryview | None:
        """The oldest published slot (or the one `ahead` after it), or None while there is none.

        The consumer uses it and then calls `release`; until then it stays.
        """
        with self._fence:
            tail = self._counters[_TAIL] + ahead
            if self._counters[_HEAD] <= tail:
                return None
        return self._slots[tail % self.slots]

    def release(self) -> None:
        """Give the oldest published slot back to the producer."""
        with self._fence:
            self._counters[_TAIL] += 1

    def close(self) -> None:
        """Let go of the shared memory (it cannot be closed while views of it exist)."""
        self._counters.release()
        for slot in self._slots:
            slot.release()
        self._slots.clear()
