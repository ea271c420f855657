"""Which endpoints are believed to be a member's."""

from __future__ import annotations

import pytest

from flocksy.node.reaching import usable

FAR = ("tcp://ben.example:5000",)
HERE = ("tcp://127.0.0.1:5000",)


@pytest.mark.parametrize(
    ("endpoint", "configured", "proxied", "expected"),
    [
        ("tcp://10.0.0.1:5000", FAR, False, True),
        ("tcp://[2001:db8::1]:5000", FAR, False, True),
        ("tcp://127.0.0.1:5000", FAR, False, False),
        ("tcp://[::1]:5000", FAR, False, False),
        ("tcp://localhost:5000", FAR, True, False),
        ("tcp://127.0.0.1:5001", HERE, False, True),
        ("tcp://ben.example:5000", FAR, False, False),
        ("tcp://abcdefghij.onion:5000", FAR, True, True),
        ("tcp://müller.example:5000", FAR, True, False),
        ("tcp://*:5000", FAR, True, False),
        ("tcp://0.0.0.0:5000", FAR, False, False),
        ("tcp://[::]:5000", FAR, False, False),
        ("tcp://224.0.0.1:5000", FAR, False, False),
        ("tcp://255.255.255.255:5000", FAR, False, False),
        ("tcp://[::ffff:127.0.0.1]:5000", FAR, False, False),
        ("tcp://[::ffff:0.0.0.0]:5000", FAR, False, False),
        ("tcp://[::127.0.0.1]:5000", FAR, False, False),
        ("tcp://[::ffff:10.0.0.1]:5000", FAR, False, True),
        ("tcp://[fe80::1%eth0]:5000", FAR, False, False),
        ("tcp://10.0.0.1:70000", FAR, False, False),
        ("tcp://10.0.0.1:05000", FAR, False, False),
        ("10.0.0.1:5000", FAR, False, False),
        ("ipc:///tmp/node.ipc", ("ipc:///tmp/other.ipc",), False, False),
        ("inproc://zeromq.zap.01", HERE, False, False),
        ("pgm://10.0.0.1;239.192.1.1:5555", FAR, False, False),
        ("tcp://10.0.0.1:5000;10.0.0.2:5000", FAR, True, False),
        ("", FAR, False, False),
    ],
)
def test_usable(endpoint: str, configured: tuple[str, ...], proxied: bool, expected: bool) -> None:
    assert usable(endpoint, configured, proxied=proxied) is expected
