"""Targets inside one node: its control socket, what it keeps in files, hostile members."""

from __future__ import annotations

import ipaddress
import json
import os
import selectors
import tempfile
from collections.abc import Iterable
from dataclasses import replace
from functools import cache, lru_cache
from pathlib import Path
from typing import NamedTuple

from flocksy.boxes.apply import journal
from flocksy.boxes.apply.journal import JournalEntry
from flocksy.boxes.disk import marker
from flocksy.boxes.lanes import addresses, crowd
from flocksy.errors import BoxError, ConfigError, FlocksyError, HostileInput, IndexDamaged
from flocksy.node.reaching import usable
from flocksy.protocol.agreement import State, initial, step
from flocksy.protocol.cell import Codec
from flocksy.protocol.clock import FlockClock
from flocksy.protocol.fsm_table import Mode
from flocksy.protocol.header import KNOWN_BYTES, Echo, Gear, Header, Times
from flocksy.protocol.parameters import Parameters
from flocksy.protocol.shown import Inputs, Outcome, Output, Shown, StartBurst, Stop
from flocksy.status.client import CommandFailedError, result_of
from flocksy.status.control import Arguments, ControlServer, Pending, _Client
from flocksy.status.wording import CONTROL_VERSION, MAX_ANSWER_BYTES
from flocksy.sync.attributes import encode_attributes
from flocksy.sync.trees import DiskEntry, SyncedEntry
from flocksy.sync.version import Kind
from tests.fuzz.lanes import ROUND, SESSION, SETTINGS, name_proposal, shown
from tests.fuzz.pipes import Pipe, Watch
from tests.fuzz.target import DEEPER, Feed, Target

_pending: list[Pending] = []


def handle(command: str, arguments: Arguments) -> dict[str, object] | Pending:
    """Answers as a node does: at once, later, never, or with an error. What it is given could
    go on to the disk."""
    for value in arguments.values():
        if isinstance(value, str):
            assert len(value) <= 4096
            os.fsencode(value)
    match command:
        case "wait":
            _pending.append(Pending())
            return _pending[-1]
        case "box_add":
            raise ConfigError("there is such a box")
        case "history":
            raise FlocksyError("no such path")
        case _:
            return {"command": command, "arguments": arguments}


@cache
def server() -> ControlServer:
    """One for all inputs."""
    directory = tempfile.mkdtemp(prefix="flocksy-fuzz-")
    control = ControlServer(str(Path(directory) / "s"), handle)
    control._selector.close()
    control._selector = Watch()  # type: ignore[assignment]  # all that is asked of it
    return control


def requests(data: bytes) -> None:
    """Whatever comes down a connection, each answer is a line of JSON with a result or an error
    that the command understands, and the server goes on."""
    pipe = Pipe()
    control = server()
    client = _Client(pipe)  # type: ignore[arg-type]  # all that is asked of it
    control._clients.append(client)
    control._selector.register(pipe, selectors.EVENT_READ, client)  # type: ignore[arg-type]
    try:
        for piece in data.split(b"\xff\xff"):
            pipe.coming += piece
            control._read(client)
            if client not in control._clients:
                break
        while _pending:
            _pending.pop().answer({"waited": True})
    finally:
        if client in control._clients:
            control._drop(client)
    assert pipe.closed
    for line in bytes(pipe.sent).split(b"\n")[:-1]:
        answer = json.loads(line)
        assert answer["v"] == CONTROL_VERSION
        assert answer["ok"] is True or (answer["error"] and answer["exit"] in (1, 2))
        try:
            result_of(line)
        except CommandFailedError as error:
            assert error.exit_status in (1, 2)
    assert len(pipe.sent) <= MAX_ANSWER_BYTES


def request_lines() -> Iterable[bytes]:
    """Commands of all kinds, whole and in pieces, two at once, of another version."""
    said = (
        {"v": 1, "id": 7, "command": "status", "arguments": {}},
        {"v": 1, "id": 8, "command": "box_add", "arguments": {"name": "a", "path": "/srv/a"}},
        {"v": 1, "command": "history", "arguments": {"path": "/srv/a/ü\ud83d"}},
        {"v": 1, "command": "wait", "arguments": {"timeout": 1.5}},
        {"v": 1, "command": "box_folders", "arguments": {"name": "a", "folders": ["x", "y"]}},
        {"v": 1, "command": "box_mode", "arguments": {"name": "a", "mode": "archive"}},
        {"v": 1, "command": "deleted", "arguments": {"limit": 2000}},
        {"v": 2, "command": "fly", "new": "word"},
        {"v": 1, "command": "fly"},
    )
    lines = [json.dumps(one).encode() + b"\n" for one in said]
    yield from lines
    yield b"".join(lines)
    yield lines[0][:20] + b"\xff\xff" + lines[0][20:] + lines[3]


