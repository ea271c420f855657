"""Announcements of rotations: signed by both keys, or refused."""

from __future__ import annotations

import dataclasses
import datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flocksy.errors import HostileInput
from flocksy.keys.bundle import make_bundle
from flocksy.keys.files import generate_pair
from flocksy.keys.rotation import (
    HEAD,
    MAX_ROTATION_BYTES,
    MAX_ROTATIONS,
    decode_rotation,
    encode_rotation,
    find_rotations,
    make_rotation,
)

OLD, NEW = generate_pair(), generate_pair()
UNTIL = datetime.date(2026, 12, 5)
ROTATION = make_rotation(OLD, NEW, OLD.public_key, "anna", "anna.example:5000", UNTIL)
TEXT = encode_rotation(ROTATION)


def test_an_announcement_is_read_as_it_was_written() -> None:
    assert decode_rotation(TEXT) == ROTATION
    assert decode_rotation(TEXT.replace("\n", "\r\n\r\n")) == ROTATION
    assert OLD.private_key not in TEXT
    assert NEW.private_key not in TEXT


def test_the_longest_announcement_fits() -> None:
    endpoint = "tcp://" + ".".join(["ä" * 55] * 4) + ":65535"
    rotation = make_rotation(OLD, NEW, generate_pair().public_key, "𐐀" * 32, endpoint, UNTIL)
    assert len(encode_rotation(rotation).encode()) < MAX_ROTATION_BYTES
    assert decode_rotation(encode_rotation(rotation)) == rotation


def test_only_the_old_key_can_announce() -> None:
    thief = generate_pair()
    for forged in (
        dataclasses.replace(ROTATION, old_key=thief.public_key),
        dataclasses.replace(ROTATION, until=UNTIL + datetime.timedelta(days=1)),
        dataclasses.replace(ROTATION, old_signature=bytes(64)),
        dataclasses.replace(
            ROTATION,
            bundle=make_bundle(thief, "anna", "anna.example:5000", first_key=OLD.public_key),
        ),
    ):
        with pytest.raises(HostileInput, match="old key's signature is wrong"):
            decode_rotation(encode_rotation(forged))


def test_an_announcement_changes_a_key_and_keeps_the_uid() -> None:
    plain = dataclasses.replace(ROTATION, bundle=make_bundle(NEW, "anna", "anna.example:5000"))
    with pytest.raises(HostileInput, match="changes no key"):
        decode_rotation(encode_rotation(plain))


@given(st.text(max_size=400))
def test_any_text_is_an_announcement_or_refused(text: str) -> None:
    with pytest.raises(HostileInput):
        decode_rotation(text)
    try:
        assert find_rotations(text) == ()
    except HostileInput:
        assert HEAD in text, "what begins like one is said to be broken"


@given(st.data())
def test_with_any_character_changed_it_is_refused_or_the_same(data: st.DataObject) -> None:
    """Invariant: whatever is taken for an announcement is the one that was signed."""
    text = list(TEXT)
    for _ in range(data.draw(st.integers(1, 3))):
        position = data.draw(st.integers(0, len(text) - 1))
        text[position] = data.draw(st.characters(codec="utf-8") | st.sampled_from(" \n\r\t[]:0af"))
    try:
        found = decode_rotation("".join(text))
    except HostileInput as error:
        assert str(error).isprintable()
        return
    assert found == ROTATION


def test_announcements_are_found_in_a_mail() -> None:
    assert find_rotations(f"Hello\n{TEXT}\nand\n{TEXT}\nAnna") == (ROTATION, ROTATION)
    for text, said in (
        (TEXT.replace("[end of rotation]", ""), "has no end"),
        (TEXT * (MAX_ROTATIONS + 1), "more than"),
        (TEXT.replace("[end of rotation]", "x" * 10_000 + "[end of rotation]"), "at most"),
        (TEXT.replace("2026-12-05", "2026-13-05"), "day is none"),
    ):
        with pytest.raises(HostileInput, match=said):
            find_rotations(text)
