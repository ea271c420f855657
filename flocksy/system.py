"""Everything that only some operating systems have, behind one guard.

No other module calls something that exists on POSIX or on Linux only. Each function here either
does what it says, or says that this system cannot: with `False` or `None` where life goes on
without it (a priority, a flush that has a slower twin), with an `OSError` where the caller has
to choose another way (an exchange of two names).
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import functools
import hashlib
import os
import platform
import re
import signal
import stat
import sys
import tempfile
import time
from types import TracebackType
from typing import NamedTuple

from flocksy.errors import FlocksyError

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
_AT_FDCWD = -100
_RENAME_NOREPLACE = 1
_RENAME_EXCHANGE = 2
_RENAMEAT2_CALL = {"x86_64": 316, "aarch64": 276, "riscv64": 276, "i686": 353, "armv7l": 382}
_OPENAT2_CALL = 437  # one number on all architectures since 5.1
_RESOLVE_NO_MAGICLINKS = 0x02
_RESOLVE_NO_SYMLINKS = 0x04
_RESOLVE_BENEATH = 0x08
_IOPRIO_SET_CALL = {"x86_64": 251, "aarch64": 30, "riscv64": 30, "i686": 289, "armv7l": 314}
_IOPRIO_WHO_PROCESS = 1
_IOPRIO_CLASS_IDLE = 3
_IOPRIO_CLASS_SHIFT = 13
_PR_SET_PDEATHSIG = 1
# sys/stdio.h of macOS
_DARWIN_RENAME_SWAP = 0x02
_DARWIN_RENAME_EXCL = 0x04

# openat2 answers EAGAIN when a directory on the way is being renamed just now. More than a few
# in a row is no accident.
_OPENAT2_ATTEMPTS = 8

_UNSUPPORTED = frozenset({errno.ENOSYS, errno.EINVAL, errno.ENOTSUP, errno.EOPNOTSUPP})


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


_libc: ctypes.CDLL | None = None if sys.platform == "win32" else ctypes.CDLL(None, use_errno=True)


# ── locks ────────────────────────────────────────────────────────────────────────────────────


class FileLock:
    """A lock held until `close`, or until the process ends in whatever way."""

    def __init__(self, path: str, descriptor: int) -> None:
        self.path = path
        self._descriptor = descriptor

    def close(self) -> None:
        """Let others have the lock. The file stays: to unlink it would let two hold it."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1

    def __enter__(self) -> FileLock:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


def lock_file(path: str) -> FileLock | None:
    """Lock `path` for this process alone; make the file (0600) where there is none.

    Returns None when another process (or another handle of this one) holds the lock. Nothing
    waits. Raises `OSError` when the file cannot be opened.
    """
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | O_CLOEXEC, 0o600)
    try:
        if not _lock_descriptor(descriptor):
            os.close(descriptor)
            return None
    except BaseException:
        os.close(descriptor)
        raise
    return FileLock(path, descriptor)


def _lock_descriptor(descriptor: int) -> bool:
    if sys.platform == "win32":
        import msvcrt

        try:
            msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)
        except OSError:
            return False
        return True
    import fcntl

    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


# ── files and directories ────────────────────────────────────────────────────────────────────


def is_unsupported(error: OSError) -> bool:
    """Whether the error says that this kernel or file system has no such call or flag."""
    return error.errno in _UNSUPPORTED


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
    if _libc is None or platform.system() != "Linux":
        raise OSError(errno.ENOSYS, os.strerror(errno.ENOSYS), target)
    old, new = os.fsencode(source), os.fsencode(target)
    call = getattr(_libc, "renameat2", None)
    if call is not None:
        result = call(source_fd, old, target_fd, new, flags)
    else:  # musl before 1.2.6, glibc before 2.28
        number = _RENAMEAT2_CALL.get(platform.machine())
        if number is None:
            raise OSError(errno.ENOSYS, os.strerror(errno.ENOSYS), target)
        result = _libc.syscall(ctypes.c_long(number), source_fd, old, target_fd, new, flags)
    if result != 0:
        _raise_errno(source, target)


def _rename_darwin(source_fd: int, source: str, target_fd: int, target: str, flags: int) -> None:
    call = getattr(_libc, "renameatx_np", None)
    if call is None:
        raise OSError(errno.ENOSYS, os.strerror(errno.ENOSYS), target)
    if call(source_fd, os.fsencode(source), target_fd, os.fsencode(target), flags) != 0:
        _raise_errno(source, target)


