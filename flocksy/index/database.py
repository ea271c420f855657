"""One SQLite database: how it is opened, checked, and written to.

Write-ahead log with `synchronous=NORMAL`: the file is consistent after any crash, and a power cut
can take the last transactions with it. That is harmless for nearly all we store, because it is
found again (by a scan, by asking the flock) and gives the same versions, and it spares a flush per
transaction. What must not be lost, above all the applier's journal before the first rename, is
written with `durable=True`, which flushes the log up to and with that transaction.
"""

from __future__ import annotations

import contextlib
import os
import sqlite3
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, TypeVar

from flocksy.errors import FlocksyError, HostileInput, IndexDamaged
from flocksy.index.migrations import check_version, migrate

CACHE_KIB = 8 * 1024
"""Page cache per box: holds the inner pages of the largest tables of a box with 100,000 paths."""
STATEMENT_CACHE = 256
"""More than the number of different statements in this package, so that none is parsed twice."""
BUSY_TIMEOUT_MS = 10_000
"""The scanner's short reads never block a writer in WAL mode; this is for a copy of the file being
made by a backup program."""
CHECKPOINT_PAGES = 4096
"""16 MiB of log before SQLite moves it into the database by itself, which flushes and takes tens of
milliseconds: `checkpoint` does it earlier, when there is time."""
WAL_LIMIT_BYTES = 64 * 1024 * 1024
"""What a large transaction leaves behind as log file is cut back to this."""

DAMAGE_SUFFIX = ".damaged"

Row = Sequence[Any]

Decoded = TypeVar("Decoded")

_JOINED = contextlib.nullcontext()
"""An inner transaction: the outer one commits or rolls back."""

_DAMAGE = frozenset({"SQLITE_CORRUPT", "SQLITE_NOTADB", "SQLITE_FORMAT"})

_NOT_NOW = frozenset(
    {"SQLITE_IOERR", "SQLITE_CANTOPEN", "SQLITE_READONLY", "SQLITE_BUSY"}
    | {"SQLITE_PERM", "SQLITE_PROTOCOL"}  # the disk refuses, or its locks do not work
)
"""The disk's fault, not the file's: the box rests until it is over."""


def damage_note(path: Path) -> Path:
    """The empty file that says that damage was met in the index at `path`."""
    return path.with_name(path.name + DAMAGE_SUFFIX)


def note_damage(path: Path) -> None:
    """Remember that damage was met, for the box process and for its next run."""
    with contextlib.suppress(OSError):  # then it is met again
        damage_note(path).touch(mode=0o600)


def translated(error: sqlite3.Error, name: str) -> Exception:
    """What the error means to a person; programming errors stay what they are."""
    code = getattr(error, "sqlite_errorname", "") or ""
    family = "_".join(code.split("_")[:2])
    if family in _DAMAGE or code == "SQLITE_IOERR_CORRUPTFS":
        return IndexDamaged(f"index {name} is damaged ({error}): it is set aside and rebuilt")
    if family == "SQLITE_FULL":
        return FlocksyError(f"no space left for index {name}: free some and it goes on")
    if family in _NOT_NOW:
        return FlocksyError(f"cannot use index {name}: {error} ({code})")
    return error


@contextlib.contextmanager
def decoding(path: Path, note: Callable[[Path], None] = note_damage) -> Iterator[None]:
    """What we wrote and cannot read any more is damage that SQLite does not see: it keeps no check
    sums. `note` is called of it. Raises `IndexDamaged`."""
    try:
        yield
    except HostileInput as error:
        note(path)
        raise IndexDamaged(
            f"index {path.name} is damaged ({error}): it is set aside and rebuilt"
        ) from None


