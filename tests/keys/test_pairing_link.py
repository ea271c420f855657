"""Pairing over real sockets: several guests in turn, attackers, breaks, and ends of waits."""

from __future__ import annotations

import os
import socket
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

import pytest

from flocksy.errors import FlocksyError
from flocksy.keys.bundle import Bundle
from flocksy.keys.pairing import (
    GREETING_BYTES,
    MAX_TURNS,
    WRONG,
    Invitation,
    PairingError,
    WrongCodeError,
)
from flocksy.keys.pairing_link import MAX_OPEN, Outcome, PairingHost, join, listen
from tests.keys.test_pairing import ANNA, BEN, CLEO, CODE, OTHER

BOUND_SECONDS = 20.0


class Hosting:
    """An invitation that waits in a thread of its own."""

    def __init__(self, places: int, seconds: float, members: Sequence[Bundle]) -> None:
        self.seen: list[Bundle] = []
        self.outcome: Outcome | None = None
        self.raised: BaseException | None = None
        self.refuse: FlocksyError | None = None
        until = time.monotonic() + seconds
        self._invitation = Invitation(CODE, places, until, os.urandom)
        self._listener = listen("127.0.0.1", 0)
        self.address = ("127.0.0.1", self._listener.getsockname()[1])
        self._host = PairingHost(self._listener, self._invitation, ANNA, self._joined, members)
        self._thread = threading.Thread(target=self._run, args=(until,))
        self._thread.start()

    def _joined(self, bundle: Bundle) -> None:
        if self.refuse is not None:
            raise self.refuse
        self.seen.append(bundle)

    def _run(self, until: float) -> None:
        try:
            self.outcome = self._host.run(until)
        except FlocksyError as error:
            self.raised = error
        finally:
            self._listener.close()

    def end(self) -> Outcome:
        self._thread.join(BOUND_SECONDS)
        assert not self._thread.is_alive()
        assert self.outcome is not None, self.raised
        return self.outcome

    def joined(self, timeout: float = BOUND_SECONDS) -> None:
        self._thread.join(timeout)


@contextmanager
def hosting(
    places: int, seconds: float = 60.0, members: Sequence[Bundle] = ()
) -> Iterator[Hosting]:
    host = Hosting(places, seconds, members)
    try:
        yield host
    finally:
        host._invitation.burnt = True  # whatever failed: it must not wait for its time
        host.joined()


class Guest:
    """A guest in a thread of its own."""

    def __init__(self, address: tuple[str, int], own: Bundle, code: bytes = CODE) -> None:
        self.met: list[Bundle] = []
        self.introduced: list[Bundle] = []
        self.error: PairingError | None = None
        self._arguments = address, code, own, self.met.append, self.introduced.append
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def _run(self) -> None:
        try:
            join(*self._arguments)
        except PairingError as error:
            self.error = error

    def end(self) -> None:
        self._thread.join(BOUND_SECONDS)
        assert not self._thread.is_alive()


def wait_until(condition: Callable[[], bool]) -> None:
    end = time.monotonic() + BOUND_SECONDS
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.01)


def test_one_guest() -> None:
    with hosting(1) as host:
        guest = Guest(host.address, BEN)
        guest.end()
        assert host.end() == Outcome((BEN,), (), None)
    assert (guest.error, guest.met, guest.introduced) == (None, [ANNA], [])
    assert host.seen == [BEN]


def test_several_guests_in_turn_are_introduced_to_each_other() -> None:
    with hosting(2) as host:
        first = Guest(host.address, BEN)
        wait_until(lambda: first.met == [ANNA] and host.seen == [BEN])
        assert first.introduced == []
        second = Guest(host.address, CLEO)
        second.end()
        first.end()
        assert host.end() == Outcome((BEN, CLEO), (), None)
    assert first.met == second.met == [ANNA]
    assert first.introduced == [CLEO] and second.introduced == [BEN]


def test_a_guest_hears_of_those_who_were_there_before() -> None:
    with hosting(1, members=[CLEO, BEN]) as host:
        guest = Guest(host.address, BEN)
        guest.end()
        host.end()
    assert guest.introduced == [CLEO], "and not of itself"


def test_a_wrong_code_burns_it_for_everybody() -> None:
    with hosting(2) as host:
        wrong = Guest(host.address, BEN, OTHER)
        wrong.end()
        outcome = host.end()
        right = Guest(host.address, CLEO)
        right.end()
    assert str(outcome.error) == str(wrong.error) == WRONG
    assert isinstance(wrong.error, WrongCodeError)
    assert (host.seen, outcome.joined, wrong.met, right.met) == ([], (), [], [])
    assert isinstance(right.error, PairingError)


def test_who_had_joined_before_the_code_was_burnt_stays() -> None:
    with hosting(3) as host:
        first = Guest(host.address, BEN)
        second = Guest(host.address, CLEO)
        wait_until(lambda: len(host.seen) == 2)
        Guest(host.address, BEN, OTHER).end()
        outcome = host.end()
        first.end()
        second.end()
    assert set(outcome.joined) == {BEN, CLEO} and str(outcome.error) == WRONG
    assert first.introduced == [CLEO] and second.introduced == [BEN]


