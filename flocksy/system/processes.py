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
_IOPRIO_CLASS_NONE = 0
_IOPRIO_CLASS_IDLE = 3
_IOPRIO_CLASS_SHIFT = 13
_PR_SET_PDEATHSIG = 1
_SCHED_SETATTR_CALL = {"x86_64": 314, "aarch64": 274, "riscv64": 274, "i686": 351, "armv7l": 380}
"""The call that reads it again is the next one."""

SHORT_SLICE_NS = 100_000
"""The shortest the kernel takes."""

OF_A_PERSON = tuple(
    signal.Signals[name] for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name)
)
"""What a person, the system or a terminal tells a node, the latter all its processes at once."""

_OF_A_TERMINAL = tuple(signal.Signals[name] for name in ("SIGTSTP",) if hasattr(signal, name))


def set_nice(level: int) -> bool:
    """Set the niceness of this process (19: most modest). False where it is not allowed."""
    if sys.platform == "win32":
        return False
    try:
        os.setpriority(os.PRIO_PROCESS, 0, level)
    except OSError:
        return False
    return True


def run_in_batches() -> bool:
    """Let this thread, and those it starts, take the processor from nobody when they wake up. False
    where that cannot be, and in a class that a person chose (`chrt`): it stays."""
    if sys.platform != "linux":
        return False
    return _to_class(os.SCHED_BATCH, instead_of=os.SCHED_OTHER)


def _to_class(wanted: int, *, instead_of: int) -> bool:
    """Whether this thread is of that class, into which it goes from that other one alone."""
    if sys.platform != "linux":
        return False
    try:
        if os.sched_getscheduler(0) == instead_of:
            os.sched_setscheduler(0, wanted, os.sched_param(0))
        return os.sched_getscheduler(0) == wanted
    except OSError:
        return False


class _SchedAttr(ctypes.Structure):
    _fields_ = (
        ("size", ctypes.c_uint32),
        ("policy", ctypes.c_uint32),
        ("flags", ctypes.c_uint64),
        ("nice", ctypes.c_int32),
        ("priority", ctypes.c_uint32),
        ("runtime", ctypes.c_uint64),
        ("deadline", ctypes.c_uint64),
        ("period", ctypes.c_uint64),
    )


def set_short_slice() -> bool:
    """Let this thread, and those it starts, have the processor at once when they wake up, and for a
    short while each time. Niceness alone does not do that since Linux 6.6: who runs keeps its time
    slice, unless who wakes up has a shorter one. False before Linux 6.12, which has no such thing,
    and in a class that a person chose. In batches it runs no more in any case.

    To be called after `set_nice`; it needs no right.
    """
    if sys.platform != "linux":
        return False
    # First, and by itself: a parent that runs in batches hands that on to its children, also where
    # there are no slices.
    if not _to_class(os.SCHED_OTHER, instead_of=os.SCHED_BATCH):
        return False
    attributes = _SchedAttr(
        size=ctypes.sizeof(_SchedAttr),
        policy=os.SCHED_OTHER,
        nice=os.getpriority(os.PRIO_PROCESS, 0),
        runtime=SHORT_SLICE_NS,
    )
    number = _SCHED_SETATTR_CALL.get(platform.machine())
    if number is None or LIBC is None:
        return False
    if LIBC.syscall(ctypes.c_long(number), 0, ctypes.byref(attributes), 0) != 0:
        return False
    return time_slice_ns() == SHORT_SLICE_NS  # older kernels take the call, and ignore it


def leave_session() -> bool:
    """Let this process be a session of its own. Where Linux shares the processor out among sessions
    first (sched(7), autogroup), what it started from does not use up its part then. What a terminal
    tells the others does not reach it any more. False where it is one already."""
    if sys.platform == "win32":
        return False
    try:
        os.setsid()
    except OSError:
        return False
    return True


def stops_of_a_terminal() -> tuple[signal.Signals, ...]:
    """By what a terminal stops this process (Ctrl-Z), where it was not started to ignore that."""
    return tuple(
        number for number in _OF_A_TERMINAL if signal.getsignal(number) is not signal.SIG_IGN
    )


