"""Open files: reading and writing at a place, holes, and bringing what was written to the disk."""

from __future__ import annotations

import contextlib
import ctypes
import errno
import os
import sys

from flocksy.system.kernel import LIBC, is_unsupported


def read_at(descriptor: int, length: int, offset: int) -> bytes:
    """At most `length` bytes from `offset`; fewer at the end of the file, or before it."""
    if sys.platform == "win32":
        os.lseek(descriptor, offset, os.SEEK_SET)
        return os.read(descriptor, length)
    return os.pread(descriptor, length, offset)


def write_at(descriptor: int, data: bytes | memoryview, offset: int) -> None:
    """Write all of `data` at `offset`. Raises `OSError`, ENOSPC among them."""
    left = memoryview(data)
    if sys.platform == "win32":
        os.lseek(descriptor, offset, os.SEEK_SET)
        while left:
            left = left[os.write(descriptor, left) :]
        return
    while left:
        written = os.pwrite(descriptor, left, offset)
        offset += written
        left = left[written:]


def is_hole(descriptor: int, offset: int, length: int) -> bool:
    """Whether nothing was ever written there, so that it reads as zeros. False where the system
    does not know. Moves where the file stands."""
    to_data = getattr(os, "SEEK_DATA", None)
    if to_data is None:
        return False
    try:
        return os.lseek(descriptor, offset, to_data) >= offset + length
    except OSError as error:
        # Beyond the last data is a hole, too; but only up to the end of the file.
        return error.errno == errno.ENXIO and offset + length <= os.fstat(descriptor).st_size


def write_out(descriptor: int) -> None:
    """Ask the system to bring what was written to a file to its disk, and to keep none of it in
    memory that is there already. Returns at once; a system that cannot do it does nothing.

    On Linux one call of `posix_fadvise(2)` starts writing what is dirty and drops what is clean.
    """
    if sys.platform == "linux":
        with contextlib.suppress(OSError):  # a file system that has no opinion on this
            os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)


def flush_directory(descriptor: int) -> None:
    """Make the names in an open directory durable. Raises `OSError` when that failed.

    File systems that cannot flush a directory answer EINVAL; there is nothing more to do there.
    """
    if sys.platform == "win32":
        return
    try:
        os.fsync(descriptor)
    except OSError as error:
        if not is_unsupported(error):
            raise


def sync_filesystem(descriptor: int) -> bool:
    """Flush everything written to the file system that `descriptor` is on.

    Returns False where there is no such call: the caller then flushes file by file. Raises
    `OSError` when the flush itself failed (what was written may be lost).
    """
    if sys.platform != "linux" or LIBC is None:
        return False
    call = getattr(LIBC, "syncfs", None)
    if call is None:
        return False
    if call(descriptor) != 0:
        number = ctypes.get_errno()
        error = OSError(number, os.strerror(number))
        if is_unsupported(error):
            return False
        raise error
    return True
