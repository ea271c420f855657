"""What blocks on a disk, done beside what must not."""

from __future__ import annotations

from collections.abc import Callable, Generator
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

FLUSH_POLL_S = 0.002
"""How long to leave a flush alone before asking whether it has ended."""

_Value = TypeVar("_Value")


def in_thread(do: Callable[[], _Value]) -> Generator[float, None, _Value]:
    """Run what blocks in a thread; its failure is raised here. Yields how many seconds the caller
    may well leave it alone."""
    with ThreadPoolExecutor(1, "flush") as pool:
        future = pool.submit(do)
        while not future.done():
            yield FLUSH_POLL_S
        return future.result()
