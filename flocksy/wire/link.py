"""CURVE links over ZeroMQ: one PUB socket for all, one SUB socket per peer.

The lane is the socket a cell came from, never a field in a header: each SUB is connected to one
endpoint with that member's key, so nobody can speak for somebody else. PUB drops what a link
cannot take: no backlog clumps at a reconnect.
"""

from __future__ import annotations

import contextlib
import os
import socket as sockets
import time
from collections import deque
from collections.abc import Sequence
from urllib.parse import urlsplit

import zmq

from flocksy.errors import FlocksyError
from flocksy.wire.candidates import Candidates
from flocksy.wire.knock import Knock
from flocksy.wire.limits import (
    BACKLOG,
    CONNECT_TIMEOUT_MS,
    FRAME_SLACK_BYTES,
    HANDSHAKE_MS,
    LINGER_MS,
    OTHER_KEY_NS,
    RECONNECT_MS,
    TYPE_OF_SERVICE,
    WINDOWS_HIGH_WATER,
    ZMTP_HEARTBEAT_MS,
    ZMTP_TIMEOUT_MS,
)
from flocksy.wire.monitor import TWIN, UP, WE_REFUSE, WRONG_KEY, LinkMonitor
from flocksy.wire.names import Names, resolved
from flocksy.wire.refusals import LOCAL, Refusals
from flocksy.wire.settings import Member, WireSettings
from flocksy.wire.zap import DOMAIN, AllowList


