"""Pairing over TCP: carries the bytes of `pairing`, with an end to every wait.

An outsider who connects costs a socket for some seconds and one of the turns of the code.
"""

from __future__ import annotations

import contextlib
import selectors
import socket
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from flocksy.keys.bundle import Bundle
from flocksy.keys.pairing import (
    GuestRun,
    HostRun,
    Invitation,
    NoPairingError,
    PairingError,
    WrongCodeError,
)
from flocksy.keys.pairing_find import Announcer

CONNECT_SECONDS = 20.0
HANDSHAKE_SECONDS = 30.0
"""From the connection to the confirmation, and for each wait for something that is due at once."""

GUEST_SECONDS = 3600.0
"""The longest that a guest waits for the other guests; the host ends sooner."""

MAX_OPEN = 8
"""Connections at once; beyond, the one that has waited longest without a confirmation goes."""


@dataclass(eq=False)
class _Guest:
    """One connection, seen from the host."""

    sock: socket.socket
    run: HostRun
    deadline: float
    out: bytearray = field(default_factory=bytearray)
    counted: bool = False  # it has a place
    bundle: Bundle | None = None
    told: bool = False  # everything was said to it, and an end


@dataclass(frozen=True)
class Outcome:
    """How an invitation ended."""

    joined: tuple[Bundle, ...]
    """Who gave the right code, in order."""
    unsure: tuple[Bundle, ...]
    """Of these, who did not say that it has got everything."""
    error: PairingError | None
    """Why it ended before all places were taken; None when all were, or its time was over."""


