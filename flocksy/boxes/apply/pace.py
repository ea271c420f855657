"""Work in slices, so that the event loop can drain its rings in between.

Generators that work yield how many seconds the caller may well leave them alone: 0.0 between two
slices, more while something blocks in a thread.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Generator, Iterable
from typing import TypeVar

SLICE_S = 0.01
"""Work between two yields: half of what the event loop can be away from its rings."""

_Item = TypeVar("_Item")


def each(items: Iterable[_Item], do: Callable[[_Item], None]) -> Generator[float, None, None]:
    """Do it to each item, in slices."""
    began = time.monotonic()
    for item in items:
        do(item)
        if time.monotonic() - began > SLICE_S:
            yield 0.0
            began = time.monotonic()
