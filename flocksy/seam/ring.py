"""A ring of fixed slots in shared memory for one producer and one consumer.

Theory of operation. `head` counts the slots ever published, `tail` those ever released; both only
grow (64 bits last for ever). The producer alone writes `head`, the consumer alone `tail`, each on
a cache line of its own. A slot belongs to the producer while `head - tail < slots`, to the
consumer while `head > tail`; so nobody ever waits for a lock of the other process, and a process
killed at any instruction leaves the ring whole.

Which slot goes out next is not fixed: `order` says for each published position which slot it is,
and the producer takes the one that was given back last. So a consumer that keeps up sees the same
few slots again and again, in the processor's cache, and not megabytes of memory in turn.

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
    return COUNTER_BYTES + _order_bytes(slots) + slots * slot_bytes


def _order_bytes(slots: int) -> int:
    return -(-8 * slots // 64) * 64


class Ring:
    """One end of a ring; the same class serves producer and consumer.

    `memory` is the ring's part of the shared memory, zeroed when it is new.
    """

    __slots__ = ("_counters", "_fence", "_free", "_order", "_reserved", "_seen", "_slots", "slots")

    def __init__(self, memory: memoryview, slots: int, slot_bytes: int) -> None:
        assert slot_bytes % 64 == 0
        assert len(memory) == ring_bytes(slots, slot_bytes)
        self.slots = slots
        self._fence = threading.Lock()
        self._counters = memory[:COUNTER_BYTES].cast("Q")
        begin = COUNTER_BYTES + _order_bytes(slots)
        self._order = memory[COUNTER_BYTES:begin].cast("Q")
        body = memory[begin:]
        self._slots = [body[i * slot_bytes : (i + 1) * slot_bytes] for i in range(slots)]
        body.release()
        # The producer's own: free slots, last given back last, and up to which position it knows.
        self._free = list(range(slots - 1, -1, -1))
        self._seen = 0
        self._reserved: int | None = None

    @property
    def filled(self) -> int:
        """Slots published and not yet released."""
        with self._fence:
            return self._counters[_HEAD] - self._counters[_TAIL]

    @property
    def free(self) -> int:
        """Slots that can still be published."""
        return self.slots - self.filled

    def reserve(self) -> memoryview | None:
        """The slot to fill next, or None while the ring is full.

        The caller fills it and then calls `publish`; asking again without it gives the same slot.
        """
        if self._reserved is not None:
            return self._slots[self._reserved]
        with self._fence:
            tail = self._counters[_TAIL]
        while self._seen < tail:
            self._free.append(self._order[self._seen % self.slots])
            self._seen += 1
        if not self._free:
            return None
        self._reserved = self._free.pop()
        return self._slots[self._reserved]

    def publish(self) -> None:
        """Hand the reserved slot to the consumer."""
        assert self._reserved is not None
        head = self._counters[_HEAD]
        self._order[head % self.slots] = self._reserved
        self._reserved = None
        with self._fence:
            self._counters[_HEAD] = head + 1

    def peek(self) -> memoryview | None:
        """The oldest published slot, or None while there is none.

        The consumer uses it and then calls `release`; until then it stays.
        """
        with self._fence:
            tail = self._counters[_TAIL]
            if self._counters[_HEAD] <= tail:
                return None
        return self._slots[self._order[tail % self.slots]]

    def release(self) -> None:
        """Give the oldest published slot back to the producer."""
        with self._fence:
            self._counters[_TAIL] += 1

    def close(self) -> None:
        """Let go of the shared memory (it cannot be closed while views of it exist)."""
        self._counters.release()
        self._order.release()
        for slot in self._slots:
            slot.release()
        self._slots.clear()
