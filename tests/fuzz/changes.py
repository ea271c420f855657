"""Inputs made from others by small changes, without guidance: what `make test` has time for."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence

from tests.fuzz.target import Target

ODD = (
    *(b"\0", b"\xff", b"\n", b"\xff\xff\xff\xff", b"\x80\0\0\0", b"\xed\xa0\x80"),
    *(b"'", b'"', b"{", b"]", b"-", b"9999999999"),
)


def changed(inputs: Sequence[bytes], draw: random.Random, target: Target) -> Iterator[bytes]:
    """Endless: each a few changes away from one of `inputs`."""
    while True:
        one = bytearray(draw.choice(inputs))
        for _ in range(draw.choice((1, 1, 2, 3, 8))):
            _change(one, inputs, draw, target.words)
        yield bytes(one[: target.max_bytes])


def _change(
    one: bytearray, inputs: Sequence[bytes], draw: random.Random, words: Sequence[bytes]
) -> None:
    at = draw.randrange(len(one) + 1)
    match draw.randrange(8):
        case 0:
            one[at : at + 1] = bytes([draw.randrange(256)])
        case 1:
            if at < len(one):
                one[at] ^= 1 << draw.randrange(8)
        case 2:
            one[at : at + draw.randrange(1, 9)] = b""
        case 3:
            one[at:at] = draw.randbytes(draw.randrange(1, 9))
        case 4:
            one[at : at + draw.choice((0, 1, 4))] = draw.choice(ODD)
        case 5:
            other = draw.choice(inputs)
            begin = draw.randrange(len(other) + 1)
            one[at:] = other[begin:]
        case 6:
            length = draw.randrange(1, 40)
            one[at:at] = one[at : at + length] * draw.randrange(1, 5)
        case _:
            one[at:at] = draw.choice(words or ODD)
