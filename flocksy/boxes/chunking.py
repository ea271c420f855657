"""Cut content into chunks where the content says so, and name them by BLAKE3.

Where a file is cut depends on its bytes and its size alone, so all nodes cut alike.
"""

from __future__ import annotations

from collections.abc import Iterator

from flocksy.index.contents import Piece


def average_size(size: int) -> int:
    """Average chunk size for a file of `size` bytes: size/1024 as a power of two, 16 KiB..1 MiB."""
    raise NotImplementedError


def cut(data: bytes | bytearray | memoryview) -> list[Piece]:
    """The chunks of a content in memory."""
    raise NotImplementedError


def cut_file(descriptor: int, size: int) -> Iterator[Piece]:
    """The chunks of an open file, in flat memory whatever its size.

    Reads `size` bytes from the start. Raises `ContentChanged` when the file is shorter.
    """
    raise NotImplementedError


class ContentChanged(Exception):
    """The file is not as long as it was said to be: scan it again."""
