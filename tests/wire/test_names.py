"""Names become addresses beside everything else: no start, no cell waits for a name server."""

from __future__ import annotations

import itertools
import socket
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from typing import TypeVar

import pytest

from flocksy.errors import FlocksyError
from flocksy.testing.flock import make_settings
from flocksy.wire import names
from flocksy.wire.limits import LOOK_UP_NS
from flocksy.wire.link import Links
from flocksy.wire.names import Names
from tests.wire.test_links import TURN_MS, WAIT_S, connected
from tests.wire.test_process import endpoints

Value = TypeVar("Value")

NAMED = "tcp://cleo.example:5000"
OLD = "tcp://old.example:5000"
FOUND = "tcp://10.0.0.3:5000"


class NameServer:
    """Answers when it is told to."""

    def __init__(self) -> None:
        self.answers: dict[str, str] = {}
        self.asked: list[str] = []
        self.silent = threading.Event()
        self.silent.set()

    def look_up(self, endpoint: str) -> str:
        self.asked.append(endpoint)
        assert self.silent.wait(WAIT_S)
        if endpoint not in self.answers:
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
        return self.answers[endpoint]


def served(all_names: Names, now_ns: int) -> tuple[list[str], list[str]]:
    """What there is, once there is something."""
    return until(lambda: all_names.serve(now_ns), any)


def until(get: Callable[[], Value], holds: Callable[[Value], bool]) -> Value:
    end = time.monotonic() + WAIT_S
    while not holds(value := get()):
        assert time.monotonic() < end
        time.sleep(0.001)
    return value


def test_what_is_an_address_is_not_looked_up() -> None:
    server = NameServer()
    all_names = Names(0, server.look_up)
    for endpoint in (FOUND, "tcp://[::1]:5000", "ipc:///run/flocksy", "tcp://*:5000"):
        all_names.want(endpoint)
        assert all_names.address(endpoint) == endpoint
        assert not all_names.trouble(endpoint)
    assert not server.asked


def test_nobody_waits_and_what_was_found_is_not_asked_for_again() -> None:
    server = NameServer()
    server.answers[NAMED] = FOUND
    server.silent.clear()
    all_names = Names(0, server.look_up)
    all_names.want(NAMED)
    assert all_names.trouble(NAMED) == f"looking up {NAMED}"
    assert all_names.serve(LOOK_UP_NS) == ([], []), "one thread is at it; that is enough"
    server.silent.set()
    assert served(all_names, LOOK_UP_NS) == ([NAMED], [])
    assert all_names.address(NAMED) == FOUND
    assert not all_names.trouble(NAMED)
    assert all_names.serve(9 * LOOK_UP_NS) == ([], [])
    assert server.asked == [NAMED]


def test_what_was_not_found_is_asked_for_on_its_own_timer() -> None:
    server = NameServer()
    all_names = Names(0, server.look_up)
    all_names.want(NAMED)
    reason = "Name or service not known; looked up again every minute"
    assert served(all_names, 1) == ([], [f"node = {NAMED}: {reason}"])
    all_names.want(OLD, once=True)
    assert all_names.trouble(NAMED) == f"name not found: {NAMED}"
    assert not all_names.trouble(OLD)
    until(lambda: len(server.asked), lambda asked: asked == 2)
    all_names.serve(LOOK_UP_NS - 1)
    assert len(server.asked) == 2
    assert not all_names.address(NAMED)
    minutes, words = itertools.count(1), list[str]()
    until(
        lambda: words.extend(all_names.serve(next(minutes) * LOOK_UP_NS)[1]),
        lambda _: server.asked.count(NAMED) == 5,
    )
    assert not words, "people have been told"
    server.answers[NAMED] = FOUND
    found = until(lambda: all_names.serve(next(minutes) * LOOK_UP_NS)[0], bool)
    assert found == [NAMED]
    assert server.asked.count(OLD) == 1


def test_a_system_that_gives_no_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(_: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", refuse)
    ours, theirs = make_settings(endpoints("tcp", "")[:2])
    named = replace(ours.members[theirs.own_lane], endpoints=(NAMED,))
    members = tuple(named if each.endpoints[0] in theirs.bind else each for each in ours.members)
    with pytest.raises(FlocksyError, match=r"can't start new thread; let this user have more"):
        Links(replace(ours, members=members))


def test_a_member_whose_name_is_known_later(monkeypatch: pytest.MonkeyPatch) -> None:
    """A laptop starts before its network does."""
    look_up = socket.getaddrinfo
    is_there = False

    def answer(host: str, *rest: object, flags: int = 0, **others: object) -> object:
        if host != "cleo.example" or flags & socket.AI_NUMERICHOST:
            return look_up(host, *rest, flags=flags, **others)  # type: ignore[arg-type]  # as it is
        if not is_there:
            raise socket.gaierror(socket.EAI_AGAIN, "Temporary failure in name resolution")
        return look_up("127.0.0.1", *rest, **others)  # type: ignore[arg-type]  # likewise

    monkeypatch.setattr(socket, "getaddrinfo", answer)
    monkeypatch.setattr(names, "LOOK_UP_NS", 50_000_000)
    ours, theirs = make_settings(endpoints("tcp", "")[:2])
    lane = theirs.own_lane
    port = theirs.bind[0].rpartition(":")[2]
    named = replace(ours.members[lane], endpoints=(f"tcp://cleo.example:{port}",))
    members = tuple(named if at == lane else each for at, each in enumerate(ours.members))
    flock = [Links(replace(ours, members=members)), Links(theirs)]

    def serve() -> list[Links]:
        for links in flock:
            links.serve()
            links.wait(TURN_MS)
        return flock

    try:
        until(serve, lambda flock: flock[1].link_state(ours.own_lane) == "")
        said = until(lambda: serve()[0].complaints(), bool)
        assert said == [
            f"node = tcp://cleo.example:{port}: Temporary failure in name resolution; looked up"
            " again every minute"
        ]
        assert flock[0].link_state(lane) == f"name not found: tcp://cleo.example:{port}"
        assert flock[0].address(lane) == (f"tcp://cleo.example:{port}", "")
        is_there = True
        until(serve, connected)
        assert flock[0].address(lane)[1] == f"tcp://127.0.0.1:{port}"
        assert not flock[0].complaints()
    finally:
        for links in flock:
            links.close()
