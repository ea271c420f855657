"""The applier's open batch, as it is kept in the index of the box.

`Journal` is what the applier needs; `IndexJournal` is that over a `BoxIndex`. The entries say
enough to tell after a crash whether an operation was done; the index keeps them as opaque bytes.
"""

from __future__ import annotations

import binascii
import json
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from typing import Any, Protocol, TypeVar

from flocksy.errors import IndexDamaged
from flocksy.index.journal import Journal as Rows
from flocksy.index.journal import Kept
from flocksy.sync.attributes import decode_attributes
from flocksy.sync.trees import DiskEntry, SyncedEntry
from flocksy.sync.version import Kind


@dataclass(frozen=True, slots=True)
class JournalEntry:
    """One operation of the open batch.

    `temporary` is a path in the box (below `.flocksy/incoming/`): before the rename it holds the
    new content, afterwards the old one. Empty where none is needed. `before` is what stood at the
    path (None: nothing), `after` what the operation brings, as its temporary showed it (None: the
    path is removed). `kept_as` is the place in the history (a path in the box) for what stood at
    the path, empty for directories. `synced` is what the path's synced entry becomes when it was
    done.

    With neither `before` nor `after` it is a *look*: nothing is done there, but that directory may
    have been opened for an instant, and `mode` is what it was found with.
    """

    path: str
    temporary: str
    kept_as: str
    before: DiskEntry | None
    after: DiskEntry | None
    synced: SyncedEntry | None
    mode: int | None = None

    @classmethod
    def look(cls, path: str, mode: int) -> JournalEntry:
        return cls(path, "", "", None, None, None, mode)

    @property
    def is_look(self) -> bool:
        return self.before is None and self.after is None

    @property
    def brings_directory(self) -> bool:
        return self.after is not None and self.after.kind is Kind.DIRECTORY


@dataclass(frozen=True, slots=True)
class Applied:
    """One operation that was done. `local` is what was read back; the path's local entry becomes
    it, and its synced entry `synced` (None: forgotten). Not `settled`: its time was set where
    people edit, so an edit of that instant looks like none; the next scan reads the file."""

    path: str
    local: DiskEntry | None
    synced: SyncedEntry | None
    settled: bool = True


class Journal(Protocol):
    """The open batch of a box. There is at most one."""

    def open(self, entries: Sequence[JournalEntry]) -> None:
        """Remember the batch, durably: when this returns, a power cut does not forget it. Where
        one is open, these are added to it."""
        ...

    def commit(self, applied: Sequence[Applied], kept: Sequence[Kept]) -> None:
        """In one transaction: the trees of what was done, the history's rows, no open batch."""
        ...

    def forget(self, names: Sequence[str]) -> None:
        """These have left the history: drop their rows."""
        ...

    def recover(self) -> list[JournalEntry]:
        """The entries of a batch that was opened and never committed; empty when there is none."""
        ...

    def local(self, path: str) -> DiskEntry | None:
        """What the disk is known to show at the path."""
        ...


class Index(Protocol):
    """The part of `flocksy.index.store.BoxIndex` that is needed here."""

    journal: Rows

    def transaction(self, *, durable: bool = False) -> AbstractContextManager[None]: ...

    def local(self, path: str) -> DiskEntry | None: ...

    def set_local(self, path: str, entry: DiskEntry | None, *, settled: bool = True) -> None: ...

    def set_synced(self, path: str, entry: SyncedEntry | None) -> None: ...


