"""What people compare: equal where keys are equal, different where they are not."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flocksy.keys import z85
from flocksy.keys.files import generate_pair
from flocksy.keys.fingerprint import (
    agrees,
    fingerprint,
    fingerprint_hex,
    fingerprint_words,
    safety_number,
    scannable,
)
from flocksy.keys.words import WORDS, bytes_of, words_of

ANNA, BEN, CLEO = (generate_pair().public_key for _ in range(3))
KEYS = st.binary(min_size=32, max_size=32).map(z85.encode_key)


def distance(one: str, other: str) -> int:
    """Insertions, deletions and changes of letters."""
    row = list(range(len(other) + 1))
    for number, letter in enumerate(one, 1):
        last = [number]
        for place, against in enumerate(other, 1):
            last.append(min(row[place] + 1, last[-1] + 1, row[place - 1] + (letter != against)))
        row = last
    return row[-1]


def test_words_cannot_be_taken_for_one_another() -> None:
    assert len(WORDS) == len(set(WORDS)) == 256
    assert len({word[:3] for word in WORDS}) == 256
    assert all(word.isascii() and word.islower() and 4 <= len(word) <= 7 for word in WORDS)
    assert min(distance(one, other) for one, other in itertools.combinations(WORDS, 2)) >= 3


@given(st.binary(max_size=40))
def test_words_are_read_as_they_were_written(data: bytes) -> None:
    words = words_of(data)
    assert bytes_of(" ".join(words)) == data
    assert bytes_of(" - ".join(words).upper()) == data
    assert bytes_of("\n".join(word[:3] for word in words)) == data


@given(st.text(max_size=60))
def test_any_text_is_words_or_a_value_error(text: str) -> None:
    try:
        data = bytes_of(text)
    except ValueError:
        return
    assert bytes_of(" ".join(words_of(data))) == data


def test_the_format_stays() -> None:
    """Two versions of flocksy must show the same for one key."""
    key = z85.encode_key(bytes(range(32)))
    assert fingerprint_hex(key) == "14f5 2439 095e 29d7 567c deec 49ab e3e2"
    assert " ".join(fingerprint_words(key)[:3]) == "basket valley cactus"
    assert safety_number([key]).startswith("00816 45326 ")


@given(st.lists(KEYS, min_size=1, max_size=6))
def test_a_safety_number_is_of_the_set(keys: list[str]) -> None:
    number = safety_number(keys)
    assert number == safety_number([*reversed(keys), keys[0]])
    assert len(number.split()) == 12
    assert all(len(group) == 5 and group.isdigit() for group in number.split())


def test_other_keys_have_another_number() -> None:
    pairs = [(ANNA, BEN), (ANNA, CLEO), (BEN, CLEO), (ANNA, BEN, CLEO), (ANNA,)]
    assert len({safety_number(keys) for keys in pairs}) == len(pairs)


@pytest.mark.parametrize(
    "given_",
    [
        " ".join(fingerprint_words(BEN)),
        " ".join(word[:3] for word in fingerprint_words(BEN)).upper(),
        fingerprint_hex(BEN),
        fingerprint_hex(BEN).upper().replace(" ", ""),
        safety_number((ANNA, BEN)),
        safety_number((BEN, ANNA)).replace(" ", ""),
        scannable(BEN),
        f" {scannable(BEN).lower()}\n",
    ],
    ids=[
        "words",
        "short words",
        "hex",
        "hex alone",
        "number",
        "number from there",
        "code",
        "small",
    ],
)
def test_what_agrees_agrees_for_this_member_only(given_: str) -> None:
    assert agrees(given_, BEN, ANNA)
    assert not agrees(given_, CLEO, ANNA)


@pytest.mark.parametrize(
    ("given_", "said"),
    [
        ("", "is no"),
        ("yes", "none of the words"),
        ("acorn", "has 1 words"),
        (" ".join(fingerprint_words(BEN)[:15]), "has 15 words"),
        (" ".join([*fingerprint_words(BEN), "acorn"]), "has 17 words"),
        (safety_number((ANNA, BEN))[:-1], "has 0 words"),
        ("x" * 600, "is no"),
    ],
    ids=["nothing", "yes", "one word", "15 words", "17 words", "59 digits", "too long"],
)
def test_a_part_agrees_with_nothing(given_: str, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        agrees(given_, BEN, ANNA)


@given(st.text(max_size=120))
def test_any_text_is_compared_or_a_value_error(text: str) -> None:
    try:
        assert not agrees(text, BEN, ANNA)
    except ValueError:
        return


def test_a_fingerprint_is_not_the_key() -> None:
    assert len(fingerprint(ANNA)) == 16
    assert fingerprint(ANNA) not in z85.decode_key(ANNA)
