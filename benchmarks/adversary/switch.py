"""A switch between the nodes' namespaces that can hinder what passes, and keeps all it sees.

    node namespace ── tap ── this process ── tap ── node namespace

It stands for tc netem, which not every kernel has, and for tcpdump: it stamps and keeps the head of
every packet as it leaves its node, before anything is done to it. Frames are large (`MTU`), so that
a process can keep up.
"""

from __future__ import annotations

import contextlib
import fcntl
import heapq
import multiprocessing
import os
import random
import select
import struct
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from typing import BinaryIO

from benchmarks.adversary.manipulation import Act, Hindrance, Phase
from benchmarks.pcap import FILE_HEAD, packet_head
from flocksy.testing.rig import RigError
from flocksy.testing.stage import KEPT_BYTES, Stage, enter_namespace, ip

MTU = 9000
_TUNSETIFF = 0x400454CA
_IFF_TAP, _IFF_NO_PI = 0x0002, 0x1000
_ETHERNET_BYTES = 14
_IPV4 = b"\x08\x00"
_TCP = 6
BURST_BYTES = 1200
"""A packet that is larger belongs to a burst: heartbeats are of about 1,100 bytes."""
SETTLED_NS = 30_000_000
"""No packet of a burst for so long: it is over."""
QUEUE_BYTES = 256 << 10
"""Of a link that is throttled; more is lost."""
MAX_FRAMES = 64
"""Taken from one node before the others get their turn."""
START_SECONDS = 20.0


class SwitchedStage(Stage):
    """The namespaces of a `Stage`, joined by a switch of our own instead of a bridge."""

    def __init__(self, count: int) -> None:
        super().__init__(count)
        self._far: Connection | None = None
        self._taps: list[int] = []

    @contextlib.contextmanager
    def capturing(self, path: Path) -> Iterator[None]:
        """Have the switch run, and keep every TCP packet in `path`."""
        here, there = multiprocessing.Pipe()
        context = multiprocessing.get_context("fork")  # the descriptors of the taps go with it
        process = context.Process(target=_run, args=(self._taps, there, path))
        process.start()
        there.close()
        self._far = here
        try:
            if not here.poll(START_SECONDS):
                raise RigError("the switch has not started")
            here.recv()
            yield
        finally:
            with contextlib.suppress(OSError):
                here.send(None)
            process.join(START_SECONDS)
            if process.is_alive():
                process.kill()
                process.join()
            here.close()

    def hinder(self, act: Act) -> None:
        """Do it when its time has come."""
        assert self._far is not None
        while self._far.poll(0):
            self._far.recv()  # of one that was given up
        self._far.send(act)

    def hindered(self, timeout_s: float) -> tuple[int, int] | None:
        """When the last act began and ended, once it has; None: its time has not come."""
        assert self._far is not None
        if not self._far.poll(timeout_s):
            self._far.send(Act.NOTHING)
            return None
        began_ns, ended_ns = self._far.recv()
        return began_ns, ended_ns

    def _make(self) -> None:
        for number, node in enumerate(self._nodes):
            ip("netns", "add", node)
            self._taps.append(_in_namespace(self.enter(number), lambda: _tap("eth0")))
            ip("-n", node, "link", "set", "eth0", "address", f"02:00:00:00:00:{number:02x}")
            ip("-n", node, "addr", "add", f"{self.addresses[number]}/24", "dev", "eth0")
            ip("-n", node, "link", "set", "lo", "up")
            ip("-n", node, "link", "set", "eth0", "mtu", str(MTU), "up")

    def _remove(self) -> None:
        for tap in self._taps:
            os.close(tap)
        self._taps = []
        super()._remove()


def _in_namespace(enter: Callable[[], None], make: Callable[[], int]) -> int:
    """Make a descriptor while this process is in another network namespace."""
    home = os.open("/proc/self/ns/net", os.O_RDONLY)
    try:
        enter()
        try:
            return make()
        finally:
            enter_namespace(home)
    finally:
        os.close(home)


def _tap(name: str) -> int:
    descriptor = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK)
    request = struct.pack("16sH22x", name.encode(), _IFF_TAP | _IFF_NO_PI)
    fcntl.ioctl(descriptor, _TUNSETIFF, request)
    return descriptor


@dataclass(slots=True)
class _Waiting:
    """What an act waits for, or how long it lasts."""

    act: Act
    hindrance: Hindrance
    burst_packets: int = 0
    last_burst_ns: int = 0
    began_ns: int = 0