class IndexJournal:
    """The journal of a box in its index.

    `noted` is called for each applied operation inside the transaction that records it: whoever
    keeps more about a path (where its chunks lie) writes it there.
    """

    def __init__(self, index: Index, noted: Callable[[Applied], None] | None = None) -> None:
        self._index = index
        self._noted = noted

    def open(self, entries: Sequence[JournalEntry]) -> None:
        with self._index.transaction(durable=True):
            self._index.journal.open([(entry.path, encode(entry)) for entry in entries])

    def commit(self, applied: Sequence[Applied], kept: Sequence[Kept]) -> None:
        # Not durable: a batch that seems open after a power cut is recognised as done by what is
        # on the disk, so the flush would buy nothing.
        with self._index.transaction():
            for one in applied:
                self._index.set_local(one.path, one.local, settled=one.settled)
                self._index.set_synced(one.path, one.synced)
                if self._noted is not None:
                    self._noted(one)
            for row in kept:
                self._index.journal.keep(row)
            self._index.journal.close()

    def forget(self, names: Sequence[str]) -> None:
        with self._index.transaction():
            for name in names:
                self._index.journal.drop_kept(name)

    def recover(self) -> list[JournalEntry]:
        return [decode(path, data) for path, data in self._index.journal.open_rows()]

    def local(self, path: str) -> DiskEntry | None:
        return self._index.local(path)


_Value = TypeVar("_Value", int, str)

_ENCODER = json.JSONEncoder(separators=(",", ":"))
"""Kept: `json.dumps` makes one for each call that wants no blanks."""


def encode(entry: JournalEntry) -> bytes:
    """One entry, without its path, for the index of this node (it never travels)."""
    synced = entry.synced
    row: dict[str, Any] = {
        "temporary": entry.temporary,
        "kept_as": entry.kept_as,
        "before": _disk_out(entry.before),
        "after": _disk_out(entry.after),
        "synced": synced
        and {
            "heads": [_text(head) for head in sorted(synced.heads)],
            "disk": _disk_out(synced.disk),
            "copy_of": synced.copy_of and [synced.copy_of[0], _text(synced.copy_of[1])],
            "generation": synced.generation,
        },
    }
    if entry.mode is not None:
        row["mode"] = entry.mode
    return _ENCODER.encode(row).encode("ascii")


def decode(path: str, data: bytes) -> JournalEntry:
    """The entry that `encode` made. Raises `IndexDamaged` for anything else."""
    try:
        return _entry(path, json.loads(data))
    except (ValueError, TypeError, LookupError, RecursionError):
        raise IndexDamaged(
            "the open batch in the index cannot be read: it is set aside and rebuilt"
        ) from None


def _entry(path: str, row: dict[str, Any]) -> JournalEntry:
    synced = row["synced"]
    if synced is not None:
        copy_of = synced["copy_of"]
        synced = SyncedEntry(
            heads=frozenset(_bytes(head) for head in synced["heads"]),
            disk=_disk_in(synced["disk"]),
            copy_of=None if copy_of is None else (_of(str, copy_of[0]), _bytes(copy_of[1])),
            generation=_of(int, synced["generation"]),
        )
    return JournalEntry(
        path,
        _of(str, row["temporary"]),
        _of(str, row["kept_as"]),
        _disk_in(row["before"]),
        _disk_in(row["after"]),
        synced,
        _of(int, row["mode"]) if "mode" in row else None,
    )


def _disk_out(entry: DiskEntry | None) -> list[Any] | None:
    if entry is None:
        return None
    row = [
        int(entry.kind),
        entry.mode,
        entry.mtime_ns,
        entry.size,
        _text(entry.root),
        entry.inode,
        entry.ctime_ns,
        entry.device,
    ]
    return row if entry.attributes is None else [*row, _text(entry.attributes)]


def _disk_in(row: list[Any] | None) -> DiskEntry | None:
    if row is None:
        return None
    kind, mode, mtime_ns, size, root, inode, ctime_ns, device, *attributes = row
    for number in (mode, mtime_ns, size, inode, ctime_ns, device):
        _of(int, number)
    entry = DiskEntry(Kind(kind), mode, mtime_ns, size, _bytes(root), inode, ctime_ns, device)
    if not attributes:
        return entry
    (said,) = attributes
    blob = _bytes(_of(str, said))
    decode_attributes(blob)
    return replace(entry, attributes=blob)


def _of(kind: type[_Value], value: Any) -> _Value:
    if type(value) is not kind:
        raise TypeError(f"not {kind.__name__}")
    return value


def _text(data: bytes) -> str:
    return binascii.b2a_base64(data, newline=False).decode("ascii")


def _bytes(text: str) -> bytes:
    return binascii.a2b_base64(text)
