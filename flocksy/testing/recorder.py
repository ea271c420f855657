"""A proxy between nodes that sees what anybody on the network sees: frames, and their lengths.

It stands for a packet capture where there is no right to make one. Each proxied link is a listening
socket of its own; bytes go through unchanged, and the ZMTP framing around the encrypted messages
(RFC 23: a greeting of 64 bytes, then frames of flags, length, body) is counted by length.
"""

from __future__ import annotations

import contextlib
import selectors
import socket
import threading
from collections import Counter
from dataclasses import dataclass, field

GREETING_BYTES = 64
COMMAND_FLAG = 0x04
LONG_FLAG = 0x02
BLOCK_BYTES = 256 * 1024
MAX_BACKLOG_BYTES = 8 * 1024 * 1024
"""Kept for an end that is slow to read; beyond, nothing more is read from the other one."""


@dataclass(slots=True)
class Frames:
    """Counts the frames of one direction of one connection; handshake commands apart."""

    lengths: Counter[int]
    commands: Counter[int]
    _skip: int = GREETING_BYTES
    _head: bytearray = field(default_factory=bytearray)

    def take(self, data: bytes) -> None:
        """The next bytes of the stream."""
        at = 0
        while at < len(data):
            if self._skip:
                step = min(self._skip, len(data) - at)
                self._skip -= step
                at += step
                continue
            self._head.append(data[at])
            at += 1
            long = self._head[0] & LONG_FLAG
            if len(self._head) == (9 if long else 2):
                length = int.from_bytes(self._head[1:], "big")
                seen = self.commands if self._head[0] & COMMAND_FLAG else self.lengths
                seen[length] += 1
                self._skip = length
                self._head.clear()


@dataclass(slots=True)
class Link:
    """One proxied link: everybody who connects to `port` is led to `target`."""

    port: int
    target: int
    lengths: Counter[int] = field(default_factory=Counter)
    """Message frames that came out of the target, by length."""
    commands: Counter[int] = field(default_factory=Counter)
    back: Counter[int] = field(default_factory=Counter)
    """Frames of all kinds towards the target."""


@dataclass(slots=True, eq=False)
class _End:
    sock: socket.socket
    frames: Frames
    other: _End | None = None
    waiting: bytearray = field(default_factory=bytearray)
    connecting: bool = False


class Recorder:
    """Runs the proxies in a thread of its own until `close`."""

    def __init__(self) -> None:
        self.links: list[Link] = []
        self._selector = selectors.DefaultSelector()
        self._listeners: list[socket.socket] = []
        self._stop_reader, self._stop_writer = socket.socketpair()
        self._thread = threading.Thread(target=self._run, name="recorder")

    def link(self, target: int) -> Link:
        """A new link to the loopback port `target`. Before `start` only."""
        listener = socket.create_server(("127.0.0.1", 0))
        listener.setblocking(False)
        link = Link(listener.getsockname()[1], target)
        self._listeners.append(listener)
        self.links.append(link)
        self._selector.register(listener, selectors.EVENT_READ, link)
        return link

    def start(self) -> None:
        """Let connections through from here on."""
        self._selector.register(self._stop_reader, selectors.EVENT_READ, None)
        self._thread.start()

    def close(self) -> None:
        """Cut all connections and end."""
        self._stop_writer.send(b"\0")
        self._thread.join()
        for key in list(self._selector.get_map().values()):
            if isinstance(key.fileobj, socket.socket):
                key.fileobj.close()
        self._selector.close()
        self._stop_writer.close()

    def _run(self) -> None:
        while True:
            for key, events in self._selector.select():
                if key.data is None:
                    return
                if isinstance(key.data, Link):
                    assert isinstance(key.fileobj, socket.socket)
                    self._accept(key.fileobj, key.data)
                    continue
                end = key.data
                if end.sock.fileno() < 0:
                    continue  # closed together with its other end a moment ago
                if events & selectors.EVENT_WRITE:
                    self._write(end)
                if events & selectors.EVENT_READ and end.sock.fileno() >= 0:
                    self._read(end)

    def _accept(self, listener: socket.socket, link: Link) -> None:
        near, _ = listener.accept()
        far = socket.socket()
        for sock in (near, far):
            sock.setblocking(False)
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        with contextlib.suppress(BlockingIOError):
            far.connect(("127.0.0.1", link.target))
        ends = (
            _End(near, Frames(link.back, link.back)),
            _End(far, Frames(link.lengths, link.commands), connecting=True),
        )
        ends[0].other, ends[1].other = ends[1], ends[0]
        self._selector.register(near, selectors.EVENT_READ, ends[0])
        self._selector.register(far, selectors.EVENT_WRITE, ends[1])

    def _read(self, end: _End) -> None:
        assert end.other is not None
        try:
            data = end.sock.recv(BLOCK_BYTES)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if not data:
            self._cut(end)
            return
        end.frames.take(data)
        end.other.waiting += data
        if end.other.connecting:
            self._watch(end)
        else:
            self._write(end.other)

    def _write(self, end: _End) -> None:
        end.connecting = False
        try:
            while end.waiting:
                sent = end.sock.send(end.waiting)
                del end.waiting[:sent]
        except BlockingIOError:
            pass
        except OSError:
            self._cut(end)
            return
        self._watch(end)
        if end.other is not None:
            self._watch(end.other)

    def _watch(self, end: _End) -> None:
        """Read where the other end keeps up; write where something waits."""
        if end.sock.fileno() < 0 or end.other is None:
            return
        events = 0
        if len(end.other.waiting) < MAX_BACKLOG_BYTES and not end.connecting:
            events |= selectors.EVENT_READ
        if end.waiting or end.connecting:
            events |= selectors.EVENT_WRITE
        if end.sock in self._selector.get_map():
            self._selector.unregister(end.sock)
        if events:
            self._selector.register(end.sock, events, end)

    def _cut(self, end: _End) -> None:
        for one in (end, end.other):
            if one is not None and one.sock.fileno() >= 0:
                if one.sock in self._selector.get_map():
                    self._selector.unregister(one.sock)
                one.sock.close()
