"""Shared memory of one process: what the seam is made of in the simulator."""

from __future__ import annotations

import itertools

_blocks: dict[str, bytearray] = {}
_names = itertools.count()


class SharedMemory:
    """As `multiprocessing.shared_memory.SharedMemory`, for who sits in the same process."""

    def __init__(self, name: str | None = None, create: bool = False, size: int = 0) -> None:
        if create:
            name = f"simulated-{next(_names)}"
            _blocks[name] = bytearray(size)
        assert name is not None
        self.name = name
        self.size = size
        self.buf = memoryview(_blocks[name])

    def unlink(self) -> None:
        """Nobody else may attach."""
        _blocks.pop(self.name, None)

    def close(self) -> None:
        """Let go."""
