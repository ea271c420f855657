"""Bundles: written, read back, and refused in words whatever else stands there."""

from __future__ import annotations

import dataclasses

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flocksy.errors import HostileInput
from flocksy.keys.bundle import (
    MAX_BUNDLE_BYTES,
    MAX_BUNDLES,
    Bundle,
    checked_name,
    decode_bundle,
    encode_bundle,
    find_bundles,
    make_bundle,
)
from flocksy.keys.files import generate_pair
from flocksy.keys.pair import uid_of

PAIR = generate_pair()
FIRST = generate_pair()
BUNDLE = make_bundle(PAIR, "anna", "anna.example:5000")
TEXT = encode_bundle(BUNDLE)

NAMES = st.from_regex(r"[A-Za-z0-9äöüжλ][A-Za-z0-9äöüжλ._-]{0,31}", fullmatch=True)
HOSTS = st.from_regex(
    r"[a-z][a-z0-9]{0,20}(-[a-z0-9]{1,8})?(\.[a-z][a-z0-9]{0,10}){0,3}", fullmatch=True
)


@given(NAMES, HOSTS, st.integers(1, 65535), st.booleans())
def test_a_bundle_is_read_as_it_was_written(name: str, host: str, port: int, rotated: bool) -> None:
    first = FIRST.public_key if rotated else None
    bundle = make_bundle(PAIR, name, f"{host}:{port}", first_key=first)
    text = encode_bundle(bundle)
    assert decode_bundle(text) == bundle
    assert encode_bundle(decode_bundle(text)) == text
    assert bundle.uid == uid_of((FIRST if rotated else PAIR).public_key)
    assert PAIR.private_key not in text


def test_the_first_key_itself_is_no_rotated_one() -> None:
    assert make_bundle(PAIR, "anna", "a:1", first_key=PAIR.public_key).first_key is None


def test_the_longest_bundle_fits() -> None:
    host = ".".join(["ä" * 55] * 4)
    bundle = make_bundle(PAIR, "𐐀" * 32, f"tcp://{host}:65535", first_key=FIRST.public_key)
    text = encode_bundle(bundle)
    assert len(text.encode()) < MAX_BUNDLE_BYTES
    assert decode_bundle(text) == bundle


@pytest.mark.parametrize(
    "change",
    [
        lambda text: text.replace("\n", "\r\n"),
        lambda text: text.replace("\n", "\n\n"),
        lambda text: "".join(f"   {line}  \n" for line in text.splitlines()),
        lambda text: text.strip(),
    ],
    ids=["CRLF", "empty lines", "indented", "no last line end"],
)
def test_what_messengers_do_to_lines_is_forgiven(change) -> None:  # type: ignore[no-untyped-def]
    assert decode_bundle(change(TEXT)) == BUNDLE


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("name: anna", "name: anne", "signature is wrong"),
        ("anna.example:5000", "anna.example:5001", "signature is wrong"),
        ("name: anna", "name: an na", "not as it was written"),
        ("name: anna", "name: -anna", "name is no name"),
        ("name: anna\n", "", "missing"),
        ("name: anna\n", "name: anna\nname: anna\n", "not as it was written"),
        ("name: anna\n", "name: anna\nowner: ben\n", "not as it was written"),
        ("tcp://anna", "http://anna", "endpoint is no endpoint"),
        ("tcp://anna", "anna", "not written as flocksy writes it"),
        (":5000", ":05000", "not written as flocksy writes it"),
        ("bundle 1]", "bundle 2]", "begins with"),
        ("[end", "[ende", "ends with"),
        ("key: ", "key: 0", "64 hex digits"),
        ("signature: ", "signature: 0", "128 hex digits"),
    ],
)
def test_a_changed_bundle_is_refused(old: str, new: str, said: str) -> None:
    assert old in TEXT
    with pytest.raises(HostileInput, match=said):
        decode_bundle(TEXT.replace(old, new, 1))


