"""Who has no key and connects to the ports: rounds go on in time, memory stays, nothing is told."""

from __future__ import annotations

import socket
import statistics
import tempfile
from collections.abc import Callable
from pathlib import Path

import pytest
import zmq

from flocksy.testing.flock import TrivialBox, drive, full_view, make_settings
from tests.wire.test_process import Checker, endpoints, running

PERIOD_MS = 250
RATE = 1000
"""Attempts a second, at least, for so many rounds."""
ROUNDS = 8
PER_ROUND = 300
LATE_US = PERIOD_MS * 1000 // 4
"""Heartbeats of the node that is tried leave at their instants: half of them no later than this. Of
members that are off by more than a quarter of a round clocks are wrong. (It is 0.1 to 0.5 ms.)"""
PATIENCE_S = 0.05
"""Waited for one attempt: where too many wait already, the port lets it wait for a second."""
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
    with running(
        make_settings(endpoints("tcp", ""), period_ms=PERIOD_MS, rest_mean_ms=10)
    ) as boxes:
        checkers = [Checker(box) for box in boxes]
        assert drive(boxes, lambda: full_view(boxes))
        before = resident_kib(boxes[0])
        rates = []
        for _ in range(TRIES):
            epoch, lost = boxes[0].report.epoch_number, gaps(boxes)
            outsider = Outsider(attack, boxes)
            outsider.attempt()
            a_burst(boxes)
            outsider.close()
            # Nobody was lost on the way, and no cell: the view is the first one, whole.
            kept = gaps(boxes) == lost and {box.report.epoch_number for box in boxes} == {epoch}
            if kept and outsider.late_us < LATE_US:
                rates.append(outsider.rate)
                if outsider.rate >= RATE:
                    break
            assert drive(boxes, lambda: full_view(boxes))
        assert rates, f"{gaps(boxes)} cells lost in all, heartbeats {outsider.late_us} us late"
        assert full_view(boxes)
        assert not any(checker.wrong for checker in checkers)
        assert all(box.report.last_burst.finished for box in boxes if box.report.last_burst)
        assert resident_kib(boxes[0]) - before < GROWTH_KIB
        if max(rates) < RATE:
            pytest.skip(f"this machine makes only {max(rates):.0f} attempts a second")


class Outsider:
    """Somebody without a key at the port of the first node."""

    def __init__(self, attack: Callable[[socket.socket], bool], boxes: list[TrivialBox]) -> None:
        self._attack = attack
        self._boxes = boxes
        self._port = int(boxes[0].settings.bind[0].rpartition(":")[2])
        self._held: list[socket.socket] = []
        self._late_us: dict[int, int] = {}
        self.rate = 0.0
        """Attempts in each second of the flock's schedule."""

    @property
    def late_us(self) -> float:
        """How late the tried node's heartbeats left meanwhile: half of them later."""
        return statistics.median(self._late_us.values())

    def attempt(self) -> None:
        """So many attempts in each of some rounds; fewer where the machine is too slow for it."""
        start, made = self._boxes[0].report.round, 0
        while self._boxes[0].report.round < start + ROUNDS:
            begun = self._boxes[0].report.round
            for number in range(PER_ROUND):
                made += self._once()
                if number % BATCH == 0:
                    drive(self._boxes, lambda: self._round() > 0)
            drive(self._boxes, lambda begun=begun: self._round() > begun)  # type: ignore[misc]
        self.rate = made * 1000 / PERIOD_MS / (self._boxes[0].report.round - start)

    def _round(self) -> int:
        report = self._boxes[0].report
        self._late_us.setdefault(report.round, report.late_us)
        return report.round

    def _once(self) -> bool:
        """Whether the port took the connection, and all that was sent."""
        sock = socket.socket()
        sock.settimeout(PATIENCE_S)
        try:
            sock.connect(("127.0.0.1", self._port))
            keep = self._attack(sock)
        except OSError:
            sock.close()
            return False  # it has enough of us
        self._held.append(sock)
        if not keep or len(self._held) > HELD:
            self._held.pop(0).close()
        return True

    def close(self) -> None:
        """Let go of the rest."""
        for sock in self._held:
            sock.close()


def a_burst(boxes: list[TrivialBox]) -> None:
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
