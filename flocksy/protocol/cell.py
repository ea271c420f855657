"""The header of a cell: byte layout, packing, and reading what a peer may have made up.

Theory of operation. Every cell of either gear begins with the same header, whose size depends on
the number of configured members only; the payload follows and fills the frame. All integers are
little endian.

The first part (`Prefix`) has the same layout whatever the flock's settings are, so that two
members who differ can still tell each other in what. The part that changes from cell to cell in a
burst is small and stands at fixed offsets (`pack_burst`, `peek`): the rest is packed once per
round and copied, and of what comes in only the newest cell of a lane is decoded in full.

docs/protocol.md has the table of all fields.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable

from flocksy.errors import ConfigError, HostileInput
from flocksy.protocol.draws import proposal_id
from flocksy.protocol.flock_settings import MAX_SETTINGS, FlockSettings
from flocksy.protocol.fsm_table import Status
from flocksy.protocol.header import (
    KNOWN_BYTES,
    NO_ID,
    SESSION_BYTES,
    Echo,
    Gear,
    Header,
    Hot,
    Prefix,
    Times,
)
from flocksy.protocol.padding import MAX_BURST_CELLS, padded
from flocksy.protocol.shown import Epoch, Kind, Position, Proposal, Shown

VERSION = 1
"""Of this layout. A member with another one is named, and is not in the view."""

MAX_ROUND = 1 << 48
"""Rounds since the Unix epoch: 8,000 years of milliseconds."""

MAX_EPOCH_NUMBER = 1 << 62
"""Of this layout. What can be true is far below: see `heard`."""

MAX_DELTA_US = 60_000_000
"""Between two cells of a burst. Slower is a stall."""

MAX_TIME_US = 1 << 60
"""Stamps, since the Unix epoch, and corrections."""

LEAST_PAYLOAD = 128
"""A heartbeat has to carry at least this much, or small diffs would never get through."""

LEAST_FRAME = 223
"""Below, CURVE adds another number of bytes (design 4.3, rule 11)."""


_PREFIX = struct.Struct(f"<BBH16s{2 * MAX_SETTINGS}s8sQ")
_HOT = struct.Struct("<8sIII")
_CLOCK = struct.Struct("<qq")
_SHOWN = struct.Struct("<QHQIQIIIHI8s8s8s")
_PROPOSAL = struct.Struct("<8sBBQQIII")
_LANE = struct.Struct("<IIH")
_SEQUENCE = struct.Struct("<Q")

_GLANCE = struct.Struct("<BBH16s32x8sQ8sIII16x32sQ")

_SEQUENCE_AT = _PREFIX.size - _SEQUENCE.size
_HOT_AT = _PREFIX.size
_CLOCK_AT = _HOT_AT + _HOT.size
_STAMP = struct.Struct("<q")
_KNOWN_AT = _CLOCK_AT + _CLOCK.size
_SHOWN_AT = _KNOWN_AT + KNOWN_BYTES
_PROPOSAL_AT = _SHOWN_AT + _SHOWN.size
_LANES_AT = _PROPOSAL_AT + _PROPOSAL.size

_NO_ECHO = 0xFFFF
"""Age of an echo that says: none, or older than anybody cares."""

_CONFIRMED, _LEAVING, _REPEAT_OF, _GAP_OF, _LEFT, _PROPOSES, _JOINS = (1 << i for i in range(7))
_FLAGS = (1 << 7) - 1
_PROPOSES_REPEAT, _PROPOSES_JOIN = 1, 2
_STATUSES = frozenset(int(status) for status in Status)


def header_bytes(lanes: int) -> int:
    """Size of the header in a flock of so many configured members."""
    return _LANES_AT + lanes * _LANE.size


def check_sizes(lanes: int, idle_cell: int, burst_cell: int) -> None:
    """Refuse cells in which too little fits.

    Raises `ConfigError`.
    """
    least = max(LEAST_FRAME, header_bytes(lanes) + LEAST_PAYLOAD)
    for name, size in (("idle_cell", idle_cell), ("burst_cell", burst_cell)):
        if size < least:
            raise ConfigError(f"{name} = {size} is too small for {lanes} members: at least {least}")
    if idle_cell >= burst_cell:
        raise ConfigError(f"burst_cell = {burst_cell} must be larger than idle_cell = {idle_cell}")


class Codec:
    """Packs and reads the headers of one flock as one member."""

    def __init__(
        self,
        lanes: int,
        settings: FlockSettings,
        session: bytes,
        longest: int = MAX_BURST_CELLS,
        slowest_us: int = MAX_DELTA_US,
    ) -> None:
        """`longest`: cells of the longest burst; who needs or proposes a longer one is hostile.
        `slowest_us`: likewise the longest time from one of its cells to the next."""
        assert len(session) == SESSION_BYTES
        self.lanes = lanes
        self.size = header_bytes(lanes)
        self._settings = settings
        self._session = session
        self._members = (1 << lanes) - 1
        self._most_cells = longest
        self._most_delta_us = slowest_us

    def pack(
        self,
        buffer: bytearray | memoryview,
        gear: int,
        sequence: int,
        shown: Shown,
        known: bytes,
        times: Times,
    ) -> None:
        """Write a whole header to the start of `buffer`. The hot part is all zero."""
        assert len(shown.echo) == len(times.echoes) == self.lanes and len(known) == KNOWN_BYTES
        settings = self._settings
        _PREFIX.pack_into(
            buffer,
            0,
            VERSION,
            gear,
            self.size,
            settings.digest,
            settings.vector,
            self._session,
            sequence,
        )
        _HOT.pack_into(buffer, _HOT_AT, NO_ID, 0, 0, 0)
        _CLOCK.pack_into(buffer, _CLOCK_AT, times.sent_us, times.correction_us)
        buffer[_KNOWN_AT:_SHOWN_AT] = known
        _pack_shown(buffer, shown)
        at = _LANES_AT
        for newest, echo in zip(shown.echo, times.echoes, strict=True):
            age = shown.round - newest if newest else _NO_ECHO
            if not 0 <= age < _NO_ECHO:
                age = _NO_ECHO
            sent_us, received_us = echo if echo is not None else (0, 0)
            _LANE.pack_into(buffer, at, sent_us & 0xFFFFFFFF, received_us & 0xFFFFFFFF, age)
            at += _LANE.size

    def unpack(self, cell: bytes | bytearray | memoryview) -> Header:
        """Read a whole header.

        The caller has compared version and settings (`read_prefix`) before. Raises `HostileInput`
        for anything that no correct member would send.
        """
        if len(cell) < self.size:
            raise HostileInput("cell is shorter than its header")
        prefix = read_prefix(cell)
        if prefix.version != VERSION or prefix.header_bytes != self.size:
            raise HostileInput("header of another layout")
        _require(prefix.gear in (Gear.IDLE, Gear.BURST), "gear")
        hot = peek(cell)
        position = None
        if prefix.gear == Gear.BURST:
            _require(0 < hot.length <= MAX_BURST_CELLS and hot.k < hot.length, "position")
            position = Position(hot.burst_id, hot.k, hot.length)
        else:
            _require(hot == (NO_ID, 0, 0, 0), "position")
        sent_us, correction_us = _CLOCK.unpack_from(cell, _CLOCK_AT)
        _require(0 <= sent_us < MAX_TIME_US and abs(correction_us) < MAX_TIME_US, "stamp")
        echo, echoes = self._unpack_lanes(cell)
        shown = self._unpack_shown(cell, echo, position)
        known = bytes(cell[_KNOWN_AT:_SHOWN_AT])
        return Header(prefix, hot, known, shown, Times(sent_us, correction_us, echoes))

    def _unpack_lanes(
        self, cell: bytes | bytearray | memoryview
    ) -> tuple[tuple[int, ...], tuple[Echo | None, ...]]:
        (round_,) = _SEQUENCE.unpack_from(cell, _SHOWN_AT)
        newest, echoes = [], []
        for at in range(_LANES_AT, self.size, _LANE.size):
            sent_us, received_us, age = _LANE.unpack_from(cell, at)
            _require(age == _NO_ECHO or age < round_, "echo")
            known = age != _NO_ECHO
            newest.append(round_ - age if known else 0)
            echoes.append(Echo(sent_us, received_us) if sent_us or received_us else None)
        return tuple(newest), tuple(echoes)

    def _unpack_shown(
        self,
        cell: bytes | bytearray | memoryview,
        echo: tuple[int, ...],
        position: Position | None,
    ) -> Shown:
        (
            round_,
            status,
            number,
            members,
            highest,
            row,
            candidate,
            need,
            flags,
            sustain_us,
            repeat_of,
            gap_of,
            left,
        ) = _SHOWN.unpack_from(cell, _SHOWN_AT)
        _require(0 < round_ < MAX_ROUND, "round")
        _require(status in _STATUSES, "status")
        _require(max(number, highest) < MAX_EPOCH_NUMBER, "epoch")
        _require((members | row | candidate) & ~self._members == 0, "members")
        _require(need <= self._most_cells, "need")
        _require(sustain_us <= self._most_delta_us, "sustain")
        _require(flags & ~_FLAGS == 0, "flags")
        for flag, burst in ((_REPEAT_OF, repeat_of), (_GAP_OF, gap_of), (_LEFT, left)):
            _require(bool(flags & flag) or burst == NO_ID, "burst id")
        _require(bool(flags & _PROPOSES) or not flags & _CONFIRMED, "confirmed")
        return Shown(
            round=round_,
            status=Status(status),
            epoch=Epoch(number, members),
            highest=highest,
            row=row,
            candidate=candidate,
            echo=echo,
            need=need,
            repeat_of=repeat_of if flags & _REPEAT_OF else None,
            proposal=self._unpack_proposal(cell, round_, bool(flags & _PROPOSES)),
            confirmed=bool(flags & _CONFIRMED),
            position=position,
            gap_of=gap_of if flags & _GAP_OF else None,
            left=left if flags & _LEFT else None,
            sustain_us=sustain_us,
            leaving=bool(flags & _LEAVING),
            joins=bool(flags & _JOINS),
        )

    def _unpack_proposal(
        self, cell: bytes | bytearray | memoryview, now: int, present: bool
    ) -> Proposal | None:
        raw = bytes(cell[_PROPOSAL_AT:_LANES_AT])
        if not present:
            _require(raw == bytes(_PROPOSAL.size), "proposal")
            return None
        id_, kind, what, round_, number, members, length, delta_us = _PROPOSAL.unpack(raw)
        _require(kind in (Kind.VIEW, Kind.BURST), "proposal")
        repeat, joins = what == _PROPOSES_REPEAT, what == _PROPOSES_JOIN
        _require(what == 0 or (repeat if kind == Kind.BURST else joins), "proposal")
        _require(0 < round_ <= now and number < MAX_EPOCH_NUMBER, "proposal")
        _require(members & ~self._members == 0 and members != 0, "proposal")
        _require(length <= self._most_cells and delta_us <= self._most_delta_us, "proposal")
        _require((length > 0) == (kind == Kind.BURST), "proposal")
        _require(not length or length == padded(length), "proposal")
        fields = (Kind(kind), round_, number, members, length, delta_us, repeat, joins)
        _require(id_ == proposal_id(*fields), "proposal")
        return Proposal(id_, *fields)


def _pack_shown(buffer: bytearray | memoryview, shown: Shown) -> None:
    flags = (
        _CONFIRMED * shown.confirmed
        | _LEAVING * shown.leaving
        | _REPEAT_OF * (shown.repeat_of is not None)
        | _GAP_OF * (shown.gap_of is not None)
        | _LEFT * (shown.left is not None)
        | _PROPOSES * (shown.proposal is not None)
        | _JOINS * shown.joins
    )
    _SHOWN.pack_into(
        buffer,
        _SHOWN_AT,
        shown.round,
        shown.status,
        shown.epoch.number,
        shown.epoch.members,
        shown.highest,
        shown.row,
        shown.candidate,
        shown.need,
        flags,
        shown.sustain_us,
        shown.repeat_of or NO_ID,
        shown.gap_of or NO_ID,
        shown.left or NO_ID,
    )
    v = shown.proposal
    if v is None:
        buffer[_PROPOSAL_AT:_LANES_AT] = bytes(_PROPOSAL.size)
    else:
        _PROPOSAL.pack_into(
            buffer,
            _PROPOSAL_AT,
            v.id,
            v.kind,
            _PROPOSES_REPEAT * v.repeat | _PROPOSES_JOIN * v.joins,
            v.round,
            v.number,
            v.members,
            v.length,
            v.delta_us,
        )


def pack_burst(
    buffer: bytearray | memoryview,
    base: bytes | bytearray,
    sequence: int,
    hot: Hot,
    sent_us: int,
) -> None:
    """The header of one burst cell: the round's `base` (from `Codec.pack`) and what changes."""
    buffer[: len(base)] = base
    _SEQUENCE.pack_into(buffer, _SEQUENCE_AT, sequence)
    _HOT.pack_into(buffer, _HOT_AT, *hot)
    _STAMP.pack_into(buffer, _CLOCK_AT, sent_us)