def _raise_errno(first: str, second: str | None = None) -> None:
    number = ctypes.get_errno()
    if second is None:
        raise OSError(number, os.strerror(number), first)
    raise OSError(number, os.strerror(number), first, None, second)


def open_beneath(root_fd: int, path: str, flags: int) -> int:
    """Open the existing `path` below `root_fd`, passing through no symbolic link.

    With `O_PATH | O_NOFOLLOW` in flags a symbolic link as the last component is an error too.
    A ".." may not lead above the root. Never creates. Raises `OSError`; one for which
    `is_unsupported` or EPERM holds (a kernel before 5.6, a sandbox that does not know the call)
    when the caller has to walk by components.
    """
    number = errno.ENOSYS
    if sys.platform == "linux" and _libc is not None:
        how = _how_to_open(flags | O_CLOEXEC)
        name = os.fsencode(path)
        for _ in range(_OPENAT2_ATTEMPTS):
            result = _libc.syscall(_OPENAT2_NUMBER, root_fd, name, how, _HOW_BYTES)
            if result >= 0:
                return int(result)
            number = ctypes.get_errno()
            if number not in (errno.EAGAIN, errno.EINTR):
                break
    raise OSError(number, os.strerror(number), path)


def sync_filesystem(descriptor: int) -> bool:
    """Flush everything written to the file system that `descriptor` is on.

    Returns False where there is no such call: the caller then flushes file by file. Raises
    `OSError` when the flush itself failed (what was written may be lost).
    """
    if sys.platform != "linux" or _libc is None:
        return False
    call = getattr(_libc, "syncfs", None)
    if call is None:
        return False
    if call(descriptor) != 0:
        number = ctypes.get_errno()
        if number in _UNSUPPORTED:
            return False
        raise OSError(number, os.strerror(number))
    return True


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


_USER = "user."


def user_attributes(handle: int | str, limit_bytes: int) -> dict[bytes, bytes]:
    """The extended attributes of a file that are its user's own, by their names without "user.".
    `handle`: a descriptor, or a path.

    Raises `OSError`: E2BIG when names and values take more than the limit, so that nobody fills our
    memory with them; one for which `is_unsupported` holds where the file system, or this system,
    has none.
    """
    if sys.platform != "linux":
        raise OSError(errno.ENOTSUP, os.strerror(errno.ENOTSUP))
    found: dict[bytes, bytes] = {}
    total = 0
    for name in os.listxattr(handle):
        if not name.startswith(_USER):
            continue
        try:
            value = os.getxattr(handle, name)
        except OSError as error:
            if error.errno == errno.ENODATA:
                continue  # gone since it was listed
            raise
        own_name = os.fsencode(name)[len(_USER) :]
        total += len(own_name) + len(value)
        if total > limit_bytes:
            raise OSError(errno.E2BIG, os.strerror(errno.E2BIG))
        found[own_name] = value
    return found


def set_user_attribute(handle: int | str, name: bytes, value: bytes | None) -> None:
    """Set one of these, or (None) remove it. Raises `OSError` as `user_attributes` does, and for
    want of room or of the right to write."""
    if sys.platform != "linux":
        raise OSError(errno.ENOTSUP, os.strerror(errno.ENOTSUP))
    if value is not None:
        os.setxattr(handle, os.fsencode(_USER) + name, value)
        return
    try:
        os.removexattr(handle, os.fsencode(_USER) + name)
    except OSError as error:
        if error.errno != errno.ENODATA:
            raise


def descriptor_path(descriptor: int) -> str:
    """A name for exactly what a handle (also one with `O_PATH`) is on; Linux only."""
    return f"/proc/self/fd/{descriptor}"


def disk_space(descriptor: int) -> tuple[int, int]:
    """(bytes free for this user, bytes in all) of the file system that a handle is on."""
    if sys.platform == "win32":
        raise OSError(errno.ENOSYS, os.strerror(errno.ENOSYS))
    found = os.fstatvfs(descriptor)
    return found.f_bavail * found.f_frsize, found.f_blocks * found.f_frsize


