"""The flock tree on disk: heads, what they superseded, and what is still to be sent.

Theory of operation. Two states are kept per path, in the same rows. The *flock* state is all this
node knows. The *lane* state is the join of what lanes have carried, and the only one that digests
and answers to peers are made of: if they showed what was made here and not sent yet, any member
could tell who has news (design 6.4). A version made here enters the flock state alone; it enters
the lane state when its own lane has carried it, which is the same join as for anybody's versions.

The join is ((H | H') - (S | S'), S | S') as in `sync.state`, and never without heads, done in
place: its cost is that of what comes in, not of what a path has been through.
"""

from __future__ import annotations

from collections.abc import Callable, Container, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple

from flocksy.index.database import Database
from flocksy.index.items import LaneItems
from flocksy.index.outdated import Outdated
from flocksy.index.past import Past
from flocksy.index.paths import Paths
from flocksy.index.recent import MAX_KEPT, Recent
from flocksy.index.rows import path_text
from flocksy.sync.state import last_of
from flocksy.sync.trees import PathState
from flocksy.sync.version import Kind, Version, decode_record, encode_record

FLOCK = 1
LANE = 2
BOTH = FLOCK | LANE

_decoded = lru_cache(maxsize=2 * MAX_KEPT)(decode_record)
"""The planner asks for the same few paths several times over; a version is about 0.5 KiB."""


@dataclass(frozen=True, slots=True)
class Outgoing:
    """A path with versions made here that no lane has carried yet.

    `batch` marks what one scan found together; `due_ms` is the earliest wall-clock time, in
    milliseconds since the Unix epoch, at which it may be offered.
    """

    path: str
    batch: bytes
    due_ms: int


_SUPERSEDE = (
    "INSERT INTO superseded (path, id, root, carried) VALUES (?, ?, ?, ?)"
    " ON CONFLICT (path, id) DO UPDATE SET root = max(root, excluded.root), carried = CASE"
    " WHEN carried = 0 AND excluded.carried = 0 THEN 0"
    " WHEN max(iif(carried = 1, root, x''), iif(excluded.carried = 1, excluded.root, x''))"
    " = max(root, excluded.root) THEN 1 ELSE 2 END"
)
"""Nothing that lanes show must tell that a version still to be sent replaces a content, so a root
that only follows from such a one is not carried with the rest (`carried` 2)."""


class _Head(NamedTuple):
    kind: int
    seen: int


class Superseded(Mapping[bytes, bytes]):
    """What a path's versions superseded, read when first asked for: a file that changes every
    minute has thousands, and most look-ups of a path only want its heads. Oldest first."""

    def __init__(self, database: Database, number: int, carried: int) -> None:
        self._database = database
        self._number = number
        self._carried = carried
        self._loaded: dict[bytes, bytes] | None = None

    def _all(self) -> dict[bytes, bytes]:
        if self._loaded is None:
            self._loaded = dict(
                self._database.pairs(
                    "SELECT id, CASE WHEN carried > ? THEN x'' ELSE root END FROM superseded"
                    " WHERE path = ? AND carried >= ? ORDER BY number",
                    (1 if self._carried else 2, self._number, self._carried),
                )
            )
        return self._loaded

    def __getitem__(self, version_id: bytes) -> bytes:
        return self._all()[version_id]

    def __iter__(self) -> Iterator[bytes]:
        return iter(self._all())

    def __len__(self) -> int:
        return len(self._all())


