"""Records: one encoding per version, nothing in it that names a node, hostile ones refused."""

from __future__ import annotations

import struct
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flocksy.errors import HostileInput
from flocksy.sync.attributes import encode_attributes
from flocksy.sync.version import (
    MAX_GENERATION,
    MAX_RECORD_BYTES,
    MAX_SIZE,
    Kind,
    Version,
    decode_record,
    encode_record,
    next_generation,
    version_id,
)

ids = st.binary(min_size=16, max_size=16)
attributes = st.dictionaries(
    st.binary(min_size=1, max_size=9).filter(lambda name: b"\0" not in name),
    st.binary(max_size=9),
    max_size=3,
).map(encode_attributes)


@st.composite
def versions(draw: st.DrawFn) -> Version:
    kind = draw(st.sampled_from(Kind))
    has_root = kind in (Kind.FILE, Kind.SYMLINK)
    is_file = kind is Kind.FILE
    return Version(
        kind=kind,
        mode=draw(st.integers(0, 0o777)) if kind in (Kind.FILE, Kind.DIRECTORY) else 0,
        mtime_ns=draw(st.integers(-(2**63), 2**63 - 1)) if is_file else 0,
        size=draw(st.integers(0, MAX_SIZE - 1)) if is_file else 0,
        root=draw(st.binary(min_size=32, max_size=32)) if has_root else b"",
        generation=draw(st.integers(1, MAX_GENERATION - 1)),
        parents=tuple(sorted(draw(st.sets(ids, max_size=4)))),
        metadata_only=draw(st.booleans()),
        signature=draw(st.binary(max_size=64)),
        attributes=draw(attributes) if is_file else b"",
    )


@given(versions())
def test_a_record_says_everything_in_few_bytes(version: Version) -> None:
    record = encode_record(version)
    assert len(record) <= MAX_RECORD_BYTES
    assert decode_record(record) == version
    assert len(version_id(version)) == 16


@given(versions(), versions())
def test_versions_share_an_id_only_if_equal(left: Version, right: Version) -> None:
    assert (version_id(left) == version_id(right)) == (left == right)


def test_every_byte_of_a_record_is_accounted_for() -> None:
    """Golden: whatever is added here travels, so it must not tell who made the version."""
    version = Version(
        Kind.FILE, 0o640, 1_700_000_000_123_456_789, 5, b"r" * 32, 7, (b"p" * 16, b"q" * 16), True
    )
    expected = (
        bytes((1, 1, 1))  # record version, kind, flags
        + struct.pack("<HqQQ", 0o640, 1_700_000_000_123_456_789, 5, 7)
        + bytes((32, 2, 0))  # lengths of root, parents, signature
        + b"r" * 32
        + b"p" * 16
        + b"q" * 16
    )
    assert encode_record(version) == expected
    assert version_id(version).hex() == "9727a58e51d56a934d2a3ca534c6fddc"
    tagged = replace(version, attributes=encode_attributes({b"tag": b"red"}))
    assert encode_record(tagged) == b"\2" + expected[1:] + b"\x03\x03\x00tagred"


@given(st.data(), versions())
def test_a_changed_record_is_another_version_or_refused(
    data: st.DataObject, version: Version
) -> None:
    """Bit flips and cuts: never an error but HostileInput, never a second encoding."""
    record = bytearray(encode_record(version))
    at = data.draw(st.integers(0, len(record) - 1))
    record[at] ^= data.draw(st.integers(1, 255))
    if data.draw(st.booleans()):
        record = record[: data.draw(st.integers(0, len(record)))]
    try:
        found = decode_record(record)
    except HostileInput:
        return
    assert encode_record(found) == bytes(record)
    assert found != version


@pytest.mark.parametrize(
    ("what", "change"),
    [
        ("a file without root", {"root": b""}),
        ("generation zero", {"generation": 0}),
        ("a generation beyond counting", {"generation": MAX_GENERATION}),
        ("parents in another order", {"parents": (b"b" * 16, b"a" * 16)}),
        ("a parent twice", {"parents": (b"a" * 16, b"a" * 16)}),
        ("five parents", {"parents": tuple(bytes([n]) * 16 for n in range(5))}),
        ("setuid", {"mode": 0o4755}),
        ("a directory with a size", {"kind": Kind.DIRECTORY, "root": b"", "mtime_ns": 0}),
        ("a symlink with a mode", {"kind": Kind.SYMLINK, "size": 0, "mtime_ns": 0}),
        ("a tombstone with a root", {"kind": Kind.TOMBSTONE, "size": 0, "mtime_ns": 0, "mode": 0}),
        (
            "a directory with attributes",
            {
                "kind": Kind.DIRECTORY,
                "root": b"",
                "mtime_ns": 0,
                "size": 0,
                "attributes": b"\1\0\0a",
            },
        ),
        ("attributes that are none", {"attributes": b"\1\0"}),
    ],
)
def test_what_no_honest_node_makes_is_refused(what: str, change: dict[str, object]) -> None:
    fields: dict[str, object] = {
        "kind": Kind.FILE,
        "mode": 0o644,
        "mtime_ns": 1,
        "size": 3,
        "root": b"r" * 32,
        "generation": 1,
        "parents": (),
    }
    record = encode_record(Version(**(fields | change)))  # type: ignore[arg-type]  # wrong on purpose
    with pytest.raises(HostileInput):
        decode_record(record)
        pytest.fail(what)


def test_a_record_of_a_file_without_attributes_is_of_the_first_version() -> None:
    record = encode_record(Version(Kind.FILE, 0o644, 1, 3, b"r" * 32, 1, ()))
    assert record[0] == 1
    with pytest.raises(HostileInput):
        decode_record(b"\2" + record[1:])
    with pytest.raises(HostileInput):
        decode_record(record + b"\1\0\0a")
    assert decode_record(b"\2" + record[1:] + b"\1\0\0a").attributes == b"\1\0\0a"


@pytest.mark.parametrize(
    ("parents", "expected"),
    [
        ((), 1),
        ((1,), 2),
        ((3, 9, 2), 10),
        ((MAX_GENERATION - 2,), MAX_GENERATION - 1),
        ((MAX_GENERATION - 1, 1), MAX_GENERATION - 1),
    ],
)
def test_every_generation_that_follows_can_be_read(parents: tuple[int, ...], expected: int) -> None:
    generation = next_generation(parents)
    assert generation == expected
    version = Version(Kind.DIRECTORY, 0o755, 0, 0, b"", generation, ())
    assert decode_record(encode_record(version)) == version
