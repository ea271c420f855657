"""Opening files and directories through handles, with no symbolic link on the way."""

from __future__ import annotations

import ctypes
import errno
import functools
import os
import sys

from flocksy.system.kernel import LIBC

# Flags that not every system knows are zero where they are unknown: the callers check by `stat`
# what they have opened.
O_DIRECTORY: int = getattr(os, "O_DIRECTORY", 0)
O_NOFOLLOW: int = getattr(os, "O_NOFOLLOW", 0)
O_NONBLOCK: int = getattr(os, "O_NONBLOCK", 0)
O_CLOEXEC: int = getattr(os, "O_CLOEXEC", 0)
O_BINARY: int = getattr(os, "O_BINARY", 0)
O_PATH: int = getattr(os, "O_PATH", 0)

# True where paths can be opened relative to a directory handle, which all of boxes/ rests on.
HAS_DIRECTORY_HANDLES: bool = os.open in os.supports_dir_fd

# Numbers of the kernel's interface, include/uapi/linux/. They never change.
_OPENAT2_CALL = 437  # one number on all architectures since 5.1
_RESOLVE_NO_MAGICLINKS = 0x02
_RESOLVE_NO_SYMLINKS = 0x04
_RESOLVE_BENEATH = 0x08

# openat2 answers EAGAIN when a directory on the way is being renamed just now. More than a few
# in a row is no accident.
_OPENAT2_ATTEMPTS = 8


class _OpenHow(ctypes.Structure):
    """struct open_how of openat2(2)."""

    _fields_ = (
        ("flags", ctypes.c_uint64),
        ("mode", ctypes.c_uint64),
        ("resolve", ctypes.c_uint64),
    )


_HOW_BYTES = ctypes.c_size_t(ctypes.sizeof(_OpenHow))
_OPENAT2_NUMBER = ctypes.c_long(_OPENAT2_CALL)


@functools.cache
def _how_to_open(flags: int) -> object:
    """The structure for these flags, to be passed by reference: made once, asked for always."""
    resolve = _RESOLVE_BENEATH | _RESOLVE_NO_SYMLINKS | _RESOLVE_NO_MAGICLINKS
    return ctypes.byref(_OpenHow(flags, 0, resolve))


def open_beneath(root_fd: int, path: str, flags: int) -> int:
    """Open the existing `path` below `root_fd`, passing through no symbolic link.

    With `O_PATH | O_NOFOLLOW` in flags a symbolic link as the last component is an error too.
    A ".." may not lead above the root. Never creates. Raises `OSError`; one for which
    `is_unsupported` or EPERM holds (a kernel before 5.6, a sandbox that does not know the call)
    when the caller has to walk by components.
    """
    number = errno.ENOSYS
    if sys.platform == "linux" and LIBC is not None:
        how = _how_to_open(flags | O_CLOEXEC)
        name = os.fsencode(path)
        for _ in range(_OPENAT2_ATTEMPTS):
            result = LIBC.syscall(_OPENAT2_NUMBER, root_fd, name, how, _HOW_BYTES)
            if result >= 0:
                return int(result)
            number = ctypes.get_errno()
            if number not in (errno.EAGAIN, errno.EINTR):
                break
    raise OSError(number, os.strerror(number), path)


def descriptor_path(descriptor: int) -> str:
    """A name for exactly what a handle (also one with `O_PATH`) is on; Linux only."""
    return f"/proc/self/fd/{descriptor}"