class Links:
    """All links of one node; the real `Port`."""

    def __init__(self, settings: WireSettings) -> None:
        """Binds and starts to connect.

        Raises `FlocksyError` with one line for the user when an endpoint cannot be bound.
        """
        self._settings = settings
        self._context: zmq.Context[zmq.Socket[bytes]] = zmq.Context(io_threads=1)
        self._complaints: list[str] = []
        self._trouble: dict[int, str] = {}
        self._keys = {
            lane: deque([member.public_key, *member.other_keys])
            for lane, member in enumerate(settings.members)
            if lane != settings.own_lane
        }
        keys = frozenset(key for theirs in self._keys.values() for key in theirs)
        self._allow_list = AllowList(self._context, keys - {settings.public_key})
        self._key_tried: dict[int, tuple[int, int]] = {}  # wrong keys before, and when
        self._poller = zmq.Poller()
        self._subs: dict[int, zmq.Socket[bytes]] = {}
        self._monitors: dict[int, LinkMonitor] = {}
        self._targets: dict[int, str] = {}
        self._candidates: dict[int, Candidates] = {}
        self._tried: dict[int, str] = {}  # where each was connected to last
        self._now_ns = time.monotonic_ns()
        self._names = Names(self._now_ns)
        self._knock: Knock | None = None
        self._refusals = Refusals(settings.public_key, len(settings.members))
        self._pub = self._context.socket(zmq.PUB)
        try:
            self._bind()
            for lane, member in enumerate(settings.members):
                if lane != settings.own_lane:
                    self._connect(lane, member)
        except BaseException:
            self.close()
            raise
        self._knock = self._knock_at(settings.knock)

    def send(self, cell: memoryview) -> None:
        """Put one cell on every link. Never blocks; what a link cannot take is dropped."""
        self._pub.send(cell, zmq.NOBLOCK)

    def receive(self, lane: int, buffer: memoryview) -> int:
        """The next cell of a lane into `buffer`; its size, 0 when there is none."""
        try:
            size = self._subs[lane].recv_into(buffer, flags=zmq.NOBLOCK)
        except zmq.Again:
            return 0
        # Further parts of a message come as cells of their own, once all are there; no correct
        # member sends any (rule 11). Until then they are in libzmq's memory, which nothing bounds
        # (docs/decisions.md, "Nor are the parts of a message").
        return size or len(buffer) + 1

    def watch(self, fd: int) -> None:
        """Let `wait` return when this descriptor is readable, too."""
        self._poller.register(fd, zmq.POLLIN)

    def forget(self, fd: int) -> None:
        """Do not watch it any more."""
        self._poller.unregister(fd)

    def wait(self, timeout_ms: int) -> None:
        """Until something came in, or the time is over."""
        self._poller.poll(timeout_ms)

    def serve(self) -> None:
        """Once per round: answer handshakes, see what became of the links."""
        self._now_ns = time.monotonic_ns()
        self._allow_list.serve()
        self._take_names()
        for lane, monitor in self._monitors.items():
            anew = monitor.look(self._now_ns) or self._other_key(lane, monitor)
            candidates = self._candidates[lane]
            # Not through a proxy: libzmq 4.3.5 ends the process where it is to forget an endpoint
            # that the proxy could not reach.
            turns = not self._settings.socks
            up = monitor.state == UP
            if turns and candidates.moves(up, self._now_ns, self._names.trouble):
                self._connect_to(lane, candidates.current)
            elif anew and lane in self._targets:
                self._connect_to(lane, candidates.current)  # libzmq has given it up
        refused = self._allow_list.take_refused()
        if self._knock is not None:
            found = self._knock.look({each.key for each in refused}, self._now_ns)
            self._complaints += self._refusals.met_twin(found, self._now_ns)
            refused = [each for each in refused if each.key not in self._knock.fresh_keys]
        self._complaints += self._refusals.take(refused, self._now_ns, self._link_state)

    def link_state(self, lane: int) -> str:
        """Text for people; empty when the link is up. Of the own lane: what is wrong with it."""
        if lane == self._settings.own_lane:
            return TWIN if self._refusals.twin(self._now_ns) else ""
        state = self._link_state(lane)
        if state == WRONG_KEY and self._refusals.recent(lane, self._now_ns):
            return WE_REFUSE
        return state

    def told(self, lane: int, endpoint: str) -> None:
        """A member may be reached there, too. Names are not looked up: it would take its time."""
        candidates = self._candidates.get(lane)
        if candidates is None:
            return
        with contextlib.suppress(OSError):
            target = endpoint if self._settings.socks else resolved(endpoint, named=False)
            configured = self._settings.members[lane].endpoints
            if target not in map(self._target, configured):
                candidates.told(endpoint)

    def address(self, lane: int) -> tuple[str, str]:
        """The endpoint that is tried or used, and the same with its name looked up."""
        candidates = self._candidates.get(lane)
        if candidates is None:
            return "", ""
        return candidates.current, self._targets.get(lane, "")

    def complaints(self) -> list[str]:
        """Errors since the last call, for people."""
        complaints, self._complaints = self._complaints, []
        return complaints

    def close(self) -> None:
        """Close all links; cells already sent get a moment to leave."""
        if self._knock is not None:
            self._knock.close()
        for monitor in self._monitors.values():
            monitor.close()
        for sub in self._subs.values():
            sub.close(0)
        self._pub.close(LINGER_MS)
        self._allow_list.close()
        self._context.term()

    def _link_state(self, lane: int) -> str:
        monitor = self._monitors.get(lane)
        if monitor is None:
            return ""
        looked_for = self._names.trouble(self._candidates[lane].current)
        return looked_for or self._trouble.get(lane, "") or monitor.state

    def _other_key(self, lane: int, monitor: LinkMonitor) -> bool:
        """While a rotation lasts a member has one of several keys: after a wrong one the next is
        tried. True: it is set, connect anew."""
        keys = self._keys[lane]
        wrong_before, tried_ns = self._key_tried.get(lane, (0, 0))
        if len(keys) == 1:
            return False
        if self._now_ns - tried_ns < OTHER_KEY_NS:
            # What is left of the attempts with the key before still fails.
            self._key_tried[lane] = (monitor.wrong_keys, tried_ns)
            return False
        if monitor.wrong_keys == wrong_before or monitor.state != WRONG_KEY:
            return False
        keys.rotate(-1)
        self._subs[lane].setsockopt(zmq.CURVE_SERVERKEY, keys[0].encode("ascii"))
        self._key_tried[lane] = (monitor.wrong_keys, self._now_ns)
        return True

    def _bind(self) -> None:
        pub, settings = self._pub, self._settings
        self._set_options(pub)
        pub.curve_server = True
        pub.setsockopt(zmq.ZAP_DOMAIN, DOMAIN)
        for endpoint in settings.bind:
            target = endpoint
            try:
                if endpoint.startswith("ipc://"):
                    _refuse_living_ipc(endpoint)
                else:
                    target = resolved(endpoint)
                pub.bind(target)
            except (zmq.ZMQError, OSError) as error:
                raise FlocksyError(f"hostname = {_bind_error(endpoint, error)}") from None

    def _connect(self, lane: int, member: Member) -> None:
        sub = self._new_sub(member.public_key)
        self._subs[lane] = sub
        self._monitors[lane] = LinkMonitor(sub)
        self._poller.register(sub, zmq.POLLIN)
        self._candidates[lane] = Candidates(member.endpoints)
        self._look_up(member.endpoints)
        if member.endpoints and not self._names.trouble(member.endpoints[0]):
            self._connect_to(lane, member.endpoints[0])

    def _look_up(self, endpoints: Sequence[str], *, once: bool = False) -> None:
        if self._settings.socks:
            return
        try:
            for endpoint in endpoints:
                self._names.want(endpoint, once=once)
        except RuntimeError as error:
            raise FlocksyError(
                f"the names of members cannot be looked up: {error}; let this user have more"
                " processes (ulimit -u), or write addresses in place of names"
            ) from None

    def _take_names(self) -> None:
        found, words = self._names.serve(self._now_ns)
        self._complaints += words
        for lane, candidates in self._candidates.items():
            if candidates.current in found and lane not in self._targets:
                self._connect_to(lane, candidates.current)

    def _connect_to(self, lane: int, endpoint: str) -> None:
        """Connect there, and nowhere else any more."""
        sub, before = self._subs[lane], self._targets.pop(lane, None)
        if before is not None:
            sub.disconnect(before)
        try:
            target = self._target(endpoint) or resolved(endpoint, named=False)
            sub.connect(target)
        except (OSError, zmq.ZMQError) as error:
            self._trouble[lane] = f"no such address: {endpoint}"
            self._complaints.append(f"{endpoint}: {error}")
            return
        self._trouble.pop(lane, None)
        self._targets[lane] = target
        if self._tried.setdefault(lane, target) != target:
            self._tried[lane] = target
            self._monitors[lane].moved(target)
        self._refusals.moved(lane, _host(target))

    def _knock_at(self, endpoints: tuple[str, ...]) -> Knock:
        # Where a node listens at all addresses is no place that can be knocked at.
        doors = [endpoint for endpoint in endpoints if not endpoint.startswith("tcp://*:")]
        self._look_up(doors, once=True)

        def new_socket(keys: tuple[bytes, bytes] | None) -> zmq.Socket[bytes]:
            sub = self._new_sub(self._settings.public_key)
            if keys is not None:
                sub.setsockopt(zmq.CURVE_PUBLICKEY, keys[0])
                sub.setsockopt(zmq.CURVE_SECRETKEY, keys[1])
            return sub

        return Knock(doors, self._target, new_socket, self._now_ns)

    def _target(self, endpoint: str) -> str:
        # Names go to the proxy as they are: an onion service is known only there.
        return endpoint if self._settings.socks else self._names.address(endpoint)

    def _new_sub(self, server_key: str) -> zmq.Socket[bytes]:
        sub = self._context.socket(zmq.SUB)
        self._set_options(sub)
        # It has nothing to say that anything should wait for when it is to forget an endpoint.
        sub.setsockopt(zmq.LINGER, 0)
        sub.setsockopt(zmq.CURVE_SERVERKEY, server_key.encode("ascii"))
        sub.setsockopt(zmq.SUBSCRIBE, b"")
        if self._settings.socks:
            sub.setsockopt(zmq.SOCKS_PROXY, self._settings.socks.encode())
        return sub

    def _set_options(self, socket: zmq.Socket[bytes]) -> None:
        settings = self._settings
        high_water = WINDOWS_HIGH_WATER * settings.window
        socket.setsockopt(zmq.CURVE_PUBLICKEY, settings.public_key.encode("ascii"))
        socket.setsockopt(zmq.CURVE_SECRETKEY, settings.secret_key.encode("ascii"))
        for option, value in (
            (zmq.SNDHWM, high_water),
            (zmq.RCVHWM, high_water),
            (zmq.MAXMSGSIZE, settings.burst_cell + FRAME_SLACK_BYTES),
            (zmq.HANDSHAKE_IVL, HANDSHAKE_MS),
            (zmq.CONNECT_TIMEOUT, CONNECT_TIMEOUT_MS),
            (zmq.RECONNECT_IVL, RECONNECT_MS),
            (zmq.RECONNECT_IVL_MAX, 0),
            (zmq.HEARTBEAT_IVL, ZMTP_HEARTBEAT_MS),
            (zmq.HEARTBEAT_TIMEOUT, ZMTP_TIMEOUT_MS),
            (zmq.HEARTBEAT_TTL, ZMTP_TIMEOUT_MS),
            (zmq.BACKLOG, BACKLOG),
            (zmq.TOS, TYPE_OF_SERVICE),
            (zmq.IPV6, 1),
            (zmq.LINGER, LINGER_MS),
        ):
            socket.setsockopt(option, value)


