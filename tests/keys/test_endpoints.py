"""The forms of an endpoint."""

from __future__ import annotations

import pytest

from flocksy.keys.endpoints import is_local, normal_endpoint, told_endpoint


@pytest.mark.parametrize(
    ("text", "normal"),
    [
        ("anna.example:5000", "tcp://anna.example:5000"),
        (" tcp://10.0.0.1:05000 ", "tcp://10.0.0.1:5000"),
        ("[::1]:5000", "tcp://[::1]:5000"),
        ("[fe80::1%eth0]:5000", "tcp://[fe80::1%eth0]:5000"),
        ("*:5000", "tcp://*:5000"),
        ("x" * 56 + ".onion:5000", "tcp://" + "x" * 56 + ".onion:5000"),
        ("b\u00fccher.example.:5000", "tcp://b\u00fccher.example.:5000"),
        ("a." * 126 + "a:5000", "tcp://" + "a." * 126 + "a:5000"),
        ("under_score:5000", "tcp://under_score:5000"),
        ("ipc:///tmp/node1.ipc", "ipc:///tmp/node1.ipc"),
    ],
)
def test_one_form_for_all_ways_to_write_it(text: str, normal: str) -> None:
    assert normal_endpoint(text) == normal
    assert normal_endpoint(normal) == normal


@pytest.mark.parametrize(
    "text",
    [
        "",
        "anna",
        "anna:port",
        "anna:0",
        "anna:70000",
        "udp://anna:1",
        "ipc://relative",
        "a b:1",
        "ipc:///" + "x" * 200,
        "x" * 400 + ":1",
        "tcp://a:1/path",
        "\x1b[1m:1",
        "a..b:1",
        ".a:1",
        "x" * 64 + ".example:1",
        "a." * 126 + "ab:1",
        "[zz]:1",
        "[10.0.0.1]:1",
        "a?b:1",
        "a#b:1",
        "a\u2100b:1",
    ],
)
def test_refuses_what_is_none(text: str) -> None:
    with pytest.raises(ValueError, match=r"endpoint|port"):
        normal_endpoint(text)


@pytest.mark.parametrize(
    ("endpoint", "local"),
    [
        ("ipc:///tmp/a", True),
        ("tcp://127.0.0.5:1", True),
        ("tcp://[::1]:1", True),
        ("tcp://localhost:1", True),
        ("tcp://10.0.0.1:1", False),
        ("tcp://localhost.example:1", False),
        ("tcp://*:1", False),
    ],
)
def test_knows_what_stays_on_the_machine(endpoint: str, local: bool) -> None:
    assert is_local(endpoint) is local


@pytest.mark.parametrize("host", ["*", "0.0.0.0", "[::]"])
def test_where_others_reach_nobody_is_told_to_nobody(host: str) -> None:
    """All addresses of a machine are somewhere to listen, and nowhere to go."""
    assert normal_endpoint(f"{host}:5000")
    with pytest.raises(ValueError, match="no place that others could reach"):
        told_endpoint(f"{host}:5000")


@pytest.mark.parametrize("endpoint", ["tcp://anna.example:1", "tcp://[::1]:1", "ipc:///tmp/a"])
def test_all_other_endpoints_can_be_told(endpoint: str) -> None:
    assert told_endpoint(endpoint) == endpoint