class Switch:
    """The loop. Ports are numbered like the nodes."""

    def __init__(self, taps: list[int], far: Connection, file: BinaryIO) -> None:
        self._taps = taps
        self._far = far
        self._file = file
        self._waiting: _Waiting | None = None
        self._late: list[tuple[int, int, int, bytes]] = []
        self._count = 0
        self._draw = random.Random()
        self._free_ns = [0] * len(taps) * len(taps)
        """Of each throttled link, when it has carried what waits."""

    def run(self) -> None:
        """Until it is told to end."""
        poll = select.epoll()
        for tap in self._taps:
            poll.register(tap, select.EPOLLIN)
        poll.register(self._far, select.EPOLLIN)
        port = {tap: number for number, tap in enumerate(self._taps)}
        while True:
            for descriptor, _ in poll.poll(self._timeout()):
                if descriptor in port:
                    self._take(port[descriptor])
                    continue
                act = self._far.recv()
                if act is None:
                    return
                self._begin(act)
            now_ns = time.time_ns()
            while self._late and self._late[0][0] <= now_ns:
                _, _, target, frame = heapq.heappop(self._late)
                self._put(target, frame)
            self._look_at_act(now_ns)

    def _timeout(self) -> float:
        now_ns = time.time_ns()
        due_ns = now_ns + 1_000_000_000
        if self._late:
            due_ns = min(due_ns, self._late[0][0])
        if self._waiting is not None:
            due_ns = min(due_ns, now_ns + SETTLED_NS // 3)
        return max(0, due_ns - now_ns) / 1e9

    def _take(self, source: int) -> None:
        for _ in range(MAX_FRAMES):
            try:
                frame = os.read(self._taps[source], MTU + _ETHERNET_BYTES)
            except BlockingIOError:
                return
            now_ns = time.time_ns()
            if frame[12:14] == _IPV4 and frame[23] == _TCP:
                self._file.write(packet_head(now_ns, min(len(frame), KEPT_BYTES), len(frame)))
                self._file.write(frame[:KEPT_BYTES])
                if self._waiting is not None and len(frame) > BURST_BYTES:
                    self._waiting.burst_packets += 1
                    self._waiting.last_burst_ns = now_ns
                    self._look_at_act(now_ns)
            if frame[0] & 1:  # to all
                targets = [port for port in range(len(self._taps)) if port != source]
            else:
                targets = [frame[5]]
            for target in targets:
                if target < len(self._taps):
                    self._carry(source, target, frame, now_ns)

    def _carry(self, source: int, target: int, frame: bytes, now_ns: int) -> None:
        waiting = self._waiting
        if waiting is None or not waiting.began_ns or not waiting.act.touches(source, target):
            self._put(target, frame)
            return
        hindrance = waiting.hindrance
        if hindrance.loss and self._draw.random() < hindrance.loss:
            return
        at_ns = now_ns + hindrance.delay_ns
        if hindrance.bytes_per_second:
            link = source * len(self._taps) + target
            free_ns = max(self._free_ns[link], now_ns)
            if (free_ns - now_ns) * hindrance.bytes_per_second > QUEUE_BYTES * 1_000_000_000:
                return
            free_ns += len(frame) * 1_000_000_000 // hindrance.bytes_per_second
            self._free_ns[link] = at_ns = free_ns
        self._count += 1
        heapq.heappush(self._late, (at_ns, self._count, target, frame))

    def _put(self, target: int, frame: bytes) -> None:
        # A queue that is full loses a packet, as the wire does; an interface may not be up yet.
        with contextlib.suppress(OSError):
            os.write(self._taps[target], frame)

    def _begin(self, act: Act) -> None:
        self._waiting = None if act.is_nothing else _Waiting(act, Hindrance.of(act.kind))

    def _look_at_act(self, now_ns: int) -> None:
        waiting = self._waiting
        if waiting is None:
            return
        if waiting.began_ns:
            if now_ns - waiting.began_ns >= waiting.act.seconds * 1e9:
                self._waiting = None
                self._far.send((waiting.began_ns, now_ns))
            return
        match waiting.act.phase:
            case Phase.ANNOUNCEMENT:
                begins = True
            case Phase.BURST:
                begins = waiting.burst_packets >= waiting.act.packets
            case Phase.SETTLING:
                since_ns = now_ns - waiting.last_burst_ns
                begins = waiting.burst_packets > waiting.act.packets and since_ns > SETTLED_NS
        if begins:
            waiting.began_ns = now_ns


def _run(taps: list[int], far: Connection, path: Path) -> None:
    with path.open("wb") as file:
        file.write(FILE_HEAD)
        far.send("ready")
        Switch(taps, far, file).run()
