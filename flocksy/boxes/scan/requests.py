"""What the scanner is asked for, and what it answers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from flocksy.boxes.scan.findings import Finding
from flocksy.boxes.scan.links import FollowRequest
from flocksy.boxes.scan.looking import Symlinks


@dataclass(frozen=True, slots=True)
class ScanRequest:
    """`paths` None: the whole box. `index` is the box's database, read for what is known.

    `share`: the fraction of one core the scan may use, 1.0 for no brake. `follow`: given where
    links are followed. `folders`, `texts`: as in `flocksy.sync.holding.Choice`; what they leave
    out is not looked at. `compares`: no content is read, and what is not as it was known is said to
    be just that (`Differs`). `below`: directories among the paths are looked at with all that is in
    them, known or not. The rest is what the probe found (`Capabilities`).
    """

    ticket: int
    box: str
    root: str
    index: str
    paths: tuple[str, ...] | None
    symlinks: Symlinks = Symlinks.COPY
    mtime_grain_ns: int = 1
    share: float = 1.0
    respelling: bool = False
    stable_inodes: bool = True
    attributes: bool = False
    follow: FollowRequest | None = None
    folders: tuple[str, ...] = ()
    texts: tuple[str, ...] = ()
    compares: bool = False
    below: bool = False


@dataclass(frozen=True, slots=True)
class ForgetRequest:
    """Nobody waits any more for the scans with these `tickets`: let go of their box, whether they
    have begun or not. No more reports come of them but those that are on their way."""

    tickets: frozenset[int]


Request = ScanRequest | ForgetRequest
"""What goes to the scanner process, one after the other."""


@dataclass(frozen=True, slots=True)
class ScanReport:
    """A part of the answer to the request with this ticket. What is unchanged is not reported.

    `looked_at`: entries compared so far. `failed`: the box as a whole could not be looked at, and
    why (the last report then; what the ones before said stands).
    """

    ticket: int
    box: str
    findings: Sequence[Finding]
    last: bool
    looked_at: int
    failed: str | None = None
