"""Configurations and keys of a flock over TCP, written for a `Rig`."""

from __future__ import annotations

import json
import socket
from collections.abc import Sequence
from pathlib import Path

from flocksy.keys.files import generate_pair
from flocksy.testing.rig import CONFIGURED_ROOT


def write_flock(
    directory: Path, endpoints: Sequence[str], settings: Sequence[str] = ()
) -> list[Path]:
    """New keys for `endpoints` (`host:port`) and one configuration each, with one box `shared`.

    Returns the configurations; the key files lie beside them, under the names `Rig` looks for.
    """
    pairs = [generate_pair() for _ in endpoints]
    configs = []
    for number, own in enumerate(endpoints):
        lines = [
            f"hostname = {own}",
            f"box = shared@{CONFIGURED_ROOT}/box{number + 1}",
            *(f"node = {other}" for other in endpoints if other != own),
            "keystore = ../keys-example/flocksy_keystore",
            "privatekey = ../keys-example/flocksy_privatekeys",
            *settings,
        ]
        config = directory / f"node{number + 1}"
        config.write_text("\n".join(lines) + "\n")
        configs.append(config)
    public = {f"tcp://{e}": pair.public_key for e, pair in zip(endpoints, pairs, strict=True)}
    private = {
        f"tcp://{endpoint}": {"public_key": pair.public_key, "private_key": pair.private_key}
        for endpoint, pair in zip(endpoints, pairs, strict=True)
    }
    (directory / "flocksy_keystore").write_text(json.dumps(public))
    (directory / "flocksy_privatekeys").write_text(json.dumps(private))
    return configs


def free_ports(count: int) -> list[int]:
    """Loopback ports that nobody listened at just now."""
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [sock.getsockname()[1] for sock in sockets]
    for sock in sockets:
        sock.close()
    return ports
