"""What a process takes from others that want the CPU and the disk, what it hears, how it ends."""

from __future__ import annotations

import ctypes
import os
import platform
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from flocksy.system.kernel import LIBC

# Numbers of the kernel's interface, include/uapi/linux/. They never change.
_IOPRIO_SET_CALL = {"x86_64": 251, "aarch64": 30, "riscv64": 30, "i686": 289, "armv7l": 314}
_IOPRIO_WHO_PROCESS = 1
_IOPRIO_CLASS_IDLE = 3
_IOPRIO_CLASS_SHIFT = 13
_PR_SET_PDEATHSIG = 1

OF_A_PERSON = tuple(
    signal.Signals[name] for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name)
)
"""What a person, the system or a terminal tells a node, the latter all its processes at once."""


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
    if sys.platform != "linux" or LIBC is None:
        return False
    number = _IOPRIO_SET_CALL.get(platform.machine())
    if number is None:
        return False
    value = _IOPRIO_CLASS_IDLE << _IOPRIO_CLASS_SHIFT
    return bool(LIBC.syscall(ctypes.c_long(number), _IOPRIO_WHO_PROCESS, 0, value) == 0)


def die_with_parent(parent_pid: int) -> bool:
    """Have the kernel kill this process when the thread that started it ends.

    To be called first thing in a child, with the parent's pid as the parent knows it. A parent that
    is gone already ends the process here. Returns False where the kernel has no such promise: the
    child then has to notice a closed pipe.
    """
    if sys.platform != "linux" or LIBC is None:
        return False
    done = LIBC.prctl(
        _PR_SET_PDEATHSIG, ctypes.c_ulong(signal.SIGKILL), ctypes.c_ulong(0), ctypes.c_ulong(0),
        ctypes.c_ulong(0),
    )  # fmt: skip
    if done == 0 and os.getppid() != parent_pid:
        os._exit(1)
    return bool(done == 0)


@contextmanager
def held_back() -> Iterator[None]:
    """What a person tells this thread meanwhile comes at the end. For starting a process: it begins
    with that held back too, and does not die of it before it can `leave_to_parent`."""
    if sys.platform == "win32":
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, OF_A_PERSON)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def leave_to_parent() -> None:
    """To be called first thing in a child: whatever a person tells it is its parent's affair."""
    for number in OF_A_PERSON:
        signal.signal(number, signal.SIG_IGN)
    if sys.platform != "win32":
        signal.pthread_sigmask(signal.SIG_UNBLOCK, OF_A_PERSON)
