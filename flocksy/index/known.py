"""What another process may read of an index: the local tree, for the scanner.

A connection of its own, read-only. Readers of a write-ahead log do not block the writer; what is
not committed yet is not seen, so an entry may be reported as changed that is known already.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple
from urllib.parse import quote

from flocksy.errors import FlocksyError, IndexDamaged
from flocksy.index.database import BUSY_TIMEOUT_MS, decoding, note_damage, translated
from flocksy.index.rows import ENTRY_COLUMNS, entry_of, path_bytes, path_text
from flocksy.sync.trees import DiskEntry
from flocksy.sync.version import Kind

_ENTRY = f"{ENTRY_COLUMNS}, settled"
_PAGE = 1000


class Known(NamedTuple):
    """`settled` as in `BoxIndex.set_local`."""

    entry: DiskEntry
    settled: bool

    @property
    def is_directory(self) -> bool:
        return self.entry.kind is Kind.DIRECTORY


class KnownTree:
    """The local tree of one box. Errors are those of `BoxIndex`."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._opened = _identity(path)
        try:
            self._connection = sqlite3.connect(
                f"file:{quote(str(path))}?mode=ro", uri=True, isolation_level=None
            )
            self._connection.execute(f"PRAGMA busy_timeout = {BUSY_TIMEOUT_MS}")
        except sqlite3.Error as error:
            raise self._translated(error) from error

    def close(self) -> None:
        self._connection.close()

    def entry(self, path: str) -> Known | None:
        """What was known at the path."""
        rows = self._rows(
            f"SELECT {_ENTRY} FROM paths JOIN local ON local.path = paths.id WHERE paths.path = ?",
            (path_bytes(path),),
        )
        with decoding(self._path, self._note_damage):
            return Known(entry_of(rows[0][:-1]), bool(rows[0][-1])) if rows else None

    def children(self, path: str) -> dict[str, Known]:
        """What was known directly below the path, by full path."""
        rows = self._rows(
            f"SELECT child.path, {_ENTRY} FROM paths JOIN local ON local.parent = paths.id"
            " JOIN paths AS child ON child.id = local.path WHERE paths.path = ?",
            (path_bytes(path),),
        )
        with decoding(self._path, self._note_damage):
            return {path_text(row[0]): Known(entry_of(row[1:-1]), bool(row[-1])) for row in rows}

    def has_fewer_children(self, path: str, count: int) -> bool:
        """Whether fewer than so many entries were known directly below the path."""
        rows = self._rows(
            "SELECT 1 FROM local WHERE parent = (SELECT id FROM paths WHERE path = ?) LIMIT ?",
            (path_bytes(path), count),
        )
        return len(rows) < count

    def below(self, path: str) -> Iterator[str]:
        """Everything that was known below the path, at any depth, in flat memory."""
        after, end = path_bytes(path) + b"/", path_bytes(path) + b"0"  # "0" follows "/"
        while rows := self._rows(
            "SELECT paths.path FROM paths JOIN local ON local.path = paths.id"
            f" WHERE paths.path > ? AND paths.path < ? ORDER BY paths.path LIMIT {_PAGE}",
            (after, end),
        ):
            for row in rows:
                yield path_text(row[0])
            after = rows[-1][0]

    def has_link(self, root: bytes) -> bool:
        """Whether the flock has, or once had, a symlink whose text has this content root. Looks
        through all heads: for links that nothing else is known of."""
        return bool(
            self._rows("SELECT 1 FROM blobs WHERE id = ? LIMIT 1", (root,))
            or self._rows(
                "SELECT 1 FROM heads WHERE kind = ? AND instr(record, ?) LIMIT 1",
                (int(Kind.SYMLINK), root),
            )
            or self._rows("SELECT 1 FROM superseded WHERE root = ? LIMIT 1", (root,))
        )

    def _translated(self, error: sqlite3.Error) -> Exception:
        found = translated(error, self._path.name)
        if isinstance(found, IndexDamaged):
            self._note_damage(self._path)
        if found is error:  # no index, or not this one's: nothing that is for the scanner to judge
            found = FlocksyError(f"cannot read index {self._path.name}: {error}")
        return found

    def _note_damage(self, path: Path) -> None:
        """The box process may go on without ever meeting it. Where it has met it, and another file
        has taken the place of this one while it was read, nothing is known of that."""
        if self._opened == _identity(path):
            note_damage(path)

    def _rows(self, sql: str, parameters: tuple[object, ...]) -> list[tuple[bytes, ...]]:
        try:
            return self._connection.execute(sql, parameters).fetchall()
        except sqlite3.Error as error:
            raise self._translated(error) from error


def _identity(path: Path) -> tuple[int, int] | None:
    """Of the file that is there now. No later one has it while this one is kept, open or aside."""
    try:
        found = os.stat(path)
    except OSError:
        return None
    return found.st_dev, found.st_ino