class PairingHost:
    """Waits for the guests of one invitation."""

    def __init__(
        self,
        listener: socket.socket,
        invitation: Invitation,
        own: Bundle,
        joined: Callable[[Bundle], None],
        members: Sequence[Bundle] = (),
        announcer: Announcer | None = None,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        """`joined` is told of each guest at once. With a `PairingError` it refuses that one, who is
        hung up on and introduced to nobody; what else it raises ends the invitation.

        `members` were there before: the guests get their bundles, too.
        """
        self._listener = listener
        self._invitation = invitation
        self._own = own
        self._joined = joined
        self._members = tuple(members)
        self._announcer = announcer
        self._now = now
        self._guests: list[_Guest] = []
        self._selector = selectors.DefaultSelector()
        self._error: PairingError | None = None
        self._all: list[Bundle] = []
        self._stopped = False
        self._sure: list[Bundle] = []

    def run(self, until: float) -> Outcome:
        """Until all places are taken, the code is burnt, or it is `until` (as `now` counts).

        Those who have joined by then get each other's bundles. KeyboardInterrupt ends it likewise.
        """
        self._listener.setblocking(False)
        self._selector.register(self._listener, selectors.EVENT_READ, self._accept)
        if self._announcer is not None:
            self._selector.register(
                self._announcer, selectors.EVENT_READ, self._announcer.on_readable
            )
        try:
            try:
                while self._inviting(until):
                    self._turn(until)
            except KeyboardInterrupt:
                self._stopped = True
            self._introduce()
            while self._guests:
                self._turn(float("inf"))
        finally:
            for guest in list(self._guests):
                self._drop(guest)
            self._selector.close()
        if self._stopped and self._error is None and self._invitation.places:
            self._error = PairingError("stopped: the code is no longer good")
        if self._invitation.burnt and self._error is None:
            self._error = PairingError(
                "too many connections came and said nothing: the code is burnt; make a new one "
                "with flocksy pair"
            )
        unsure = tuple(bundle for bundle in self._all if bundle not in self._sure)
        return Outcome(tuple(self._all), unsure, self._error)

    def _inviting(self, until: float) -> bool:
        if self._invitation.burnt or self._now() >= until:
            return False
        return self._invitation.places > 0 or any(
            guest.counted and guest.bundle is None for guest in self._guests
        )

    def _turn(self, until: float) -> None:
        now = self._now()
        ends = [until, *(guest.deadline for guest in self._guests if not self._waits(guest))]
        for key, mask in self._selector.select(max(0.0, min(min(ends) - now, 1.0))):
            guest = key.data
            if not isinstance(guest, _Guest):
                guest()
                continue
            if guest in self._guests and mask & selectors.EVENT_WRITE:
                self._flush(guest)
            if guest in self._guests and mask & selectors.EVENT_READ:
                self._read(guest)
        now = self._now()
        for guest in list(self._guests):
            if now >= guest.deadline and not self._waits(guest):
                self._drop(guest)

    @staticmethod
    def _waits(guest: _Guest) -> bool:
        """It has said its part and waits for the others': that has the invitation's end."""
        return guest.bundle is not None and not guest.told

    def _accept(self) -> None:
        try:
            sock, _ = self._listener.accept()
        except OSError:
            return  # gone again
        run = self._invitation.connected(self._now())
        if run is None:
            sock.close()
            return
        strangers = [guest for guest in self._guests if not guest.counted]
        if len(strangers) >= MAX_OPEN:
            self._drop(strangers[0])
        sock.setblocking(False)
        guest = _Guest(sock, run, self._now() + HANDSHAKE_SECONDS)
        self._guests.append(guest)
        self._selector.register(sock, selectors.EVENT_READ, guest)
        self._flush(guest)

    def _read(self, guest: _Guest) -> None:
        try:
            # One byte more than is due at the end, to see it hang up.
            data = guest.sock.recv(guest.run.missing_bytes or 1)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if not data or not guest.run.missing_bytes:
            self._drop(guest)
            return
        try:
            guest.run.feed(data)
            self._progress(guest)
        except PairingError as error:
            self._invitation.failed(error)
            if self._invitation.burnt and self._error is None:
                self._error = error
            self._drop(guest)
            return
        self._flush(guest)

    def _progress(self, guest: _Guest) -> None:
        run = guest.run
        if run.confirmed and not guest.counted:
            if not self._invitation.joined():
                raise NoPairingError("all places were taken")
            guest.counted = True
            guest.deadline = self._now() + HANDSHAKE_SECONDS
            run.send(self._own)
        if run.bundles and guest.bundle is None:
            guest.bundle = run.bundles[0]
            self._joined(guest.bundle)
            self._all.append(guest.bundle)
        if len(run.bundles) > 1 or (run.ended and not guest.told):
            raise PairingError("the other machine sent what was not asked for")
        if run.ended and guest.bundle is not None:
            self._sure.append(guest.bundle)
            self._drop(guest)

    def _introduce(self) -> None:
        """Give everybody who has joined the bundles of the others, and an end."""
        self._selector.unregister(self._listener)
        if self._announcer is not None:
            self._selector.unregister(self._announcer)
        for guest in list(self._guests):
            if guest.bundle is None:
                self._drop(guest)
                continue
            keys = {guest.bundle.public_key}
            for other in (*self._all, *self._members):
                if other.public_key not in keys:
                    keys.add(other.public_key)
                    guest.run.send(other)
            guest.run.end()
            guest.told = True
            guest.deadline = self._now() + HANDSHAKE_SECONDS
            self._flush(guest)

    def _flush(self, guest: _Guest) -> None:
        if guest not in self._guests:
            return
        guest.out += guest.run.to_send()
        try:
            while guest.out:
                del guest.out[: guest.sock.send(guest.out)]
        except BlockingIOError:
            events = selectors.EVENT_READ | selectors.EVENT_WRITE
            self._selector.modify(guest.sock, events, guest)
            return
        except OSError:
            self._drop(guest)
            return
        self._selector.modify(guest.sock, selectors.EVENT_READ, guest)

    def _drop(self, guest: _Guest) -> None:
        if guest in self._guests:
            self._guests.remove(guest)
            self._selector.unregister(guest.sock)
            guest.sock.close()


def listen(host: str, port: int) -> socket.socket:
    """A listening socket; `host` "" is every address of this machine. Raises `PairingError`."""
    try:
        if not host and socket.has_dualstack_ipv6():
            return socket.create_server(
                ("", port), family=socket.AF_INET6, dualstack_ipv6=True, backlog=MAX_OPEN
            )
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        return socket.create_server((host, port), family=family, backlog=MAX_OPEN)
    except OSError as error:
        where = f"{host}:{port}" if host else f"port {port}"
        raise PairingError(
            f"{where}: cannot listen: {_reason(error)}; name another with --listen"
        ) from None


def _reason(error: OSError) -> str:
    """What the system says, without what `create_server` adds to it."""
    return (error.strerror or str(error)).partition(" (while ")[0]


def join(
    address: tuple[str, int],
    code: bytes,
    own: Bundle,
    met: Callable[[Bundle], None],
    introduced: Callable[[Bundle], None],
) -> None:
    """Connect to a host as a guest and exchange bundles.

    `met` is told the host's bundle, `introduced` each that the host hands on. Returns when the host
    has said all, or Ctrl-C ends the wait for others. Raises `PairingError`.
    """
    host, port = address
    try:
        sock = socket.create_connection(address, CONNECT_SECONDS)
    except OSError as error:
        raise PairingError(
            f"{host}:{port}: cannot connect: {_reason(error)}; is the other machine "
            "waiting with its code, and is that port open?"
        ) from None
    run = GuestRun(code)
    deadline = time.monotonic() + HANDSHAKE_SECONDS
    told = 0
    confirmed = False
    with sock:
        while not run.ended:
            try:
                sock.settimeout(max(0.001, deadline - time.monotonic()))
                data = sock.recv(run.missing_bytes)
            except TimeoutError:
                raise PairingError(f"{host}:{port}: no answer in time; try again") from None
            except OSError:
                data = b""
            except KeyboardInterrupt:
                if not told:
                    raise
                return  # without the others
            if not data:
                raise _hung_up(f"{host}:{port}", run)
            run.feed(data)
            if run.confirmed and not confirmed:
                confirmed = True
                run.send(own)
            for bundle in run.bundles[told:]:
                (introduced if told else met)(bundle)
                told += 1
                deadline = time.monotonic() + GUEST_SECONDS
            if run.ended:
                run.end()
            with contextlib.suppress(OSError):  # then the next read says so
                sock.sendall(run.to_send())
    if not told:
        raise PairingError(f"{host}:{port}: ended without a bundle; use the same flocksy on both")


def _hung_up(where: str, run: GuestRun) -> PairingError:
    if run.bundles:
        return PairingError(
            f"{where}: hung up before the other machines' bundles came: the connection broke, or "
            "that machine refuses this one and says there why; what came is kept, for the others "
            "pair again"
        )
    if run.said_confirmation and not run.confirmed:
        return WrongCodeError()  # the host hangs up where ours is not what its code gives
    return PairingError(f"{where}: hung up; is its code still good? Nothing was tried with it")