class FlockTree:
    """Part of `BoxIndex`; writes happen inside its transactions."""

    def __init__(
        self,
        database: Database,
        paths: Paths,
        items: LaneItems,
        past: Past,
        now_ms: Callable[[], int],
    ) -> None:
        self._database = database
        self._paths = paths
        self._items = items
        self._past = past
        self._now_ms = now_ms
        self._recent = Recent(database, self._read_heads)
        self.outdated = Outdated()

    def state(self, path: str, which: int) -> PathState | None:
        """The path's state, FLOCK's or LANE's; None when there is none."""
        number = self._paths.find(path)
        heads = None if number is None else self._recent.get((number, which))
        if number is None or heads is None:
            return None
        return PathState(heads, self._superseded(number, which))

    def starting(self, start: bytes) -> list[str]:
        """Paths with content that start so."""
        sql = "SELECT path FROM paths WHERE path > ? AND path < ? AND live > 0"
        return [path_text(row[0]) for row in self._database.rows(sql, (start, start + b"\xff"))]

    def _read_heads(self, key: tuple[int, int]) -> Mapping[bytes, Version] | None:
        """None: nothing was ever there."""
        rows = self._database.rows("SELECT id, record FROM heads WHERE path = ? AND seen & ?", key)
        with self._database.decoding():
            heads = {version_id: _decoded(record) for version_id, record in rows}
        return heads if heads or self._superseded(*key) else None

    def _superseded(self, number: int, which: int) -> Superseded:
        return Superseded(self._database, number, 1 if which == LANE else 0)

    def lane_counts(self, path: str, most: int) -> tuple[int, int]:
        """(heads, superseded) of the path's lane state, of the latter `most` at the most."""
        number = self._paths.find(path)
        row = self._database.row(
            "SELECT (SELECT count(*) FROM heads WHERE path = ? AND seen & ?),"
            " (SELECT count(*) FROM"
            " (SELECT 1 FROM superseded WHERE path = ? AND carried >= 1 LIMIT ?))",
            (number, LANE, number, most),
        )
        assert row is not None
        return int(row[0]), int(row[1])

    def join(
        self,
        path: str,
        heads: Mapping[bytes, Version],
        superseded: Mapping[bytes, bytes],
        which: int,
    ) -> bool:
        """Join into the flock state (FLOCK) or both (BOTH). True: the flock's heads changed."""
        before, after = self._join(path, heads, superseded, which)
        return _seen_as(FLOCK, before) != _seen_as(FLOCK, after)

    def record(
        self,
        path: str,
        version_id: bytes,
        version: Version,
        superseded: Mapping[bytes, bytes],
        batch: bytes,
        due_ms: int,
    ) -> None:
        """Join a version made here. The path is to be offered, if no lane carried one like it."""
        _, after = self._join(path, {version_id: version}, superseded, FLOCK)
        if any(head.seen == FLOCK for head in after.values()):
            self._database.execute(
                "INSERT OR REPLACE INTO outgoing VALUES (?, ?, ?)",
                (self._paths.number(path), batch, due_ms),
            )

    def _join(
        self,
        path: str,
        heads: Mapping[bytes, Version],
        superseded: Mapping[bytes, bytes],
        which: int,
    ) -> tuple[Mapping[bytes, _Head], Mapping[bytes, _Head]]:
        """The heads before and after."""
        number = self._paths.number(path)
        before = self._heads(number)
        if superseded:
            self._database.execute_many(
                _SUPERSEDE,
                [(number, gone, root, which >> 1) for gone, root in superseded.items()],
            )
        kinds = {name: int(version.kind) for name, version in heads.items()}
        kinds |= {name: head.kind for name, head in before.items()}
        gone = self._gone(number, heads.keys() - before.keys())
        seen = dict.fromkeys(kinds, 0)
        for place in (FLOCK, LANE):
            known = _seen_as(place, before) | (heads.keys() if which & place else set())
            left = {name for name in known if not gone.get(name, 0) & place}
            if known and not left:
                left = self._last(number, known, heads)
            for name in left:
                seen[name] |= place
        after = {name: _Head(kinds[name], places) for name, places in seen.items()}
        if which & LANE and (late := [name for name in heads if not seen[name] & LANE]):
            self.outdated.note(path, late)
        self._store(path, number, before, after, heads)
        return before, after

    def _gone(self, number: int, new: Iterable[bytes]) -> dict[bytes, int]:
        """Which of the path's heads and of the `new` ones are superseded: FLOCK or BOTH."""
        # CROSS: by the heads, which are few. What a path has been through may be very much.
        found = self._database.pairs(
            "SELECT id, carried FROM heads CROSS JOIN superseded USING (path, id) WHERE path = ?",
            (number,),
        )
        for name in new:
            found += self._database.pairs(
                "SELECT id, carried FROM superseded WHERE path = ? AND id = ?", (number, name)
            )
        return {name: BOTH if carried else FLOCK for name, carried in found}

    def _last(
        self, number: int, known: Container[bytes], heads: Mapping[bytes, Version]
    ) -> set[bytes]:
        """What stays of heads that are all superseded."""
        versions = {**(self._read_heads((number, BOTH)) or {}), **heads}
        return set(last_of({name: one for name, one in versions.items() if name in known}))

    def forget_unsaid(self, path: str, some: Container[bytes] | None = None) -> None:
        """Of the heads that no lane has carried forget `some`, or all, and what they superseded."""
        number = self._paths.find(path)
        if number is None:
            return
        execute = self._database.execute
        before = self._heads(number)
        said = {name for name, head in before.items() if head.seen & LANE}
        unsaid = before.keys() - said
        kept = set() if some is None else {name for name in unsaid if name not in some}
        superseded = self._superseded_by(number, kept)
        execute("DELETE FROM superseded WHERE path = ? AND carried = 0", (number,))
        execute(
            "UPDATE superseded SET root = x'', carried = 1 WHERE path = ? AND carried = 2",
            (number,),
        )
        self._database.execute_many(
            _SUPERSEDE,
            [(number, gone, root, FLOCK >> 1) for gone, root in superseded.items()],
        )
        seen = {name: LANE if name in superseded else BOTH for name in said}
        seen |= dict.fromkeys(kept, FLOCK)
        after = {name: _Head(before[name].kind, places) for name, places in seen.items()}
        self._store(path, number, before, after, {})
        # What was taken back is not past, nor is what stands again.
        for name in before.keys() - superseded.keys():
            execute("DELETE FROM past WHERE path = ? AND id = ?", (number, name))

    def _superseded_by(self, number: int, heads: Iterable[bytes]) -> dict[bytes, bytes]:
        """What these heads superseded, and what that had superseded. Less where the past is not
        known any more: then something stands again, and nothing is hidden."""
        known = self._superseded(number, FLOCK)
        found: dict[bytes, bytes] = {}
        todo = list(heads)
        while todo:
            row = self._database.row(
                "SELECT record FROM heads WHERE path = ?1 AND id = ?2"
                " UNION ALL SELECT record FROM past WHERE path = ?1 AND id = ?2 LIMIT 1",
                (number, todo.pop()),
            )
            if row is None:
                continue
            with self._database.decoding():
                version = _decoded(row[0])
            for at, name in enumerate(version.parents):
                if name not in found:
                    todo.append(name)
                root = known.get(name, b"") if version.replaces >> at & 1 else b""
                found[name] = max(found.get(name, b""), root)
        return dict(reversed(found.items()))  # oldest first

    def since_ms(self, path: str, head: bytes) -> int:
        """Since when a head is known; 0, not known."""
        row = self._database.row(
            "SELECT since_ms FROM heads WHERE path = ? AND id = ?", (self._paths.find(path), head)
        )
        return 0 if row is None else int(row[0])

    def _heads(self, number: int) -> dict[bytes, _Head]:
        return {
            head: _Head(kind, seen)
            for head, kind, seen in self._database.rows(
                "SELECT id, kind, seen FROM heads WHERE path = ?", (number,)
            )
        }

    def _store(
        self,
        path: str,
        number: int,
        before: Mapping[bytes, _Head],
        after: Mapping[bytes, _Head],
        versions: Mapping[bytes, Version],
    ) -> None:
        """Write the difference, and what follows from it: marks, item, queue."""
        execute = self._database.execute
        for which in (FLOCK, LANE):
            self._recent.drop((number, which))
        had, flock = _seen_as(FLOCK, before), _seen_as(FLOCK, after)
        self._past.lay_down(number, sorted(had - flock), self._now_ms())
        for head in before.keys() - after.keys():
            execute("DELETE FROM heads WHERE path = ? AND id = ?", (number, head))
        for head, (kind, seen) in after.items():
            old = before.get(head)
            if old is None and seen:
                record = encode_record(versions[head])
                execute(
                    "INSERT INTO heads VALUES (?, ?, ?, ?, ?, ?)",
                    (number, head, record, kind, seen, self._now_ms()),
                )
            elif old is not None and not seen:
                execute("DELETE FROM heads WHERE path = ? AND id = ?", (number, head))
            elif old is not None and old.seen != seen:
                execute("UPDATE heads SET seen = ? WHERE path = ? AND id = ?", (seen, number, head))
        if flock != had:
            self._paths.set_heads(
                number, len(flock), was_live=_live(before, had), live=_live(after, flock)
            )
        had_carried, carried = _seen_as(LANE, before), _seen_as(LANE, after)
        if carried != had_carried:
            self._items.move(path, number, had_carried, carried)
        if flock <= carried and not had <= had_carried:
            execute("DELETE FROM outgoing WHERE path = ?", (number,))

    # -- what is to be sent --------------------------------------------------------------------

    def outgoing(self, now_ms: int, limit: int) -> Sequence[Outgoing]:
        return [
            Outgoing(path_text(path), batch, due_ms)
            for path, batch, due_ms in self._database.rows(
                "SELECT paths.path, batch, due_ms FROM outgoing"
                " JOIN paths ON paths.id = outgoing.path"
                " WHERE due_ms <= ? ORDER BY due_ms, outgoing.path LIMIT ?",
                (now_ms, limit),
            )
        ]

    def is_outgoing(self, path: str) -> bool:
        number = self._paths.find(path)
        row = self._database.row("SELECT 1 FROM outgoing WHERE path = ?", (number,))
        return row is not None

    def outgoing_count(self) -> int:
        row = self._database.row("SELECT count(*) FROM outgoing")
        assert row is not None
        return int(row[0])


def _seen_as(which: int, heads: Mapping[bytes, _Head]) -> set[bytes]:
    return {name for name, head in heads.items() if head.seen & which}


def _live(heads: Mapping[bytes, _Head], names: set[bytes]) -> bool:
    return any(heads[name].kind != Kind.TOMBSTONE for name in names)
