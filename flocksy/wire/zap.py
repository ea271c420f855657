"""The allow list: answers libzmq's question whether a key may have a link (ZAP, RFC 27).

No thread: the emitter's loop answers, at most so many per round, so that an outsider's attempts
have a bounded cost. Our own key is not on the list: this node has no link to itself, so who comes
with it is somebody else who has our private key.
"""

from __future__ import annotations

from collections import deque
from typing import NamedTuple

import zmq
from zmq.utils import z85

from flocksy.wire.limits import REFUSALS, ZAP_PER_ROUND

ENDPOINT = "inproc://zeromq.zap.01"
DOMAIN = b"flocksy"

_FRAMES = 7
"""Of a request for CURVE: version, id, domain, address, routing id, mechanism, key; before them
the requester's routing id and an empty delimiter."""


class Refusal(NamedTuple):
    """A link that was not given."""

    key: str
    """In Z85."""
    address: str
    """Where it came from, without a port; of `ipc` something made up by libzmq."""


class AllowList:
    """Admits the public keys it was given and refuses all others."""

    def __init__(self, context: zmq.Context[zmq.Socket[bytes]], keys: frozenset[str]) -> None:
        """`keys` in Z85. To be made before any socket binds."""
        self._keys = frozenset(z85.decode(key) for key in keys)
        self.socket = context.socket(zmq.ROUTER)
        self.socket.setsockopt(zmq.LINGER, 0)
        self.socket.bind(ENDPOINT)
        self._refused: deque[Refusal] = deque(maxlen=REFUSALS)

    def serve(self) -> None:
        """Answer what waits."""
        for _ in range(ZAP_PER_ROUND):
            try:
                frames = self.socket.recv_multipart(zmq.NOBLOCK)
            except zmq.Again:
                return
            if len(frames) != _FRAMES + 2:
                continue
            requester, _, version, request_id, domain, address, _, mechanism, key = frames
            allowed = (
                version == b"1.0"
                and domain == DOMAIN
                and mechanism == b"CURVE"
                and key in self._keys
            )
            if not allowed and len(key) == 32:
                shown = z85.encode(key).decode("ascii")
                self._refused.append(Refusal(shown, address.decode("ascii", "replace")))
            verdict = (b"200", b"OK") if allowed else (b"400", b"")
            self.socket.send_multipart([requester, b"", version, request_id, *verdict, b"", b""])

    def take_refused(self) -> list[Refusal]:
        """The newest refusals since the last call, oldest first."""
        refused = list(self._refused)
        self._refused.clear()
        return refused

    def close(self) -> None:
        """Let go of the endpoint."""
        self.socket.close()
