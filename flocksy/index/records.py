"""What the disk side of a box asks its index to remember, besides the trees.

These are plain values, kept here so that both may name them: `flocksy.boxes.applier` writes the
journal and makes history rows, `flocksy.boxes.marker` compares what the marker says with what the
index knew.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from flocksy.sync.trees import DiskEntry, SyncedEntry
from flocksy.sync.version import Kind


@dataclass(frozen=True, slots=True)
class JournalEntry:
    """One operation of the open batch: enough to tell after a crash whether it was done.

    `temporary` is a path in the box (below `.flocksy/incoming/`): before the rename it holds the
    new content, afterwards the old one. `before` is what stood at the path (None: nothing),
    `after` what the operation brings, as its temporary showed it (None: the path is removed).
    `synced` is what the path's synced entry becomes when it was done.
    """

    path: str
    temporary: str
    before: DiskEntry | None
    after: DiskEntry | None
    synced: SyncedEntry | None


@dataclass(frozen=True, slots=True)
class Applied:
    """One operation that was done. `local` is what was read back; set the path's local entry to it
    and its synced entry to `synced` (None: forget the entry)."""

    path: str
    local: DiskEntry | None
    synced: SyncedEntry | None


@dataclass(frozen=True, slots=True)
class HistoryRow:
    """One thing that was replaced or deleted. `kept_as` names it below `.flocksy/history/`.

    `root` is empty where the content was never hashed (an edit made in the last instant).
    `kept_at_ns` is UTC, nanoseconds since the epoch.
    """

    kept_as: str
    path: str
    kind: Kind
    mode: int
    mtime_ns: int
    size: int
    root: bytes
    kept_at_ns: int


class Journal(Protocol):
    """The open batch of a box. There is at most one."""

    def open(self, entries: Sequence[JournalEntry]) -> None:
        """Remember the batch, durably: when this returns, a power cut does not forget it."""
        ...

    def commit(self, applied: Sequence[Applied], kept: Sequence[HistoryRow]) -> None:
        """In one transaction: the trees of what was done, the history rows, no open batch."""
        ...

    def recover(self) -> list[JournalEntry]:
        """The entries of a batch that was opened and never committed; empty when there is none."""
        ...


@dataclass(frozen=True, slots=True)
class MarkerMemory:
    """What the index knows of the box's marker.

    `nonce` is that of the last activation. `pending` is the one that was about to be written when
    the program last renewed it (empty: none): a crash between index and marker leaves either in
    the marker. `filesystem` identifies the file system the box was on (below 2**63).
    """

    secret: bytes
    nonce: bytes
    pending: bytes
    filesystem: int
