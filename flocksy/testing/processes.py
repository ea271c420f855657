"""The processes of a running node, and what they take, as Linux tells it in /proc.

The command lines of processes that Python has spawned are all alike. But a node starts its wire
process first and only once, and ends with it: so the oldest of its children is that.
"""

from __future__ import annotations

import os
import re
import sys
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

BOX = "box"
WIRE = "wire"
SCANNER = "scanner"

_TRACKER = b"resource_tracker"
_STATE = 0  # fields of /proc/PID/stat, counted after the name in brackets
_USER_TICKS = 11
_SYSTEM_TICKS = 12
_STARTED = 19


@dataclass(frozen=True, slots=True)
class Taken:
    """What one process takes now."""

    memory_bytes: int  # resident
    peak_bytes: int  # the most that ever was
    handles: int
    threads: int
    cpu_seconds: float  # since it started


def children(pid: int) -> list[int]:
    """The processes that another one has started and that have not ended."""
    found = []
    for thread in Path(f"/proc/{pid}/task").iterdir():
        with suppress(FileNotFoundError):  # the thread has ended meanwhile
            found += [int(word) for word in (thread / "children").read_text().split()]
    return found


def roles(pid: int) -> dict[str, int]:
    """The processes of the node whose first process (the box process) is `pid`, by what they do.

    Python's own helper is left out, and so is what is only just starting or ending.
    """
    found = {BOX: pid}
    started = []
    for child in children(pid):
        try:
            command = Path(f"/proc/{child}/cmdline").read_bytes()
            since = int(_stat(child)[_STARTED])
        except (FileNotFoundError, ProcessLookupError):
            continue
        if command and _TRACKER not in command:
            started.append((since, child))
    for role, (_, child) in zip((WIRE, SCANNER), sorted(started), strict=False):
        found[role] = child
    return found


def taken(pid: int) -> Taken:
    """What a process takes now. Raises `OSError` when it has ended."""
    if sys.platform == "win32":
        raise OSError("there is no /proc here")
    status = dict(re.findall(r"(\w+):\s+(\d+)", Path(f"/proc/{pid}/status").read_text()))
    stat = _stat(pid)
    ticks = int(stat[_USER_TICKS]) + int(stat[_SYSTEM_TICKS])
    return Taken(
        memory_bytes=int(status["VmRSS"]) * 1024,
        peak_bytes=int(status["VmHWM"]) * 1024,
        handles=len(os.listdir(f"/proc/{pid}/fd")),
        threads=int(status["Threads"]),
        cpu_seconds=ticks / os.sysconf("SC_CLK_TCK"),
    )


def stands_still(pid: int) -> bool:
    """Whether it was stopped, by a signal, and not continued."""
    return _stat(pid)[_STATE] == "T"


def _stat(pid: int) -> list[str]:
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
