"""Renames that replace nothing, or exchange two names, in one step."""

from __future__ import annotations

import ctypes
import errno
import os
import platform
import sys

from flocksy.system.kernel import LIBC

# Numbers of the kernel's interface, include/uapi/linux/. They never change.
_RENAME_NOREPLACE = 1
_RENAME_EXCHANGE = 2
_RENAMEAT2_CALL = {"x86_64": 316, "aarch64": 276, "riscv64": 276, "i686": 353, "armv7l": 382}
# sys/stdio.h of macOS
_DARWIN_RENAME_SWAP = 0x02
_DARWIN_RENAME_EXCL = 0x04


def rename_noreplace(source_fd: int, source: str, target_fd: int, target: str) -> None:
    """Rename in one step, and only when nothing stands at `target` (names below the handles).

    Raises `FileExistsError`, or an `OSError` for which `is_unsupported` holds where the kernel or
    the file system cannot: the caller then links and unlinks.
    """
    if sys.platform == "darwin":
        _rename_darwin(source_fd, source, target_fd, target, _DARWIN_RENAME_EXCL)
    else:
        _rename_linux(source_fd, source, target_fd, target, _RENAME_NOREPLACE)


def rename_exchange(source_fd: int, source: str, target_fd: int, target: str) -> None:
    """Exchange what stands at two names in one step. Both must exist.

    Raises `FileNotFoundError`, or an `OSError` for which `is_unsupported` holds.
    """
    if sys.platform == "darwin":
        _rename_darwin(source_fd, source, target_fd, target, _DARWIN_RENAME_SWAP)
    else:
        _rename_linux(source_fd, source, target_fd, target, _RENAME_EXCHANGE)


def _rename_linux(source_fd: int, source: str, target_fd: int, target: str, flags: int) -> None:
    if LIBC is None or platform.system() != "Linux":
        raise OSError(errno.ENOSYS, os.strerror(errno.ENOSYS), target)
    old, new = os.fsencode(source), os.fsencode(target)
    call = getattr(LIBC, "renameat2", None)
    if call is not None:
        result = call(source_fd, old, target_fd, new, flags)
    else:  # musl before 1.2.6, glibc before 2.28
        number = _RENAMEAT2_CALL.get(platform.machine())
        if number is None:
            raise OSError(errno.ENOSYS, os.strerror(errno.ENOSYS), target)
        result = LIBC.syscall(ctypes.c_long(number), source_fd, old, target_fd, new, flags)
    if result != 0:
        _raise_errno(source, target)


def _rename_darwin(source_fd: int, source: str, target_fd: int, target: str, flags: int) -> None:
    call = getattr(LIBC, "renameatx_np", None)
    if call is None:
        raise OSError(errno.ENOSYS, os.strerror(errno.ENOSYS), target)
    if call(source_fd, os.fsencode(source), target_fd, os.fsencode(target), flags) != 0:
        _raise_errno(source, target)


def _raise_errno(source: str, target: str) -> None:
    number = ctypes.get_errno()
    raise OSError(number, os.strerror(number), source, None, target)
