"""A clock that nobody sets, and whether the wall clock is kept right."""

from __future__ import annotations

import ctypes
import sys
import time

from flocksy.system.kernel import LIBC

_TIME_ERROR = 5  # adjtimex(2): the clock is not synchronised
_TIMEX_BYTES = 1024  # far more than struct timex has anywhere


def elapsed_ns() -> int:
    """A clock that nobody sets and that goes on while the machine sleeps; since whenever."""
    if sys.platform == "linux":
        return time.clock_gettime_ns(time.CLOCK_BOOTTIME)
    if sys.platform == "darwin":
        return time.clock_gettime_ns(time.CLOCK_MONOTONIC)
    return time.monotonic_ns()


def clock_is_kept() -> bool | None:
    """Whether something (a time server) keeps the wall clock right; None where nobody knows."""
    if sys.platform != "linux" or LIBC is None:
        return None
    # modes = 0: only look.
    state = LIBC.adjtimex(ctypes.create_string_buffer(_TIMEX_BYTES))
    return None if state < 0 else bool(state != _TIME_ERROR)
