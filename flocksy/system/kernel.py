"""The C library, for calls that Python has no name for, and the answer that there is none."""

from __future__ import annotations

import ctypes
import errno
import sys

LIBC: ctypes.CDLL | None = None if sys.platform == "win32" else ctypes.CDLL(None, use_errno=True)

_UNSUPPORTED = frozenset({errno.ENOSYS, errno.EINVAL, errno.ENOTSUP, errno.EOPNOTSUPP})


def is_unsupported(error: OSError) -> bool:
    """Whether the error says that this kernel or file system has no such call or flag."""
    return error.errno in _UNSUPPORTED
