"""What the links of all nodes have in common, seen from the system: names, socket options."""

from __future__ import annotations

import contextlib
import os
import socket
import sys
import time
from collections.abc import Iterator
from dataclasses import replace

import pytest
import zmq

from flocksy.testing.flock import make_settings
from flocksy.testing.over_tcp import free_ports
from flocksy.wire import candidates
from flocksy.wire.link import Links
from flocksy.wire.monitor import UP, LinkMonitor
from tests.wire.test_process import endpoints

WAIT_S = 20.0
TURN_MS = 20
OPTIONS = {
    "TOS": (socket.IPPROTO_IP, socket.IP_TOS),
    "TTL": (socket.IPPROTO_IP, socket.IP_TTL),
    "no delay": (socket.IPPROTO_TCP, socket.TCP_NODELAY),
    "keep alive": (socket.SOL_SOCKET, socket.SO_KEEPALIVE),
}


@pytest.fixture
def flock(tmp_path: object) -> Iterator[list[Links]]:
    made = [Links(each) for each in make_settings(endpoints("tcp", str(tmp_path)))]
    yield made
    for links in made:
        links.close()


def connected(flock: list[Links]) -> bool:
    return not any(
        links.link_state(lane)
        for own, links in enumerate(flock)
        for lane in range(len(flock))
        if lane != own
    )


def serve_until_connected(flock: list[Links]) -> None:
    end = time.monotonic() + WAIT_S
    while not connected(flock):
        assert time.monotonic() < end, [links.complaints() for links in flock]
        for links in flock:
            links.serve()
            links.wait(TURN_MS)


def test_no_name_is_looked_up_after_the_start(
    flock: list[Links], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither by us, nor by libzmq, which would do so at each attempt to connect: it is given
    addresses. (A look-up near an event shows to whoever watches name servers.)"""
    serve_until_connected(flock)

    def refuse(*_: object, **__: object) -> object:
        raise AssertionError("a name is looked up")

    for name in ("getaddrinfo", "gethostbyname", "gethostbyname_ex", "getnameinfo"):
        monkeypatch.setattr(socket, name, refuse)
    for links in flock:
        for lane in links._subs:
            links._connect_to(lane, links.address(lane)[0])  # as after a refusal
    serve_until_connected(flock)
    for links in flock:
        sockets = [links._pub, *links._subs.values()]
        for each in sockets:
            given = each.getsockopt(zmq.LAST_ENDPOINT)
            assert isinstance(given, bytes)
            host = given.decode().rstrip("\0").removeprefix("tcp://").rpartition(":")[0]
            assert host in ("127.0.0.1", "[::1]", "[::ffff:127.0.0.1]"), host


@pytest.mark.skipif(sys.platform != "linux", reason="sockets are found in /proc")
def test_all_sockets_have_the_same_options(flock: list[Links]) -> None:
    """TTL, DSCP and ECN, and what decides how bytes become packets."""
    serve_until_connected(flock)
    found = [dict(each) for each in own_tcp_options()]
    # Both ends of every link.
    assert len(found) == 2 * len(flock) * (len(flock) - 1)
    for name in OPTIONS:
        assert len({each[name] for each in found}) == 1, name
    assert found[0]["TOS"] == 0 and found[0]["no delay"] == 1


def own_tcp_options() -> Iterator[dict[str, int]]:
    """Of each connected TCP socket of this process."""
    for name in os.listdir("/proc/self/fd"):
        with contextlib.suppress(OSError):
            if not os.readlink(f"/proc/self/fd/{name}").startswith("socket:"):
                continue
            with socket.socket(fileno=os.dup(int(name))) as copy:
                if copy.family in (socket.AF_INET, socket.AF_INET6) and copy.getpeername():
                    yield {key: copy.getsockopt(*option) for key, option in OPTIONS.items()}


def test_a_link_that_has_moved_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    """libzmq goes on trying the address before, and tells how that ends."""
    monkeypatch.setattr(candidates, "TRY_ADDRESS_NS", 500_000_000)
    ours, theirs = make_settings(endpoints("tcp", "")[:2])
    (nowhere,) = free_ports(1)
    lane = theirs.own_lane
    member = ours.members[lane]
    moved = replace(member, endpoints=(f"tcp://127.0.0.1:{nowhere}", *member.endpoints))
    members = tuple(moved if each is member else each for each in ours.members)
    flock = [Links(replace(ours, members=members)), Links(theirs)]
    try:
        serve_until_connected(flock)
        end = time.monotonic() + 2.5  # several turns, if it took them
        while time.monotonic() < end:
            for links in flock:
                links.serve()
                links.wait(TURN_MS)
            assert flock[0].link_state(lane) == ""
            assert flock[0].address(lane)[0] == member.endpoints[0]
    finally:
        for links in flock:
            links.close()


def test_one_look_takes_all_events_that_libzmq_keeps(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is left there for good fills up, and then no cell of any link moves."""
    kept = 2_000
    waiting = [zmq.EVENT_CLOSED] * (kept - 1) + [zmq.EVENT_HANDSHAKE_SUCCEEDED]

    def received(*_: object) -> dict[str, object]:
        if not waiting:
            raise zmq.Again
        return {"event": waiting.pop(0), "value": 0, "endpoint": b"tcp://127.0.0.1:1"}

    monkeypatch.setattr("flocksy.wire.monitor.recv_monitor_message", received)
    with zmq.Context() as context, context.socket(zmq.SUB) as socket:
        monitor = LinkMonitor(socket)
        monitor.look(0)
        assert len(waiting) == 0 and monitor.state == UP
        monitor.close()
