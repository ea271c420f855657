"""Where the nodes fly: one network namespace for each, joined by a bridge in one of its own.

    node namespace ── veth ── bridge namespace ── veth ── node namespace
                                   │
                                tcpdump

Segmentation is left to no device, so that a packet in the capture is one that a wire would carry.
Without the bridge the far ends are there for somebody else to join (`flocksy.testing.switch`).
Needs root on Linux, `ip` of iproute2 and tcpdump. Everything made here has names of its own and is
removed at the end.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import TracebackType
from typing import Self

from flocksy.testing.rig import RigError, wait_until

NETWORK = "10.77.0"
PORT = 23500
KEPT_BYTES = 128
"""Of each packet: all headers. What comes after them is encrypted, and its lengths are known."""
_CLONE_NEWNET = 0x40000000
_START_SECONDS = 20.0
_LIBC = ctypes.CDLL(None, use_errno=True)


class Stage:
    """The namespaces of `count` nodes. Raises `CalledProcessError` where it may not make them."""

    def __init__(self, count: int, *, bridged: bool = True) -> None:
        self._bridged = bridged
        self._mark = f"fl{os.getpid() % 100_000}"
        self._bridge = f"{self._mark}b"
        self._nodes = [f"{self._mark}n{number}" for number in range(count)]
        self.addresses = [f"{NETWORK}.{number + 1}" for number in range(count)]

    def __enter__(self) -> Self:
        try:
            self._make()
        except BaseException:
            self._remove()
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._remove()

    def enter(self, number: int) -> Callable[[], None]:
        """To be called in a new process: its network is that of the node."""
        return self._enter(self._nodes[number])

    def enter_middle(self) -> Callable[[], None]:
        """To be called in a new process: its network is what lies between the nodes."""
        return self._enter(self._bridge)

    @staticmethod
    def _enter(name: str) -> Callable[[], None]:
        path = f"/run/netns/{name}"

        def enter() -> None:
            descriptor = os.open(path, os.O_RDONLY)
            try:
                enter_namespace(descriptor)
            finally:
                os.close(descriptor)

        return enter

    @contextlib.contextmanager
    def capturing(self, path: Path) -> Iterator[None]:
        """Every packet that passes the bridge, with nanosecond stamps, to `path`."""
        tcpdump = shutil.which("tcpdump") or "/usr/sbin/tcpdump"
        options = ["-B", "65536", "-s", str(KEPT_BYTES), "--time-stamp-precision", "nano"]
        command = ["ip", "netns", "exec", self._bridge, tcpdump, "-i", "br0", "-U", *options]
        with subprocess.Popen(
            [*command, "-w", str(path), "tcp"], stderr=subprocess.PIPE, text=True
        ) as process:
            try:
                wait_until(
                    lambda: (
                        process.poll() is not None or (path.exists() and path.stat().st_size > 0)
                    ),
                    "tcpdump",
                    _START_SECONDS,
                )
                if process.poll() is not None:
                    assert process.stderr is not None
                    said = " ".join(process.stderr.read().split())
                    raise RigError(f"tcpdump has ended at once: {said}")
                yield
            finally:
                process.send_signal(signal.SIGINT)
                _, said = process.communicate()
        if "0 packets dropped by kernel" not in said.splitlines():
            raise RigError(f"the capture is not whole: {said}")

    def _make(self) -> None:
        ip("netns", "add", self._bridge)
        if self._bridged:
            self._in_bridge("link", "add", "br0", "type", "bridge")
            self._in_bridge("link", "set", "br0", "promisc", "on", "up")
        for number, node in enumerate(self._nodes):
            outer = port_name(number)
            ip("netns", "add", node)
            ip(
                *("link", "add", "eth0", "netns", node, "type", "veth"),
                *("peer", "name", outer, "netns", self._bridge),
            )
            ip("-n", node, "addr", "add", f"{self.addresses[number]}/24", "dev", "eth0")
            ip("-n", node, "link", "set", "lo", "up")
            ip("-n", node, "link", "set", "eth0", "gso_max_segs", "1", "up")
            master = ("master", "br0") if self._bridged else ()
            self._in_bridge("link", "set", outer, *master, "gso_max_segs", "1", "up")

    def _in_bridge(self, *words: str) -> None:
        ip("-n", self._bridge, *words)

    def _remove(self) -> None:
        for name in (*self._nodes, self._bridge):
            with contextlib.suppress(subprocess.CalledProcessError):
                ip("netns", "del", name)


def port_name(number: int) -> str:
    """The far end of the node's network, in the middle."""
    return f"p{number}"


def missing() -> str:
    """Why there can be no stage here; empty where there can."""
    if not sys.platform.startswith("linux") or os.geteuid() != 0:
        return "network namespaces need root on Linux"
    if shutil.which("ip") is None:
        return "ip of iproute2 is not here"
    return ""


def enter_namespace(descriptor: int) -> None:
    """Have this process in another network namespace from here on. (`os.setns` is too new.)"""
    if _LIBC.setns(descriptor, _CLONE_NEWNET) != 0:
        raise OSError(ctypes.get_errno(), "setns")


def ip(*words: str) -> None:
    """Run `ip`. Raises `CalledProcessError`."""
    subprocess.run(["ip", *words], check=True, capture_output=True, text=True)