def answer(data: bytes) -> None:
    """An answer is a result, or an error in words with an exit status that a process can have."""
    try:
        result = result_of(data)
    except CommandFailedError as error:
        assert isinstance(error.exit_status, int)
        return
    assert isinstance(result, dict)


def answer_lines() -> Iterable[bytes]:
    """A result, an error, and what is none."""
    yield b'{"v": 1, "id": 1, "ok": true, "result": {"status": {}}}\n'
    yield b'{"v": 1, "id": 0, "ok": false, "error": "no such box", "exit": 2}\n'
    yield b'{"v": 1, "ok": false, "error": null, "exit": 1e3}'
    yield b'{"v": 2, "ok": false, "error": "", "exit": "1"}'
    yield b'{"v": 2, "ok": true, "result": {"status": {}}}\n'


def kept_marker(data: bytes) -> None:
    """A marker says what was written, nothing at all, or that it is of a newer flocksy."""
    try:
        found = marker.decode(data, "/srv/box")
    except BoxError as error:
        assert "newer" in str(error)
        return
    assert marker.decode(marker.encode(found), "/srv/box") == found


def markers() -> Iterable[bytes]:
    """Ours, cut off, of another version, nested."""
    whole = marker.encode(marker.Marker(b"b" * 64, b"s" * 16, b"n" * 16))
    yield whole
    yield whole[:50]
    yield whole.replace(b'"flocksy": 1', b'"flocksy": 2')
    yield b"[" * 1200


def kept_crowd(data: bytes) -> None:
    """The members are those that were written, or the file is refused."""
    try:
        found = crowd.decode(data)
    except (ValueError, RecursionError):
        return
    assert crowd.decode(crowd.encode(found).encode()) == found


def crowds() -> Iterable[bytes]:
    """Some, none, and no list."""
    return (b'["' + b"0a" * 64 + b'", "b"]', b"[]", b'{"a": 1}', b'["\\ud800"]')


def kept_addresses(data: bytes) -> None:
    """The addresses are those that were written, or there are none."""
    try:
        found = addresses.decode(data)
    except (ValueError, RecursionError):
        return
    assert addresses.decode(addresses.encode(found).encode()) == found


def address_files() -> Iterable[bytes]:
    """One, none, and no list."""
    one = addresses.encode({"0a" * 64: ("tcp://192.0.2.1:5000", "tcp://ben.example:5000")})
    return (one.encode(), b"{}", b'{"a": 1}', b'{"a": []}', b'{"a": [1]}')


def told_address(data: bytes) -> None:
    """What is believed to be a member's is a port of a single machine elsewhere, and no look-up."""
    endpoint = data.decode("utf-8", "replace")
    if not usable(endpoint, ("tcp://ben.example:5000",), proxied=False):
        return
    host, _, port = endpoint.removeprefix("tcp://").rpartition(":")
    assert 0 < int(port) < 65536
    address = ipaddress.ip_address(host.strip("[]"))
    assert not (address.is_loopback or address.is_unspecified or address.is_multicast)


def told_addresses() -> Iterable[bytes]:
    """Good ones and others."""
    return (
        *(b"tcp://192.0.2.1:5000", b"tcp://[2001:db8::1]:5000", b"tcp://ben.example:5000"),
        *(b"ipc:///tmp/x", b"tcp://*:1", b"tcp://127.0.0.1:1", b"tcp://[::ffff:127.0.0.1]:1"),
    )


def kept_batch(data: bytes) -> None:
    """An entry of the open batch is the one that was written, or the index counts as damaged."""
    try:
        found = journal.decode("a/b", data)
    except IndexDamaged:
        return
    assert journal.decode("a/b", journal.encode(found)) == found


