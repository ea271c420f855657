"""Sockets without a system, whose calls would cost more than the decoder does."""

from __future__ import annotations


class Pipe:
    """One end of a connection. What comes is put in `coming`, what is sent is found in `sent`."""

    def __init__(self) -> None:
        self.coming = bytearray()
        self.sent = bytearray()
        self.closed = False

    def recv(self, size: int) -> bytes:
        assert not self.closed and size > 0
        if not self.coming:
            raise BlockingIOError
        data = bytes(self.coming[:size])
        del self.coming[:size]
        return data

    def send(self, data: bytes | bytearray) -> int:
        assert not self.closed
        self.sent += data
        return len(data)

    def setblocking(self, flag: bool) -> None:
        assert not flag, "nobody waits here"

    def close(self) -> None:
        self.closed = True


class Watch:
    """In place of a selector: knows what is registered, and raises as one does for what is not."""

    def __init__(self) -> None:
        self._known: dict[object, object] = {}

    def register(self, sock: object, _events: int, data: object = None) -> None:
        if sock in self._known:
            raise KeyError("registered already")
        self._known[sock] = data

    def modify(self, sock: object, _events: int, data: object = None) -> None:
        if sock not in self._known:
            raise KeyError("not registered")
        self._known[sock] = data

    def unregister(self, sock: object) -> None:
        del self._known[sock]

    def close(self) -> None:
        assert not self._known, "all connections are closed before"
