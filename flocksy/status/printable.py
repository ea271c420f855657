"""Text from elsewhere, made safe for a terminal."""

from __future__ import annotations


def printable(text: str) -> str:
    """`text` with everything that could steer a terminal or reorder a line written as an escape.

    Names come from peers and from disks: control characters, the bidirectional marks and bytes
    that are no UTF-8 (surrogates) appear as \\x1b, \\u202e and so on.
    """
    if text.isprintable():
        return text
    return "".join(
        character if character.isprintable() else _escape(character) for character in text
    )


def _escape(character: str) -> str:
    code = ord(character)
    if 0xDC80 <= code <= 0xDCFF:  # one undecodable byte, as os.fsdecode shows it
        return f"\\x{code - 0xDC00:02x}"
    if code <= 0xFF:
        return f"\\x{code:02x}"
    return f"\\u{code:04x}" if code <= 0xFFFF else f"\\U{code:08x}"
