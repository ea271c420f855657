"""What a look at a box can find: the words between scanner and box."""

from __future__ import annotations

from dataclasses import dataclass, field

from flocksy.index.contents import Piece
from flocksy.sync.trees import DiskEntry


@dataclass(frozen=True, slots=True)
class Seen:
    """New or changed. `pieces`, `blobs` for files (the list blobs by id, where there is more than
    `inline`); `inline`: the bytes of a file of at most 4 KiB or the text of a symlink. Not
    `settled`: scan it once more after the mtime's grain has passed, a later change could look the
    same."""

    path: str
    entry: DiskEntry
    pieces: tuple[Piece, ...] = ()
    blobs: tuple[tuple[bytes, bytes], ...] = ()
    inline: bytes | None = None
    settled: bool = True
    link: bytes = b""
    """Not empty: there stands a link, which is followed; the content root of its text."""
    hashing_s: float = field(default=0.0, compare=False)
    """What reading it took."""


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
    anything below it. `again`: another look may do better, though nothing has happened there."""

    path: str
    reason: str
    again: bool = True
    hashing_s: float = field(default=0.0, compare=False)
    """What reading it took until then."""


@dataclass(frozen=True, slots=True)
class Skipped:
    """Something boxes do not hold (FIFO, socket, device), or a symlink that is ignored."""

    path: str
    reason: str


@dataclass(frozen=True, slots=True)
class Unfollowed:
    """A link made here that is not followed, where links are; `link`: the content root of its text.
    What it showed before is gone if `Gone` was said of it, else nothing may be concluded."""

    path: str
    link: bytes
    reason: str


@dataclass(frozen=True, slots=True)
class Remark:
    """What people should know of a path; nothing follows from it. After what was seen there.
    `again`: as for `Unreadable`."""

    path: str
    reason: str
    again: bool = False


@dataclass(frozen=True, slots=True)
class Differs:
    """Not as it was known, by a look that reads nothing: what it is now is for another to see."""

    path: str


Finding = Seen | Gone | Busy | Unreadable | Skipped | Unfollowed | Remark | Differs
