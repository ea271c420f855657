"""Bring a database to the version this program speaks.

`schema.sql` is version 1. A later version adds a step to `STEPS`, a file of its own: the SQL that
leads to it from the one before. Steps are never changed once released.
"""

from __future__ import annotations

import functools
import sqlite3
from contextlib import closing
from importlib import resources
from pathlib import Path

from flocksy.errors import IndexDamaged, IndexTooNew

STEPS: tuple[str, ...] = tuple(
    resources.files("flocksy.index").joinpath(name).read_text(encoding="utf-8")
    for name in ("schema.sql", "schema2.sql", "schema3.sql")
)
"""STEPS[n] leads from version n to version n + 1; version 0 is an empty database."""

VERSION = len(STEPS)


def check_version(connection: sqlite3.Connection, path: Path) -> None:
    """Only look. Raises `IndexTooNew` when the database is of a newer program: it must be left as
    it is, and is no reason to begin anew, since it knows what the flock is still to be told."""
    found = _version(connection)
    if found > VERSION:
        raise IndexTooNew(
            f"{path}: this index was written by a newer flocksy (version {found}, this one knows "
            f"{VERSION}): update flocksy; or move the file away, and it is made anew"
        )
    if found < 0 or _columns(connection) != _columns_of(found):
        raise IndexDamaged(
            f"index {path.name} is damaged (it says version {found}, and is of none or another): it"
            " is set aside and rebuilt"
        )


def migrate(connection: sqlite3.Connection) -> None:
    """Run the steps that are missing, each in a transaction of its own: a crash in between leaves
    the version before or the one after, never something else."""
    for number in range(_version(connection), VERSION):
        connection.executescript(
            f"BEGIN IMMEDIATE;\n{STEPS[number]}\nPRAGMA user_version = {number + 1};\nCOMMIT;"
        )


def _version(connection: sqlite3.Connection) -> int:
    (found,) = connection.execute("PRAGMA user_version").fetchone()
    return int(found)


def _columns(connection: sqlite3.Connection) -> frozenset[tuple[str, str]]:
    """What there is, by the names of tables and columns. Their texts are SQLite's."""
    return frozenset(
        connection.execute(
            "SELECT tables.name, columns.name FROM sqlite_schema AS tables"
            " JOIN pragma_table_info(tables.name) AS columns"
            " WHERE tables.type = 'table' AND tables.name NOT LIKE 'sqlite%'"
        )
    )


@functools.cache
def _columns_of(version: int) -> frozenset[tuple[str, str]]:
    with closing(sqlite3.connect(":memory:")) as made:
        for step in STEPS[:version]:
            made.executescript(step)
        return _columns(made)
