"""The table of paths: numbers for names, and what is shown below a directory."""

from __future__ import annotations

from flocksy.index.database import Database
from flocksy.index.rows import path_bytes, path_text

CACHED_PATHS = 16_384
"""Numbers kept in memory, about 4 MB: a batch names each of its paths half a dozen times."""


class Paths:
    """Numbers of paths, and the marks that make a directory's shown children cheap to list."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._cache: dict[str, tuple[int, int | None]] = {}
        # Rows are never deleted, so only a rollback makes a number wrong.
        database.on_rollback(self._cache.clear)

    def find(self, path: str) -> int | None:
        """The path's number, if it has one."""
        known = self._cache.get(path) or self._look_up(path)
        return None if known is None else known[0]

    def number(self, path: str) -> int:
        """The path's number; the path and its parents get one when they have none."""
        return self.numbers(path)[0]

    def numbers(self, path: str) -> tuple[int, int | None]:
        """The path's number and its parent's (None for the box itself), as `number`."""
        known = self._cache.get(path) or self._look_up(path)
        if known is None:
            parent = self.number(path.rpartition("/")[0]) if path else None
            number = self._database.insert(
                "INSERT INTO paths (path, parent) VALUES (?, ?)", (path_bytes(path), parent)
            )
            known = self._remember(path, (number, parent))
        return known

    def _look_up(self, path: str) -> tuple[int, int | None] | None:
        row = self._database.row("SELECT id, parent FROM paths WHERE path = ?", (path_bytes(path),))
        return None if row is None else self._remember(path, (row[0], row[1]))

    def _remember(self, path: str, known: tuple[int, int | None]) -> tuple[int, int | None]:
        if len(self._cache) >= CACHED_PATHS:
            self._cache.clear()
        self._cache[path] = known
        return known

    def name(self, number: int) -> str:
        row = self._database.row("SELECT path FROM paths WHERE id = ?", (number,))
        assert row is not None
        return path_text(row[0])

    def set_heads(self, number: int, heads: int, *, was_live: bool, live: bool) -> None:
        """The path has so many heads, one of them no tombstone or not.

        Walks up only as far as that changes whether a directory has anything to show.
        """
        ((below, parent),) = self._database.rows(
            "UPDATE paths SET heads = ?, live = ? WHERE id = ? RETURNING live_below, parent",
            (heads, int(live), number),
        )
        step = int(bool(live or below)) - int(bool(was_live or below))
        while step and parent is not None:
            ((own, below, parent),) = self._database.rows(
                "UPDATE paths SET live_below = live_below + ? WHERE id = ?"
                " RETURNING live, live_below, parent",
                (step, parent),
            )
            step = int(bool(own or below)) - int(bool(own or below - step))
