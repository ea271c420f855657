"""Finding who waits: real datagrams within this machine, and what is none of an answer."""

from __future__ import annotations

import select
import socket
import threading
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager

import pytest

from flocksy.errors import FlocksyError
from flocksy.keys import pairing_find
from flocksy.keys.pairing_find import ANSWER, ASK, GROUP, PORT, Announcer, find_hosts

BOUND_SECONDS = 20.0


def announcer(port: int) -> Announcer:
    try:
        return Announcer(port)
    except FlocksyError as error:
        pytest.skip(f"no multicast here: {error}")


@contextmanager
def answering(*announcers: Announcer) -> Iterator[None]:
    """Let them answer, from a thread."""
    stop_reader, stop_writer = socket.socketpair()

    def serve() -> None:
        while True:
            ready: Sequence[object]
            ready, _, _ = select.select([stop_reader, *announcers], [], [], BOUND_SECONDS)
            if stop_reader in ready or not ready:
                return
            for one in announcers:
                if one in ready:
                    one.on_readable()

    thread = threading.Thread(target=serve)
    thread.start()
    try:
        yield
    finally:
        stop_writer.close()
        thread.join(BOUND_SECONDS)
        stop_reader.close()


@pytest.fixture(autouse=True)
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    """Who does not answer within this process at once does not answer at all."""
    monkeypatch.setattr(pairing_find, "ASK_SECONDS", 0.3)
    monkeypatch.setattr(pairing_find, "FIND_SECONDS", 1.5)


def own(found: list[tuple[str, int]], ports: set[int]) -> list[int]:
    """The ports of `ports` that were found: tests beside this one may be announcing, too."""
    return sorted(port for _, port in found if port in ports)


def test_who_waits_is_found_once_however_many_networks_there_are() -> None:
    with announcer(40_001) as one, answering(one):
        found = find_hosts()
    if not found:
        pytest.skip("multicast does not come back to this machine")
    assert own(found, {40_001}) == [40_001]


def test_two_who_wait_are_two() -> None:
    with announcer(40_002) as one, announcer(40_003) as other, answering(one, other):
        found = find_hosts()
    if not found:
        pytest.skip("multicast does not come back to this machine")
    assert own(found, {40_002, 40_003}) == [40_002, 40_003]


def test_no_network_finds_nobody_and_says_so() -> None:
    assert find_hosts(interfaces=[]) == []
    with pytest.raises(FlocksyError, match="by the address"):
        Announcer(1, interfaces=[])


def test_only_questions_are_answered() -> None:
    with ExitStack() as stack:
        one = stack.enter_context(announcer(40_004))
        sock = stack.enter_context(socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
        sock.settimeout(BOUND_SECONDS)
        for data in (b"", b"x" * 2000, ASK, ASK + b"short", ANSWER + bytes(18), ASK + b"12345678"):
            sock.sendto(data, ("127.0.0.1", PORT))
        select.select([one], [], [], BOUND_SECONDS)
        one.on_readable()
        answer, _ = sock.recvfrom(2000)
        assert answer.startswith(ANSWER + b"12345678") and answer.endswith(b"\x9c\x44")
        sock.setblocking(False)
        with pytest.raises(BlockingIOError):
            sock.recvfrom(2000)


@pytest.mark.parametrize(
    "answer",
    [
        b"",
        ANSWER,
        ANSWER + b"otherone" + b"pairing1" + b"\x10\x00",
        ANSWER + b"token678" + b"pairing1" + b"\x00\x00",
        ANSWER + b"token678" + b"pairing1" + b"\x10\x00more",
    ],
)
def test_what_is_no_answer_finds_nobody(answer: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pairing_find, "FIND_SECONDS", 0.3)
    monkeypatch.setattr("os.urandom", lambda size: b"token678"[:size])
    asked: list[socket.socket] = []
    real = pairing_find._socket

    def made() -> socket.socket:
        sock = real()
        sock.bind(("127.0.0.1", 0))
        asked.append(sock)
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as liar:
            liar.sendto(answer, sock.getsockname())
        return sock

    monkeypatch.setattr(pairing_find, "_socket", made)
    assert find_hosts(interfaces=[]) == []
    assert asked and GROUP.startswith("239.255.")


def test_what_it_sends_passes_no_router() -> None:
    """Neither questions nor answers: who asks from elsewhere, unicast, hears nothing."""
    with announcer(1) as one, pairing_find._socket() as asker:
        for sock in (one._sock, asker):
            for option in (socket.IP_TTL, socket.IP_MULTICAST_TTL):
                assert sock.getsockopt(socket.IPPROTO_IP, option) == 1