def _host(target: str) -> str:
    """The address in an endpoint that was resolved, as the allow list is told it."""
    return LOCAL if target.startswith("ipc://") else urlsplit(target).hostname or ""


def _refuse_living_ipc(endpoint: str) -> None:
    """libzmq takes over the path of a socket that is in use: ask first.

    Raises `OSError`.
    """
    path = endpoint.removeprefix("ipc://")
    if not os.path.isdir(os.path.dirname(path) or "."):
        raise FileNotFoundError(f"the directory of {path} does not exist; make it with mkdir")
    if not hasattr(sockets, "AF_UNIX") or not os.path.exists(path):
        return
    with sockets.socket(sockets.AF_UNIX, sockets.SOCK_STREAM) as probe:
        probe.settimeout(1)
        with contextlib.suppress(ConnectionRefusedError):
            probe.connect(path)
            raise OSError("another process has it; is this node running already?")


def _bind_error(endpoint: str, error: zmq.ZMQError | OSError) -> str:
    if error.errno == zmq.EADDRINUSE:
        return f"{endpoint}: the port is in use; is this node running already?"
    if error.errno == zmq.EADDRNOTAVAIL:
        return f"{endpoint}: this machine does not have that address; flocksy check says what to do"
    if error.errno is None:  # our own words
        return f"{endpoint}: cannot be listened at: {error}"
    why = error.strerror or error
    if isinstance(error, sockets.gaierror):
        return (
            f"{endpoint}: the name cannot be found ({why}); mend it, or take an address of this "
            "machine"
        )
    return f"{endpoint}: cannot be listened at ({why}); flocksy check says what to do"