def write_anyway() -> None:
    """Let no terminal stop this process, and those it starts, because it writes there from the
    background (`stty tostop`)."""
    if sys.platform != "win32":
        signal.signal(signal.SIGTTOU, signal.SIG_IGN)


def stand_still(other: int | None) -> None:
    """What Ctrl-Z does: stop this process, and `other`, which is in another session and was told
    nothing. Returns when this process is continued, and so is the other one then.

    To be called by the main thread, when this process caught what a terminal had told it. The
    kernel is asked to stop it by that very signal: it does not where no shell of this session could
    wake it up again.
    """
    if sys.platform == "win32":
        return
    if other is not None:
        os.kill(other, signal.SIGSTOP)
    before = signal.signal(signal.SIGTSTP, signal.SIG_DFL)
    try:
        signal.raise_signal(signal.SIGTSTP)  # to this thread, so it stops right here
    finally:
        signal.signal(signal.SIGTSTP, before)
        if other is not None:
            os.kill(other, signal.SIGCONT)


def parent() -> int | None:
    """By what number /proc knows who started this process; None where there is no such thing. It
    may show all of a machine to a process in a namespace of its own (`unshare --pid`, bwrap), where
    that of `os.getppid` is another process."""
    try:
        with open("/proc/self/status", "rb") as file:
            said = _fields(file.read()).get(b"PPid", b"0")
    except OSError:
        return None
    return int(said) or None


def standstill(pid: int | None) -> bytes | None:
    """How often that process has given up the processor, while it is stopped by a signal (Ctrl-Z,
    SIGSTOP); None while it is not, and where no kernel says it. Twice the same words: it has not
    run in between.

    That it does nothing is no sign: a flush, or a look at what was swapped out, can take long.
    """
    if sys.platform != "linux" or pid is None:
        return None
    try:
        with open(f"/proc/{pid}/status", "rb") as file:
            return _standstill(file.read())
    except OSError:
        return None


def _standstill(status: bytes) -> bytes | None:
    """The same, of the text of /proc/PID/status (proc(5)). A debugger's stops ("t") do not count:
    under one that follows each call a process has them, and runs."""
    said = _fields(status)
    gave, lost = said.get(b"voluntary_ctxt_switches"), said.get(b"nonvoluntary_ctxt_switches")
    if said.get(b"State", b"").split()[:1] != [b"T"] or gave is None or lost is None:
        return None
    return gave + lost


def _fields(status: bytes) -> dict[bytes, bytes]:
    return dict(line.split(b":", 1) for line in status.splitlines() if b":" in line)


def time_slice_ns(thread: int = 0) -> int | None:
    """For how long a thread (0: this one) may run before others. None where no kernel says it."""
    number = _SCHED_SETATTR_CALL.get(platform.machine())
    if sys.platform != "linux" or number is None or LIBC is None:
        return None
    attributes = _SchedAttr()
    size = ctypes.sizeof(attributes)
    done = LIBC.syscall(ctypes.c_long(number + 1), thread, ctypes.byref(attributes), size, 0)
    return int(attributes.runtime) or None if done == 0 else None


def set_idle_io() -> bool:
    """Let this process use the disk only where nobody else does (ionice class 3).

    A scheduler that knows no classes ("none", "mq-deadline" in part) ignores it.
    """
    return _set_io_class(_IOPRIO_CLASS_IDLE)


def set_ordinary_io() -> bool:
    """Let this thread, alone in its process, use the disk as its niceness says: for what others
    wait for in their turn, as a flush is."""
    return _set_io_class(_IOPRIO_CLASS_NONE)


def _set_io_class(io_class: int) -> bool:
    if sys.platform != "linux" or LIBC is None:
        return False
    number = _IOPRIO_SET_CALL.get(platform.machine())
    if number is None:
        return False
    value = io_class << _IOPRIO_CLASS_SHIFT
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
