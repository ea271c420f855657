"""The memory of this process: what becomes of freed buffers, and of secrets."""

from __future__ import annotations

import ctypes
import errno
import os
import sys

from flocksy.system.kernel import LIBC, is_unsupported

_M_TRIM_THRESHOLD = -1  # malloc.h
_M_MMAP_THRESHOLD = -3
_KEPT_BYTES = 32 << 20  # the largest threshold that glibc takes

_SHARED = "/dev/shm"
"""Where shared memory lies, by shm_overview(7)."""

_LEAST_SECRET = 8
"""Shorter texts may be shared by the interpreter: they are no secrets."""


def keep_freed_memory() -> bool:
    """Have this process keep the memory of freed buffers for the next ones. False where the C
    library cannot.

    By default glibc gives each freed buffer of more than 128 KiB back to the system, and the next
    one costs a page fault per 4 KiB: a quarter of all time when 1 MiB buffers come and go. What
    is kept is bounded by what was in use at one time.
    """
    if sys.platform != "linux":
        return False
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (OSError, AttributeError):
        return False
    done = mallopt(_M_MMAP_THRESHOLD, _KEPT_BYTES) and mallopt(_M_TRIM_THRESHOLD, 8 * _KEPT_BYTES)
    return bool(done)


def reserve_shared(name: str, size: int) -> None:
    """Have all of a piece of shared memory there. Linux gives its pages when they are used first,
    and kills who uses one that there is no room for (SIGBUS). Raises `OSError`, ENOSPC among them;
    elsewhere, and where shared memory is nothing that can be reserved, it does nothing.
    """
    if sys.platform != "linux":
        return
    try:
        descriptor = os.open(f"{_SHARED}/{name.lstrip('/')}", os.O_RDWR | os.O_CLOEXEC)
    except FileNotFoundError:
        return  # it lies elsewhere
    try:
        os.posix_fallocate(descriptor, 0, size)
    except OSError as error:
        if is_unsupported(error):
            return
        if error.errno == errno.ENOSPC:
            needed = -(-size >> 20)
            raise OSError(errno.ENOSPC, f"{_SHARED} has no room for {needed} MiB") from error
        raise
    finally:
        os.close(descriptor)


def forbid_core_dumps() -> bool:
    """Have this process, and those it starts, leave no image of its memory when it crashes."""
    if sys.platform == "win32":
        return False
    import resource

    try:
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    except (OSError, ValueError):
        return False
    return True


def lock_in_memory(secret: str | bytes) -> bool:
    """Keep the pages that `secret` lies on out of the swap. Best effort: copies that libraries
    make are not known here. False where the system does not allow it (`ulimit -l`)."""
    span = _span(secret)
    if span is None or LIBC is None:
        return False
    address, length = span
    done = LIBC.mlock(ctypes.c_void_p(address), ctypes.c_size_t(length))
    return bool(done == 0)


def wipe(secret: str | bytes) -> bool:
    """Overwrite `secret` where it lies. Nobody may use it afterwards. False where that cannot be:
    only CPython's layout is known, and only for text in ASCII."""
    span = _span(secret)
    if span is None:
        return False
    ctypes.memset(span[0], 0, span[1])
    return True


def _span(secret: str | bytes) -> tuple[int, int] | None:
    """Address and length of what a text or bytes hold."""
    if sys.implementation.name != "cpython" or len(secret) < _LEAST_SECRET:
        return None
    if isinstance(secret, str) and not secret.isascii():
        return None
    # Both end with their characters and a final zero.
    return id(secret) + sys.getsizeof(secret) - len(secret) - 1, len(secret)
