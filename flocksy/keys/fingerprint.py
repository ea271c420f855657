"""What people compare: the fingerprint of one key, and the safety number of several.

A fingerprint has 128 bits: who wants another key with the same one has to try 2**128. A safety
number has 60 digits, 199 bits, because there an attacker may choose keys on both sides and needs
only two sets that collide: 2**99 tries.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterable

from flocksy.keys import z85
from flocksy.keys.words import bytes_of, words_of

FINGERPRINT_BYTES = 16
NUMBER_DIGITS = 60
GROUP_DIGITS = 5

_SCANNED = "FLOCKSY:"
MAX_COMPARED_CHARACTERS = 500
"""Sixteen words, sixty digits or a scanned key with all that may stand between."""


def fingerprint(public_key: str) -> bytes:
    """The 16 bytes that stand for a key (Z85)."""
    key = z85.decode_key(public_key)
    return hashlib.blake2b(key, digest_size=FINGERPRINT_BYTES, person=b"flocksy finger").digest()


def fingerprint_words(public_key: str) -> tuple[str, ...]:
    """The fingerprint as 16 words."""
    return words_of(fingerprint(public_key))


def fingerprint_hex(public_key: str) -> str:
    """The fingerprint as eight groups of four hex digits."""
    digits = fingerprint(public_key).hex()
    return " ".join(digits[start : start + 4] for start in range(0, len(digits), 4))


def scannable(public_key: str) -> str:
    """What a QR code holds: the whole key, in characters that make small codes."""
    return _SCANNED + z85.decode_key(public_key).hex().upper()


def safety_number(public_keys: Iterable[str]) -> str:
    """The number of a set of keys: twelve groups of five digits, the same on every screen.

    Of two keys it is the number of a pair, of all keys that of the flock. Order and doubles do not
    matter.
    """
    keys = sorted({z85.decode_key(key) for key in public_keys})
    digest = hashlib.blake2b(b"".join(keys), person=b"flocksy number").digest()
    digits = f"{int.from_bytes(digest, 'big') % 10**NUMBER_DIGITS:0{NUMBER_DIGITS}}"
    return " ".join(
        digits[start : start + GROUP_DIGITS] for start in range(0, NUMBER_DIGITS, GROUP_DIGITS)
    )


def agrees(given: str, public_key: str, own_key: str, flock: Collection[str] = ()) -> bool:
    """Whether `given` is the member's fingerprint (words or hex), the safety number of the pair or,
    where the member's key is one of it, that of the `flock` (all public keys), or the member's key
    as scanned. ValueError for what is none of these, a part of one among them."""
    text = given.strip()
    if not text or len(text) > MAX_COMPARED_CHARACTERS:
        raise ValueError("is no fingerprint, no safety number and no scanned key")
    if text.upper().startswith(_SCANNED):
        return text.upper() == scannable(public_key)
    plain = "".join(text.split()).lower()
    if plain.isascii() and plain.isdigit() and len(plain) == NUMBER_DIGITS:
        sets: list[Collection[str]] = [(public_key, own_key)]
        if public_key in flock:
            sets.append(flock)
        return any(plain == safety_number(keys).replace(" ", "") for keys in sets)
    if len(plain) == 2 * FINGERPRINT_BYTES and set(plain) <= set("0123456789abcdef"):
        return plain == fingerprint(public_key).hex()
    found = bytes_of(text)
    if len(found) != FINGERPRINT_BYTES:
        raise ValueError(
            f"has {len(found)} words; a fingerprint has {FINGERPRINT_BYTES}, compare all of them"
        )
    return found == fingerprint(public_key)
