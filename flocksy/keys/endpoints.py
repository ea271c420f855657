"""How endpoints are written: `tcp://host:port`, `ipc:///path`, or a bare `host:port`."""

from __future__ import annotations

import ipaddress
import re

MAX_ENDPOINT_CHARACTERS = 300
"""A host name has at most 253 characters, the path of a socket at most 107 bytes."""

MAX_HOST_BYTES = 253
"""Of a name as it is asked for: what the DNS can carry."""

MAX_IPC_PATH_BYTES = 103
"""The shortest limit among the systems (macOS: 104 bytes with the final zero)."""

_TCP = re.compile(r"tcp://(?P<host>\[[0-9A-Fa-f:.%a-z]+\]|[^\s:/@\[\]]+):(?P<port>[0-9]{1,5})")


def normal_endpoint(text: str) -> str:
    """`text` in the one form that keys, members and sockets are named by. ValueError if none."""
    text = text.strip()
    if not text or len(text) > MAX_ENDPOINT_CHARACTERS or not text.isprintable():
        raise ValueError("is no endpoint; write host:port, tcp://host:port or ipc:///path")
    if text.startswith("ipc://"):
        path = text.removeprefix("ipc://")
        if not path.startswith("/"):
            raise ValueError("the path of an ipc endpoint must be absolute: ipc:///path")
        if len(path.encode()) > MAX_IPC_PATH_BYTES:
            raise ValueError(f"the path of an ipc endpoint has at most {MAX_IPC_PATH_BYTES} bytes")
        return text
    if "://" not in text:
        text = f"tcp://{text}"
    match = _TCP.fullmatch(text)
    if match is None:
        raise ValueError("is no endpoint; write host:port, tcp://host:port or ipc:///path")
    if not 1 <= int(match["port"]) <= 65535:
        raise ValueError("a port is a number from 1 to 65535")
    if not is_host(match["host"]):
        raise ValueError("is no endpoint: no machine can have that name or address")
    return f"tcp://{match['host']}:{int(match['port'])}"


def told_endpoint(text: str) -> str:
    """As `normal_endpoint`, of a place where others are to reach this machine. ValueError for one
    that leads nowhere: "all addresses" is somewhere to listen."""
    endpoint = normal_endpoint(text)
    match = _TCP.fullmatch(endpoint)
    if match is not None and match["host"] in ("*", "0.0.0.0", "[::]"):
        raise ValueError(
            "is no place that others could reach; write the name or address that they use"
        )
    return endpoint


def is_host(text: str) -> bool:
    """Whether a machine can be called so: a name of letters, digits, - _ and dots, an address, an
    IPv6 address in brackets, or * for all addresses of this machine.

    Names that no resolver takes would stop a node at its start, and they come in bundles, too.
    """
    if text == "*":
        return True
    try:
        if text.startswith("["):
            ipaddress.IPv6Address(text[1:-1])
            return text.endswith("]")
        asked = text.encode("idna")
        return 0 < len(asked) <= MAX_HOST_BYTES and all(c.isalnum() or c in "-_." for c in text)
    except ValueError:
        return False


def is_local(endpoint: str) -> bool:
    """Whether what is sent to this endpoint cannot leave the machine."""
    if endpoint.startswith("ipc://"):
        return True
    match = _TCP.fullmatch(endpoint)
    assert match is not None, "endpoints are normal here"
    host = match["host"].strip("[]")
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
