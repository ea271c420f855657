"""Real wire processes over real CURVE sockets, with trivial boxes."""

from __future__ import annotations

import errno
import os
import signal
import socket
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

import pytest
import zmq

from flocksy.seam.joint import Gear, Inbound
from flocksy.testing.flock import TrivialBox, drive, full_view, make_settings, with_hashes
from flocksy.wire.link import _bind_error
from flocksy.wire.process import EXIT_WORLD
from flocksy.wire.settings import WireSettings

NODES = 3


class Checker:
    """Fills every slot with a pattern of lane and index, and checks what comes."""

    def __init__(self, box: TrivialBox) -> None:
        self.lane = box.settings.own_lane
        self.wrong: list[str] = []
        self.right: dict[tuple[bytes, int], int] = {}
        self.real: dict[tuple[bytes, int], int] = {}
        box.fill, box.look = self.fill, self.look

    def fill(self, payload: memoryview, burst_id: bytes, index: int) -> bool:
        payload[:] = pattern(self.lane, burst_id, index, len(payload))
        return True

    def look(self, inbound: Inbound) -> None:
        if inbound.gear != Gear.BURST:
            return
        key = inbound.burst_id, inbound.lane
        if inbound.k != self.right.get(key, 0):
            self.wrong.append(f"lane {inbound.lane} cell {inbound.k}, gap {inbound.gap}")
        self.right[key] = inbound.k + 1
        if not any(inbound.payload):
            return  # cover: that box had filled no slot in time
        index = self.real.get(key, 0)
        self.real[key] = index + 1
        if inbound.payload != pattern(inbound.lane, inbound.burst_id, index, len(inbound.payload)):
            self.wrong.append(f"lane {inbound.lane} slot {index} in cell {inbound.k}")


