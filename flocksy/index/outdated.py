"""Heads that lanes have brought though they are superseded here: whoever said so has them still."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

MAX_PATHS = 256
MAX_HEADS = 32
"""Of one path. Together some hundred KB, whatever lanes bring."""


class Outdated:
    """The last of them, in memory alone: what is dropped is told again, as long as somebody has
    it and the digests differ."""

    def __init__(self) -> None:
        self._heads: dict[str, dict[bytes, None]] = {}

    def note(self, path: str, heads: Iterable[bytes]) -> None:
        """A lane has brought these."""
        noted = self._heads.pop(path, {})
        for head in heads:
            noted.pop(head, None)
            noted[head] = None
        self._heads[path] = dict.fromkeys(list(noted)[-MAX_HEADS:])
        if len(self._heads) > MAX_PATHS:
            del self._heads[next(iter(self._heads))]

    def of(self, path: str) -> Sequence[bytes]:
        """Those of one path, the youngest last."""
        return tuple(self._heads.get(path, ()))
