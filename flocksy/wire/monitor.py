"""What became of a link, told from libzmq's socket events.

With CURVE alone a wrong key looks like a peer that is down. The events tell apart: nobody there,
the far end refuses our key (its ZAP says so, in an error of the handshake), and a far end that
hangs up on our first word, because it is not the key we know.
"""

from __future__ import annotations

import zmq
from zmq.utils.monitor import recv_monitor_message

from flocksy.wire.limits import MONITOR_EVENTS_PER_ROUND

_EVENTS = (
    zmq.EVENT_CONNECTED
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
WRONG_KEY = "wrong key for that endpoint"
UP = ""


class LinkMonitor:
    """Watches the SUB socket of one link."""

    def __init__(self, socket: zmq.Socket[bytes]) -> None:
        self._events = socket.get_monitor_socket(_EVENTS)
        self._watched = socket
        self._shaking = False
        self.state = DOWN

    def look(self) -> None:
        """Take in the events since the last look."""
        for _ in range(MONITOR_EVENTS_PER_ROUND):
            try:
                event = recv_monitor_message(self._events, zmq.NOBLOCK)["event"]
            except zmq.Again:
                return
            self._take(event)

    def _take(self, event: int) -> None:
        if event == zmq.EVENT_CONNECTED:
            self._shaking = True
        elif event == zmq.EVENT_HANDSHAKE_SUCCEEDED:
            self._shaking = False
            self.state = UP
        elif event == zmq.EVENT_HANDSHAKE_FAILED_AUTH:
            self._shaking = False
            self.state = REFUSED
        elif event == zmq.EVENT_DISCONNECTED or event in (
            zmq.EVENT_HANDSHAKE_FAILED_NO_DETAIL,
            zmq.EVENT_HANDSHAKE_FAILED_PROTOCOL,
        ):
            if self._shaking:
                self.state = WRONG_KEY
            elif self.state == UP:
                self.state = DOWN
            self._shaking = False
        elif event == zmq.EVENT_CLOSED:
            # An attempt that found nobody.
            self.state = DOWN

    def close(self) -> None:
        """Stop watching."""
        self._watched.disable_monitor()
        self._events.close(0)