def batches() -> Iterable[bytes]:
    """A new file, a change, a removal, a copy in conflict, a look."""
    entry = DiskEntry(Kind.FILE, 0o644, 1, 2, b"r" * 32, 2**64 - 5, 4, 5)
    synced = SyncedEntry(frozenset((b"h" * 16, b"i" * 16)), entry, ("a", b"h" * 16), 3)
    tagged = replace(entry, attributes=encode_attributes({b"tag": b"red"}))
    kinds = (
        (None, entry, None),
        (entry, entry, synced),
        (entry, None, None),
        (entry, tagged, None),
    )
    for before, after, kept in kinds:
        yield journal.encode(JournalEntry("a/b", ".flocksy/incoming/x", "", before, after, kept))
    yield journal.encode(JournalEntry.look("a", 0o500))


LANES = 3
PERIOD_NS = 250_000_000
PARAMETERS = Parameters(LANES, 0, 2, 250, 2000)
LONGEST = 4096
ROUNDS = 30


class _Moment(NamedTuple):
    """Where a node is between two rounds."""

    number: int = 0
    state: State = initial(PARAMETERS)
    output: Output | None = None
    leaving: bool = False


class _Node:
    """One of three, and what the two others show it."""

    def __init__(self, at: _Moment) -> None:
        self.at = at
        self._codec = _codec()
        self._clock = FlockClock(LANES, 0, PERIOD_NS, ROUND * PERIOD_NS)
        self._slews = 0
        self.stopped = False

    def round(self, feed: Feed) -> None:
        """The next round, as the input has it."""
        number, state, output, leaving = self.at
        number += 1
        heard: list[tuple[int, Header]] = []
        for lane in (1, 2):
            cell = _shown_by(feed, output, number)
            if cell is None:
                continue
            try:
                heard.append((lane, _read(cell)))
            except HostileInput:
                continue
        now_ns = number * PERIOD_NS
        self._tell_time(heard, now_ns)
        right = feed.number() if feed.left else 7
        leaving = leaving or right >> 3 == 1
        inputs = Inputs(
            round=ROUND + number,
            cells=tuple((lane, header.shown) for lane, header in heard),
            eligible=right & 7 | 1,
            need=feed.number() * 16,
            sustain_us=800,
            leaving=leaving,
            outcome=_ended(feed) if state.mode is Mode.BURSTING else None,
        )
        state, output = step(PARAMETERS, state, inputs)
        for command in output.commands:
            if isinstance(command, StartBurst):
                assert 0 < command.plan.length <= LONGEST
            self.stopped = self.stopped or isinstance(command, Stop)
        buffer = bytearray(self._codec.size)
        times = self._clock.times(now_ns)
        self._codec.pack(buffer, Gear.IDLE, number, output.shown, bytes(KNOWN_BYTES), times)
        assert _read(bytes(buffer)).shown == output.shown
        assert sum(map(len, state.history)) <= LANES * 32
        self.at = _Moment(number, state, output, leaving)

    def _tell_time(self, heard: list[tuple[int, Header]], now_ns: int) -> None:
        for lane, header in heard:
            if header.prefix.gear == Gear.IDLE:
                self._clock.heard(lane, header.times, now_ns)
        self._clock.slew(now_ns, PERIOD_NS)
        self._slews += 1
        moved_ns = self._clock.flock_ns(now_ns) - ROUND * PERIOD_NS - now_ns
        assert abs(moved_ns) <= self._slews * 100_000


_WAYS: tuple[Outcome | None, ...] = (*Outcome, None)


def _ended(feed: Feed) -> Outcome | None:
    """How the burst has ended, if it has."""
    return _WAYS[feed.number() % 4]


def members(data: bytes) -> None:
    """Whatever two members show, round after round, a node goes on, and what it shows is a cell
    that the others accept."""
    feed = Feed(data)
    node = _Node(_Moment())
    for number in range(1, 25):
        if node.stopped or (not feed.left and number > 12):
            break
        node.round(feed)


def one_round(data: bytes) -> None:
    """The same of one round, wherever in its life the node was."""
    feed = Feed(data)
    all_moments = moments()
    _Node(all_moments[feed.number() % len(all_moments)]).round(feed)


@cache
def _codec() -> Codec:
    return Codec(LANES, SETTINGS, SESSION, LONGEST)


@cache
def moments() -> tuple[_Moment, ...]:
    """All rounds of `whole_lives`."""
    found = [_Moment()]
    for life in whole_lives():
        node, feed = _Node(_Moment()), Feed(life)
        for _ in range(ROUNDS):
            node.round(feed)
            if node.stopped:
                break
            found.append(node.at)
    assert len(found) <= 256
    return tuple(found)


