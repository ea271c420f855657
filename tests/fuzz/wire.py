"""Targets of the wire side as it runs: hostile frames from the sockets to the rings of the seam."""

from __future__ import annotations

import atexit
import struct
from collections import defaultdict, deque
from collections.abc import Iterable
from contextlib import nullcontext, suppress
from functools import cache

from flocksy.errors import HostileInput
from flocksy.protocol.cell import VERSION, header_bytes
from flocksy.protocol.clock import FlockClock
from flocksy.protocol.schedule import BurstRun
from flocksy.seam.joint import BoxSeam, Gear, WireSeam
from flocksy.seam.shape import SeamShape
from flocksy.sync.stream import StreamReader
from flocksy.wire.intake import Intake
from flocksy.wire.limits import PENDING_HEADERS
from flocksy.wire.settings import Member, WireSettings
from tests.fuzz.lanes import PARTS, ROUND, SETTINGS, cells, codec, name_proposal
from tests.fuzz.target import DEEPER, Feed, Target, instead

LANES = 3
IDLE_CELL, BURST_CELL = 448, 512
HEADER_BYTES = header_bytes(LANES)
BURST = b"burst id"
LENGTH = 128
WIRE = WireSettings(
    own_uid="a",
    public_key="",
    secret_key="",
    members=tuple(Member(uid, (), "") for uid in "abc"),
    bind=(),
    flock_settings=(("period_ms", "250"), ("members", '["a","b"]')),
    period_ms=250,
    idle_cell=IDLE_CELL,
    burst_cell=BURST_CELL,
)
_PREFIX = struct.Struct("<BBH16s")
_GEARS = frozenset(Gear)


class Sockets:
    """A port whose lanes say what the fuzzer likes."""

    def __init__(self) -> None:
        self.lanes = [deque[bytes]() for _ in range(LANES)]

    def send(self, cell: memoryview) -> None: ...

    def receive(self, lane: int, buffer: memoryview) -> int:
        if not self.lanes[lane]:
            return 0
        cell = self.lanes[lane].popleft()
        fits = cell[: len(buffer)]
        buffer[: len(fits)] = fits
        return len(cell)

    def serve(self) -> None: ...

    def told(self, lane: int, endpoint: str) -> None: ...

    def address(self, lane: int) -> tuple[str, str]:
        return "", str(lane)

    def link_state(self, lane: int) -> str:
        return str(lane)

    def complaints(self) -> list[str]:
        return []


@cache
def seam() -> tuple[BoxSeam, WireSeam]:
    """Both ends, for all inputs; its name is gone at once."""
    box = BoxSeam(SeamShape(LANES, 0, IDLE_CELL, BURST_CELL, HEADER_BYTES, WIRE.window))
    wire = WireSeam(box.handle())
    box.launched()
    assert box.poll() and box.attached
    atexit.register(box.close)
    atexit.register(wire.close)
    return box, wire


def frames(data: bytes) -> None:
    """Whatever comes out of the sockets: what is handed on has its size and lane, a reader of
    slots lives on it, the burst goes no further than it is long, nothing piles up."""
    _heard(Feed(data), 16)


def frame(data: bytes) -> None:
    """The same of one frame, and of the one after it."""
    _heard(Feed(data), 2)