def filesystem_identity(descriptor: int) -> int:
    """A number for the file system that a handle is on, below 2**63, the same after a reboot and
    when a drive is plugged in again.

    It follows from the file system's UUID, which new kernels tell (ext4, xfs, btrfs) and udev's
    links in /dev/disk/by-uuid for others (FAT, exFAT, NTFS). Where neither does, f_fsid has to do;
    it follows from the UUID on ext4 and btrfs, and is zero or a device number on types that number
    drives as they come: of those only type and size are known to stay.
    """
    if sys.platform == "win32":
        return os.fstat(descriptor).st_dev & _63_BITS
    found = os.fstatvfs(descriptor)
    uuid = _filesystem_uuid(descriptor)
    kind = filesystem_type(descriptor)
    if uuid:
        text = f"uuid {uuid}"
    elif kind.partition(".")[0] in _NUMBERED_ANEW:
        text = f"size {kind} {found.f_blocks * found.f_frsize}"
    else:
        return (found.f_fsid or os.fstat(descriptor).st_dev) & _63_BITS
    digest = hashlib.blake2b(text.encode("utf-8", "surrogateescape"), digest_size=8).digest()
    return int.from_bytes(digest) & _63_BITS


_63_BITS = 0x7FFF_FFFF_FFFF_FFFF
_NUMBERED_ANEW = frozenset({"vfat", "msdos", "exfat", "fuseblk", "fuse", "ntfs", "ntfs3"})
_FS_IOC_GETFSUUID = 0x80111500
_BY_UUID = "/dev/disk/by-uuid"


def _filesystem_uuid(descriptor: int) -> str:
    """The UUID of the file system that a handle is on, as far as anybody tells; else empty."""
    if sys.platform != "linux":
        return ""
    import fcntl

    answer = bytearray(17)  # one byte of length, sixteen of UUID
    with contextlib.suppress(OSError):
        fcntl.ioctl(descriptor, _FS_IOC_GETFSUUID, answer)
        if any(answer[1:]):
            return answer[1 : 1 + answer[0]].hex()
    device = os.fstat(descriptor).st_dev
    source = next((one.source for one in mounts() if one.device == device), "")
    with contextlib.suppress(OSError):
        number = os.stat(source).st_rdev if source.startswith("/") else device
        for name in os.listdir(_BY_UUID):
            with contextlib.suppress(OSError):
                if os.stat(os.path.join(_BY_UUID, name)).st_rdev == number:
                    return name
    return ""


class Mount(NamedTuple):
    """One line of the table of mounts."""

    point: str
    kind: str  # as in mount(8)
    source: str
    device: int


def mounts() -> list[Mount]:
    """What is mounted where, as this process sees it; of two at one point the later one counts.
    Empty where the system does not tell."""
    found: list[Mount] = []
    if sys.platform != "linux":
        return found
    with (
        contextlib.suppress(OSError),
        open("/proc/self/mountinfo", encoding="utf-8", errors="surrogateescape") as table,
    ):
        for line in table:
            fields = line.split(" ")
            dash = fields.index("-", 6)
            major, _, minor = fields[2].partition(":")
            found.append(
                Mount(
                    _plain(fields[4]),
                    fields[dash + 1],
                    _plain(fields[dash + 2].rstrip("\n")),
                    os.makedev(int(major), int(minor)),
                )
            )
    return found


def _plain(field: str) -> str:
    """A field of the table of mounts, with its \\040 and the like as the characters they are."""
    return re.sub(r"\\([0-7]{3})", lambda octal: chr(int(octal[1], 8)), field)


def filesystem_type(descriptor: int) -> str:
    """The type of the file system that a handle is on, as in mount(8); "" where nobody knows."""
    device = os.fstat(descriptor).st_dev
    return next((one.kind for one in mounts() if one.device == device), "")


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


# ── processes ────────────────────────────────────────────────────────────────────────────────


def elapsed_ns() -> int:
    """A clock that nobody sets and that goes on while the machine sleeps; since whenever."""
    if sys.platform == "linux":
        return time.clock_gettime_ns(time.CLOCK_BOOTTIME)
    if sys.platform == "darwin":
        return time.clock_gettime_ns(time.CLOCK_MONOTONIC)
    return time.monotonic_ns()


_TIME_ERROR = 5  # adjtimex(2): the clock is not synchronised
_TIMEX_BYTES = 1024  # far more than struct timex has anywhere


