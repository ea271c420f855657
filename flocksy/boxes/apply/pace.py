"""Work in slices, so that the event loop can drain its rings in between.

Generators that work yield how many seconds the caller may well leave them alone: 0.0 between two
slices, more while something blocks in a thread.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Generator, Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

SLICE_S = 0.01
"""Work between two yields: half of what the event loop can be away from its rings."""

FLUSH_POLL_S = 0.002
"""How long to leave a flush alone before asking whether it has ended."""

_Item = TypeVar("_Item")
_Value = TypeVar("_Value")


def each(items: Iterable[_Item], do: Callable[[_Item], None]) -> Generator[float, None, None]:
    """Do it to each item, in slices."""
    began = time.monotonic()
    for item in items:
        do(item)
        if time.monotonic() - began > SLICE_S:
            yield 0.0
            began = time.monotonic()


def in_thread(do: Callable[[], _Value]) -> Generator[float, None, _Value]:
    """Run what blocks beside the event loop; its failure is raised here."""
    with ThreadPoolExecutor(1, "flush") as pool:
        future = pool.submit(do)
        while not future.done():
            yield FLUSH_POLL_S
        return future.result()
