"""Bring a database to the version this program speaks.

`schema.sql` is version 1. A later version adds a step to `STEPS`, a file of its own: the SQL that
leads to it from the one before. Steps are never changed once released.
"""

from __future__ import annotations

import sqlite3
from importlib import resources

from flocksy.errors import IndexDamaged

STEPS: tuple[str, ...] = tuple(
    resources.files("flocksy.index").joinpath(name).read_text(encoding="utf-8")
    for name in ("schema.sql", "schema2.sql")
)
"""STEPS[n] leads from version n to version n + 1; version 0 is an empty database."""

VERSION = len(STEPS)


def migrate(connection: sqlite3.Connection, name: str) -> None:
    """Run the steps that are missing, each in a transaction of its own.

    Raises `IndexDamaged` when the database is of a newer program.
    """
    (found,) = connection.execute("PRAGMA user_version").fetchone()
    if found > VERSION:
        raise IndexDamaged(
            f"index {name} was written by a newer flocksy (version {found}, this one knows "
            f"{VERSION}): update flocksy, or move the file away and it is rebuilt"
        )
    for number in range(found, VERSION):
        connection.executescript(
            f"BEGIN IMMEDIATE;\n{STEPS[number]}\nPRAGMA user_version = {number + 1};\nCOMMIT;"
        )