def stamp(buffer: bytearray | memoryview, sent_us: int) -> None:
    """Write the instant of sending into a packed header."""
    _STAMP.pack_into(buffer, _CLOCK_AT, sent_us)


def read_prefix(cell: bytes | bytearray | memoryview) -> Prefix:
    """The part of a cell that every version and flock shares.

    Raises `HostileInput` when the cell is too short for it.
    """
    if len(cell) < _PREFIX.size:
        raise HostileInput("cell is shorter than its header")
    return Prefix._make(_PREFIX.unpack_from(cell))


def peek(cell: bytes | bytearray | memoryview) -> Hot:
    """The hot part of a cell that is long enough, unchecked: compare before use."""
    return Hot._make(_HOT.unpack_from(cell, _HOT_AT))


def glance(
    cell: bytes | bytearray | memoryview,
) -> tuple[int, int, int, bytes, bytes, int, bytes, int, int, int, bytes, int]:
    """All that is looked at in every cell, unchecked, by one call: version, gear, header bytes,
    settings digest, session, sequence, burst id, k, length, credit, known, round.

    The cell must be as long as a whole frame.
    """
    return _GLANCE.unpack_from(cell)


def _require(holds: bool, what: str) -> None:
    if not holds:
        raise HostileInput(f"cell header: {what}")


def fields() -> Iterable[tuple[str, int, int]]:
    """(part, offset, size) of the parts before the lanes, for the documentation and its test."""
    return (
        ("prefix", 0, _PREFIX.size),
        ("hot", _HOT_AT, _HOT.size),
        ("clock", _CLOCK_AT, _CLOCK.size),
        ("known", _KNOWN_AT, KNOWN_BYTES),
        ("shown", _SHOWN_AT, _SHOWN.size),
        ("proposal", _PROPOSAL_AT, _PROPOSAL.size),
        ("lane", _LANES_AT, _LANE.size),
    )
