"""Signatures by CURVE keys: XEdDSA over Curve25519.

A member is known by one key, and that key signs: no second pair has to be kept, bound to the first,
compared and rotated with it. Source: T. Perrin, "The XEdDSA and VXEdDSA Signature Schemes",
revision 1. A signature is an ordinary Ed25519 signature under the Edwards form of the public key,
so libsodium's own verification checks it, with all that it refuses (points of small order, numbers
out of range). Only making one is put together here, from libsodium's constant-time pieces.
"""

from __future__ import annotations

import hashlib
import os

import nacl.bindings
from nacl.exceptions import CryptoError

from flocksy.keys import z85
from flocksy.keys.pair import KeyPair

SIGNATURE_BYTES = 64

_PRIME = 2**255 - 19
_NONCE_PREFIX = (2**256 - 2).to_bytes(32, "little")
"""What makes the hash for the nonce differ from all hashes of Ed25519 (hash1 of the source)."""


def sign(pair: KeyPair, message: bytes) -> bytes:
    """The signature of `message`, 64 bytes; another one at each call."""
    scalar = bytearray(z85.decode_key(pair.private_key))
    scalar[0] &= 248
    scalar[31] = scalar[31] & 127 | 64
    point = nacl.bindings.crypto_scalarmult_ed25519_base(bytes(scalar))
    secret = _reduced(bytes(scalar))
    if point[31] & 0x80:  # of the two points that the public key may mean, the even one signs
        secret = nacl.bindings.crypto_core_ed25519_scalar_negate(secret)
    public = _even(point)
    nonce = _hashed(_NONCE_PREFIX, secret, message, os.urandom(64))
    commitment = nacl.bindings.crypto_scalarmult_ed25519_base_noclamp(nonce)
    challenge = _hashed(commitment, public, message)
    product = nacl.bindings.crypto_core_ed25519_scalar_mul(challenge, secret)
    return commitment + nacl.bindings.crypto_core_ed25519_scalar_add(nonce, product)


def is_signed(public_key: str, message: bytes, signature: bytes) -> bool:
    """Whether the owner of `public_key` (Z85) has signed `message`."""
    if len(signature) != SIGNATURE_BYTES:
        return False
    try:
        point = _edwards(z85.decode_key(public_key))
        nacl.bindings.crypto_sign_open(signature + message, point)
    except (ValueError, CryptoError):
        return False
    return True


def _edwards(key: bytes) -> bytes:
    """The even Edwards point of a public key. ValueError for a text of no or of two meanings."""
    u = int.from_bytes(key, "little")
    # CURVE would take u + p and a set top bit for the same key: one key must have one text.
    if u >= _PRIME - 1:
        raise ValueError("is no public key")
    y = (u - 1) * pow(u + 1, -1, _PRIME) % _PRIME
    return y.to_bytes(32, "little")


def _even(point: bytes) -> bytes:
    return point[:31] + bytes([point[31] & 0x7F])


def _reduced(number: bytes) -> bytes:
    return nacl.bindings.crypto_core_ed25519_scalar_reduce(number.ljust(64, b"\0"))


def _hashed(*parts: bytes) -> bytes:
    return _reduced(hashlib.sha512(b"".join(parts)).digest())
