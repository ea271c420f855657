"""A switch between the nodes of a `Stage` that loses and delays what it is told to.

    with Stage(3, bridged=False) as stage, Switch(stage, 3) as switch:
        switch.set(cut={(0, 1)})         # from the first node to the second, one way
        switch.set(cut=switch.around(0)) # everything from and to the first
        switch.set(delay_seconds=0.1)    # everything
        switch.set()                     # as it should be

It is a program of its own in the namespace between the nodes, which takes every frame from one end
and gives it to another, with what the kernel says of checksums and segments.
"""

from __future__ import annotations

import heapq
import itertools
import json
import os
import selectors
import socket
import subprocess
import sys
import time
from collections.abc import Collection
from types import TracebackType
from typing import Self

from flocksy.testing.stage import Stage, port_name

_SOL_PACKET = 263  # include/linux/socket.h, include/uapi/linux/if_packet.h
_PACKET_VNET_HDR = 15
_PACKET_IGNORE_OUTGOING = 23
_ETH_P_ALL = 3
_VNET_BYTES = 10
_ADDRESS_BYTES = 6
_FRAME_BYTES = 1 << 17
_HELD_FRAMES = 50_000
"""On their way through the switch while it delays; more are lost, as in any switch."""

_PER_PORT = 64
"""Frames taken from one port before the others get their turn."""


class Switch:
    """The running switch, seen from the test."""

    def __init__(self, stage: Stage, count: int) -> None:
        self._count = count
        self._process = subprocess.Popen(
            [sys.executable, "-m", "flocksy.testing.switch", str(count)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            preexec_fn=stage.enter_middle(),
        )

    def __enter__(self) -> Self:
        self.set()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._process.kill()
        self._process.communicate()

    def around(self, node: int) -> set[tuple[int, int]]:
        """Both directions of all links of one node."""
        others = [other for other in range(self._count) if other != node]
        return {(node, other) for other in others} | {(other, node) for other in others}

    def set(self, *, cut: Collection[tuple[int, int]] = (), delay_seconds: float = 0.0) -> None:
        """From now on frames from the first to the second of a pair in `cut` are lost, and all
        others come so much later. In force when this returns."""
        assert self._process.stdin is not None and self._process.stdout is not None
        order = {"cut": sorted(cut), "delay": delay_seconds}
        self._process.stdin.write(json.dumps(order).encode() + b"\n")
        self._process.stdin.flush()
        assert self._process.stdout.readline() == b"done\n", "the switch has ended"


class _Switching:
    """The program."""

    def __init__(self, count: int) -> None:
        self._ports = [self._open(number) for number in range(count)]
        self._selector = selectors.DefaultSelector()
        for number, port in enumerate(self._ports):
            self._selector.register(port, selectors.EVENT_READ, number)
        self._selector.register(sys.stdin.fileno(), selectors.EVENT_READ)
        self._known: dict[bytes, int] = {}  # addresses that were seen, to their ports
        self._cut: set[tuple[int, int]] = set()
        self._delay = 0.0
        self._held: list[tuple[float, int, int, bytes]] = []
        self._number = itertools.count()

    def run(self) -> None:
        """Until the other end of the standard input is gone."""
        while True:
            timeout = self._held[0][0] - time.monotonic() if self._held else None
            for key, _ in self._selector.select(None if timeout is None else max(0.0, timeout)):
                if key.data is None:
                    line = os.read(sys.stdin.fileno(), 65536)
                    if not line:
                        return
                    self._obey(line)
                else:
                    self._take(key.data)
            now = time.monotonic()
            while self._held and self._held[0][0] <= now:
                _, _, target, frame = heapq.heappop(self._held)
                self._give(target, frame)

    @staticmethod
    def _open(number: int) -> socket.socket:
        if sys.platform != "linux":
            raise OSError("packet sockets are Linux's")
        port = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(_ETH_P_ALL))
        port.setsockopt(_SOL_PACKET, _PACKET_IGNORE_OUTGOING, 1)
        port.setsockopt(_SOL_PACKET, _PACKET_VNET_HDR, 1)
        port.bind((port_name(number), 0))
        port.setblocking(False)
        return port

    def _obey(self, line: bytes) -> None:
        order = json.loads(line)
        self._cut = {(source, target) for source, target in order["cut"]}
        self._delay = order["delay"]
        os.write(sys.stdout.fileno(), b"done\n")

    def _take(self, source: int) -> None:
        for _ in range(_PER_PORT):
            try:
                frame = self._ports[source].recv(_FRAME_BYTES)
            except BlockingIOError:
                return
            there, here = _VNET_BYTES, _VNET_BYTES + _ADDRESS_BYTES
            self._known[frame[here : here + _ADDRESS_BYTES]] = source
            known = self._known.get(frame[there:here])
            targets = range(len(self._ports)) if known is None else (known,)
            for target in targets:
                if target == source or (source, target) in self._cut:
                    continue
                if not self._delay:
                    self._give(target, frame)
                elif len(self._held) < _HELD_FRAMES:
                    due = time.monotonic() + self._delay
                    heapq.heappush(self._held, (due, next(self._number), target, frame))

    def _give(self, target: int, frame: bytes) -> None:
        try:
            self._ports[target].send(frame)
        except OSError:
            return  # no room there, or it is gone: lost


if __name__ == "__main__":
    _Switching(int(sys.argv[1])).run()
