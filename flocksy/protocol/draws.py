"""Values that all members draw alike, because they are computed from an agreed burst's id."""

from __future__ import annotations

import math
from hashlib import blake2b

from flocksy.protocol.shown import BURST_ID_BYTES, Kind

MAX_WAIT_MS = 10_000
"""No drawn wait is longer (rule 8): people wait for their files."""


def proposal_id(
    kind: Kind,
    round_: int,
    number: int,
    members: int,
    length: int,
    delta_us: int,
    repeat: bool,
    joins: bool,
) -> bytes:
    """The id of a proposal: 8 bytes, a BLAKE2b of all its fields as 8-byte little-endian words,
    repeat (1) and joins (2) in one."""
    words = (int(kind), round_, number, members, length, delta_us, repeat + 2 * joins)
    packed = b"".join(word.to_bytes(8, "little") for word in words)
    return blake2b(packed, digest_size=BURST_ID_BYTES, person=b"flocksy burst").digest()


def rest_rounds(burst: bytes, mean_ms: int, period_ms: int) -> int:
    """Rounds without any need after the burst (rule 8)."""
    return _exponential_rounds(burst, b"rest", mean_ms, period_ms)


def pause_rounds(burst: bytes, mean_ms: int, period_ms: int) -> int:
    """Rounds between the end of a burst and its repeat (rule 7), at least 1."""
    return max(1, _exponential_rounds(burst, b"pause", mean_ms, period_ms))


def _exponential_rounds(burst: bytes, purpose: bytes, mean_ms: int, period_ms: int) -> int:
    """An exponential wait with a cap, in whole rounds, rounded up."""
    drawn = blake2b(burst, digest_size=8, person=b"flocksy " + purpose).digest()
    uniform = (int.from_bytes(drawn, "little") + 1) / (1 << 64)
    wait_ms = min(float(MAX_WAIT_MS), -mean_ms * math.log(uniform))
    return math.ceil(wait_ms / period_ms)