def test_an_endpoint_that_leads_nowhere_is_refused() -> None:
    """Signed as it stands, by an older flocksy."""
    with pytest.raises(ValueError, match="no place that others could reach"):
        make_bundle(PAIR, "anna", "*:5000")
    with pytest.raises(HostileInput, match="endpoint is no place that others could reach"):
        decode_bundle(TEXT.replace("anna.example", "*"))


def test_fields_in_another_order_and_capital_digits_are_refused() -> None:
    lines = TEXT.splitlines()
    lines[1], lines[2] = lines[2], lines[1]
    with pytest.raises(HostileInput, match="not written as flocksy writes it"):
        decode_bundle("\n".join(lines))
    key = next(line for line in lines if line.startswith("key: "))
    with pytest.raises(HostileInput, match="hex digits"):
        decode_bundle(TEXT.replace(key, "key: " + "A" * 64))


def test_somebody_elses_signature_and_a_first_key_added_later_are_refused() -> None:
    other = make_bundle(generate_pair(), "anna", "anna.example:5000")
    for forged in (
        dataclasses.replace(BUNDLE, signature=other.signature),
        dataclasses.replace(BUNDLE, first_key=FIRST.public_key),
        dataclasses.replace(BUNDLE, public_key=other.public_key),
    ):
        with pytest.raises(HostileInput, match="signature is wrong"):
            decode_bundle(encode_bundle(forged))


def test_no_error_holds_terminal_escapes() -> None:
    for text in (TEXT.replace("anna", "\x1b[31manna"), TEXT.replace("name", "\x1b]0;x")):
        with pytest.raises(HostileInput) as error:
            decode_bundle(text)
        assert str(error.value).isprintable()


@given(st.text(max_size=400))
def test_any_text_is_a_bundle_or_refused(text: str) -> None:
    with pytest.raises(HostileInput):
        decode_bundle(text)
    with pytest.raises(HostileInput):
        find_bundles(text)


@given(st.data())
def test_a_bundle_with_any_character_changed_is_refused_or_the_same(data: st.DataObject) -> None:
    """Invariant: whatever is taken for a bundle is, field by field, the one that was signed."""
    text = list(TEXT)
    for _ in range(data.draw(st.integers(1, 3))):
        position = data.draw(st.integers(0, len(text) - 1))
        text[position] = data.draw(st.characters(codec="utf-8") | st.sampled_from(" \n\r\t[]:0af"))
    try:
        found = decode_bundle("".join(text))
    except HostileInput as error:
        assert str(error).isprintable()
        return
    assert found == BUNDLE


def test_bundles_are_found_in_a_mail() -> None:
    other = make_bundle(generate_pair(), "ben", "ben.example:5000")
    mail = f"Hello,\nhere they are:\n\n{TEXT}\nand\n{encode_bundle(other)}-- \nAnna\n"
    assert find_bundles(mail) == (BUNDLE, other)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("hello", "holds no bundle"),
        (TEXT.replace("[end of bundle]", ""), "has no end"),
        (TEXT.replace("[end of bundle]", "") + TEXT, "has no end"),
        (TEXT.replace("anna", "anne", 1), "signature is wrong"),
        (TEXT * (MAX_BUNDLES + 1), "more than"),
        ("x" * 300_000, "longer than"),
    ],
    ids=["none", "no end", "no end before the next", "broken", "too many", "too long"],
)
def test_a_text_without_whole_bundles_is_refused(text: str, said: str) -> None:
    with pytest.raises(HostileInput, match=said):
        find_bundles(text)


@pytest.mark.parametrize("name", ["", "-a", ".a", "a b", "a" * 33, "a\n", "a/b", "e\u0301", "a@b"])
def test_names_that_are_none(name: str) -> None:
    with pytest.raises(ValueError, match="no name"):
        checked_name(name)


def test_a_bundle_cannot_be_made_with_a_wrong_name_or_endpoint() -> None:
    with pytest.raises(ValueError, match="no name"):
        make_bundle(PAIR, "a b", "a:1")
    with pytest.raises(ValueError, match="endpoint"):
        make_bundle(PAIR, "a", "a b")
    assert isinstance(BUNDLE, Bundle)
