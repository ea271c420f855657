"""Signatures by CURVE keys: libsodium's own verification takes ours, and nothing else."""

from __future__ import annotations

import nacl.bindings
import nacl.signing
import pytest
from hypothesis import given
from hypothesis import strategies as st

from flocksy.keys import z85
from flocksy.keys.files import generate_pair
from flocksy.keys.pair import KeyPair
from flocksy.keys.signature import SIGNATURE_BYTES, _edwards, is_signed, sign

PRIVATE = st.binary(min_size=32, max_size=32)


def pair_of(private: bytes) -> KeyPair:
    public = nacl.bindings.crypto_scalarmult_base(private)
    return KeyPair(z85.encode_key(public), z85.encode_key(private))


@given(PRIVATE, st.binary(max_size=300))
def test_what_is_signed_is_signed_by_this_key_only(private: bytes, message: bytes) -> None:
    pair = pair_of(private)
    signature = sign(pair, message)
    assert len(signature) == SIGNATURE_BYTES
    assert is_signed(pair.public_key, message, signature)
    assert not is_signed(pair.public_key, message + b"x", signature)
    assert not is_signed(generate_pair().public_key, message, signature)


@given(st.binary(min_size=32, max_size=32))
def test_the_edwards_form_is_libsodiums(seed: bytes) -> None:
    """Invariant: for every Ed25519 key, its Curve25519 form leads back to it, but for the sign."""
    edwards = bytes(nacl.signing.SigningKey(seed).verify_key)
    montgomery = nacl.bindings.crypto_sign_ed25519_pk_to_curve25519(edwards)
    assert _edwards(montgomery) == edwards[:31] + bytes([edwards[31] & 0x7F])


def test_an_ordinary_ed25519_signature_of_the_same_scalar_is_taken() -> None:
    """The other direction of the source: what Ed25519 signs under the even point is XEdDSA too."""
    for number in range(20):
        key = nacl.signing.SigningKey(bytes([number]) * 32)
        if bytes(key.verify_key)[31] & 0x80:
            continue
        public = nacl.bindings.crypto_sign_ed25519_pk_to_curve25519(bytes(key.verify_key))
        assert is_signed(z85.encode_key(public), b"text", key.sign(b"text").signature)
        return
    pytest.fail("no even key among twenty")


@given(st.data())
def test_no_bit_can_be_changed(data: st.DataObject) -> None:
    pair = generate_pair()
    signature = bytearray(sign(pair, b"message"))
    signature[data.draw(st.integers(0, 63))] ^= 1 << data.draw(st.integers(0, 7))
    assert not is_signed(pair.public_key, b"message", bytes(signature))


def test_two_signatures_of_one_message_differ() -> None:
    pair = generate_pair()
    assert sign(pair, b"message") != sign(pair, b"message")


@pytest.mark.parametrize(
    ("key", "why"),
    [
        (bytes(32), "a point of small order"),
        (b"\1" + bytes(31), "a point of small order"),
        ((2**255 - 20).to_bytes(32, "little"), "-1, which has no Edwards form"),
        ((2**255 - 19 + 9).to_bytes(32, "little"), "9, written otherwise"),
        ((2**255 + 9).to_bytes(32, "little"), "9, with the top bit set"),
        ((2).to_bytes(32, "little"), "a point of the twist"),
    ],
)
def test_keys_that_are_none_sign_nothing(key: bytes, why: str) -> None:
    for signature in (bytes(64), b"\1" + bytes(63), sign(generate_pair(), b"message")):
        assert not is_signed(z85.encode_key(key), b"message", signature), why


@given(st.text(max_size=45), st.binary(max_size=40), st.binary(max_size=70))
def test_any_bytes_are_a_signature_or_none(key: str, message: bytes, signature: bytes) -> None:
    assert not is_signed(key, message, signature)
