"""Z85 against ZeroMQ's own, and against text that is none."""

from __future__ import annotations

import pytest
import zmq.utils.z85
from hypothesis import given
from hypothesis import strategies as st

from flocksy.keys import z85


@given(st.binary(min_size=32, max_size=32))
def test_encodes_as_zeromq_does_and_back(key: bytes) -> None:
    text = z85.encode_key(key)
    assert text.encode() == zmq.utils.z85.encode(key)
    assert z85.decode_key(text) == key


@given(st.text(max_size=50))
def test_any_text_is_a_key_or_a_value_error(text: str) -> None:
    try:
        key = z85.decode_key(text)
    except ValueError:
        return
    assert z85.encode_key(key) == text


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "has 40 characters, this one has 0"),
        ("a" * 41, "this one has 41"),
        ("a" * 39 + '"', "character 40"),
        ("#" * 40, "characters 1 to 5"),
    ],
)
def test_says_what_is_wrong_without_the_key(text: str, said: str) -> None:
    with pytest.raises(ValueError, match=said) as caught:
        z85.decode_key(text)
    assert not text or text not in str(caught.value)