def _heard(feed: Feed, most: int) -> None:
    box, wire = seam()
    sockets = Sockets()
    intake = Intake(WIRE, SETTINGS, wire, sockets)
    clock = FlockClock(LANES, 0, WIRE.period_ns, ROUND * WIRE.period_ns)
    run = BurstRun(BURST, 0b111, 0, 0, LENGTH, 0, WIRE.burst_pace)
    readers = defaultdict[tuple[int, int], StreamReader](StreamReader)
    now_ns = 0
    for _ in range(most):
        if not feed.left:
            break
        which = feed.number()
        lane = 1 + (which & 1)
        sockets.lanes[lane].append(_frame(feed))
        now_ns += WIRE.period_ns
        with instead((wire, "room", _no_room)) if which & 2 else nullcontext():
            intake.drain(now_ns, run)
        while (inbound := box.take()) is not None:
            assert inbound.lane == lane and inbound.gear in _GEARS
            size = box.burst_payload if inbound.gear == Gear.BURST else box.idle_payload
            assert len(inbound.payload) == size
            with suppress(HostileInput):
                readers[inbound.lane, inbound.gear].feed(inbound.payload, inbound.gap)
            inbound.payload.release()
            box.done()
        assert len(intake.lanes[lane].headers) <= PENDING_HEADERS
        assert 0 <= run.clear_until() - run.sent <= WIRE.window + 1
        if not run.all_sent and run.others_allow():
            run.emitted(run.credit(8, 16, LANES), now_ns)
        run.stalled(now_ns)
        if feed.number() & 1:
            intake.decoded(codec(LANES), clock)
    intake.decoded(codec(LANES), clock)
    assert intake.eligible(0b111) & 1
    for each in intake.lanes:
        assert len(each.difference) <= 80 and each.difference.isprintable()
    for lane in (1, 2):
        clock.right(lane, now_ns)


def _no_room() -> None:
    """The box process takes nothing for now, and the ring is full."""


def _frame(feed: Feed) -> bytes:
    """A frame: some bytes, or those of a cell of ours with some changed."""
    how = feed.number()
    gear = how & 1
    frame = bytearray((_IDLE, _BURST)[gear])
    for _ in range(how >> 1 & 3):
        at = feed.number(2) % len(frame)
        new = feed.take(1 << (feed.number() & 3))
        frame[at : at + len(new)] = new
    if how & 8:
        payload = feed.take(feed.number())
        frame[HEADER_BYTES : HEADER_BYTES + len(payload)] = payload
    if how & 16:
        _PREFIX.pack_into(frame, 0, VERSION, gear, HEADER_BYTES, SETTINGS.digest)
    if how & 32:
        name_proposal(frame)
    if how & 64:
        return bytes(frame[: feed.number(2) % (2 * BURST_CELL)])
    return bytes(frame[: (IDLE_CELL, BURST_CELL)[gear]])


def _padded(seed: bytes) -> bytes:
    return seed[1:].ljust(BURST_CELL, b"\0")


_OURS = [one for one in cells() if len(one) == HEADER_BYTES + 1]
_IDLE, _BURST = _padded(_OURS[0]), _padded(_OURS[1])


def frame_plans() -> Iterable[bytes]:
    """Heartbeats, burst cells, lost ones, short ones, other settings."""
    sequence_at = PARTS["hot"][0] - 8
    k_at = PARTS["hot"][0] + 8

    def numbered(gear: int, number: int) -> bytes:
        changes = sequence_at.to_bytes(2, "little") + b"\0" + bytes([number])
        changes += k_at.to_bytes(2, "little") + b"\0" + bytes([number if gear else 0])
        return bytes([0, gear | 4]) + changes + b"\1"

    yield b"".join(numbered(0, number) for number in (9, 10, 12, 11))
    yield b"".join(numbered(1, number) for number in (0, 1, 5))
    yield bytes([0, 8, 20]) + b"\0\5\0\0\0\0\0\0\0\1\0\0\0mmmmmmm" + bytes([1, 1, 64, 40, 0, 0])
    yield b"\2" + numbered(1, 0)[1:] + numbered(1, 1) + b"\2" + numbered(0, 9)[1:]
    yield bytes([1, 2, 4, 0, 0, 255, 1]) + bytes([1, 64, 100, 0, 0]) * 3


TARGETS = (
    Target("frame", "wire/intake.py", frame, frame_plans, 150),
    Target("frames", "wire/intake.py", frames, frame_plans, 500, goal=DEEPER),
)