def test_strangers_who_hang_up_mumble_or_say_nothing_burn_nothing() -> None:
    with hosting(1) as host:
        held = []
        for number in range(MAX_OPEN + 3):
            sock = socket.create_connection(host.address, BOUND_SECONDS)
            if number % 3 == 0:
                sock.sendall(b"GET / HTTP/1.1\r\nHost: anna.example\r\n\r\n" + bytes(100))
            elif number % 3 == 1:
                sock.close()
            held.append(sock)
        guest = Guest(host.address, BEN)
        guest.end()
        assert host.end().joined == (BEN,)
        for sock in held:
            sock.close()
    assert guest.met == [ANNA]


def test_turns_have_an_end() -> None:
    with hosting(1) as host:
        for _ in range(MAX_TURNS):
            with socket.create_connection(host.address, BOUND_SECONDS) as sock:
                assert len(sock.recv(GREETING_BYTES, socket.MSG_WAITALL)) == GREETING_BYTES
        with socket.create_connection(host.address, BOUND_SECONDS) as sock:
            assert sock.recv(1) == b""
        outcome = host.end()
    assert outcome.joined == ()
    assert "too many connections" in str(outcome.error)


def test_nobody_comes_in_time() -> None:
    with hosting(1, seconds=0.2) as host:
        assert host.end() == Outcome((), (), None)


def test_a_host_that_cannot_keep_the_bundle_says_so() -> None:
    with hosting(1) as host:
        host.refuse = FlocksyError("no room")
        guest = Guest(host.address, BEN)
        guest.end()
        host.joined()
    assert str(host.raised) == "no room"
    assert guest.error is not None


def test_a_guest_that_is_refused_is_introduced_to_nobody() -> None:
    with hosting(2) as host:
        host.refuse = PairingError("revoked here")
        refused = Guest(host.address, BEN)
        refused.end()
        host.refuse = None
        guest = Guest(host.address, CLEO)
        guest.end()
        assert host.end() == Outcome((CLEO,), (), None)
    assert guest.met == [ANNA] and guest.introduced == []
    assert refused.introduced == []
    assert "that machine refuses this one" in str(refused.error)


def relay(source: socket.socket, target: socket.socket, change: Callable[[bytes], bytes]) -> None:
    while data := source.recv(65536):
        target.sendall(change(data))
    target.shutdown(socket.SHUT_WR)


@contextmanager
def man_in_the_middle(
    address: tuple[str, int], change: Callable[[bytes], bytes]
) -> Iterator[tuple[str, int]]:
    """Passes everything on between one guest and the host, through `change`, and keeps a copy."""
    server = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        inner, _ = server.accept()
        with inner, socket.create_connection(address, BOUND_SECONDS) as outer:
            back = threading.Thread(target=quietly, args=(outer, inner, change))
            back.start()
            quietly(inner, outer, change)
            back.join(BOUND_SECONDS)

    def quietly(
        source: socket.socket, target: socket.socket, change: Callable[[bytes], bytes]
    ) -> None:
        try:
            relay(source, target, change)
        except OSError:
            source.close()
            target.close()

    thread = threading.Thread(target=serve)
    thread.start()
    yield ("127.0.0.1", server.getsockname()[1])
    server.close()
    thread.join(BOUND_SECONDS)
    assert not thread.is_alive()


def test_a_man_in_the_middle_who_only_listens_learns_nothing() -> None:
    heard = bytearray()

    def listen_in(data: bytes) -> bytes:
        heard.extend(data)
        return data

    with hosting(1) as host, man_in_the_middle(host.address, listen_in) as address:
        guest = Guest(address, BEN)
        guest.end()
        assert host.end().joined == (BEN,)
    assert guest.met == [ANNA]
    for secret in (BEN, ANNA):
        assert secret.name.encode() not in heard
        assert secret.public_key.encode() not in heard


def test_a_man_in_the_middle_with_a_code_of_his_own_loses() -> None:
    """He is a host to the guest and a guest to the host, and guesses."""
    with hosting(1) as host, hosting(1) as his:
        his._invitation._code = OTHER
        to_host = Guest(host.address, CLEO, OTHER)
        guest = Guest(his.address, BEN)
        to_host.end()
        guest.end()
        assert host.end().joined == () and his.end().joined == ()
    assert str(guest.error) == WRONG
    assert guest.met == [] and to_host.met == []
    assert host.seen == [] and his.seen == []


@pytest.mark.parametrize("byte", [5, 40, 90, 130, 2000])
def test_a_man_in_the_middle_who_changes_a_byte_is_noticed(byte: int) -> None:
    passed = 0

    def change(data: bytes) -> bytes:
        nonlocal passed
        at = byte - passed
        passed += len(data)
        if 0 <= at < len(data):
            return data[:at] + bytes([data[at] ^ 4]) + data[at + 1 :]
        return data

    with hosting(1) as host, man_in_the_middle(host.address, change) as address:
        guest = Guest(address, BEN)
        guest.end()
        host._invitation.burnt = True
        host.joined()
    assert guest.error is not None
    assert guest.met == [] or host.seen == []
    assert CLEO not in (*guest.met, *host.seen)
