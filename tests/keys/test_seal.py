"""Private keys under a passphrase: opened by it alone, and bounded in what they can ask for."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flocksy.errors import KeyFileError
from flocksy.keys.files import (
    create_private_keys,
    generate_pair,
    read_private_keys,
    write_private_keys,
)
from flocksy.keys.pair import KeyPair
from flocksy.keys.seal import check_sealed, seal, unseal

PAIR = generate_pair()


def sealed(passphrase: bytes) -> KeyPair:
    text = seal(PAIR.private_key, passphrase, operations=1, memory_bytes=8192)
    return KeyPair(PAIR.public_key, "", text)


@settings(max_examples=30)
@given(st.binary(min_size=1, max_size=64), st.binary(min_size=1, max_size=64))
def test_the_passphrase_opens_and_no_other(passphrase: bytes, other: bytes) -> None:
    pair = sealed(passphrase)
    assert pair.sealed is not None
    assert unseal(pair, passphrase, "file").private_key == PAIR.private_key
    if other != passphrase:
        with pytest.raises(KeyFileError, match="not the passphrase"):
            unseal(pair, other, "file")


def test_a_sealed_key_shows_nothing() -> None:
    pair = sealed(b"correct horse")
    assert not pair.is_open
    assert pair.sealed is not None
    assert pair.sealed not in repr(pair)
    assert sealed(b"correct horse") != pair, "each time another salt"


def test_a_sealed_key_under_another_public_one_is_refused() -> None:
    wrong = dataclasses.replace(sealed(b"words"), public_key=generate_pair().public_key)
    with pytest.raises(KeyFileError, match="do not belong together"):
        unseal(wrong, b"words", "file")


def test_the_default_costs_an_attacker_memory() -> None:
    """OWASP's least for argon2id is 19 MiB and two passes; a key file deserves far more."""
    text = seal(PAIR.private_key, b"words")
    assert text.split("$")[:3] == ["argon2id", "3", str(256 << 20)]
    assert unseal(KeyPair(PAIR.public_key, "", text), b"words", "file") == KeyPair(
        PAIR.public_key, PAIR.private_key, text
    )


@given(st.text(max_size=120))
def test_any_text_is_sealed_or_a_value_error(text: str) -> None:
    with pytest.raises(ValueError, match="private_key_sealed"):
        check_sealed(text)


@given(st.data())
def test_a_changed_seal_opens_nothing(data: st.DataObject) -> None:
    text = list(sealed(b"words").sealed or "")
    position = data.draw(st.integers(0, len(text) - 1))
    text[position] = data.draw(st.characters(min_codepoint=33, max_codepoint=126))
    changed = "".join(text)
    try:
        check_sealed(changed)
        if changed == sealed(b"words").sealed:
            return
        opened = unseal(KeyPair(PAIR.public_key, "", changed), b"words", "file")
    except (ValueError, KeyFileError):
        return
    assert opened.private_key == PAIR.private_key  # base64 has bits that mean nothing


@pytest.mark.parametrize("cost", ["999$8192", "1$99999999999", "0$8192", "1$1"])
def test_a_file_cannot_ask_for_any_amount_of_work(cost: str) -> None:
    text = (sealed(b"words").sealed or "").replace("1$8192", cost)
    with pytest.raises(ValueError, match="too much work"):
        check_sealed(text)


def test_a_key_file_holds_open_and_sealed_keys_side_by_side(tmp_path: Path) -> None:
    path = str(tmp_path / "private")
    other = generate_pair()
    pairs = {"tcp://a:1": sealed(b"words"), "tcp://b:1": other}
    write_private_keys(path, pairs)
    assert read_private_keys(path) == pairs
    assert PAIR.private_key not in Path(path).read_text()
    # A further endpoint of the same node gets the same key, sealed as it is.
    create_private_keys(path, ("tcp://a:1", "tcp://c:1"))
    assert read_private_keys(path)["tcp://c:1"] == pairs["tcp://a:1"]


@pytest.mark.parametrize("value", [5, None, "nonsense", ["x"], ""])
def test_a_wrong_seal_is_one_clear_line(tmp_path: Path, value: object) -> None:
    path = tmp_path / "private"
    path.touch(mode=0o600)
    entry = {"public_key": PAIR.public_key, "private_key_sealed": value}
    path.write_text(json.dumps({"a:1": entry}))
    with pytest.raises(KeyFileError, match="private_key_sealed") as caught:
        read_private_keys(str(path))
    assert "\n" not in str(caught.value)
