"""`BoxIndex`: the three trees of one box, on disk.

All writes happen inside `transaction()`; a write outside one is a transaction of its own. Reads
see what this connection has written so far, committed or not. One connection, one thread.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path

from flocksy.index.contents import Contents
from flocksy.index.items import LaneItems
from flocksy.index.journal import Journal
from flocksy.sync.trees import DiskEntry, PathState, SyncedEntry
from flocksy.sync.version import Version


@dataclass(frozen=True, slots=True)
class Outgoing:
    """A path with versions made here that no lane has carried yet.

    `batch` marks what one scan found together; `due_ms` is the earliest wall-clock time, in
    milliseconds since the Unix epoch, at which it may be offered.
    """

    path: str
    batch: bytes
    due_ms: int


class BoxIndex:
    """Implements `flocksy.sync.trees.Trees` and everything else that outlives the process."""

    contents: Contents
    """Where chunks lie, lists of chunks, inline content, wants."""
    items: LaneItems
    """What the lanes have carried: the digest and the store that reconciliation reads."""
    journal: Journal
    """The open batch of the applier, and the history's rows."""

    @classmethod
    def open(cls, path: Path) -> BoxIndex:
        """Open or create. Checks the file after an unclean end.

        Raises `IndexDamaged` when the file is damaged or of a newer flocksy; nothing is changed
        then, and the caller sets the file aside (`set_aside`) and adopts.
        """
        raise NotImplementedError

    def close(self) -> None:
        """Mark the end as clean and close."""
        raise NotImplementedError

    def transaction(self, *, durable: bool = False) -> AbstractContextManager[None]:
        """Commit at the end, roll back on an exception. An inner one joins the outer.

        `durable`: on return the transaction survives a power cut. Others survive the death of
        the process, and may be lost as a tail when the power goes.
        """
        raise NotImplementedError

    # -- the three trees (flocksy.sync.trees.Trees) -------------------------------------------

    def local(self, path: str) -> DiskEntry | None:
        raise NotImplementedError

    def synced(self, path: str) -> SyncedEntry | None:
        raise NotImplementedError

    def flock(self, path: str) -> PathState | None:
        raise NotImplementedError

    def local_children(self, path: str) -> Iterator[str]:
        raise NotImplementedError

    def flock_children(self, path: str) -> Iterator[str]:
        raise NotImplementedError

    def conflicted(self) -> Iterator[str]:
        raise NotImplementedError

    # -- writes --------------------------------------------------------------------------------

    def set_local(self, path: str, entry: DiskEntry | None, *, settled: bool = True) -> None:
        """What the disk showed (None: nothing). Not `settled`: the next scan hashes it again.

        Chunk locations are not touched; see `Contents.put_file`.
        """
        raise NotImplementedError

    def set_synced(self, path: str, entry: SyncedEntry | None) -> None:
        raise NotImplementedError

    def join(
        self, path: str, heads: Mapping[bytes, Version], superseded: Mapping[bytes, bytes]
    ) -> bool:
        """Join what a lane carried (also our own) into the flock. True: the heads changed.

        What the lanes carried is in the digest from here on.
        """
        raise NotImplementedError

    def record(
        self,
        path: str,
        version_id: bytes,
        version: Version,
        superseded: Mapping[bytes, bytes],
        *,
        batch: bytes,
        due_ms: int,
    ) -> None:
        """Join a version made here. It is `outgoing` and in no digest until `mark_sent`."""
        raise NotImplementedError

    def outgoing(self, now_ms: int, limit: int) -> Sequence[Outgoing]:
        """Paths due at `now_ms`, those made first first."""
        raise NotImplementedError

    def outgoing_count(self) -> int:
        """How many paths wait to be sent, due or not."""
        raise NotImplementedError

    def postpone(self, path: str, due_ms: int) -> None:
        """Offer an outgoing path later."""
        raise NotImplementedError

    def mark_sent(self, path: str, heads: frozenset[bytes]) -> bool:
        """A lane carried the state of `path` with these heads: it enters the digest.

        False: the path has other heads by now and stays outgoing.
        """
        raise NotImplementedError

    # -- look-ups ------------------------------------------------------------------------------

    def lane_state(self, path: str) -> PathState | None:
        """The flock state without what is still outgoing: what may answer a peer."""
        raise NotImplementedError

    def copies_of(self, path: str) -> Sequence[tuple[str, bytes]]:
        """Conflict copies on this disk of heads of `path`: (path of the copy, version id)."""
        raise NotImplementedError

    def flock_paths(self, after: str | None, limit: int) -> Sequence[str]:
        """All paths with a flock state in a fixed order, page by page."""
        raise NotImplementedError

    def differing(self, after: str | None, limit: int) -> Sequence[str]:
        """Paths for a full planning, page by page: everything in any of the three trees."""
        raise NotImplementedError

    def unsettled(self, limit: int) -> Sequence[str]:
        """Paths whose local entry was set with settled=False."""
        raise NotImplementedError

    def counts(self) -> Counts:
        """For the status; costs a few look-ups."""
        raise NotImplementedError

    # -- identity of the box (flocksy.boxes.marker) -------------------------------------------

    def remembered(self, name: str) -> bytes | None:
        """A small named value: "secret", "nonce", "device", or what the engine keeps."""
        raise NotImplementedError

    def remember(self, name: str, value: bytes | None) -> None:
        """Set or drop one. Survives a power cut once its transaction is `durable`."""
        raise NotImplementedError


@dataclass(frozen=True, slots=True)
class Counts:
    """Sizes for the status."""

    files: int
    directories: int
    bytes: int
    conflicts: int
    outgoing: int
    wanted: int


def set_aside(path: Path, stamp: str) -> Path:
    """Move a damaged index (and its -wal, -shm) to `<name>.damaged-<stamp>`; return that."""
    raise NotImplementedError
