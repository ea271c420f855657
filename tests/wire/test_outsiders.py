"""Who has no key and connects to the ports: rounds go on, memory stays, nothing is told."""

from __future__ import annotations

import socket
import tempfile
from collections.abc import Callable
from pathlib import Path

import pytest
import zmq

from flocksy.testing.flock import TrivialBox, drive, full_view, make_settings
from tests.wire.test_process import Checker, endpoints, running

ATTEMPTS = 600
HELD = 150
"""Half-open handshakes kept open at a time."""
BATCH = 25
"""Attempts between two looks at the nodes."""
GROWTH_KIB = 24 * 1024
TRIES = 3
"""A machine with too much to do lets a tick go by now and then, whoever connects; not each time."""
GREETING = b"\xff" + bytes(8) + b"\x7f" + b"\x03\x00" + b"CURVE".ljust(20, b"\0") + bytes(32)
"""ZMTP 3.0: signature, version, mechanism, as-server, filler: 64 bytes."""


def resident_kib(box: TrivialBox) -> int:
    text = Path(f"/proc/{box.process.pid}/status").read_text()
    return next(int(line.split()[1]) for line in text.splitlines() if line.startswith("VmRSS"))


def close_at_once(_: socket.socket) -> bool:
    return False


def send_garbage(sock: socket.socket) -> bool:
    sock.sendall(bytes(range(256)) * 16)
    return False


def stop_after_greeting(sock: socket.socket) -> bool:
    sock.sendall(GREETING)
    return True


def announce_a_huge_frame(sock: socket.socket) -> bool:
    sock.sendall(GREETING + b"\x02" + (1 << 40).to_bytes(8, "big") + bytes(1000))
    return True


def flood_commands(sock: socket.socket) -> bool:
    sock.sendall(GREETING + (b"\x04\xc8" + b"\x05HELLO" + bytes(194)) * 20)
    return False


@pytest.mark.skipif(not Path("/proc").exists(), reason="memory is read from /proc")
@pytest.mark.parametrize(
    "attack",
    [
        close_at_once,
        send_garbage,
        stop_after_greeting,
        announce_a_huge_frame,
        flood_commands,
    ],
    ids=lambda attack: attack.__name__,
)
def test_many_attempts_change_nothing(attack: Callable[[socket.socket], bool]) -> None:
    with running(make_settings(endpoints("tcp", ""), period_ms=250, rest_mean_ms=10)) as boxes:
        checkers = [Checker(box) for box in boxes]
        assert drive(boxes, lambda: full_view(boxes))
        port = int(boxes[0].settings.bind[0].rpartition(":")[2])
        before = resident_kib(boxes[0])
        for _ in range(TRIES):
            epoch, lost = boxes[0].report.epoch_number, gaps(boxes)
            attempts_and_a_burst(attack, boxes, port)
            # Nobody was lost on the way, and no cell: the view is the first one, whole. (A machine
            # with much else to do may let a second go by without any attempt.)
            if gaps(boxes) == lost and {box.report.epoch_number for box in boxes} == {epoch}:
                break
            assert drive(boxes, lambda: full_view(boxes))
        else:
            pytest.fail(f"members or cells got lost each time: {gaps(boxes)} cells")
        assert full_view(boxes)
        assert not any(checker.wrong for checker in checkers)
        assert all(box.report.last_burst.finished for box in boxes if box.report.last_burst)
        assert resident_kib(boxes[0]) - before < GROWTH_KIB


def attempts_and_a_burst(
    attack: Callable[[socket.socket], bool], boxes: list[TrivialBox], port: int
) -> None:
    held: list[socket.socket] = []
    for attempt in range(ATTEMPTS):
        try:
            sock = socket.create_connection(("localhost", port), timeout=5)
            keep = attack(sock)
        except (TimeoutError, ConnectionError):
            continue  # it has enough of us
        held.append(sock)
        if not keep or len(held) > HELD:
            held.pop(0).close()
        if attempt % BATCH == 0:
            drive(boxes, lambda: True)
    old = [box.report.last_burst for box in boxes]
    boxes[1].need = 64
    assert drive(boxes, lambda: any(box.report.burst is not None for box in boxes))
    boxes[1].need = 0
    assert drive(
        boxes,
        lambda: all(
            box.report.last_burst not in (None, one) for box, one in zip(boxes, old, strict=True)
        ),
    )
    for sock in held:
        sock.close()


def gaps(boxes: list[TrivialBox]) -> int:
    return sum(lane.gaps for box in boxes for lane in box.report.lanes)


def test_an_unknown_key_hears_nothing() -> None:
    context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
    with (
        tempfile.TemporaryDirectory() as directory,
        running(make_settings(endpoints("ipc", directory))) as boxes,
    ):
        assert drive(boxes, lambda: full_view(boxes))
        strangers = []
        for _ in range(20):
            stranger = context.socket(zmq.SUB)
            stranger.curve_publickey, stranger.curve_secretkey = zmq.curve_keypair()
            stranger.curve_serverkey = boxes[0].settings.public_key.encode("ascii")
            stranger.setsockopt(zmq.SUBSCRIBE, b"")
            stranger.connect(boxes[0].settings.bind[0])
            strangers.append(stranger)
        start = boxes[0].report.round
        assert drive(boxes, lambda: boxes[0].report.round > start + 60)
        assert not any(stranger.poll(0) for stranger in strangers)
        assert full_view(boxes)
        for stranger in strangers:
            stranger.close(0)
    context.term()
