"""The names of other machines become addresses: once, and nothing waits for it.

libzmq would look a name up in the one thread that moves all cells, and again at each attempt to
connect; a name server that does not answer takes half a minute. So each name has a thread of its
own, and libzmq is given addresses. A name that was found is not asked for again by this process: a
look-up after an event shows to whoever watches name servers. One that was not found (a laptop is
started before its network) is asked for again on a timer that nothing else moves, until it is.
"""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Callable
from queue import Empty, SimpleQueue
from urllib.parse import urlsplit

from flocksy.wire.limits import LOOK_UP_NS


def resolved(endpoint: str, *, named: bool = True) -> str:
    """The endpoint with its name replaced by an address.

    Raises `OSError` when there is none; without `named`, also where it would have to be looked up.
    """
    if not endpoint.startswith("tcp://"):
        return endpoint
    parts = urlsplit(endpoint)
    host = parts.hostname or ""
    if host == "*":
        return endpoint
    flags = 0 if named else socket.AI_NUMERICHOST
    found = socket.getaddrinfo(host, parts.port, type=socket.SOCK_STREAM, flags=flags)
    # IPv4 first where a name has both: `localhost` is bound there by most programs.
    found.sort(key=lambda entry: entry[0] != socket.AF_INET)
    address = str(found[0][4][0])
    return f"tcp://[{address}]:{parts.port}" if ":" in address else f"tcp://{address}:{parts.port}"


class Names:
    """All names that one node asks for."""

    def __init__(self, now_ns: int, look_up: Callable[[str], str] = resolved) -> None:
        """`look_up` may take its time; it raises `OSError` where nothing is found."""
        self._look_up = look_up
        self._found: dict[str, str] = {}
        self._missing: dict[str, bool] = {}  # and whether it is known that it was not found
        self._asked: dict[str, SimpleQueue[None]] = {}
        self._under_way: set[str] = set()
        self._answers: SimpleQueue[tuple[str, str, str]] = SimpleQueue()
        self._again_ns = now_ns + LOOK_UP_NS

    def want(self, endpoint: str, *, once: bool = False) -> None:
        """Find its address; `once`: or do not. What holds an address needs no looking up.

        Raises `RuntimeError` when the system gives no further thread.
        """
        try:
            self._found[endpoint] = resolved(endpoint, named=False)
            return
        except OSError:
            if endpoint in self._asked:
                return
        # To start a thread takes as long as the system likes: all start before the first cell does,
        # and the process waits for none at its end.
        self._asked[endpoint] = asked = SimpleQueue[None]()
        arguments = (endpoint, asked, once)
        threading.Thread(target=self._answer, args=arguments, daemon=True).start()
        if not once:
            self._missing[endpoint] = False
        self._ask(endpoint)

    def address(self, endpoint: str) -> str:
        """The endpoint with an address in place of a name; empty where there is none."""
        return self._found.get(endpoint, "")

    def trouble(self, endpoint: str) -> str:
        """While it is looked for: words for people."""
        was_not_found = self._missing.get(endpoint)
        if was_not_found is None:
            return ""
        return f"name not found: {endpoint}" if was_not_found else f"looking up {endpoint}"

    def serve(self, now_ns: int) -> tuple[list[str], list[str]]:
        """To be called often. The endpoints that were found since the last call, and words for
        people on those that were not, and that they have not been told of yet."""
        found, words = [], []
        with contextlib.suppress(Empty):
            while True:
                endpoint, address, reason = self._answers.get_nowait()
                self._under_way.discard(endpoint)
                if address:
                    self._found[endpoint] = address
                    self._missing.pop(endpoint, None)
                    found.append(endpoint)
                elif self._missing.get(endpoint) is False:
                    self._missing[endpoint] = True
                    words.append(f"node = {endpoint}: {reason}; looked up again every minute")
        if now_ns >= self._again_ns:
            self._again_ns += LOOK_UP_NS * ((now_ns - self._again_ns) // LOOK_UP_NS + 1)
            for endpoint in self._missing:
                self._ask(endpoint)
        return found, words

    def _ask(self, endpoint: str) -> None:
        if endpoint not in self._under_way:
            self._under_way.add(endpoint)
            self._asked[endpoint].put(None)

    def _answer(self, endpoint: str, asked: SimpleQueue[None], once: bool) -> None:
        address = ""
        while not address:
            asked.get()
            try:
                address = self._look_up(endpoint)
                self._answers.put((endpoint, address, ""))
            except OSError as error:
                self._answers.put((endpoint, "", error.strerror or str(error)))
                if once:
                    return
