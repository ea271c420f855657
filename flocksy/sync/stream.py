"""Messages in slots: many small ones in one, or one over many, and a reader that survives gaps.

A slot is a fixed piece of memory that travels as a cell's payload. Layout, little endian:

    flags u8 | used u32 | first u32 | `used` bytes of stream | padding

The stream of a lane is a sequence of frames: length u32, then that many bytes of message. A length
is never cut by the end of a slot: with fewer than five bytes left the rest is padding. `first` is
where in the stream bytes of this slot the first frame begins (`NO_FRAME`: none does). That is all
a reader needs to go on after a gap: it drops what it has and skips to `first`. If `first` is 0
while a message is under way, the writer has given that message up.

Flag 1, *cover*: what follows is nobody's. A reader leaves it alone, and the stream goes on behind
it as if it had not been there. So it does with a head of zeros: that is what the wire, which knows
nothing of streams, puts into a slot that nobody filled.

What an observer could see: nothing. A slot has its full size whatever is in it.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Sequence

from flocksy.errors import HostileInput
from flocksy.sync.version import Buffer

MAX_MESSAGE_BYTES = 4 << 20  # twice the largest chunk; memory per lane and gear in a reader
SLOT_HEAD_BYTES = 9
MIN_SLOT_BYTES = SLOT_HEAD_BYTES + 64  # below, a message would be mostly heads
NO_FRAME = 0xFFFFFFFF

_HEAD = struct.Struct("<BII")
_LENGTH = struct.Struct("<I")
_COVER = 1

Message = Buffer | Sequence[Buffer]
"""One message, whole or as parts that are to be joined."""


class StreamWriter:
    """Fills slots of one lane and gear. Holds at most one message: the one that is under way."""

    def __init__(self) -> None:
        self._parts: list[memoryview] = []  # what is left of the message under way
        self._part = 0
        self._offset = 0  # within the current part
        self._left = 0  # bytes left of the whole message

    @property
    def left(self) -> int:
        """Bytes of the message under way that no slot has taken yet."""
        return self._left

    def reset(self) -> None:
        """Give up the message under way (a burst was aborted, the view shrank). The next slot
        begins with a new one, which tells the readers."""
        self._parts = []
        self._part = self._offset = self._left = 0

    def fill(self, slot: memoryview, next_message: Callable[[int], Message | None]) -> int:
        """Fill the slot from the message under way and then from `next_message(room)`.

        `room`: bytes of message that still fit into this slot. None: there is nothing for now, the
        rest is padding. Returns the number of stream bytes; 0 makes it a cover slot.
        """
        assert len(slot) >= MIN_SLOT_BYTES
        at, end = SLOT_HEAD_BYTES, len(slot)
        first = NO_FRAME
        if self._left:
            at = self._copy(slot, at, end)
        while end - at > _LENGTH.size:
            message = next_message(end - at - _LENGTH.size)
            if message is None:
                break
            length = self._take(message)
            if first == NO_FRAME:
                first = at - SLOT_HEAD_BYTES
            _LENGTH.pack_into(slot, at, length)
            at = self._copy(slot, at + _LENGTH.size, end)
        used = at - SLOT_HEAD_BYTES
        _HEAD.pack_into(slot, 0, 0 if used else _COVER, used, first)
        return used

    @staticmethod
    def cover(slot: memoryview) -> memoryview:
        """Make the slot cover. Returns where bytes may be put so that cover costs what real costs:
        nobody looks at them."""
        _HEAD.pack_into(slot, 0, _COVER, 0, NO_FRAME)
        return slot[SLOT_HEAD_BYTES:]

    def _take(self, message: Message) -> int:
        if isinstance(message, bytes | bytearray | memoryview):
            self._parts = [memoryview(message)]
        else:
            self._parts = [memoryview(part) for part in message]
        self._part = self._offset = 0
        self._left = sum(map(len, self._parts))
        assert 0 < self._left <= MAX_MESSAGE_BYTES, "a message of impossible length"
        return self._left

    def _copy(self, slot: memoryview, at: int, end: int) -> int:
        while self._left and at < end:
            part = self._parts[self._part]
            count = min(len(part) - self._offset, end - at)
            slot[at : at + count] = part[self._offset : self._offset + count]
            at += count
            self._offset += count
            self._left -= count
            if self._offset == len(part):
                self._part += 1
                self._offset = 0
        if not self._left:
            self.reset()
        return at


class StreamReader:
    """Gathers the messages of one lane and gear. Holds at most one message under way."""

    def __init__(self) -> None:
        self._message: bytearray | None = None  # under way, as far as it has come
        self._length = 0  # that it will have
        self._lost = True  # until a frame begins: a reader may come in the middle

    @property
    def left(self) -> int:
        """Bytes that the message under way still lacks; 0 if none is."""
        return 0 if self._message is None else self._length - len(self._message)

    def feed(self, slot: memoryview, gap: bool) -> list[Buffer]:
        """The messages that this slot completes, each a buffer of its own.

        `gap`: slots before this one are missing. Raises `HostileInput` for a slot that no honest
        writer makes; the reader then goes on at the next frame that begins, as after a gap.
        """
        if gap:
            self._lose()
        try:
            return self._feed(slot)
        except HostileInput:
            self._lose()
            raise

    def _lose(self) -> None:
        self._message = None
        self._lost = True

    def _feed(self, slot: memoryview) -> list[Buffer]:
        if len(slot) < MIN_SLOT_BYTES:
            raise HostileInput("slot of impossible length")
        flags, used, first = _HEAD.unpack_from(slot)
        if flags & ~_COVER or used > len(slot) - SLOT_HEAD_BYTES:
            raise HostileInput("slot head of impossible values")
        if flags & _COVER or not any((flags, used, first)):
            return []
        if first != NO_FRAME and first + _LENGTH.size >= used:
            raise HostileInput("slot whose first frame does not fit")
        end = SLOT_HEAD_BYTES + used
        at = SLOT_HEAD_BYTES
        found: list[Buffer] = []
        if self._lost:
            if first == NO_FRAME:
                return found
            at += first
            self._lost = False
        elif self._message is not None and first != 0:
            at = self._append(slot, at, end, found)
            begins = at - SLOT_HEAD_BYTES if at < end else NO_FRAME
            if first != begins:
                raise HostileInput("slot that does not go on where the last one ended")
        elif first != (0 if used else NO_FRAME):
            raise HostileInput("slot that begins in the middle of nothing")
        else:
            self._message = None
        while at < end:
            if end - at <= _LENGTH.size:
                raise HostileInput("slot that ends within a frame's length")
            (length,) = _LENGTH.unpack_from(slot, at)
            if not 0 < length <= MAX_MESSAGE_BYTES:
                raise HostileInput("message of impossible length")
            at += _LENGTH.size
            if length <= end - at:
                found.append(bytes(slot[at : at + length]))
                at += length
            else:
                # Grows with what comes: a length alone must not make anybody reserve 4 MiB.
                self._message, self._length = bytearray(), length
                at = self._append(slot, at, end, found)
        return found

    def _append(self, slot: memoryview, at: int, end: int, found: list[Buffer]) -> int:
        assert self._message is not None
        count = min(self._length - len(self._message), end - at)
        self._message += slot[at : at + count]
        if len(self._message) == self._length:
            found.append(self._message)
            self._message = None
        return at + count
