"""What became of a link, told from libzmq's socket events.

With CURVE alone a wrong key looks like a peer that is down. The events tell apart: nobody there;
the far end refuses our key (its ZAP says so, in an error of the handshake); a far end that hangs up
on our first word, because it is not the key we know; and one that speaks, but no CURVE.

After some of these libzmq gives a link up for good (a refusal, a far end that is no CURVE server).
What was refused today may be let in tomorrow, so the monitor says when a link is to be tried anew.
"""

from __future__ import annotations

import errno
import re

import zmq
from zmq.utils.monitor import recv_monitor_message

from flocksy.wire.limits import MONITOR_EVENTS_PER_ROUND, REFUSED_RETRY_NS

_EVENTS = (
    zmq.EVENT_CONNECTED
    | zmq.EVENT_CONNECT_DELAYED
    | zmq.EVENT_CONNECT_RETRIED
    | zmq.EVENT_CLOSED
    | zmq.EVENT_DISCONNECTED
    | zmq.EVENT_HANDSHAKE_SUCCEEDED
    | zmq.EVENT_HANDSHAKE_FAILED_AUTH
    | zmq.EVENT_HANDSHAKE_FAILED_NO_DETAIL
    | zmq.EVENT_HANDSHAKE_FAILED_PROTOCOL
)

DOWN = "down"
REFUSED = "refuses our key"
WE_REFUSE = "we refuse its key"
WRONG_KEY = "wrong key for that endpoint"
NO_FLOCKSY = "no flocksy at that endpoint"
TWIN = "somebody else is live under our key"
UP = ""

_MAPPED = re.compile(r"tcp://\[::ffff:([0-9.]+)\]:([0-9]+)")
"""How libzmq names an IPv4 address while it tries to connect."""


class LinkState:
    """One link as the events tell it: no socket here."""

    def __init__(self) -> None:
        self.text = DOWN
        self.given_up = False
        """libzmq does not try any more."""
        self.wrong_keys = 0
        """How often the far end was not the key that was tried."""
        self._shaking = False

    def take(self, event: int, value: int) -> None:
        """The next event of the socket, in order, with the value that came with it."""
        if event == zmq.EVENT_CONNECTED:
            self._shaking = True
            self.given_up = False
        elif event in (zmq.EVENT_CONNECT_RETRIED, zmq.EVENT_CONNECT_DELAYED):
            self.given_up = False
        elif event == zmq.EVENT_HANDSHAKE_SUCCEEDED:
            self._shaking = False
            self.text = UP
        elif event == zmq.EVENT_HANDSHAKE_FAILED_AUTH:
            self._shaking = False
            self.text = REFUSED
        elif event == zmq.EVENT_HANDSHAKE_FAILED_PROTOCOL:
            self._shaking = False
            self.text = NO_FLOCKSY
        elif event == zmq.EVENT_HANDSHAKE_FAILED_NO_DETAIL:
            # Hung up on our first word; or nothing came until the handshake's time was over.
            self._shaking = False
            wrong = value != errno.EAGAIN
            self.text = WRONG_KEY if wrong else NO_FLOCKSY
            self.wrong_keys += wrong
        elif event == zmq.EVENT_DISCONNECTED:
            if self._shaking:
                self.text = NO_FLOCKSY  # not even a greeting that libzmq understands
            elif self.text == UP:
                self.text = DOWN
            self._shaking = False
            self.given_up = True
        elif event == zmq.EVENT_CLOSED and self.text != UP:
            # An attempt that found nobody. What is up attempts nothing: then it was at an address
            # that is tried no more, and whose end is only told now.
            self.text = DOWN


class LinkMonitor:
    """Watches the SUB socket of one link."""

    def __init__(self, socket: zmq.Socket[bytes]) -> None:
        self._events = socket.get_monitor_socket(_EVENTS)
        self._watched = socket
        self._link = LinkState()
        self._given_up_ns = 0
        self._only = ""

    def moved(self, target: str) -> None:
        """The socket connects to `target` from now on. libzmq goes on trying what it was told to
        forget as long as nobody has answered there: what becomes of that does not count."""
        self._only = _plain(target)

    @property
    def state(self) -> str:
        """What became of the link; empty when it is up."""
        return self._link.text

    @property
    def wrong_keys(self) -> int:
        """How often the far end was not the key that was tried."""
        return self._link.wrong_keys

    def look(self, now_ns: int) -> bool:
        """Take in the events since the last look. True: the link is to be connected anew now."""
        for _ in range(MONITOR_EVENTS_PER_ROUND):
            try:
                message = recv_monitor_message(self._events, zmq.NOBLOCK)
            except zmq.Again:
                break
            if self._only in ("", _plain(message["endpoint"].decode(errors="replace"))):
                self._link.take(message["event"], message["value"])
        if not self._link.given_up:
            self._given_up_ns = 0
        elif not self._given_up_ns:
            self._given_up_ns = now_ns
        elif now_ns - self._given_up_ns >= REFUSED_RETRY_NS:
            self._given_up_ns = now_ns
            return True
        return False

    def close(self) -> None:
        """Stop watching."""
        self._watched.disable_monitor()
        self._events.close(0)


def _plain(endpoint: str) -> str:
    return _MAPPED.sub(r"tcp://\1:\2", endpoint)
