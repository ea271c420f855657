"""Extended attributes of versions: one encoding, hostile ones refused, and what becomes of them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flocksy.errors import HostileInput
from flocksy.sync.attributes import (
    MAX_ATTRIBUTES,
    MAX_ATTRIBUTES_BYTES,
    AttributesError,
    decode_attributes,
    encode_attributes,
    is_between,
    merged_attributes,
)

names = st.binary(min_size=1, max_size=250).filter(lambda name: b"\0" not in name)
few = st.dictionaries(names, st.binary(max_size=100), max_size=8)
tags = st.dictionaries(st.sampled_from((b"a", b"b", b"c")), st.sampled_from((b"1", b"2")))


@given(few)
def test_what_is_encoded_is_decoded(attributes: dict[bytes, bytes]) -> None:
    blob = encode_attributes(attributes)
    assert decode_attributes(blob) == attributes
    assert (blob == b"") == (not attributes)


@given(st.binary(max_size=300))
def test_whatever_is_accepted_is_the_only_encoding(blob: bytes) -> None:
    try:
        found = decode_attributes(blob)
    except HostileInput:
        return
    assert encode_attributes(found) == blob


def test_the_bounds_are_named_and_held() -> None:
    most = {b"%d" % number: b"" for number in range(MAX_ATTRIBUTES)}
    assert decode_attributes(encode_attributes(most)) == most
    with pytest.raises(AttributesError, match="65 extended attributes"):
        encode_attributes(most | {b"one more": b""})
    largest = {b"a": bytes(MAX_ATTRIBUTES_BYTES - 4)}
    assert decode_attributes(encode_attributes(largest)) == largest
    with pytest.raises(AttributesError, match="of 4097 bytes"):
        encode_attributes({b"ab": bytes(MAX_ATTRIBUTES_BYTES - 4)})


@pytest.mark.parametrize(
    ("what", "blob"),
    [
        ("a name without bytes", b"\0\0\0"),
        ("a NUL in a name", b"\2\0\0a\0"),
        ("a cut head", b"\1\0"),
        ("a cut value", b"\1\2\0a1"),
        ("a name that no system holds", b"\xfb\0\0" + b"a" * 251),
        ("a name twice", b"\1\0\0a\1\0\0a"),
        ("names in another order", b"\1\0\0b\1\0\0a"),
        ("too many", b"".join(b"\1\0\0" + bytes([n]) for n in range(1, 66))),
        ("too much", b"\1\xfd\x0fa" + bytes(4093)),
    ],
)
def test_what_no_honest_node_makes_is_refused(what: str, blob: bytes) -> None:
    with pytest.raises(HostileInput):
        decode_attributes(blob)
        pytest.fail(what)


@given(tags, tags, tags)
def test_what_has_changed_since_is_brought_to_what_the_flock_has(
    base: dict[bytes, bytes], ours: dict[bytes, bytes], theirs: dict[bytes, bytes]
) -> None:
    merged = decode_attributes(
        merged_attributes(*(encode_attributes(one) for one in (base, ours, theirs)))
    )
    for name in (b"a", b"b", b"c"):
        unchanged = ours.get(name) == base.get(name)
        assert merged.get(name) == (theirs if unchanged else ours).get(name)


@given(tags, tags, st.data())
def test_a_change_under_way_is_told_from_an_edit(
    before: dict[bytes, bytes], after: dict[bytes, bytes], data: st.DataObject
) -> None:
    some = data.draw(st.sets(st.sampled_from((b"a", b"b", b"c"))))
    found = {
        name: value
        for name in (b"a", b"b", b"c")
        if (value := (after if name in some else before).get(name)) is not None
    }
    blobs = encode_attributes(before), encode_attributes(after)
    assert is_between(encode_attributes(found), *blobs)
    assert not is_between(encode_attributes(found | {b"a": b"edited"}), *blobs)
    assert not is_between(encode_attributes(found | {b"new": b""}), *blobs)
