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
from dataclasses import dataclass

import zmq

from flocksy.wire.limits import KNOCK_NS
from flocksy.wire.monitor import REFUSED, UP, LinkMonitor

NewSocket = Callable[[bytes, bytes], zmq.Socket[bytes]]
"""Makes a SUB for our own key as the server's, with this public and secret key of its own (Z85)."""


@dataclass(slots=True)
class _Door:
    """One endpoint that is knocked at."""

    target: str
    key: str
    socket: zmq.Socket[bytes]
    monitor: LinkMonitor
    second: bool = False

    def close(self) -> None:
        self.monitor.close()
        self.socket.close(0)


class Knock:
    """All knocks of one start."""

    def __init__(
        self,
        targets: Sequence[str],
        own_keys: tuple[bytes, bytes],
        new_socket: NewSocket,
        now_ns: int,
    ) -> None:
        """`targets` in the form that zmq connects to; `own_keys`: public and secret, Z85."""
        self._own_keys = own_keys
        self._new_socket = new_socket
        self._until_ns = now_ns + KNOCK_NS
        self._doors = [self._at(target, zmq.curve_keypair()) for target in targets]
        self.fresh_keys = frozenset(door.key for door in self._doors)
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
            door.monitor.look(now_ns)
            met = door.monitor.state in (REFUSED, UP)
            if door.key in refused:
                self._doors.remove(door)  # it leads back to us
                door.close()
            elif met or now_ns >= self._until_ns:
                self._doors.remove(door)
                door.close()
                if met and not door.second:
                    found.append(door.target)
                    self._doors.append(self._at(door.target, self._own_keys, second=True))
        return found

    def close(self) -> None:
        """Stop knocking."""
        for door in self._doors:
            door.close()
        self._doors.clear()

    def _at(self, target: str, keys: tuple[bytes, bytes], *, second: bool = False) -> _Door:
        socket = self._new_socket(*keys)
        door = _Door(target, keys[0].decode("ascii"), socket, LinkMonitor(socket), second)
        socket.connect(target)
        return door
