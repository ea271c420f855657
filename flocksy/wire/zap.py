"""The allow list: answers libzmq's question whether a key may have a link (ZAP, RFC 27).

No thread: the emitter's loop answers, at most so many per round, so that an outsider's attempts
have a bounded cost.
"""

from __future__ import annotations

import zmq
from zmq.utils import z85

from flocksy.wire.limits import ZAP_PER_ROUND

ENDPOINT = "inproc://zeromq.zap.01"
DOMAIN = b"flocksy"

_FRAMES = 7
"""Of a request for CURVE: version, id, domain, address, routing id, mechanism, key; before them
the requester's routing id and an empty delimiter."""


class AllowList:
    """Admits the public keys it was given and refuses all others."""

    def __init__(self, context: zmq.Context[zmq.Socket[bytes]], keys: frozenset[str]) -> None:
        """`keys` in Z85. To be made before any socket binds."""
        self._keys = frozenset(z85.decode(key) for key in keys)
        self.socket = context.socket(zmq.ROUTER)
        self.socket.setsockopt(zmq.LINGER, 0)
        self.socket.bind(ENDPOINT)
        self.refused: str | None = None
        """The newest key that was refused, in Z85."""

    def serve(self) -> None:
        """Answer what waits."""
        for _ in range(ZAP_PER_ROUND):
            try:
                frames = self.socket.recv_multipart(zmq.NOBLOCK)
            except zmq.Again:
                return
            if len(frames) != _FRAMES + 2:
                continue
            requester, _, version, request_id, domain, _, _, mechanism, key = frames
            allowed = (
                version == b"1.0"
                and domain == DOMAIN
                and mechanism == b"CURVE"
                and key in self._keys
            )
            if not allowed and len(key) == 32:
                self.refused = z85.encode(key).decode("ascii")
            verdict = (b"200", b"OK") if allowed else (b"400", b"")
            self.socket.send_multipart([requester, b"", version, request_id, *verdict, b"", b""])

    def close(self) -> None:
        """Let go of the endpoint."""
        self.socket.close()
