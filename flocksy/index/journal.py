"""The applier's open batch and the rows of the history. Part of `BoxIndex`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from flocksy.index.database import Database, Row
from flocksy.index.rows import path_bytes, path_text

HISTORY = ".flocksy/history"
"""Where in a box its history lies."""


@dataclass(frozen=True, slots=True)
class Kept:
    """Something the history holds: `name` is its path below `HISTORY`. `root` is empty
    where the content was never hashed."""

    name: str
    path: str
    version_id: bytes | None
    root: bytes
    size: int
    kept_ms: int


def _kept(row: Row) -> Kept:
    name, path, version_id, root, size, kept_ms = row
    return Kept(path_text(name), path_text(path), version_id, root, size, kept_ms)


class Journal:
    """Which paths the applier is about to touch. A path in an open batch is never read as edited
    or deleted; after a crash it is re-read first."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def open(self, rows: Sequence[tuple[str, bytes]]) -> None:
        """Note (path, what is planned there, as the applier encodes it).

        To be committed in a `durable` transaction before the first rename. There is one open
        batch at most; opening a second adds to it.
        """
        self._database.execute_many(
            "INSERT INTO journal (path, plan) VALUES (?, ?)",
            [(path_bytes(path), plan) for path, plan in rows],
        )

    def open_rows(self) -> Sequence[tuple[str, bytes]]:
        """The open batch, in its order; empty when none is open."""
        return [
            (path_text(path), plan)
            for path, plan in self._database.rows("SELECT path, plan FROM journal ORDER BY number")
        ]

    def contains(self, path: str) -> bool:
        """Whether the open batch touches the path."""
        row = self._database.row(
            "SELECT 1 FROM journal WHERE path = ? LIMIT 1", (path_bytes(path),)
        )
        return row is not None

    def close(self) -> None:
        """Forget the batch; in one transaction with the synced entries it led to."""
        self._database.execute("DELETE FROM journal")

    # -- history -------------------------------------------------------------------------------

    def keep(self, kept: Kept) -> None:
        """Something went into the history."""
        self._database.execute(
            "INSERT OR REPLACE INTO history VALUES (?, ?, ?, ?, ?, ?)",
            (
                path_bytes(kept.name),
                path_bytes(kept.path),
                kept.version_id,
                kept.root,
                kept.size,
                kept.kept_ms,
            ),
        )

    def kept(self, before_ms: int, limit: int) -> Sequence[Kept]:
        """What the history got before that time, oldest first."""
        return [
            _kept(row)
            for row in self._database.rows(
                "SELECT name, path, version_id, root, size, kept_ms FROM history"
                " WHERE kept_ms < ? ORDER BY kept_ms LIMIT ?",
                (before_ms, limit),
            )
        ]

    def kept_of(self, path: str, limit: int) -> Sequence[Kept]:
        """What the history holds of a path, newest first."""
        return [
            _kept(row)
            for row in self._database.rows(
                "SELECT name, path, version_id, root, size, kept_ms FROM history"
                " WHERE path = ? ORDER BY kept_ms DESC LIMIT ?",
                (path_bytes(path), limit),
            )
        ]

    def kept_bytes(self) -> int:
        """How much the history holds."""
        row = self._database.row("SELECT coalesce(sum(size), 0) FROM history")
        assert row is not None
        return int(row[0])

    def drop_kept_before(self, before_ms: int) -> None:
        """What is older has left the history, by whose hand ever."""
        self._database.execute("DELETE FROM history WHERE kept_ms < ?", (before_ms,))

    def drop_kept(self, name: str) -> None:
        """Something left the history."""
        self._database.execute("DELETE FROM history WHERE name = ?", (path_bytes(name),))
