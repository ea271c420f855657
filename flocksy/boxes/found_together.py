"""Paths that one scan of one node found together, and that are planned together here: they wait for
each other's records, not for their contents."""

from __future__ import annotations

from dataclasses import dataclass, field

BATCH_SECONDS = 5.0
"""How long the paths of one batch wait for each other after the last of them moved."""

MAX_BATCHES = 1_000
"""Batches waited for at a time; what is beyond is applied as it comes."""


@dataclass(slots=True)
class _Batch:
    missing: int
    paths: set[str] = field(default_factory=set)
    moved: float = 0.0


class Batches:
    """Those that are not complete yet."""

    def __init__(self) -> None:
        self._batches: dict[bytes, _Batch] = {}
        self.paths: set[str] = set()
        """Of all of them."""

    def __len__(self) -> int:
        return len(self._batches)

    def add(self, mark: bytes, size: int, path: str, now: float) -> bool:
        """`path` is one of `size` of the batch `mark`. False: it need not wait for the others."""
        batch = self._batches.get(mark)
        if batch is None:
            if size <= 1 or len(self._batches) >= MAX_BATCHES:
                return False
            batch = self._batches[mark] = _Batch(size)
        batch.moved = now
        if path not in batch.paths:
            batch.paths.add(path)
            self.paths.add(path)
            batch.missing -= 1
        return True

    def ready(self, now: float) -> set[str]:
        """Take out the paths of the batches that are complete, or have waited long enough."""
        found: set[str] = set()
        for mark, batch in list(self._batches.items()):
            if batch.missing <= 0 or now - batch.moved > BATCH_SECONDS:
                found |= batch.paths
                self.paths -= batch.paths
                del self._batches[mark]
        return found
