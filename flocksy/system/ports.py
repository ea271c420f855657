"""Whether an endpoint could be listened at here, and whether a member's name can be found."""

from __future__ import annotations

import errno
import os
import socket
from collections.abc import Iterable
from typing import Literal
from urllib.parse import urlsplit

_Found = tuple[Literal["ok", "warning", "problem"], str, str]
"""Level, text, remedy."""

PROBE_SECONDS = 1.0


def listening_finding(endpoint: str, held: Iterable[str] = ()) -> _Found:
    """Try to listen at an own endpoint, for an instant. `held`: endpoints at which this node
    listens already. Of an endpoint with the port of one of these only the address is tried: it
    may well be the same one in other words."""
    if endpoint.startswith("ipc://"):
        return _ipc(endpoint)
    parts = urlsplit(endpoint)
    host, port = parts.hostname or "", parts.port or 0
    own_ports = {urlsplit(one).port for one in held if one.startswith("tcp://")}
    any_port = 0
    try:
        family, _, _, _, address = _resolve(host, any_port if port in own_ports else port)
    except OSError as error:
        return (
            "problem",
            f"{endpoint}: the name cannot be found ({error.strerror})",
            "take this machine's address as hostname, or mend the name",
        )
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        # As libzmq binds: what lingers of an earlier connection is not in the way.
        if os.name == "posix":
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(address)
            probe.listen(1)
        except OSError as error:
            return _refused(endpoint, port, error)
    return "ok", f"{endpoint}: free", ""


def unresolved(endpoint: str) -> str:
    """Why the name in a member's endpoint leads nowhere, or ""."""
    if endpoint.startswith("ipc://"):
        return ""
    parts = urlsplit(endpoint)
    try:
        _resolve(parts.hostname or "", parts.port or 0)
    except OSError as error:
        return f"the name cannot be found ({error.strerror})"
    return ""


def _resolve(
    host: str, port: int
) -> tuple[socket.AddressFamily, socket.SocketKind, int, str, tuple[str, int]]:
    if host == "*":
        host = "0.0.0.0"
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    # The same choice as the wire side makes.
    found.sort(key=lambda entry: entry[0] != socket.AF_INET)
    return found[0]  # type: ignore[return-value]  # an address of IPv6 has more fields


def _refused(endpoint: str, port: int, error: OSError) -> _Found:
    if error.errno == errno.EADDRINUSE:
        return (
            "problem",
            f"{endpoint}: another program listens there",
            f"end it (ss -ltnp 'sport = :{port}' shows which), or take another port",
        )
    if error.errno == errno.EADDRNOTAVAIL:
        return (
            "problem",
            f"{endpoint}: this machine does not have that address",
            "take an address that it has (ip address shows them), or a name, as hostname, and keep "
            f"the key: flocksy --create-private-keys -p {endpoint}",
        )
    if error.errno in (errno.EACCES, errno.EPERM):
        return (
            "problem",
            f"{endpoint}: this user may not listen there",
            "take a port from 1024 on",
        )
    return "problem", f"{endpoint}: cannot be listened at: {error.strerror}", "take another port"


def _ipc(endpoint: str) -> _Found:
    path = endpoint.removeprefix("ipc://")
    directory = os.path.dirname(path)
    if not os.path.isdir(directory):
        return "problem", f"{endpoint}: its directory does not exist", f"mkdir -p {directory}"
    if not os.access(directory, os.W_OK | os.X_OK):
        return (
            "problem",
            f"{endpoint}: this user cannot write in its directory",
            "name a directory that is yours",
        )
    if os.path.exists(path) and hasattr(socket, "AF_UNIX"):
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
            probe.settimeout(PROBE_SECONDS)
            try:
                probe.connect(path)
            except OSError:
                return "ok", f"{endpoint}: free (a left-over is there, which is replaced)", ""
            return "problem", f"{endpoint}: another program has it", "end it, or take another path"
    return "ok", f"{endpoint}: free", ""