class Database:
    """A connection with reentrant transactions. One thread."""

    def __init__(self, path: Path) -> None:
        """Open or create, migrate, and check the whole file after an unclean end.

        Raises `IndexDamaged`, `IndexTooNew`, and `FlocksyError` when the file cannot be used for
        other reasons.
        """
        self.name = path.name
        self._path = path
        self._inside = False
        self._synchronous = ""
        self._after_rollback: list[Callable[[], None]] = []
        try:
            # Created by us, so that it is private from its first instant.
            os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))
        except OSError as error:
            raise FlocksyError(f"cannot use index {path}: {error.strerror}") from error
        try:
            self._connection = sqlite3.connect(
                path, isolation_level=None, cached_statements=STATEMENT_CACHE
            )
        except sqlite3.Error as error:
            raise self._translated(error) from error
        try:
            self._prepare()
        except sqlite3.Error as error:
            self._connection.close()
            raise self._translated(error) from error
        except BaseException:
            self._connection.close()
            raise

    def _translated(self, error: sqlite3.Error) -> Exception:
        """As `translated`; damage is remembered for the next opening, which may not meet it."""
        found = translated(error, self.name)
        if isinstance(found, IndexDamaged):
            note_damage(self._path)
        return found

    def decoding(self) -> AbstractContextManager[None]:
        """See the function of this name."""
        return decoding(self._path)

    def decoded(self, name: str, value: bytes, decode: Callable[[bytes], Decoded]) -> Decoded:
        """What `decode` makes of the value of that name. Raises `IndexDamaged` where that is
        nothing."""
        with self.decoding():
            try:
                return decode(value)
            except (ValueError, LookupError, TypeError, AttributeError, RecursionError):
                raise HostileInput(f"{name}: nothing that was ever remembered") from None

    def check_for_damage(self) -> None:
        """Raise `IndexDamaged` if anybody, the scanner too, has met damage in this file."""
        if damage_note(self._path).exists():
            raise IndexDamaged(f"index {self.name} is damaged: it is set aside and rebuilt")

    def _prepare(self) -> None:
        self.check_for_damage()
        connection = self._connection
        connection.execute(f"PRAGMA busy_timeout = {BUSY_TIMEOUT_MS}")
        check_version(connection, self._path)  # before anything is written
        connection.execute("PRAGMA journal_mode = WAL")
        self._set_synchronous("NORMAL")
        connection.execute(f"PRAGMA cache_size = -{CACHE_KIB}")
        connection.execute(f"PRAGMA journal_size_limit = {WAL_LIMIT_BYTES}")
        connection.execute(f"PRAGMA wal_autocheckpoint = {CHECKPOINT_PAGES}")
        connection.execute("PRAGMA temp_store = MEMORY")
        migrate(connection)
        if self.row("SELECT 1 FROM remembered WHERE name = 'in use'") is not None:
            (verdict,) = connection.execute("PRAGMA quick_check(1)").fetchone()
            if verdict != "ok":
                raise IndexDamaged(
                    f"index {self.name} is damaged ({verdict}): it is set aside and rebuilt"
                )
        self.execute("INSERT OR REPLACE INTO remembered VALUES ('in use', x'01')")

    def _set_synchronous(self, level: str) -> None:
        if level != self._synchronous:
            self.execute(f"PRAGMA synchronous = {level}")
            self._synchronous = level

    def close(self) -> None:
        """Mark the end as clean and close. Closing twice is harmless. Where the mark cannot be set
        (a full disk) the next opening checks the file, as after a crash."""
        with contextlib.suppress(sqlite3.Error, FlocksyError):
            self.execute("DELETE FROM remembered WHERE name = 'in use'")
        self._connection.close()

    def checkpoint(self) -> None:
        """Move the log into the database as far as nobody reads it. Flushes."""
        self.rows("PRAGMA wal_checkpoint(PASSIVE)")

    def on_rollback(self, forget: Callable[[], None]) -> None:
        """`forget` is called when a transaction was rolled back: drop what memory knows better."""
        self._after_rollback.append(forget)

    def transaction(self, *, durable: bool = False) -> AbstractContextManager[None]:
        """See `BoxIndex.transaction`."""
        if self._inside:
            assert not durable, "a durable transaction must be the outermost"
            return _JOINED
        return self._outermost("FULL" if durable else "NORMAL")

    @contextlib.contextmanager
    def _outermost(self, synchronous: str) -> Iterator[None]:
        self._set_synchronous(synchronous)
        self.execute("BEGIN IMMEDIATE")
        self._inside = True
        try:
            yield
            self.execute("COMMIT")
        except BaseException:
            with contextlib.suppress(sqlite3.Error):
                self._connection.rollback()
            for forget in self._after_rollback:
                forget()
            raise
        finally:
            self._inside = False

    def execute(self, sql: str, parameters: Sequence[object] = ()) -> int:
        """Run a statement; returns the number of rows it changed."""
        try:
            return self._connection.execute(sql, parameters).rowcount
        except sqlite3.Error as error:
            raise self._translated(error) from error

    def insert(self, sql: str, parameters: Sequence[object]) -> int:
        """Run an INSERT; returns the new row's number."""
        try:
            number = self._connection.execute(sql, parameters).lastrowid
        except sqlite3.Error as error:
            raise self._translated(error) from error
        assert number is not None
        return number

    def execute_many(self, sql: str, rows: Iterable[Sequence[object]]) -> None:
        try:
            self._connection.executemany(sql, rows)
        except sqlite3.Error as error:
            raise self._translated(error) from error

    def row(self, sql: str, parameters: Sequence[object] = ()) -> Row | None:
        """The first row, if there is one."""
        try:
            row: Row | None = self._connection.execute(sql, parameters).fetchone()
        except sqlite3.Error as error:
            raise self._translated(error) from error
        return row

    def rows(self, sql: str, parameters: Sequence[object] = ()) -> list[Row]:
        try:
            return self._connection.execute(sql, parameters).fetchall()
        except sqlite3.Error as error:
            raise self._translated(error) from error

    def pairs(self, sql: str, parameters: Sequence[object] = ()) -> list[tuple[Any, Any]]:
        """The rows of a statement with two columns."""
        rows: list[Any] = self.rows(sql, parameters)
        return rows
