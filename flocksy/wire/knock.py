"""A knock, once at the start, wherever else the keystore has our own key: does somebody live there?

A copied home directory is the usual case: two nodes with one key, of which the members hear one. We
connect with our own key as the server's. Only who has its private half gets as far as to refuse us
(the allow list is asked after the server has proved to have it), so a refusal is the proof.

The first knock comes with a fresh key, because an endpoint that looks like another machine may
lead back to us: then our own allow list refuses that key, and nobody else is there. The second one
comes with our own key, and tells the other that we are here. All of it is the same at every start
of every node, whatever there is to send.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence

import zmq

from flocksy.wire.limits import KNOCK_NS
from flocksy.wire.monitor import REFUSED, UP, LinkMonitor

NewSocket = Callable[[tuple[bytes, bytes] | None], zmq.Socket[bytes]]
"""Makes a SUB for our own key as the server's, with these keys (public and secret, in Z85) or, for
None, with our own."""


class _Door:
    """One endpoint that is knocked at."""

    def __init__(self, endpoint: str, new_socket: NewSocket) -> None:
        self.endpoint = endpoint
        self.target = ""
        fresh = zmq.curve_keypair()
        self.fresh_key = fresh[0].decode("ascii")
        # Both now: later nobody but libzmq has our secret key.
        self._sockets = [new_socket(fresh), new_socket(None)]
        self._monitors = [LinkMonitor(socket) for socket in self._sockets]
        self._knocks = 0

    def knock(self, target: str) -> None:
        """With the fresh key first, then with our own."""
        self.target = target
        self._sockets[self._knocks].connect(target)
        self._knocks += 1

    @property
    def waits(self) -> bool:
        """Whether nobody has knocked yet."""
        return not self._knocks

    @property
    def again(self) -> bool:
        """Whether the last knock was the second one."""
        return self._knocks == len(self._sockets)

    def answered(self, now_ns: int) -> bool:
        """Whether somebody with our key has answered the last knock."""
        if not self._knocks:
            return False
        monitor = self._monitors[self._knocks - 1]
        monitor.look(now_ns)
        return monitor.state in (REFUSED, UP)

    def close(self) -> None:
        for monitor in self._monitors:
            monitor.close()
        for socket in self._sockets:
            socket.close(0)


class Knock:
    """All knocks of one start."""

    def __init__(
        self,
        endpoints: Sequence[str],
        address: Callable[[str], str],
        new_socket: NewSocket,
        now_ns: int,
    ) -> None:
        """`address`: of an endpoint, in the form that zmq connects to; empty while its name is
        not found."""
        self._until_ns = now_ns + KNOCK_NS
        self._address = address
        self._doors = [_Door(endpoint, new_socket) for endpoint in endpoints]
        self.fresh_keys = frozenset(door.fresh_key for door in self._doors)
        """Public keys that only our own knocks have: no strangers."""

    @property
    def done(self) -> bool:
        """Whether nobody is knocked at any more."""
        return not self._doors

    def look(self, refused: Collection[str], now_ns: int) -> list[str]:
        """Where somebody has our key, as found since the last call.

        `refused`: keys that our own allow list has refused since.
        """
        found = []
        for door in list(self._doors):
            if door.waits and (target := self._address(door.endpoint)):
                door.knock(target)
            answered = door.answered(now_ns)
            over = now_ns >= self._until_ns or door.fresh_key in refused  # it leads back to us
            if answered and not over and not door.again:
                found.append(door.target)
                door.knock(door.target)
            elif answered or over:
                self._doors.remove(door)
                door.close()
        return found

    def close(self) -> None:
        """Stop knocking."""
        for door in self._doors:
            door.close()
        self._doors.clear()
