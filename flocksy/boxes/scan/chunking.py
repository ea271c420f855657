"""Cut content into chunks where the content says so, and name them by BLAKE3.

Where a file is cut depends on its bytes and its size alone, so all nodes cut alike. FastCDC has no
memory across a cut, so a large file is cut window by window with the same result as at once. Files
are read, never mapped: a mapped file that shrinks kills the process that looks at it.
"""

from __future__ import annotations

import io
from collections.abc import Iterator
from functools import cache

from pyfastcdc import FastCDC

from flocksy.index.contents import Piece
from flocksy.sync.content import MAX_CHUNK_BYTES, average_size, chunk_id

WINDOW_BYTES = 8 << 20
"""Read at a time: several of the largest chunks, so that what is moved to the front of the next
window is small beside it."""


class ContentChangedError(Exception):
    """The file is not as long as it was said to be: scan it again."""


@cache
def _cutter(average: int) -> FastCDC:
    # All arguments are given, so that a new default of the library changes nothing.
    return FastCDC(
        average,
        min_size=average // 4,
        max_size=min(average * 4, MAX_CHUNK_BYTES),
        normalized_chunking=2,
        seed=0,
    )


def cut(data: bytes | bytearray | memoryview) -> list[Piece]:
    """The chunks of a content in memory."""
    if not data:
        return []
    cutter = _cutter(average_size(len(data)))
    return [
        Piece(chunk.offset, chunk.length, chunk_id(chunk.data)) for chunk in cutter.cut_buf(data)
    ]


def cut_file(descriptor: int, size: int) -> Iterator[Piece]:
    """The chunks of an open file, in flat memory whatever its size.

    Reads `size` bytes from where the file stands. Raises `ContentChangedError` at fewer.
    """
    cutter = _cutter(average_size(size))
    source = io.FileIO(descriptor, closefd=False)
    window = memoryview(bytearray(min(size, WINDOW_BYTES)))
    start, held = 0, 0
    while start < size:
        while held < len(window) and start + held < size:
            got = source.readinto(window[held : min(len(window), size - start)])
            if not got:
                raise ContentChangedError
            held += got
        last = start + held == size
        used = 0
        for chunk in cutter.cut_buf(window[:held]):
            # Near the window's end only what follows can tell where the chunk ends.
            if not last and held - chunk.offset < cutter.max_size:
                break
            used = chunk.offset + chunk.length
            yield Piece(start + chunk.offset, chunk.length, chunk_id(chunk.data))
        held -= used
        window[:held] = bytes(window[used : used + held])
        start += used
