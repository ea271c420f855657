"""Slots from the lanes become messages, and messages find their box.

All lanes take the same path, our own among them: what we sent ourselves is decoded, checked and
written like anybody's (design 4.3, rule 5). Nothing here trusts a byte: what is not a valid
message is dropped and counted, and the lane goes on with its next message.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import zstandard

from flocksy.errors import HostileInput
from flocksy.seam.joint import BoxSeam, Gear
from flocksy.sync import messages
from flocksy.sync.messages import Content, Encoding, Message
from flocksy.sync.stream import StreamReader
from flocksy.sync.version import Buffer


@dataclass(slots=True)
class _Lane:
    idle: StreamReader = field(default_factory=StreamReader)
    burst: StreamReader = field(default_factory=StreamReader)
    burst_id: bytes = b""


Heard = Callable[[int, bytes], None]
Handle = Callable[[int, Message], None]


class Inbox:
    """Takes slots from the seam and hands on what they hold."""

    def __init__(self, seam: BoxSeam, heard: Heard, handle: Handle) -> None:
        """`heard(lane, known)` for each heartbeat, `handle(lane, message)` for each
        message; `HostileInput` from `handle` is counted like that of a decoder."""
        self._seam = seam
        self._heard = heard
        self._handle = handle
        self._lanes = [_Lane() for _ in range(seam.lanes)]
        self.bad = [0] * seam.lanes
        """Messages and slots of each lane that were not valid."""
        self.carried_bytes = 0
        """Of messages in all lanes, our own among them; cover is not counted."""

    def drain(self, limit: int) -> int:
        """Take up to `limit` slots. Returns how many there were."""
        for count in range(limit):
            slot = self._seam.take()
            if slot is None:
                return count
            lane = self._lanes[slot.lane]
            if slot.gear is Gear.IDLE:
                self._heard(slot.lane, slot.known)
                reader = lane.idle
            else:
                if slot.burst_id != lane.burst_id:
                    lane.burst_id = slot.burst_id
                    lane.burst = StreamReader()
                reader = lane.burst
            found: Sequence[Buffer] = ()
            try:
                found = reader.feed(slot.payload, slot.gap)
            except HostileInput:
                self.bad[slot.lane] += 1
            slot.payload.release()
            self._seam.done()
            for data in found:
                self.carried_bytes += len(data)
                try:
                    self._handle(slot.lane, messages.decode(data))
                except HostileInput:
                    self.bad[slot.lane] += 1
        return limit


class Unpacker:
    """Unpacks chunks, never to more than they say, which `decode` has bounded."""

    def __init__(self) -> None:
        self._decompressor = zstandard.ZstdDecompressor()

    def unpack(self, content: Content) -> bytes | memoryview:
        """The bytes of the chunk. Raises `HostileInput`."""
        if content.encoding is Encoding.RAW:
            return memoryview(content.data)
        try:
            parameters = zstandard.get_frame_parameters(content.data)
            if parameters.content_size != content.raw_length:
                raise HostileInput("content that unpacks to another length than it says")
            return self._decompressor.decompress(content.data)
        except zstandard.ZstdError:
            raise HostileInput("content that does not unpack") from None