def pattern(lane: int, burst_id: bytes, index: int, size: int) -> bytes:
    unit = bytes([lane]) + burst_id + index.to_bytes(4, "little")
    return (unit * (size // len(unit) + 1))[:size]


def endpoints(transport: str, directory: str) -> list[str]:
    if transport == "ipc":
        return [f"ipc://{directory}/{i}" for i in range(NODES)]
    held = [socket.create_server(("127.0.0.1", 0)) for _ in range(NODES)]
    ports = [each.getsockname()[1] for each in held]
    for each in held:
        each.close()
    return [f"tcp://localhost:{port}" for port in ports]


@contextmanager
def running(settings: list[WireSettings]) -> Iterator[list[TrivialBox]]:
    boxes = [TrivialBox(each) for each in settings]
    for box in boxes:
        box.start()
    try:
        yield boxes
    finally:
        for box in boxes:
            box.stop()


@pytest.fixture
def directory() -> Iterator[str]:
    with tempfile.TemporaryDirectory(prefix="flocksy-test-") as path:
        yield path


def is_over(boxes: list[TrivialBox]) -> bool:
    return all(box.report.last_burst is not None for box in boxes)


@pytest.mark.parametrize(("transport", "pace"), [("ipc", "max"), ("ipc", "grid"), ("tcp", "max")])
def test_every_lane_of_a_burst_arrives_bit_equal(transport: str, pace: str, directory: str) -> None:
    # A grid waits for nobody: slow enough for three boxes that share a process.
    rate = 1_000_000 if pace == "grid" else 0
    settings = make_settings(endpoints(transport, directory), pace=pace, max_rate=rate)
    with running(settings) as boxes:
        checkers = [Checker(box) for box in boxes]
        assert drive(boxes, lambda: full_view(boxes))
        boxes[1].need = 100
        assert drive(boxes, lambda: boxes[1].report.burst is not None)
        boxes[1].need = 0
        assert drive(boxes, lambda: is_over(boxes))
        lasts = {box.report.last_burst for box in boxes}
        assert len(lasts) == 1
        last = lasts.pop()
        assert last is not None and last.finished and not last.gap
        drive(boxes, lambda: all(not box.seam.waiting for box in boxes))
        for checker in checkers:
            assert checker.wrong == []
            assert checker.right == {(last.burst_id, lane): 128 for lane in range(NODES)}
            assert checker.real == checkers[0].real
            assert min(checker.real.values()) > 8, "what was filled ahead has arrived"
        assert {box.report.cells_out_burst for box in boxes} == {128}
        codes = []
        for box in boxes:
            box.stop()
            codes.append(box.process.exitcode)
        assert codes == [0, 0, 0], "they left by themselves"


def test_a_member_killed_in_a_burst_ends_it_and_the_others_repeat(directory: str) -> None:
    with running(make_settings(endpoints("ipc", directory), rest_mean_ms=10)) as boxes:
        rest = boxes[:2]
        checkers = [Checker(box) for box in boxes]
        assert drive(boxes, lambda: full_view(boxes))
        boxes[0].need = 2000
        assert drive(boxes, lambda: all(box.report.burst_cells > 0 for box in boxes))
        boxes[0].need = 0
        aborted = boxes[0].report.burst
        assert aborted is not None
        boxes[2].kill()
        assert drive(boxes, lambda: is_over(rest))
        assert all(box.report.last_burst.finished is False for box in rest if box.report.last_burst)

        def repeated() -> bool:
            lasts = [box.report.last_burst for box in rest]
            return all(last is not None and last.burst_id != aborted.burst_id for last in lasts)

        assert drive(rest, repeated)
        last = rest[0].report.last_burst
        assert last is not None and last.finished
        assert [box.report.view for box in rest] == [0b011] * 2
        assert drive(rest, lambda: rest[0].report.lanes[2].state == "down")
        drive(rest, lambda: all(not box.seam.waiting for box in rest))
        for checker in checkers[:2]:
            assert checker.wrong == []
            assert checker.right[last.burst_id, 0] == aborted.length


def test_a_member_with_other_settings_is_named_on_both_sides(directory: str) -> None:
    settings = make_settings(endpoints("ipc", directory))
    settings[2] = with_hashes(replace(settings[2], idle_cell=2048))
    with running(settings) as boxes:

        def named() -> bool:
            states = [boxes[0].report.lanes[2].state, boxes[2].report.lanes[0].state]
            return states == ["setting differs: idle_cell"] * 2

        assert drive(boxes, named)
        assert drive(boxes, lambda: boxes[0].report.view == 0b011)
        assert boxes[2].report.view in (0, 0b100)


def test_unknown_keys_and_wrong_keys_are_refused_and_named(directory: str) -> None:
    settings = make_settings(endpoints("ipc", directory))
    stranger = make_settings(endpoints("ipc", directory))[0]
    # Lane 2 has a key that the others do not know; its endpoint is the same.
    third = replace(settings[2], public_key=stranger.public_key, secret_key=stranger.secret_key)
    with running([*settings[:2], third]) as boxes:

        def named() -> bool:
            first, _, other = (box.report for box in boxes)
            return (
                first.lanes[2].state == "we refuse its key"
                and other.lanes[0].state == "refuses our key"
                and any(third.public_key in error for error in first.errors)
            )

        assert drive(boxes, named)
        assert drive(boxes, lambda: boxes[0].report.view == 0b011)
        assert boxes[2].report.lanes[0].cells_in_idle == 0


def test_frames_have_one_length_and_odd_ones_are_dropped(directory: str) -> None:
    settings = make_settings(endpoints("ipc", directory))
    mine = settings[2]
    context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
    pub, sub = context.socket(zmq.PUB), context.socket(zmq.SUB)
    pub.curve_server = True
    for end in (pub, sub):
        end.curve_publickey = mine.public_key.encode()
        end.curve_secretkey = mine.secret_key.encode()
        end.linger = 0
    sub.curve_serverkey = settings[0].public_key.encode()
    sub.setsockopt(zmq.SUBSCRIBE, b"")
    pub.bind(mine.bind[0])
    sub.connect(settings[0].bind[0])
    lengths: list[int] = []
    try:
        with running(settings[:2]) as boxes:
            foreign: list[int] = []
            for box in boxes:
                box.fill = lambda payload, burst_id, index: bool(payload and burst_id) or index < 0
            boxes[0].look = lambda inbound: foreign.append(inbound.lane)

            def babble() -> bool:
                for frame in (b"", b"x", bytes(1024), bytes(65536), bytes(65537), b"y" * 1025):
                    pub.send(frame, zmq.NOBLOCK)
                pub.send_multipart([b"z" * 300, b"more"])
                while sub.poll(0):
                    parts = sub.recv_multipart()
                    lengths.extend(len(part) for part in parts)
                return boxes[0].report.lanes[2].state == "sends cells that make no sense"

            assert drive(boxes, babble)
            assert drive(boxes, lambda: babble() and boxes[0].report.view == 0b011)
            boxes[1].need = 10
            assert drive(boxes, lambda: babble() and is_over(boxes))
            boxes[1].need = 0
            assert drive(boxes, lambda: babble() and len(lengths) > 100)
            assert set(foreign) == {0, 1}
    finally:
        pub.close()
        sub.close()
        context.term()
    assert set(lengths) == {1024, 65536}


def test_a_port_in_use_is_one_clear_line(directory: str) -> None:
    settings = make_settings(endpoints("tcp", directory))
    host, port = settings[0].bind[0].removeprefix("tcp://").split(":")
    with socket.create_server((host, int(port))):
        box = TrivialBox(settings[0])
        box.start()
        box.process.join(20)
        assert box.process.exitcode == EXIT_WORLD
        assert box.report.errors == (
            f"hostname = {settings[0].bind[0]}: the port is in use; is this node running already?",
        )
        box.stop()
    other = TrivialBox(replace(settings[0], bind=(f"ipc://{directory}/none/1",)))
    other.start()
    other.process.join(20)
    assert other.process.exitcode == EXIT_WORLD
    assert "does not exist; make it with mkdir" in other.report.errors[0]
    other.stop()


@pytest.mark.parametrize(
    ("endpoint", "error", "said"),
    [
        (
            "tcp://192.0.2.1:5000",
            zmq.ZMQError(zmq.EADDRNOTAVAIL),
            "this machine does not have that address; flocksy check says what to do",
        ),
        (
            "tcp://anna.example:5000",
            socket.gaierror(socket.EAI_NONAME, "Name or service not known"),
            "the name cannot be found (Name or service not known); mend it, or take an address of "
            "this machine",
        ),
        (
            "tcp://127.0.0.1:80",
            zmq.ZMQError(errno.EACCES, "Permission denied"),
            "cannot be listened at (Permission denied); flocksy check says what to do",
        ),
        (
            "ipc:///none/1",
            OSError("another process has it; is this node running already?"),
            "cannot be listened at: another process has it; is this node running already?",
        ),
    ],
)
def test_what_cannot_be_listened_at_is_said_with_what_to_do(
    endpoint: str, error: zmq.ZMQError | OSError, said: str
) -> None:
    assert _bind_error(endpoint, error) == f"{endpoint}: {said}"


def test_signals_are_the_parents_business(directory: str) -> None:
    with running(make_settings(endpoints("ipc", directory))) as boxes:
        assert drive(boxes, lambda: full_view(boxes))
        process = boxes[0].process
        assert process.pid is not None
        for number in (signal.SIGINT, signal.SIGTERM):
            os.kill(process.pid, number)
        before = boxes[0].report.round
        assert drive(boxes, lambda: boxes[0].report.round > before + 3)
        boxes[0].seam.close()
        process.join(20)
        assert process.exitcode == 0, "it ends when the box process is gone"
        boxes.pop(0)