def clock_is_kept() -> bool | None:
    """Whether something (a time server) keeps the wall clock right; None where nobody knows."""
    if sys.platform != "linux" or _libc is None:
        return None
    # modes = 0: only look.
    state = _libc.adjtimex(ctypes.create_string_buffer(_TIMEX_BYTES))
    return None if state < 0 else bool(state != _TIME_ERROR)


def set_nice(level: int) -> bool:
    """Set the niceness of this process (19: most modest). False where it is not allowed."""
    if sys.platform == "win32":
        return False
    try:
        os.setpriority(os.PRIO_PROCESS, 0, level)
    except OSError:
        return False
    return True


def set_idle_io() -> bool:
    """Let this process use the disk only where nobody else does (ionice class 3).

    A scheduler that knows no classes ("none", "mq-deadline" in part) ignores it.
    """
    if sys.platform != "linux" or _libc is None:
        return False
    number = _IOPRIO_SET_CALL.get(platform.machine())
    if number is None:
        return False
    value = _IOPRIO_CLASS_IDLE << _IOPRIO_CLASS_SHIFT
    return bool(_libc.syscall(ctypes.c_long(number), _IOPRIO_WHO_PROCESS, 0, value) == 0)


def die_with_parent(parent_pid: int) -> bool:
    """Have the kernel kill this process when the thread that started it ends.

    To be called first thing in a child, with the parent's pid as the parent knows it. A parent that
    is gone already ends the process here. Returns False where the kernel has no such promise: the
    child then has to notice a closed pipe.
    """
    if sys.platform != "linux" or _libc is None:
        return False
    done = _libc.prctl(
        _PR_SET_PDEATHSIG, ctypes.c_ulong(signal.SIGKILL), ctypes.c_ulong(0), ctypes.c_ulong(0),
        ctypes.c_ulong(0),
    )  # fmt: skip
    if done == 0 and os.getppid() != parent_pid:
        os._exit(1)
    return bool(done == 0)


_M_TRIM_THRESHOLD = -1  # malloc.h
_M_MMAP_THRESHOLD = -3
_KEPT_BYTES = 32 << 20  # the largest threshold that glibc takes


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


# ── secrets in memory ────────────────────────────────────────────────────────────────────────


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
    if span is None or _libc is None:
        return False
    address, length = span
    done = _libc.mlock(ctypes.c_void_p(address), ctypes.c_size_t(length))
    return bool(done == 0)


def wipe(secret: str | bytes) -> bool:
    """Overwrite `secret` where it lies. Nobody may use it afterwards. False where that cannot be:
    only CPython's layout is known, and only for text in ASCII."""
    span = _span(secret)
    if span is None:
        return False
    ctypes.memset(span[0], 0, span[1])
    return True


_LEAST_SECRET = 8
"""Shorter texts may be shared by the interpreter: they are no secrets."""


def _span(secret: str | bytes) -> tuple[int, int] | None:
    """Address and length of what a text or bytes hold."""
    if sys.implementation.name != "cpython" or len(secret) < _LEAST_SECRET:
        return None
    if isinstance(secret, str) and not secret.isascii():
        return None
    # Both end with their characters and a final zero.
    return id(secret) + sys.getsizeof(secret) - len(secret) - 1, len(secret)


# ── the user's own places ────────────────────────────────────────────────────────────────────


def user_id() -> int:
    """The number of this process's user; -1 where users have none."""
    if sys.platform == "win32":
        return -1
    return os.getuid()


def runtime_dir() -> str:
    """An existing directory for sockets, for this user only: `$XDG_RUNTIME_DIR`, or a directory of
    our own among the temporary ones where there is none (a cron job, a container, macOS).

    Raises `FlocksyError` when somebody else owns the latter.
    """
    given = os.environ.get("XDG_RUNTIME_DIR", "")
    if os.path.isabs(given) and os.path.isdir(given) and os.access(given, os.W_OK):
        return given
    if sys.platform == "win32":
        return tempfile.gettempdir()
    path = os.path.join(tempfile.gettempdir(), f"flocksy-{os.getuid()}")
    with contextlib.suppress(FileExistsError):
        os.mkdir(path, 0o700)
    found = os.lstat(path)
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.getuid() or found.st_mode & 0o077:
        raise FlocksyError(
            f"{path} is not a directory of yours alone: remove it, or set XDG_RUNTIME_DIR"
        )
    return path
