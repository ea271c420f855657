"""`BoxIndex`: the three trees of one box, on disk, and everything else that outlives the process.

All writes happen inside `transaction()`; a write outside one is a transaction of its own. Reads
see what this connection has written so far, committed or not. One connection, one thread.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Container, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from flocksy.index.contents import Contents
from flocksy.index.database import Database, Decoded
from flocksy.index.flock import BOTH, FLOCK, LANE, FlockTree, Outgoing
from flocksy.index.items import LaneItems
from flocksy.index.journal import Journal
from flocksy.index.past import Past
from flocksy.index.paths import Paths
from flocksy.index.recent import Recent, read_local, read_synced
from flocksy.index.rows import ENTRY_COLUMNS, NO_ENTRY, entry_row, joined_ids, path_bytes, path_text
from flocksy.sync.trees import DiskEntry, PathState, SyncedEntry
from flocksy.sync.version import Kind, Version

__all__ = ["BoxIndex", "Counts", "Outgoing"]

TIDY_CONTENTS = 5_000
"""Contents looked at in one go: some tens of milliseconds."""


def _now_ms() -> int:
    return time.time_ns() // 1_000_000


@dataclass(frozen=True, slots=True)
class Counts:
    """Sizes for the status."""

    files: int
    directories: int
    bytes: int
    conflicts: int
    outgoing: int
    wanted: int


class BoxIndex:
    """Implements `flocksy.sync.trees.Trees`."""

    contents: Contents
    """What contents are made of, small contents kept whole, wants."""
    items: LaneItems
    """What the lanes have carried: the digest and the store that reconciliation reads."""
    journal: Journal
    """The open batch of the applier, and the history's rows."""
    past: Past
    """What stood at a path before."""

    def __init__(self, path: Path, now_ms: Callable[[], int] = _now_ms) -> None:
        """Open or create. Checks the file after an unclean end. `now_ms`: the wall clock.

        Raises `IndexDamaged` when the file is damaged; nothing is changed then, and the caller puts
        a new one in its place (`flocksy.index.renewal`) and adopts. Raises `IndexTooNew` when it is
        of a newer flocksy: nothing is changed, and nothing is to be.
        """
        self.path = path
        self._database = Database(path)
        self._paths = Paths(self._database)
        self.items = LaneItems(self._database, self._paths)
        self.contents = Contents(self._database, self._paths)
        self.journal = Journal(self._database)
        self.past = Past(self._database)
        self._flock = FlockTree(self._database, self._paths, self.items, self.past, now_ms)
        self._local = Recent(self._database, partial(read_local, self._database))
        self._synced = Recent(self._database, partial(read_synced, self._database, self._paths))
        self._totals: tuple[int, int, int] | None = None
        self._database.on_rollback(self._forget_totals)

    @classmethod
    def open(cls, path: Path, now_ms: Callable[[], int] = _now_ms) -> BoxIndex:
        """The same as the constructor."""
        return cls(path, now_ms)

    def close(self) -> None:
        """Mark the end as clean and close. Closing twice is harmless."""
        self._database.close()

    def check_for_damage(self) -> None:
        """Raise `IndexDamaged` if the scanner, or anybody, has met damage in the file: close it
        then, and open it anew."""
        self._database.check_for_damage()

    def transaction(self, *, durable: bool = False) -> AbstractContextManager[None]:
        """Commit at the end, roll back on an exception. An inner one joins the outer.

        `durable`: on return the transaction survives a power cut. Others survive the death of
        the process, and may be lost as a tail when the power goes.
        """
        return self._database.transaction(durable=durable)

    # -- the three trees (flocksy.sync.trees.Trees) -------------------------------------------

    def local(self, path: str) -> DiskEntry | None:
        return self._local.get(path)

    def synced(self, path: str) -> SyncedEntry | None:
        return self._synced.get(path)

    def flock(self, path: str) -> PathState | None:
        return self._flock.state(path, FLOCK)

    def local_children(self, path: str) -> Sequence[str]:
        return self._names(
            "SELECT child.path FROM paths JOIN local ON local.parent = paths.id"
            " JOIN paths AS child ON child.id = local.path WHERE paths.path = ?",
            (path_bytes(path),),
        )

    def flock_children(self, path: str) -> Sequence[str]:
        return self._names(
            "SELECT child.path FROM paths JOIN paths AS child ON child.parent = paths.id"
            " WHERE child.live + child.live_below > 0 AND paths.path = ?",
            (path_bytes(path),),
        )

    def flock_below(self, path: str) -> bool:
        row = self._database.row(
            "SELECT live_below > 0 FROM paths WHERE path = ?", (path_bytes(path),)
        )
        return row is not None and bool(row[0])

    def flock_starting(self, start: str) -> Sequence[str]:
        """Paths of the flock that start so, and have content."""
        return self._flock.starting(path_bytes(start))

    def copies_of(self, owner: str) -> Sequence[str]:
        return self._names(
            "SELECT copy.path FROM paths JOIN synced ON synced.copy_owner = paths.id"
            " JOIN paths AS copy ON copy.id = synced.path WHERE paths.path = ?",
            (path_bytes(owner),),
        )

    def heads_of(self, path: str) -> int:
        """How many heads the flock has at the path."""
        row = self._database.row("SELECT heads FROM paths WHERE path = ?", (path_bytes(path),))
        return 0 if row is None else int(row[0])

    def lane_counts(self, path: str, most: int) -> tuple[int, int]:
        """How many heads the lanes have carried of the path, and how many superseded versions. It
        counts them."""
        return self._flock.lane_counts(path, most)

    def conflicted(self) -> Sequence[str]:
        return self._names("SELECT path FROM paths WHERE heads > 1")

    # -- writes --------------------------------------------------------------------------------

    def set_local(self, path: str, entry: DiskEntry | None, *, settled: bool = True) -> None:
        """What the disk showed (None: nothing). Not `settled`: the next scan hashes it again."""
        assert path, "the box itself has no entry"
        with self.transaction():
            self._count_local(path, entry)
            self._local.drop(path)
            if entry is None:
                self._database.execute(
                    "DELETE FROM local WHERE path = (SELECT id FROM paths WHERE path = ?)",
                    (path_bytes(path),),
                )
                return
            number, parent = self._paths.numbers(path)
            self._database.execute(
                f"INSERT OR REPLACE INTO local (path, parent, {ENTRY_COLUMNS}, settled)"
                " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
                (number, parent, *entry_row(entry), int(settled)),
            )
            self._local.keep(path, entry)

    def set_synced(self, path: str, entry: SyncedEntry | None) -> None:
        """What this disk was seen to hold of the flock (None: forget)."""
        assert path, "the box itself has no entry"
        with self.transaction():
            self._synced.drop(path)
            if entry is None:
                self._database.execute(
                    "DELETE FROM synced WHERE path = (SELECT id FROM paths WHERE path = ?)",
                    (path_bytes(path),),
                )
                return
            disk = NO_ENTRY if entry.disk is None else entry_row(entry.disk)
            owner, head = (
                (None, None)
                if entry.copy_of is None
                else (self._paths.number(entry.copy_of[0]), entry.copy_of[1])
            )
            self._database.execute(
                f"INSERT OR REPLACE INTO synced (path, heads, {ENTRY_COLUMNS},"
                " copy_owner, copy_head, generation)"
                " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
                (
                    self._paths.number(path),
                    joined_ids(entry.heads),
                    *disk,
                    owner,
                    head,
                    entry.generation,
                ),
            )
            self._synced.keep(path, entry)

    def join(
        self, path: str, heads: Mapping[bytes, Version], superseded: Mapping[bytes, bytes]
    ) -> bool:
        """Join what a lane carried (also our own) into the flock. True: the heads changed.

        What the lanes carried is in the digest from here on.
        """
        with self.transaction():
            return self._flock.join(path, heads, superseded, BOTH)

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
        """Join a version made here. It is `outgoing` and in no digest until a lane carried it."""
        with self.transaction():
            self._flock.record(path, version_id, version, superseded, batch, due_ms)

    def outgoing(self, now_ms: int, limit: int) -> Sequence[Outgoing]:
        """Paths due at `now_ms`, those due first first."""
        return self._flock.outgoing(now_ms, limit)

    def outgoing_count(self) -> int:
        """How many paths wait to be sent, due or not."""
        return self._flock.outgoing_count()

    def is_outgoing(self, path: str) -> bool:
        """Whether a version of `path` waits to be sent."""
        return self._flock.is_outgoing(path)

    def forget_unsaid(self, path: str, some: Container[bytes] | None = None) -> None:
        """Of `path` know only what lanes have carried: nobody else has heard of the rest. `some`:
        of that forget only these versions."""
        with self.transaction():
            self._flock.forget_unsaid(path, some)

    # -- look-ups ------------------------------------------------------------------------------

    def lane_state(self, path: str) -> PathState | None:
        """The flock state without what is still outgoing: what may answer a peer."""
        return self._flock.state(path, LANE)

    def outdated(self, path: str) -> Sequence[bytes]:
        """Heads of the path that somebody has told, and that are superseded here: of late, not all
        there ever were."""
        return self._flock.outdated.of(path)

    def is_shown(self, root: bytes) -> bool:
        """Whether anything on this disk has this content, which is not empty."""
        row = self._database.row(
            "SELECT 1 FROM local WHERE root = ? AND root != x'' LIMIT 1", (root,)
        )
        return row is not None

    def meeting(self) -> tuple[int, int, int]:
        """(files on this disk, living files of the flock, files here at a path that the flock knows
        or knew). Looks through both trees."""
        row = self._database.row(
            "SELECT (SELECT count(*) FROM local WHERE kind = ?1),"
            " (SELECT count(DISTINCT path) FROM heads WHERE kind = ?1 AND seen & 1),"
            " (SELECT count(*) FROM local JOIN paths ON paths.id = local.path"
            "  WHERE local.kind = ?1 AND paths.heads > 0)",
            (int(Kind.FILE),),
        )
        assert row is not None
        return row[0], row[1], row[2]

    def head_since_ms(self, path: str, head: bytes) -> int:
        """Since when this node has known the head of the path; 0, not known."""
        return self._flock.since_ms(path, head)

    def known_paths(self, after: str | None, limit: int) -> Sequence[str]:
        """Every path in any of the three trees (and their parents) in a fixed order, page by
        page: for a full planning, or to adopt. Pass the last one to get the next page."""
        return self._names(
            "SELECT path FROM paths WHERE path > ? ORDER BY path LIMIT ?",
            (path_bytes(after or ""), limit),
        )

    def unsettled(self, limit: int) -> Sequence[str]:
        """Paths whose local entry was set with settled=False."""
        return self._names(
            "SELECT paths.path FROM local JOIN paths ON paths.id = local.path"
            " WHERE local.settled = 0 LIMIT ?",
            (limit,),
        )

    def tidy(self, keep: Collection[bytes] = ()) -> bool:
        """Drop contents nobody has (not those of the roots `keep`: being received), some at a time,
        and at the end shorten the log. For quiet times, after a rescan say: it flushes. Returns
        whether there is more to be done."""
        with self.transaction():
            if self.contents.forget_unused(TIDY_CONTENTS, keep):
                return True
        self._database.checkpoint()
        return False

    def undecided(self) -> Sequence[str]:
        """Paths where the disk was seen to differ from synced: changes that a run which ended early
        has found and made no versions of. One pass over both trees."""
        return self._names(
            "SELECT paths.path FROM local JOIN paths ON paths.id = local.path"
            " LEFT JOIN synced ON synced.path = local.path WHERE synced.kind IS NULL"
            " OR synced.kind != local.kind OR synced.mode != local.mode"
            " OR synced.mtime_ns != local.mtime_ns OR synced.root != local.root"
            " OR local.attributes != coalesce(synced.attributes, x'')"
            " UNION ALL SELECT paths.path FROM synced JOIN paths ON paths.id = synced.path"
            " LEFT JOIN local ON local.path = synced.path"
            " WHERE synced.kind IS NOT NULL AND local.path IS NULL"
        )

    def forget_attributes(self) -> None:
        """What was known of extended attributes was known long ago: they are to be looked at anew,
        and nothing that is missing counts as taken away."""
        with self.transaction():
            for table in ("local", "synced"):
                self._database.execute(
                    f"UPDATE {table} SET attributes = NULL WHERE attributes IS NOT NULL"
                )
            self._local.forget()
            self._synced.forget()

    def counts(self) -> Counts:
        """For the status; costs a few look-ups."""
        files, directories, size = self._local_totals()
        row = self._database.row("SELECT count(*) FROM paths WHERE heads > 1")
        assert row is not None
        return Counts(
            files, directories, size, row[0], self.outgoing_count(), self.contents.want_count()
        )

    def _names(self, sql: str, parameters: Iterable[object] = ()) -> Sequence[str]:
        return [path_text(row[0]) for row in self._database.rows(sql, tuple(parameters))]

    # -- identity of the box (flocksy.boxes.disk.marker) -------------------------------------------

    def remembered(self, name: str) -> bytes | None:
        """A small named value: of the marker, or what the engine keeps."""
        row = self._database.row("SELECT value FROM remembered WHERE name = ?", (name,))
        return None if row is None else bytes(row[0])

    def remembered_as(self, name: str, decode: Callable[[bytes], Decoded]) -> Decoded | None:
        """The same, decoded. Raises `IndexDamaged` where `decode` can make nothing of it."""
        value = self.remembered(name)
        return None if value is None else self._database.decoded(name, value, decode)

    def remember(self, name: str, value: bytes | None) -> None:
        """Set or drop one. Survives a power cut once its transaction is `durable`."""
        if value is None:
            self._database.execute("DELETE FROM remembered WHERE name = ?", (name,))
        else:
            self._database.execute("INSERT OR REPLACE INTO remembered VALUES (?, ?)", (name, value))

    # -- totals of the local tree --------------------------------------------------------------

    def _forget_totals(self) -> None:
        self._totals = None

    def _local_totals(self) -> tuple[int, int, int]:
        if self._totals is None:
            sizes = {
                kind: (count, size)
                for kind, count, size in self._database.rows(
                    "SELECT kind, count(*), sum(size) FROM local GROUP BY kind"
                )
            }
            files, size = sizes.get(Kind.FILE, (0, 0))
            directories, _ = sizes.get(Kind.DIRECTORY, (0, 0))
            self._totals = files, directories, size
        return self._totals

    def _count_local(self, path: str, entry: DiskEntry | None) -> None:
        if self._totals is None:
            return
        files, directories, size = self._totals
        for one, step in ((self.local(path), -1), (entry, 1)):
            if one is not None and one.kind is Kind.FILE:
                files += step
                size += step * one.size
            elif one is not None and one.kind is Kind.DIRECTORY:
                directories += step
        self._totals = files, directories, size
