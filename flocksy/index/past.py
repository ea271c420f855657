"""What stood at a path before: the record of every version that another one superseded.

The join needs no more of a superseded version than its id. People need to see what there was, and
to name it again: restoring makes a new version with an old content, also on the node where nothing
is left of it but this row. Rows come when a head leaves the flock's state and go with age, as what
the history holds does. Times are those of this node's wall clock: when it learned of the version,
and when it learned that it was superseded.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

from flocksy.index.database import Database, Row
from flocksy.index.rows import path_bytes, path_text
from flocksy.sync.version import Kind, Version, decode_record

MAX_PER_PATH = 1_000
"""Rows of one path that outlive `forget`: a file that changes every minute has 43,000 a month, and
nobody looks through so many."""


@dataclass(frozen=True, slots=True)
class PastVersion:
    """One superseded version. `since_ms` is 0 where it is not known. `text`: of a symlink."""

    path: str
    id: bytes
    version: Version
    since_ms: int
    gone_ms: int
    text: bytes | None = None


_COLUMNS = "paths.path, past.id, past.record, past.since_ms, past.gone_ms, past.text"


def _past(row: Row) -> PastVersion:
    path, name, record, since_ms, gone_ms, text = row
    return PastVersion(path_text(path), name, decode_record(record), since_ms, gone_ms, text)


class Past:
    """Part of `BoxIndex`; shares its transactions."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def lay_down(self, number: int, heads: Sequence[bytes], now_ms: int) -> None:
        """These heads of the path with this number are superseded, and still have their rows."""
        for head in heads:
            row = self._database.row(
                "SELECT record, kind FROM heads WHERE path = ? AND id = ?", (number, head)
            )
            if row is None or row[1] == Kind.TOMBSTONE:
                continue
            text = None
            if row[1] == Kind.SYMLINK:
                with self._database.decoding():
                    root = decode_record(row[0]).root
                text = self._database.row("SELECT data FROM blobs WHERE id = ? LIMIT 1", (root,))
            self._database.execute(
                "INSERT OR IGNORE INTO past SELECT path, id, record, ?, since_ms, ? FROM heads"
                " WHERE path = ? AND id = ?",
                (None if text is None else text[0], now_ms, number, head),
            )

    def of(self, path: str, limit: int) -> Sequence[PastVersion]:
        """What stood at the path, the last superseded first."""
        found = self._found(
            "WHERE paths.path = ? ORDER BY past.gone_ms DESC, past.id LIMIT ?",
            (path_bytes(path), limit),
        )
        return _latest_first(found)

    def after(self, path: str, at_ms: int) -> Sequence[PastVersion]:
        """What of the path was superseded after that time, the first superseded first."""
        return self._found(
            "WHERE paths.path = ? AND past.gone_ms > ? ORDER BY past.gone_ms, past.id",
            (path_bytes(path), at_ms),
        )

    def deleted(self, under: str, limit: int) -> Sequence[PastVersion]:
        """The last of every path below `under` ("" is the box), itself included, at which nothing
        stands now: the last deleted first. Costs what is below `under`; of the whole box, only what
        is found."""
        found = self._deleted_below(under, limit) if under else self._deleted_anywhere(limit)
        return sorted(map(self._really_last, found), key=lambda one: one.gone_ms, reverse=True)

    def _really_last(self, last: PastVersion) -> PastVersion:
        """By the clock `last` is the last of its path. It need not be, if the clock was set back
        while something stood there."""
        set_back = self._database.row(
            "SELECT 1 FROM paths JOIN past ON past.path = paths.id"
            " WHERE paths.path = ? AND past.gone_ms < past.since_ms LIMIT 1",
            (path_bytes(last.path),),
        )
        return last if set_back is None else self.of(last.path, MAX_PER_PATH)[0]

    def _deleted_below(self, under: str, limit: int) -> Sequence[PastVersion]:
        low, high = _range(under)
        found = self._found(
            "JOIN (SELECT past.path AS number, max(past.gone_ms) AS last FROM past"
            " JOIN paths ON paths.id = past.path"
            " WHERE (paths.path = ? OR paths.path > ? AND paths.path < ?)"
            " AND paths.live = 0 AND paths.live_below = 0 GROUP BY past.path) AS gone"
            " ON gone.number = past.path AND gone.last = past.gone_ms"
            " ORDER BY past.gone_ms DESC, paths.path LIMIT ?",
            (path_bytes(under), low, high, limit),
        )
        return _last_of_each(found)

    def _deleted_anywhere(self, limit: int) -> Sequence[PastVersion]:
        found: list[PastVersion] = []
        page = 2 * limit
        for at in itertools.count(0, page):
            some = self._found(
                "WHERE paths.live = 0 AND paths.live_below = 0"
                " ORDER BY past.gone_ms DESC, paths.path LIMIT ? OFFSET ?",
                (page, at),
            )
            found = _last_of_each((*found, *some))
            if len(some) < page or len(found) >= limit:
                break
        return found[:limit]

    def paths_below(self, under: str, at_ms: int, limit: int) -> Sequence[str]:
        """Paths below `under` ("" is the box), itself included, that have changed since then."""
        low, high = _range(under)
        return [
            path_text(row[0])
            for row in self._database.rows(
                "SELECT DISTINCT paths.path FROM past JOIN paths ON paths.id = past.path"
                " WHERE (paths.path = ? OR paths.path > ? AND paths.path < ?)"
                " AND past.gone_ms > ? ORDER BY paths.path LIMIT ?",
                (path_bytes(under), low, high, at_ms, limit),
            )
        ]

    def forget(self, before_ms: int) -> None:
        """Drop what was superseded before that time, and of what a path has too much what was
        superseded first, whatever the clock showed then."""
        with self._database.transaction():
            self._database.execute("DELETE FROM past WHERE gone_ms < ?", (before_ms,))
            crowded = self._database.rows(
                "SELECT path FROM past GROUP BY path HAVING count(*) > ?", (MAX_PER_PATH,)
            )
            for (number,) in crowded:
                self._database.execute(
                    "DELETE FROM past WHERE path = ? AND id NOT IN (SELECT id FROM past"
                    " LEFT JOIN superseded USING (path, id) WHERE path = ?"
                    " ORDER BY number DESC LIMIT ?)",
                    (number, number, MAX_PER_PATH),
                )

    def _found(self, rest: str, parameters: Sequence[object]) -> Sequence[PastVersion]:
        rows = self._database.rows(
            f"SELECT {_COLUMNS} FROM past JOIN paths ON paths.id = past.path {rest}", parameters
        )
        with self._database.decoding():
            return [_past(row) for row in rows]


def _latest_first(found: Sequence[PastVersion]) -> list[PastVersion]:
    """The versions of one path. None is older than what it replaced, whatever the clock said."""
    gone_ms: dict[bytes, int] = {}
    for one in sorted(found, key=lambda one: one.version.generation):
        before = (gone_ms.get(parent, 0) for parent in one.version.parents)
        gone_ms[one.id] = max(one.gone_ms, *before, 0)
    return sorted(found, key=lambda one: (gone_ms[one.id], *_age(one)[1:]), reverse=True)


def _age(one: PastVersion) -> tuple[int, int, int]:
    """What came later is larger. Of what ended in one instant the generations tell."""
    return one.gone_ms, one.version.generation, one.since_ms


def _last_of_each(found: Sequence[PastVersion]) -> list[PastVersion]:
    """Of each path its last version, in the order in which the paths come."""
    last: dict[str, PastVersion] = {}
    for one in found:
        if one.path not in last or _age(one) > _age(last[one.path]):
            last[one.path] = one
    return list(last.values())


def _range(under: str) -> tuple[bytes, bytes]:
    """What paths below `under` lie between."""
    if not under:
        return b"", b"\xff" * 8
    return path_bytes(under) + b"/", path_bytes(under) + b"0"  # "0" follows "/"
