"""A few files kept open, those used last: to open a file costs more than to read a chunk."""

from __future__ import annotations

import os
from collections import OrderedDict
from collections.abc import Callable


class Handles:
    """Descriptors by path, at most `limit`, opened by `opener` when they are first needed."""

    def __init__(self, opener: Callable[[str], int], limit: int) -> None:
        self._opener = opener
        self._limit = limit
        self._open: OrderedDict[str, int] = OrderedDict()

    def get(self, path: str) -> int:
        """The descriptor stays ours: valid until the next call. Raises what `opener` raises."""
        descriptor = self._open.get(path)
        if descriptor is not None:
            self._open.move_to_end(path)
            return descriptor
        if len(self._open) >= self._limit:
            _, oldest = self._open.popitem(last=False)
            os.close(oldest)
        descriptor = self._opener(path)
        self._open[path] = descriptor
        return descriptor

    def close(self, path: str) -> None:
        """Let go of one, if it is open."""
        descriptor = self._open.pop(path, None)
        if descriptor is not None:
            os.close(descriptor)

    def close_all(self) -> None:
        """Let go of all."""
        for path in list(self._open):
            self.close(path)
