"""The header of a cell: what is packed comes back, and nothing else does harm."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flocksy.errors import ConfigError, HostileInput
from flocksy.protocol.cell import (
    Codec,
    check_sizes,
    fields,
    glance,
    header_bytes,
    pack_burst,
    peek,
    read_prefix,
    stamp,
)
from flocksy.protocol.draws import proposal_id
from flocksy.protocol.flock_settings import FlockSettings
from flocksy.protocol.fsm_table import Status
from flocksy.protocol.header import Echo, Gear, Hot, Times
from flocksy.protocol.padding import MAX_BURST_CELLS, padded
from flocksy.protocol.shown import Epoch, Kind, Proposal, Shown

LANES = 3
SETTINGS = FlockSettings.of((("period_ms", "250"), ("idle_cell", "1024"), ("members", '["a","b"]')))
SESSION = bytes(range(8))
CODEC = Codec(LANES, SETTINGS, SESSION)
ROUND = 7_000_000_000

ids = st.binary(min_size=8, max_size=8)
members = st.integers(0, 2**LANES - 1)
numbers = st.integers(0, 2**62 - 1)
lengths = st.integers(1, MAX_BURST_CELLS)
echoes = st.tuples(*[st.integers(ROUND - 0xFFFE, ROUND) | st.just(0)] * LANES)


def burst(
    round_: int, number: int, members: int, cells: int, delta_us: int, repeat: bool
) -> Proposal:
    """A proposal as an honest member makes it."""
    length = padded(cells)
    name = proposal_id(Kind.BURST, round_, number, members, length, delta_us, repeat, False)
    return Proposal(name, Kind.BURST, round_, number, members, length, delta_us, repeat)


def view(round_: int, number: int, members: int, joins: bool) -> Proposal:
    """Likewise."""
    name = proposal_id(Kind.VIEW, round_, number, members, 0, 0, False, joins)
    return Proposal(name, Kind.VIEW, round_, number, members, 0, 0, False, joins)


views = st.builds(view, st.integers(1, ROUND), numbers, st.integers(1, 2**LANES - 1), st.booleans())
proposals = st.builds(
    burst,
    st.integers(1, ROUND),
    numbers,
    st.integers(1, 2**LANES - 1),
    lengths,
    st.integers(0, 60_000_000),
    st.booleans(),
)
shown = st.builds(
    Shown,
    round=st.just(ROUND),
    status=st.sampled_from(Status),
    epoch=st.builds(Epoch, numbers, members),
    highest=numbers,
    row=members,
    candidate=members,
    echo=echoes,
    need=st.integers(0, MAX_BURST_CELLS),
    repeat_of=st.none() | ids,
    proposal=st.none() | proposals | views,
    confirmed=st.just(False),
    position=st.none(),
    gap_of=st.none() | ids,
    left=st.none() | ids,
    sustain_us=st.integers(0, 60_000_000),
    leaving=st.booleans(),
    joins=st.booleans(),
)
lane_times = st.builds(Echo, st.integers(1, 2**32 - 1), st.integers(1, 2**32 - 1))
known = st.binary(min_size=32, max_size=32)

SAMPLE = Shown(
    round=ROUND,
    status=Status.CONFIRMED,
    epoch=Epoch(5, 0b111),
    highest=5,
    row=0b111,
    candidate=0b111,
    echo=(ROUND, ROUND - 1, 0),
    need=100,
    repeat_of=None,
    proposal=burst(ROUND - 2, 5, 0b111, 128, 40, False),
    confirmed=True,
    position=None,
    gap_of=None,
    left=b"leftleft",
    sustain_us=40,
    leaving=False,
)
TIMES = Times(1_700_000_000_000_000, -25, (None, Echo(11, 12), None))


def sample() -> bytearray:
    cell = bytearray(CODEC.size)
    CODEC.pack(cell, Gear.IDLE, 42, SAMPLE, b"k" * 32, TIMES)
    return cell


@given(shown, known, st.tuples(*[lane_times] * LANES), st.integers(0, 2**63))
def test_every_header_comes_back_as_it_was(
    what: Shown, digest: bytes, stamps: tuple[Echo, ...], sequence: int
) -> None:
    times = Times(1_000_000, -5, stamps)
    cell = bytearray(CODEC.size)
    CODEC.pack(cell, Gear.IDLE, sequence, what, digest, times)
    header = CODEC.unpack(cell)
    assert header.shown == what
    assert header.known == digest
    assert header.times == times
    assert header.prefix.sequence == sequence and header.prefix.session == SESSION


def test_the_header_of_a_burst_cell_is_the_rounds_with_its_own_position() -> None:
    base = bytearray(CODEC.size)
    CODEC.pack(base, Gear.BURST, 0, SAMPLE, b"k" * 32, TIMES)
    cell = bytearray(4096)
    pack_burst(cell, base, 9, Hot(b"proposal", 3, 128, 20), 1_700_000_000_000_123)
    assert peek(cell) == Hot(b"proposal", 3, 128, 20)
    digest = SETTINGS.digest
    assert glance(cell)[:6] == (1, Gear.BURST, CODEC.size, digest, SESSION, 9)
    assert glance(cell)[6:] == (b"proposal", 3, 128, 20, b"k" * 32, ROUND)
    header = CODEC.unpack(cell)
    position = header.shown.position
    assert position is not None
    assert (position.burst, position.k, position.length) == (b"proposal", 3, 128)
    assert header.times.sent_us == 1_700_000_000_000_123
    assert header.prefix.sequence == 9


def test_the_instant_of_sending_is_written_last() -> None:
    cell = sample()
    stamp(cell, 1_700_000_000_000_777)
    assert CODEC.unpack(cell).times.sent_us == 1_700_000_000_000_777


def test_no_flipped_byte_does_more_than_be_refused() -> None:
    """Invariant: any header is read to legal values or refused, never anything else."""
    for at in range(CODEC.size):
        for value in (0x00, 0x01, 0x7F, 0x80, 0xFF):
            cell = sample()
            cell[at] = value
            try:
                header = CODEC.unpack(cell)
            except HostileInput:
                continue
            again = bytearray(CODEC.size)
            CODEC.pack(
                again,
                header.prefix.gear,
                header.prefix.sequence,
                header.shown,
                header.known,
                header.times,
            )
            read_again = CODEC.unpack(again)
            assert read_again[2:] == header[2:], f"byte {at} = {value:#x}"


@pytest.mark.parametrize(
    "change",
    [
        {"id": b"anything"},
        {"round": ROUND + 1},
        {"length": 129},
        {"length": 1 << 20},
        {"joins": True},
        {"joins": True, "repeat": True},
        {"kind": Kind.VIEW, "length": 0, "repeat": True},
        {"delta_us": 1001},
    ],
    ids=str,
)
def test_a_proposal_that_no_honest_member_makes_is_refused(change: dict[str, object]) -> None:
    """Who is bound by one that names a round to come, or too long a burst, would stand still."""
    good = SAMPLE.proposal
    assert good is not None
    odd = replace(good, **change)  # type: ignore[arg-type]  # the table is typed by its rows
    if "id" not in change:
        odd = replace(
            odd,
            id=proposal_id(
                odd.kind,
                odd.round,
                odd.number,
                odd.members,
                odd.length,
                odd.delta_us,
                odd.repeat,
                odd.joins,
            ),
        )
    codec = Codec(LANES, SETTINGS, SESSION, longest=1024, slowest_us=1000)
    cell = bytearray(codec.size)
    codec.pack(cell, Gear.IDLE, 0, SAMPLE, bytes(32), TIMES)
    codec.unpack(cell)
    codec.pack(cell, Gear.IDLE, 0, replace(SAMPLE, proposal=odd), bytes(32), TIMES)
    with pytest.raises(HostileInput):
        codec.unpack(cell)


def test_a_pace_that_no_honest_member_shows_is_refused() -> None:
    """The largest that anybody shows is that of all, and a burst at it runs to its end."""
    codec = Codec(LANES, SETTINGS, SESSION, slowest_us=1000)
    cell = bytearray(codec.size)
    codec.pack(cell, Gear.IDLE, 0, replace(SAMPLE, sustain_us=1000), bytes(32), TIMES)
    assert codec.unpack(cell).shown.sustain_us == 1000
    codec.pack(cell, Gear.IDLE, 0, replace(SAMPLE, sustain_us=1001), bytes(32), TIMES)
    with pytest.raises(HostileInput):
        codec.unpack(cell)


@given(st.binary(min_size=CODEC.size, max_size=CODEC.size + 50))
def test_random_bytes_are_refused(raw: bytes) -> None:
    with pytest.raises(HostileInput):
        CODEC.unpack(raw)


@given(st.integers(0, CODEC.size - 1))
def test_short_cells_are_refused(size: int) -> None:
    with pytest.raises(HostileInput):
        CODEC.unpack(bytes(sample()[:size]))


def test_the_layout_is_what_the_documentation_says() -> None:
    """The golden vector: changing it means another `VERSION`."""
    assert list(fields()) == [
        ("prefix", 0, 68),
        ("hot", 68, 20),
        ("clock", 88, 16),
        ("known", 104, 32),
        ("shown", 136, 72),
        ("proposal", 208, 38),
        ("lane", 246, 10),
    ]
    assert header_bytes(LANES) == 276
    cell = sample()
    assert cell[:4].hex() == "01001401"
    assert cell[4:20] == SETTINGS.digest and cell[20:52] == SETTINGS.vector
    assert cell[52:68].hex() == "0001020304050607" + "2a00000000000000"
    assert cell[88:104].hex() == "00401e18240a0600" + "e7ffffffffffffff"
    assert cell[136:208].hex() == GOLDEN_SHOWN
    assert cell[208:246].hex() == GOLDEN_PROPOSAL
    assert (
        cell[246:].hex() == "00000000000000000000" + "0b0000000c0000000100" + "0000000000000000ffff"
    )


GOLDEN_SHOWN = (
    "00863ba1010000008300050000000000000007000000050000000000000007000000070000006400"
    "0000310028000000000000000000000000000000000000006c6566746c656674"
)
GOLDEN_PROPOSAL = "898d7bda1e05be600200fe853ba1010000000500000000000000070000008000000028000000"


@pytest.mark.parametrize(
    ("theirs", "named"),
    [
        ((("period_ms", "250"), ("idle_cell", "1024"), ("members", '["a","b"]')), None),
        ((("period_ms", "100"), ("idle_cell", "512"), ("members", '["a","b"]')), "period_ms"),
        ((("period_ms", "250"), ("idle_cell", "1024"), ("members", '["a"]')), "members"),
        ((("period_ms", "250"), ("idle_cell", "1024")), "members"),
        ((), "period_ms"),
    ],
)
def test_the_first_difference_is_named_on_both_sides(
    theirs: tuple[tuple[str, str], ...], named: str | None
) -> None:
    other = FlockSettings.of(theirs)
    assert SETTINGS.first_difference(other.digest, other.vector) == named


def test_settings_can_be_compared_across_flocks_of_other_sizes() -> None:
    other = Codec(5, FlockSettings.of((("members", "5"),)), SESSION)
    cell = bytearray(other.size)
    big = Shown(**{**{f: getattr(SAMPLE, f) for f in SAMPLE.__slots__}, "echo": (0,) * 5})
    other.pack(cell, Gear.IDLE, 0, big, bytes(32), Times(1, 0, (None,) * 5))
    assert SETTINGS.first_difference(*read_prefix(cell)[3:5]) == "period_ms"
    with pytest.raises(HostileInput):
        CODEC.unpack(cell)


@pytest.mark.parametrize(
    ("lanes", "idle", "burst", "refused"),
    [
        (3, 1024, 65536, False),
        (20, 1024, 65536, False),
        (3, 256, 65536, True),
        (20, 512, 65536, True),
        (3, 1024, 1024, True),
    ],
)
def test_cells_without_room_for_a_payload_are_refused(
    lanes: int, idle: int, burst: int, refused: bool
) -> None:
    if refused:
        with pytest.raises(ConfigError, match="_cell = "):
            check_sizes(lanes, idle, burst)
    else:
        check_sizes(lanes, idle, burst)
