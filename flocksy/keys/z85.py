"""Z85, the text form of keys (ZeroMQ RFC 32): four bytes are five printable characters."""

from __future__ import annotations

ALPHABET = "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ.-:+=^!/*?&<>()[]{}@%$#"
KEY_CHARACTERS = 40
KEY_BYTES = 32

_VALUES = {character: value for value, character in enumerate(ALPHABET)}


def encode_key(key: bytes) -> str:
    """The 40 characters of a key of 32 bytes."""
    assert len(key) == KEY_BYTES
    characters = []
    for start in range(0, KEY_BYTES, 4):
        number = int.from_bytes(key[start : start + 4], "big")
        group = ""
        for _ in range(5):
            number, digit = divmod(number, 85)
            group = ALPHABET[digit] + group
        characters.append(group)
    return "".join(characters)


def decode_key(text: str) -> bytes:
    """The 32 bytes of a key. ValueError, without the text, where it is none."""
    if len(text) != KEY_CHARACTERS:
        raise ValueError(f"a key has {KEY_CHARACTERS} characters, this one has {len(text)}")
    key = b""
    for start in range(0, KEY_CHARACTERS, 5):
        number = 0
        for position, character in enumerate(text[start : start + 5], start + 1):
            if character not in _VALUES:
                raise ValueError(f"character {position} of the key cannot be in one")
            number = number * 85 + _VALUES[character]
        if number >= 2**32:
            raise ValueError(f"characters {start + 1} to {start + 5} of the key cannot be in one")
        key += number.to_bytes(4, "big")
    return key
