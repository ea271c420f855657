"""A member that plays valid lanes: a real wire process, and as little box as can be.

    python -m benchmarks.adversary.player CONTROL TESTED -c CONFIG

It flies like any member, fills its slots with cover from memory and looks at nothing that comes in,
so that it is never what a burst waits for: the node under test is. It says that it knows what
TESTED (an endpoint) says it knows, as a member would that is in sync with it. Through the named
pipe CONTROL it is told to prepare a new file, and then to send it: with need, burst and content as
a source has them.
"""

from __future__ import annotations

import os
import random
import select
import signal
import sys
import time
from collections.abc import Iterator
from types import FrameType

from flocksy.boxes.scan.chunking import cut
from flocksy.config.load import load
from flocksy.config.settings import BoxSettings, NodeSettings, Options
from flocksy.node.processes import wire_settings
from flocksy.seam.joint import Gear, Inbound
from flocksy.sync import messages
from flocksy.sync.content import Chunk, build_list
from flocksy.sync.messages import BOX_TAG_BYTES, Content, Encoding, Entry, Versions
from flocksy.sync.stream import Message, StreamWriter
from flocksy.sync.version import Kind, Version
from flocksy.testing.flock import TrivialBox

WAIT_S = 0.01
LOOKED_AT_S = (0.01, 0.07)
"""A node takes about so long from a change to its need: watcher, scan, commit."""
MODE = 0o644


def slots_of(box: BoxSettings, name: str, content: bytes, payload_bytes: int) -> list[bytes]:
    """The payloads of a burst that carries a new file, as a source fills them."""
    writer = StreamWriter()
    waiting: Iterator[Message] = _messages(box, name, content)
    filled: list[bytes] = []
    while True:
        slot = bytearray(payload_bytes)
        if not writer.fill(memoryview(slot), lambda _room: next(waiting, None)):
            return filled
        filled.append(bytes(slot))


def _messages(box: BoxSettings, name: str, content: bytes) -> Iterator[Message]:
    pieces = cut(content)
    chunks = build_list([Chunk(piece.id, piece.length) for piece in pieces])
    version = Version(Kind.FILE, MODE, time.time_ns(), len(content), chunks.root, 1, ())
    yield messages.encode(Versions(box.box_id[:BOX_TAG_BYTES], (Entry(name, version),)))
    for blob_id, blob in chunks.blobs():
        yield messages.encode(Content(blob_id, len(blob), Encoding.RAW, blob))
    for piece in pieces:
        data = content[piece.offset : piece.offset + piece.length]
        yield messages.encode(Content(piece.id, piece.length, Encoding.RAW, data))


class Player:
    """One player."""

    def __init__(self, settings: NodeSettings, tested: str) -> None:
        self._settings = settings
        self._wire = wire_settings(settings)
        self._tested = next(
            lane for lane, member in enumerate(settings.members) if tested in member.endpoints
        )
        self.box = TrivialBox(self._wire, self._fill, self._look)
        self._draw = random.Random()
        self._prepared: list[bytes] = []
        self._carried: list[bytes] = []
        """What the running or last burst carries: its repeat says it again."""
        self._send_at: float | None = None
        self._cover = b""

    def fly(self, control: int, stopping: list[int]) -> None:
        """Until a signal says otherwise."""
        self.box.start()
        slot = bytearray(self.box.seam.burst_payload)
        StreamWriter.cover(memoryview(slot))[:] = os.urandom(len(slot))[9:]
        self._cover = bytes(slot)
        while self.box.alive and not stopping:
            if self._send_at is not None and time.monotonic() >= self._send_at:
                self.box.need, self._send_at = len(self._prepared), None
            if not self.box.turn():
                ready = select.select([self.box.seam.fileno(), control], [], [], WAIT_S)[0]
                if control in ready:
                    self._told(os.read(control, 4096).decode())
        self.box.stop()

    def _told(self, text: str) -> None:
        for line in text.splitlines():
            match line.split():
                case ["prepare", name, size]:
                    content = self._draw.randbytes(int(size))
                    payload = self.box.seam.burst_payload
                    self._prepared = slots_of(self._settings.boxes[0], name, content, payload)
                case ["send"]:
                    # As long as any member waits before it shows its need (rule 8).
                    mean_s = self._settings.announce_delay_mean_ms / 1000
                    wait_s = self._draw.uniform(*LOOKED_AT_S) + self._draw.expovariate(1) * mean_s
                    self._send_at = time.monotonic() + wait_s
                case _:
                    raise ValueError(f"not a word for a player: {line}")

    def _fill(self, payload: memoryview, _burst_id: bytes, index: int) -> bool:
        burst = self.box.report.burst
        if index == 0 and not (burst is not None and burst.repeat):
            self._carried = self._prepared if self.box.need else []
            self.box.need = 0
        payload[:] = self._carried[index] if index < len(self._carried) else self._cover
        return True

    def _look(self, inbound: Inbound) -> None:
        if inbound.lane == self._tested and inbound.gear is Gear.IDLE:
            self.box.known = inbound.known


def main() -> None:
    """See the head."""
    control, tested, *flags = sys.argv[1:]
    settings = load(Options(config=flags[flags.index("-c") + 1]))
    stopping: list[int] = []

    def stop(number: int, _frame: FrameType | None) -> None:
        stopping.append(number)

    signal.signal(signal.SIGTERM, stop)
    # Read and write: so it has a writer at all times, and never an end.
    Player(settings, tested).fly(os.open(control, os.O_RDWR), stopping)


if __name__ == "__main__":
    main()
