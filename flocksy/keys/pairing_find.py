"""Finding a machine that waits for a pairing in the local network, only if both ask for it.

The one that looks asks a multicast group, the one that waits answers with its port. Neither says a
name or a code. An answer is believed by nobody: whoever stands there still has to know the code.
"""

from __future__ import annotations

import os
import socket
import struct
import sys
import time
from collections.abc import Sequence
from types import TracebackType

from flocksy.errors import FlocksyError

GROUP = "239.255.50.17"
"""Of the range that is for use within one site (RFC 2365)."""

PORT = 5017
ASK = b"flocksy asks 1\r\n"
ANSWER = b"flocksy waits 1\r\n"
TOKEN_BYTES = 8
"""Of a question, so that an answer is one to it; and of a pairing, so that a machine which answers
over two networks is one."""

_PORT = struct.Struct(">H")
_QUESTION_BYTES = len(ASK) + TOKEN_BYTES
_ANSWER_BYTES = len(ANSWER) + 2 * TOKEN_BYTES + _PORT.size

ASK_SECONDS = 1.0
"""Between two questions: datagrams get lost."""

FIND_SECONDS = 5.0
MAX_FOUND = 8
MAX_DATAGRAMS = 32
"""Questions answered at one time."""

_HERE_ONLY = 1  # hops: what we send passes no router


class Announcer:
    """Answers who asks, with the port where the pairing listens."""

    def __init__(self, port: int, interfaces: Sequence[int] | None = None) -> None:
        """`interfaces`: numbers of network interfaces; all by default. Raises `FlocksyError`."""
        self._answer = waiting(os.urandom(TOKEN_BYTES), port)
        self._sock = _socket()
        try:
            self._sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            self._sock.bind(("", PORT))
        except OSError as error:
            self._sock.close()
            raise FlocksyError(
                f"port {PORT}: cannot be listened at for --announce: {error.strerror}; pair "
                "without it, by the address"
            ) from None
        joined = [one for one in _interfaces(interfaces) if self._join(one)]
        if not joined:
            self._sock.close()
            raise FlocksyError("no network to announce in; pair without --announce, by the address")

    def fileno(self) -> int:
        """Readable when somebody asks."""
        return self._sock.fileno()

    def on_readable(self) -> None:
        """Answer whoever asked."""
        for _ in range(MAX_DATAGRAMS):
            try:
                data, sender = self._sock.recvfrom(_QUESTION_BYTES + 1)
                answer = answer_to(data, self._answer)
                if answer is not None:
                    self._sock.sendto(answer, sender)
            except OSError:
                return  # nothing left; or it cannot be answered, and asks again

    def __enter__(self) -> Announcer:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._sock.close()

    def _join(self, interface: int) -> bool:
        try:
            self._sock.setsockopt(socket.IPPROTO_IP, socket.IP_ADD_MEMBERSHIP, _request(interface))
        except OSError:
            return False  # an interface without an address, or without multicast
        return True


def find_hosts(interfaces: Sequence[int] | None = None) -> list[tuple[str, int]]:
    """Addresses and ports of those who wait, as far as they answer in time."""
    token = os.urandom(TOKEN_BYTES)
    found: dict[bytes, tuple[str, int]] = {}
    end = time.monotonic() + FIND_SECONDS
    with _socket() as sock:
        while (now := time.monotonic()) < end and len(found) < MAX_FOUND:
            for interface in _interfaces(interfaces):
                try:
                    sock.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_IF, _request(interface))
                    sock.sendto(ASK + token, (GROUP, PORT))
                except OSError:
                    continue  # it has no address, or no multicast
            _collect(sock, token, min(end, now + ASK_SECONDS), found)
            if found:
                # Whoever else waits has heard the same question.
                end = min(end, now + 2 * ASK_SECONDS)
    return list(found.values())


def _collect(
    sock: socket.socket, token: bytes, until: float, found: dict[bytes, tuple[str, int]]
) -> None:
    while (left := until - time.monotonic()) > 0 and len(found) < MAX_FOUND:
        sock.settimeout(left)
        try:
            data, sender = sock.recvfrom(_ANSWER_BYTES + 1)
        except OSError:
            return
        answer = read_answer(data, token)
        if answer is not None:
            pairing, port = answer
            found.setdefault(pairing, (sender[0], port))


def waiting(pairing: bytes, port: int) -> bytes:
    """What every answer of one pairing ends in."""
    return pairing + _PORT.pack(port)


def answer_to(question: bytes, ending: bytes) -> bytes | None:
    """What is answered to a datagram that is a question; None to any other."""
    if len(question) != _QUESTION_BYTES or not question.startswith(ASK):
        return None
    return ANSWER + question[len(ASK) :] + ending


def read_answer(data: bytes, token: bytes) -> tuple[bytes, int] | None:
    """Which pairing waits at which port, of a datagram that answers the question with `token`."""
    if len(data) != _ANSWER_BYTES or not data.startswith(ANSWER + token):
        return None
    (port,) = _PORT.unpack(data[-_PORT.size :])
    return (data[-TOKEN_BYTES - _PORT.size : -_PORT.size], port) if port else None


def _socket() -> socket.socket:
    if sys.platform == "win32":
        raise FlocksyError("finding machines in the local network is not made for this system")
    sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    sock.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_TTL, _HERE_ONLY)
    sock.setsockopt(socket.IPPROTO_IP, socket.IP_TTL, _HERE_ONLY)
    sock.setblocking(False)
    return sock


def _interfaces(given: Sequence[int] | None) -> Sequence[int]:
    return [number for number, _ in socket.if_nameindex()] if given is None else given


def _request(interface: int) -> bytes:
    """struct ip_mreqn: the group on one interface, whatever addresses that has."""
    return struct.pack("=4s4si", socket.inet_aton(GROUP), bytes(4), interface)
