"""Both ends of a seam in one process."""

from __future__ import annotations

import os
import select
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from flocksy.errors import LimitExceeded
from flocksy.seam.joint import BoxSeam, Gear, WireSeam
from flocksy.seam.report import BoxReport, WireReport
from flocksy.seam.shape import SeamShape

SHAPE = SeamShape(lanes=3, own_lane=0, idle_cell=1024, burst_cell=8192, header=300, window=4)
BURST = b"burst-01"


@pytest.fixture
def seam() -> Iterator[tuple[BoxSeam, WireSeam]]:
    box = BoxSeam(SHAPE)
    wire = WireSeam(box.handle())
    box.launched()
    yield box, wire
    wire.close()
    box.close()


def test_slots_for_other_bursts_are_dropped(seam: tuple[BoxSeam, WireSeam]) -> None:
    box, wire = seam
    for burst_id, letter in ((b"burst-00", b"x"), (BURST, b"y")):
        payload = box.burst_slot()
        assert payload is not None and len(payload) == SHAPE.burst_cell - SHAPE.header
        payload[:1] = letter
        box.publish_burst(burst_id)
    cell = wire.burst_cell(BURST)
    assert cell is not None and len(cell) == SHAPE.burst_cell
    assert bytes(cell[SHAPE.header : SHAPE.header + 1]) == b"y"
    assert wire.burst_out.filled == 1


def test_a_received_cell_comes_out_with_all_that_is_known_of_it(
    seam: tuple[BoxSeam, WireSeam],
) -> None:
    box, wire = seam
    assert box.take() is None
    room = wire.room()
    assert room is not None
    room[: SHAPE.idle_cell] = bytes(SHAPE.header) + b"p" * (SHAPE.idle_cell - SHAPE.header)
    wire.received(2, Gear.IDLE, 77, bytes(8), 0, True, b"k" * 32)
    inbound = box.take()
    assert inbound is not None
    assert inbound[:7] == (2, Gear.IDLE, 77, bytes(8), 0, True, b"k" * 32)
    assert bytes(inbound.payload) == b"p" * box.idle_payload
    box.done()
    assert box.take() is None


@pytest.mark.skipif(sys.platform != "linux", reason="shared memory of Linux")
def test_all_memory_is_there_before_anybody_uses_it() -> None:
    box = BoxSeam(SHAPE)
    try:
        where = Path("/dev/shm") / box._memory.shared.name.lstrip("/")
        assert where.stat().st_blocks * 512 >= sum(SHAPE.sizes())
    finally:
        box.close()


def test_a_full_in_ring_gives_no_room_and_blocks_nobody(seam: tuple[BoxSeam, WireSeam]) -> None:
    box, wire = seam
    for _ in range(SHAPE.in_slots):
        assert wire.room() is not None
        wire.received(1, Gear.BURST, 1, BURST, 0, False, bytes(32))
    assert wire.room() is None
    box.done()
    assert wire.room() is not None


def test_the_memory_has_no_name_once_both_have_it(seam: tuple[BoxSeam, WireSeam]) -> None:
    box, _ = seam
    assert select.select([box], [], [], 5)[0]
    assert box.poll() and box.attached
    name = box._memory.shared.name
    assert not os.path.exists(f"/dev/shm/{name.lstrip('/')}")


@pytest.mark.skipif(not os.path.exists("/proc/self/smaps"), reason="Linux tells it")
def test_the_wire_meets_no_page_for_the_first_time_later() -> None:
    box = BoxSeam(SHAPE)
    box.state(BoxReport(need=5))
    name = box._memory.shared.name.lstrip("/")
    wire = WireSeam(box.handle())
    try:
        assert wire.box() == BoxReport(need=5), "what was there stays"
        told = Path("/proc/self/smaps").read_text().split(f"/dev/shm/{name}\n")[1:]
        assert len(told) == 2, "both ends are in this process"
        sizes = [int(one.split("Size:")[1].split()[0]) for one in told]
        assert max(int(one.split("Rss:")[1].split()[0]) for one in told) == sizes[0]
    finally:
        wire.close()
        box.launched()
        box.close()


def test_each_side_sees_the_other_go() -> None:
    box = BoxSeam(SHAPE)
    wire = WireSeam(box.handle())
    box.launched()
    assert box.poll() and wire.poll()
    wire.close()
    assert not box.poll()
    box.close()
    box = BoxSeam(SHAPE)
    wire = WireSeam(box.handle())
    box.launched()
    box.close()
    assert not wire.poll()
    wire.close()


def test_wake_ups_never_block(seam: tuple[BoxSeam, WireSeam]) -> None:
    box, wire = seam
    for _ in range(100_000):
        wire.wake_box()
    assert box.poll()


def test_reports_pass_both_ways(seam: tuple[BoxSeam, WireSeam]) -> None:
    box, wire = seam
    wire.tell(WireReport(status=100, state="ready", programme=2, away=5, joins=3), texts=True)
    report = box.report()
    assert (report.status, report.state) == (100, "ready")
    assert (report.programme, report.away, report.joins) == (2, 5, 3)
    box.state(BoxReport(need=5, leaving=True))
    assert wire.box() == BoxReport(need=5, leaving=True)


def test_a_flock_that_needs_too_much_memory_is_refused() -> None:
    with pytest.raises(LimitExceeded, match="burst_cell"):
        SeamShape(20, 0, 1024, 1 << 20, 300, 8).check()


def test_heartbeats_for_more_members_are_dropped(seam: tuple[BoxSeam, WireSeam]) -> None:
    box, wire = seam
    for letter, among in ((b"x", 0b111), (b"y", 0b011), (b"z", 0)):
        payload = box.idle_slot()
        assert payload is not None
        payload[:1] = letter
        payload.release()
        box.publish_idle(among)
    left = b""
    while (cell := wire.idle_cell(0b011)) is not None:
        left += bytes(cell[SHAPE.header : SHAPE.header + 1])
        cell.release()
        wire.idle_out.release()
    assert left == b"yz"
    assert wire.idle_out.filled == 0
