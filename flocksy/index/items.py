"""What the lanes have carried, as reconciliation sees it: one item per path.

key = 16 bytes of BLAKE2b over the path, item = 32 bytes of BLAKE2b over path and sorted head ids,
fingerprint of a range = (count, sum of the items mod 2^256). Implements `sync.reconcile.Store`.

Sums are kept in memory per bucket, a bucket being the keys with the same first 12 bits, so a range
costs the items of two buckets and a walk over sums, and a change costs one addition. They are
counted anew from the table at the first use and after a rollback.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from flocksy.index.database import Database
from flocksy.index.paths import Paths
from flocksy.sync.reconcile import item_hash, path_key

BUCKET_BITS = 12
"""4,096 sums, about 0.4 MB; in a box of 1,000,000 paths a bucket has 250 items."""
_BUCKETS = 1 << BUCKET_BITS
_MODULUS = 1 << 256
_KEY_BYTES = 16


@dataclass(slots=True)
class _Sums:
    counts: list[int]
    sums: list[int]
    total: int


def _boundary(bucket: int) -> bytes:
    """The first key of a bucket; of the one after the last, the end of all keys."""
    return b"" if bucket == _BUCKETS else (bucket << (16 - BUCKET_BITS)).to_bytes(2, "big")


def _bucket(key: bytes) -> int:
    return int.from_bytes(key[:2].ljust(2, b"\0"), "big") >> (16 - BUCKET_BITS)


class LaneItems:
    """Part of `BoxIndex`, which keeps it up to date. Ranges are lower <= key < upper; an empty
    `upper` means no end."""

    def __init__(self, database: Database, paths: Paths) -> None:
        self._database = database
        self._paths = paths
        self._cached: _Sums | None = None
        database.on_rollback(self._forget)

    def _forget(self) -> None:
        self._cached = None

    def _sums(self) -> _Sums:
        if self._cached is None:
            counts, sums = [0] * _BUCKETS, [0] * _BUCKETS
            for key, item in self._database.rows("SELECT key, item FROM items"):
                bucket = _bucket(key)
                counts[bucket] += 1
                sums[bucket] += int.from_bytes(item, "big")
            self._cached = _Sums(counts, sums, sum(sums) % _MODULUS)
        return self._cached

    def digest(self) -> bytes:
        """Fingerprint of the whole box, 32 bytes."""
        return self._sums().total.to_bytes(32, "big")

    def fingerprint(self, lower: bytes, upper: bytes) -> tuple[int, int]:
        """(count, sum mod 2^256). Costs the edges of the range, not its length."""
        if upper and upper <= lower:
            return 0, 0
        first = _bucket(lower)
        last = _bucket(upper) if upper else _BUCKETS
        if first == last:
            edges = [(lower, upper)]
        else:
            edges = [(lower, _boundary(first + 1))]
            if upper:
                edges.append((_boundary(last), upper))
        sums = self._sums()
        count, total = sum(sums.counts[first + 1 : last]), sum(sums.sums[first + 1 : last])
        for edge in edges:
            for _, item in self._range(*edge, -1):
                count += 1
                total += int.from_bytes(item, "big")
        return count, total % _MODULUS

    def items(self, lower: bytes, upper: bytes, limit: int) -> Sequence[tuple[bytes, bytes]]:
        """(key, item) in order of the key."""
        return self._range(lower, upper, limit)

    def _range(self, lower: bytes, upper: bytes, limit: int) -> list[tuple[bytes, bytes]]:
        found = self._database.rows(
            "SELECT key, item FROM items WHERE key >= ? AND key < ? ORDER BY key LIMIT ?",
            (lower, upper or b"\xff" * (_KEY_BYTES + 1), limit),
        )
        return [(key, item) for key, item in found]

    def path_of(self, key: bytes) -> str | None:
        """The path behind a key, if the lanes have carried it."""
        row = self._database.row("SELECT path FROM items WHERE key = ?", (key,))
        return None if row is None else self._paths.name(row[0])

    def move(
        self, path: str, number: int, before: Collection[bytes], after: Collection[bytes]
    ) -> None:
        """The lanes had carried the heads `before` of the path with this number (none: nothing),
        and now `after`. For `FlockTree` alone, inside a transaction.
        """
        sums = self._sums()
        key = path_key(path)
        item = item_hash(path, after) if after else b""
        if not after:
            self._database.execute("DELETE FROM items WHERE key = ?", (key,))
        else:
            self._database.execute(
                "INSERT OR REPLACE INTO items VALUES (?, ?, ?)", (key, number, item)
            )
        old = item_hash(path, before) if before else b""
        step = int.from_bytes(item, "big") - int.from_bytes(old, "big")
        bucket = _bucket(key)
        sums.counts[bucket] += bool(after) - bool(before)
        sums.sums[bucket] += step
        sums.total = (sums.total + step) % _MODULUS
