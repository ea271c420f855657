"""The register: read as it was written, and refused in words whatever else stands there."""

from __future__ import annotations

import datetime
import json
import stat
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flocksy.errors import KeyFileError
from flocksy.keys import z85
from flocksy.keys.files import generate_pair
from flocksy.keys.pair import uid_of
from flocksy.keys.register import (
    MAX_FORMER_KEYS,
    MAX_REGISTER_BYTES,
    Entry,
    FormerKey,
    Register,
    Revoked,
    Trust,
    decode_register,
    encode_register,
    read_register,
    register_path,
    write_register,
)

DAY = datetime.date(2026, 11, 21)
KEYS = st.binary(min_size=32, max_size=32).map(z85.encode_key)
NAMES = st.from_regex(r"[A-Za-z0-9äж][A-Za-z0-9äж._-]{0,31}", fullmatch=True)
DAYS = st.dates(datetime.date(2000, 1, 1), datetime.date(2999, 12, 31))
ENTRIES = st.builds(
    Entry,
    public_key=KEYS,
    name=NAMES,
    endpoint=st.sampled_from(["tcp://a.example:1", "ipc:///run/a", "tcp://[::1]:65535"]),
    trust=st.sampled_from(Trust),
    since=DAYS,
    signature=st.none() | st.binary(min_size=64, max_size=64),
    first_key=st.none() | KEYS,
    former=st.lists(st.builds(FormerKey, KEYS, DAYS), max_size=MAX_FORMER_KEYS).map(tuple),
)
REVOKED = st.builds(Revoked, KEYS.map(uid_of), KEYS, NAMES, DAYS)
REGISTERS = st.builds(
    Register,
    st.lists(ENTRIES, max_size=5, unique_by=lambda entry: entry.public_key).map(tuple),
    st.lists(REVOKED, max_size=3).map(tuple),
)


@given(REGISTERS)
def test_a_register_is_read_as_it_was_written(register: Register) -> None:
    assert decode_register(encode_register(register).encode()) == register


@given(st.binary(max_size=200))
def test_any_bytes_are_a_register_or_a_value_error(data: bytes) -> None:
    with pytest.raises(ValueError, match=r"\w"):
        decode_register(data)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=80),
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=6)
    ),
    max_leaves=12,
)
FIELDS = ("key", "name", "endpoint", "trust", "since", "signature", "first_key", "former", "uid")


@given(st.data())
def test_any_json_in_any_field_is_a_register_or_a_value_error(data: st.DataObject) -> None:
    """Invariant: what is taken can be written, and is then read as the same."""
    plain = json.loads(encode_register(data.draw(REGISTERS)))
    where = data.draw(st.sampled_from(["version", "members", "revoked", "deep"]))
    wild = data.draw(JSON)
    if where == "deep":
        for entry in plain["members"] + plain["revoked"]:
            entry[data.draw(st.sampled_from(FIELDS))] = wild
    else:
        plain[where] = wild
    try:
        found = decode_register(json.dumps(plain).encode())
    except ValueError as error:
        assert str(error)
        return
    assert decode_register(encode_register(found).encode()) == found


def test_bounds_are_kept() -> None:
    entry = Entry(generate_pair().public_key, "a", "tcp://a:1", Trust.PAIRED, DAY)
    many = tuple(FormerKey(generate_pair().public_key, DAY) for _ in range(MAX_FORMER_KEYS + 1))
    cases = {
        "more than": Register((Entry(entry.public_key, "a", "tcp://a:1", Trust.PAIRED, DAY,
                                     former=many),)),
        "twice": Register((entry, entry)),
    }  # fmt: skip
    for said, register in cases.items():
        with pytest.raises(ValueError, match=said):
            decode_register(encode_register(register).encode())
    with pytest.raises(ValueError, match="larger than"):
        decode_register(b" " * (MAX_REGISTER_BYTES + 1))
    with pytest.raises(ValueError, match="not JSON"):
        decode_register(b"[" * 100_000)


def test_a_register_of_another_version_is_left_alone(tmp_path: Path) -> None:
    keystore = str(tmp_path / "keystore")
    path = Path(register_path(keystore))
    path.write_text('{"version": 2, "members": [], "revoked": []}')
    with pytest.raises(KeyFileError, match="version '2'"):
        read_register(keystore)


def test_no_file_is_an_empty_register_and_a_written_one_is_closed(tmp_path: Path) -> None:
    keystore = str(tmp_path / "keystore")
    assert read_register(keystore) == Register()
    entry = Entry(generate_pair().public_key, "a", "tcp://a:1", Trust.PAIRED, DAY)
    write_register(keystore, Register((entry,)))
    assert read_register(keystore).entry(entry.public_key) == entry
    assert stat.S_IMODE(Path(register_path(keystore)).stat().st_mode) == 0o600


def test_a_former_key_is_accepted_until_its_day() -> None:
    old = generate_pair().public_key
    entry = Entry(
        generate_pair().public_key, "a", "tcp://a:1", Trust.PAIRED, DAY, first_key=old,
        former=(FormerKey(old, DAY),),
    )  # fmt: skip
    assert entry.accepted(DAY) == (old,)
    assert entry.accepted(DAY + datetime.timedelta(days=1)) == ()
    assert entry.uid == uid_of(old)