def whole_lives() -> Iterable[bytes]:
    """Among others that go along: with a burst that ends in each way, and with an early end."""
    quiet, wants, bursts = bytes([0, 0, 7, 0]), bytes([0, 0, 7, 9]), bytes([0, 0, 7, 9, 3])
    for outcome in range(3):
        yield quiet * 4 + wants * 5 + bursts * 2 + bytes([0, 0, 7, 9, outcome])
    yield quiet * 5 + bytes([0, 0, 15, 0])


def _shown_by(feed: Feed, output: Output | None, number: int) -> bytes | None:
    """The cell of one member in one round, if any: what an honest one would show, with changes."""
    how = feed.number()
    if how & 1:
        return None
    seen = output.shown if output is not None and not how & 2 else None
    honest = _honest(seen, number, (how >> 4) * 8)
    changes = how >> 2 & 3
    if not changes:
        return honest
    buffer = bytearray(honest)
    for _ in range(changes):
        at, width = 68 + feed.number(), 1 << (feed.number() & 3)
        if at + width <= len(buffer):
            buffer[at : at + width] = feed.take(width).ljust(width, b"\0")
    name_proposal(buffer)
    return bytes(buffer)


@lru_cache(4096)
def _honest(seen: Shown | None, number: int, need: int) -> bytes:
    """The cell of a member that goes along with what it has seen of us, if anything."""
    round_ = ROUND + number - 1
    along: dict[str, object] = {}
    if seen is not None:
        along = {
            "status": seen.status,
            "epoch": seen.epoch,
            "highest": seen.highest,
            "candidate": seen.candidate,
            "need": seen.need,
            "repeat_of": seen.repeat_of,
            "proposal": seen.proposal,
            "confirmed": seen.confirmed,
            "joins": seen.joins,
        }
    sent_us = round_ * PERIOD_NS // 1000
    times = Times(sent_us, 0, (Echo(sent_us & 0xFFFFFFFF, sent_us & 0xFFFFFFFF),) * LANES)
    buffer = bytearray(_codec().size)
    honest = {"round": round_, "echo": (round_ - 1,) * LANES, "need": need} | along
    _codec().pack(buffer, Gear.IDLE, number, shown(LANES, **honest), bytes(KNOWN_BYTES), times)
    return bytes(buffer)


@lru_cache(4096)
def _read(cell: bytes) -> Header:
    """What a cell says. Reading it has a target of its own, and most inputs show the same."""
    return _codec().unpack(cell)


def lives() -> Iterable[bytes]:
    """Members that are quiet, that want something, that change fields."""
    yield from whole_lives()
    yield bytes(5 * 14)
    yield bytes([0x30, 0, 7, 9, 0]) * 20
    yield bytes([0x34, 90, 3, *bytes(8), 0, 7, 1, 0]) * 12
    yield bytes([0, 1, 7, 3, 0, 2, 7, 5]) * 12


def rounds() -> Iterable[bytes]:
    """Others that are quiet, that go along, that change fields, at some moments."""
    for moment in range(0, 3 * ROUNDS, 3):
        yield bytes([moment, 0, 0, 7, 0])
        yield bytes([moment, 0x30, 0, 7, 9])
        yield bytes([moment, 0x34, 90, 3, *bytes(8), 1, 7, 1])


_JSON = (
    *(b'"v": 1', b'"id": ', b'"command": "', b'"arguments": {', b'"path": "', b'"name": "'),
    *(b'"box": "', b'"timeout": ', b'"folders": [', b'"mode": "', b"\\ud800", b"1e999", b"NaN"),
    *(b'"ok": ', b'"result": {', b'"error": "', b'"exit": ', b"\n", b"\xff\xff", b"true", b"null"),
)

TARGETS = (
    Target("crowd", "boxes/lanes/crowd.py", kept_crowd, crowds, 400),
    Target("addresses", "boxes/lanes/addresses.py", kept_addresses, address_files, 400),
    Target("told_address", "node/reaching.py", told_address, told_addresses, 200),
    Target(
        "marker", "boxes/disk/marker.py", kept_marker, markers, 1300, (b'"flocksy": ', b'"box": "')
    ),
    Target("answer", "status/client.py", answer, answer_lines, 400, _JSON),
    Target("batch", "boxes/apply/journal.py", kept_batch, batches, 800),
    Target("request", "status/control.py", requests, request_lines, 1000, _JSON),
    Target("round", "protocol/agreement.py, clock.py", one_round, rounds, 120),
    Target("members", "protocol/agreement.py, clock.py", members, lives, 800, goal=DEEPER),
)
