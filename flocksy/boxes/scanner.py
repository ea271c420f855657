"""The scanner: a process of its own that looks at boxes, cuts and hashes what changed.

`Scanner` is the handle in the box process. It never blocks: requests are queued, reports are
taken when `fileno()` is readable. One scanner serves all boxes of a node.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum

from flocksy.index.contents import Piece
from flocksy.sync.trees import DiskEntry


class Symlinks(Enum):
    """What a symlink in the box is (design 6.3)."""

    COPY = 2
    IGNORE = 1


@dataclass(frozen=True, slots=True)
class ScanRequest:
    """`paths` None: the whole box. `index` is the box's database, read for what is known.

    `share`: the fraction of one core the scan may use, 1.0 for no brake.
    """

    ticket: int
    box: str
    root: str
    index: str
    paths: tuple[str, ...] | None
    symlinks: Symlinks = Symlinks.COPY
    mtime_grain_ns: int = 1
    share: float = 1.0


@dataclass(frozen=True, slots=True)
class Seen:
    """New or changed. `pieces`, `blobs` for files (the list blobs by id); `inline`: the bytes of
    a file of at most 4 KiB or the text of a symlink. Not `settled`: scan it once more after the
    mtime's grain has passed, a later change could look the same."""

    path: str
    entry: DiskEntry
    pieces: tuple[Piece, ...]
    blobs: tuple[tuple[bytes, bytes], ...]
    inline: bytes | None
    settled: bool


@dataclass(frozen=True, slots=True)
class Gone:
    """Known, and not in a complete listing of its directory."""

    path: str


@dataclass(frozen=True, slots=True)
class Busy:
    """Changed while it was read: scan it again later. `hashing_s`: what hashing it cost."""

    path: str
    hashing_s: float


@dataclass(frozen=True, slots=True)
class Unreadable:
    """Neither seen nor gone; `reason` is for people. Nothing may be concluded about the path or
    anything below it."""

    path: str
    reason: str


@dataclass(frozen=True, slots=True)
class Skipped:
    """Something boxes do not hold (FIFO, socket, device), or a symlink that is ignored."""

    path: str
    reason: str


Finding = Seen | Gone | Busy | Unreadable | Skipped


@dataclass(frozen=True, slots=True)
class ScanReport:
    """A part of the answer to the request with this ticket. What is unchanged is not reported.

    `failed`: the box as a whole could not be looked at, and why (the last report then).
    """

    ticket: int
    box: str
    findings: Sequence[Finding]
    last: bool
    looked_at: int
    failed: str | None = None


class Scanner:
    """Handle of the scanner process."""

    def start(self) -> None:
        raise NotImplementedError

    def request(self, request: ScanRequest) -> None:
        """Queue a scan. Path scans overtake whole scans."""
        raise NotImplementedError

    def fileno(self) -> int:
        """Readable when `reports` has something."""
        raise NotImplementedError

    def reports(self, limit: int = 16) -> list[ScanReport]:
        """What has arrived; does not block. Raises `FlocksyError` when the process has died."""
        raise NotImplementedError

    def stop(self) -> None:
        raise NotImplementedError
