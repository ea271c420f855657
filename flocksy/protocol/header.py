"""What the header of a cell says, as values. `cell` packs and reads them."""

from __future__ import annotations

from enum import IntEnum
from typing import NamedTuple

from flocksy.protocol.shown import Shown

KNOWN_BYTES = 32
SESSION_BYTES = 8
NO_ID = bytes(8)


class Gear(IntEnum):
    """Values of the gear byte."""

    IDLE = 0
    BURST = 1


class Prefix(NamedTuple):
    """What can be read of any cell of any flock."""

    version: int
    gear: int
    header_bytes: int
    digest: bytes
    vector: bytes
    session: bytes
    """Drawn by every wire process at start."""
    sequence: int
    """Counts the cells of this gear in this session from 0: a gap in it is a loss."""


class Hot(NamedTuple):
    """What changes from cell to cell in a burst."""

    burst_id: bytes
    k: int
    length: int
    credit: int
    """Cells of every lane of this burst that the sender has room for, counted from cell 0."""


class Echo(NamedTuple):
    """What a cell gives back of the newest cell of one lane."""

    sent_us: int
    """The stamp that cell bore, low 32 bits."""
    received_us: int
    """When it came in, on the echoing node's raw clock, low 32 bits."""


class Times(NamedTuple):
    """The clock stamps of a cell."""

    sent_us: int
    """The sender's raw clock when the cell left."""
    correction_us: int
    """What the sender adds to its raw clock to have flock time."""
    echoes: tuple[Echo | None, ...]


class Header(NamedTuple):
    """A whole header."""

    prefix: Prefix
    hot: Hot
    known: bytes
    shown: Shown
    times: Times
