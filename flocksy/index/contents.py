"""What contents are made of: chunk lists, small contents kept whole, and what is wanted.

A content is known by its root and has its chunks whoever holds it; a chunk lies wherever a file
with that content lies. So a rename, a copy or a new file applied from known content writes nothing
here.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from flocksy.index.database import Database
from flocksy.index.journal import HISTORY
from flocksy.index.paths import Paths
from flocksy.index.rows import path_bytes, path_text
from flocksy.sync.version import Kind


class Place(NamedTuple):
    """A chunk in a file of the box (`path`; as last scanned, so to be verified when read)."""

    path: str
    offset: int
    length: int


class Piece(NamedTuple):
    """A chunk of a content: where it starts, how long it is, its id (BLAKE3, 32 bytes)."""

    offset: int
    length: int
    id: bytes


@dataclass(frozen=True, slots=True)
class Want:
    """Content of a head that no member has that was here lately (`flocksy.boxes.missing`)."""

    path: str
    version_id: bytes
    root: bytes
    size: int
    since_ms: int


class Contents:
    """Part of `BoxIndex`; shares its transactions."""

    def __init__(self, database: Database, paths: Paths) -> None:
        self._database = database
        self._paths = paths
        self._looked_at = 0  # number of the content that `forget_unused` saw last

    def put(
        self,
        root: bytes,
        pieces: Sequence[Piece] = (),
        blobs: Sequence[tuple[bytes, bytes]] = (),
    ) -> None:
        """The content `root` consists of these chunks. `blobs` (id, data) are kept whole on its
        behalf: its chunk lists, the text of a symlink, a small file that is not applied yet.

        Content never changes: what is known already is left as it is, and added to.
        """
        with self._database.transaction():
            made = self._database.rows(
                "INSERT INTO contents (root) VALUES (?) ON CONFLICT DO NOTHING RETURNING number",
                (root,),
            )
            ((number,),) = made or self._database.rows(
                "SELECT number FROM contents WHERE root = ?", (root,)
            )
            if pieces:
                self._database.execute_many(
                    "INSERT OR IGNORE INTO chunks VALUES (?, ?, ?, ?)",
                    [(number, piece.offset, piece.length, piece.id) for piece in pieces],
                )
            if blobs:
                self._database.execute_many(
                    "INSERT OR IGNORE INTO blobs (content, id, data) VALUES (?, ?, ?)",
                    [(number, blob_id, data) for blob_id, data in blobs],
                )

    def pieces(self, root: bytes) -> Sequence[Piece]:
        """The chunks of a content by offset; empty when they are not known."""
        return [
            Piece(*row)
            for row in self._database.rows(
                "SELECT chunks.start, chunks.length, chunks.id FROM contents"
                " JOIN chunks ON chunks.content = contents.number"
                " WHERE contents.root = ? ORDER BY chunks.start",
                (root,),
            )
        ]

    def places(self, chunk_id: bytes, limit: int = 4) -> Sequence[Place]:
        """Where the chunk should be found on this disk: in files of the box, else in its history
        (`Place.path` then begins with `HISTORY`)."""
        return self._shown(chunk_id, limit) or [
            Place(f"{HISTORY}/{path_text(name)}", start, length)
            for name, start, length in self._database.rows(
                "SELECT history.name, chunks.start, chunks.length FROM chunks"
                " JOIN contents ON contents.number = chunks.content"
                " JOIN history ON history.root = contents.root"
                " WHERE chunks.id = ? LIMIT ?",
                (chunk_id, limit),
            )
        ]

    def _shown(self, chunk_id: bytes, limit: int) -> Sequence[Place]:
        return [
            Place(path_text(path), start, length)
            for path, start, length in self._database.rows(
                "SELECT paths.path, chunks.start, chunks.length FROM chunks"
                " JOIN contents ON contents.number = chunks.content"
                " JOIN local ON local.root = contents.root AND local.kind = ?"
                " JOIN paths ON paths.id = local.path"
                " WHERE chunks.id = ? LIMIT ?",
                (int(Kind.FILE), chunk_id, limit),
            )
        ]

    def blob(self, blob_id: bytes) -> bytes | None:
        """A content kept whole, by its id."""
        row = self._database.row("SELECT data FROM blobs WHERE id = ? LIMIT 1", (blob_id,))
        return None if row is None else bytes(row[0])

    def blobs(self, root: bytes) -> Sequence[tuple[bytes, bytes]]:
        """What is kept whole on behalf of a content: (id, data)."""
        return [
            (blob_id, data)
            for blob_id, data in self._database.rows(
                "SELECT blobs.id, blobs.data FROM contents"
                " JOIN blobs ON blobs.content = contents.number WHERE contents.root = ?",
                (root,),
            )
        ]

    def holds(self, chunk_id: bytes) -> bool:
        """Whether the box shows the chunk here, in a file, or it is kept whole. What the history
        has does not count: others may have thinned theirs out."""
        return bool(self._shown(chunk_id, 1)) or self.blob(chunk_id) is not None

    def is_shared(self, root: bytes) -> bool:
        """Whether this disk was last seen to hold the content `root` (of more than 4 KiB) of the
        flock, wherever: then others have it, even if the file has just gone from here."""
        row = self._database.row(
            "SELECT 1 FROM synced WHERE root = ? AND size > 4096 LIMIT 1", (root,)
        )
        return row is not None

    def shares(self, chunk_id: bytes) -> bool:
        """Whether the chunk is part of such a content."""
        row = self._database.row(
            "SELECT 1 FROM chunks JOIN contents ON contents.number = chunks.content"
            " JOIN synced ON synced.root = contents.root AND synced.size > 4096"
            " WHERE chunks.id = ? LIMIT 1",
            (chunk_id,),
        )
        return row is not None

    def path_with(self, root: bytes, but: str = "") -> str | None:
        """A file on this disk whose content has this root, other than the path `but`."""
        row = self._database.row(
            "SELECT paths.path FROM local JOIN paths ON paths.id = local.path"
            " WHERE local.root = ? AND local.kind = ? AND paths.path <> ? LIMIT 1",
            (root, int(Kind.FILE), path_bytes(but)),
        )
        return None if row is None else path_text(row[0])

    def kept_with(self, root: bytes) -> str | None:
        """A file of the history (below `HISTORY`) whose content has this root."""
        row = self._database.row("SELECT name FROM history WHERE root = ? LIMIT 1", (root,))
        return None if row is None else f"{HISTORY}/{path_text(row[0])}"

    def forget_unused(self, limit: int, keep: Collection[bytes] = ()) -> bool:
        """Of the next `limit` contents drop those that nothing on this disk, in the history or
        among the wants has, except `keep` (roots being received). Whether there are more to look
        at; after the last it begins anew.
        """
        found = self._database.rows(
            "SELECT number, root, EXISTS (SELECT 1 FROM local WHERE local.root = contents.root)"
            " OR EXISTS (SELECT 1 FROM history WHERE history.root = contents.root)"
            " OR EXISTS (SELECT 1 FROM wants WHERE wants.root = contents.root)"
            " FROM contents WHERE number > ? ORDER BY number LIMIT ?",
            (self._looked_at, limit),
        )
        kept = frozenset(keep)
        numbers = [(number,) for number, root, used in found if not used and root not in kept]
        self._database.execute_many("DELETE FROM chunks WHERE content = ?", numbers)
        self._database.execute_many("DELETE FROM blobs WHERE content = ?", numbers)
        self._database.execute_many("DELETE FROM contents WHERE number = ?", numbers)
        self._looked_at = found[-1][0] if len(found) == limit else 0
        return len(found) == limit

    def want(self, want: Want) -> None:
        """Remember that this content is missing. The first time counts for its age."""
        self._database.execute(
            "INSERT OR IGNORE INTO wants VALUES (?, ?, ?, ?, ?)",
            (
                self._paths.number(want.path),
                want.version_id,
                want.root,
                want.size,
                want.since_ms,
            ),
        )

    def wants(self, limit: int) -> Sequence[Want]:
        """Oldest first."""
        return [
            Want(path_text(path), version_id, root, size, since_ms)
            for path, version_id, root, size, since_ms in self._database.rows(
                "SELECT paths.path, version_id, root, size, since_ms FROM wants"
                " JOIN paths ON paths.id = wants.path ORDER BY since_ms, wants.path LIMIT ?",
                (limit,),
            )
        ]

    def want_count(self) -> int:
        """How many there are."""
        row = self._database.row("SELECT count(*) FROM wants")
        assert row is not None
        return int(row[0])

    def unwant(self, path: str, version_id: bytes | None = None) -> None:
        """It is here now, or not needed any more. None: whatever was wanted for the path."""
        number = self._paths.find(path)
        if number is None:
            return
        if version_id is None:
            self._database.execute("DELETE FROM wants WHERE path = ?", (number,))
        else:
            self._database.execute(
                "DELETE FROM wants WHERE path = ? AND version_id = ?", (number, version_id)
            )
