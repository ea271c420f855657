"""What `flocksy check` says of how this machine shares its processor out: whether the wire process
can have it at once, whatever the node's other processes do (docs/decisions.md, "Who wakes up first
is decided by time slices")."""

from __future__ import annotations

import os
import platform
import re
import sys
from collections.abc import Callable, Iterator
from pathlib import PurePosixPath

from flocksy.cli.findings import Finding

FIRST_WITH_SLICES = 6, 12
"""The version of Linux that first let a process ask for a short time slice."""

_GROUPS = "/sys/fs/cgroup"
"""Where the groups of version 2 are, by cgroups(7)."""

_MEASURED_FROM = 6, 6
"""Older kernels have another way to tell who is next, and nothing was measured there."""


def processor_findings() -> Iterator[Finding]:
    """Notes on this machine, and on the group that this process is in."""
    if sys.platform != "linux":
        return
    try:
        with open("/proc/self/cgroup", encoding="utf-8", errors="surrogateescape") as file:
            groups = file.read()
    except OSError:
        groups = ""
    yield from notes(platform.release(), groups, _shares)


def notes(release: str, groups: str, shares: Callable[[str], bool]) -> Iterator[Finding]:
    """`release` of the kernel; `groups`: the text of /proc/self/cgroup; `shares`: whether a group
    of version 2 is one of those that have the processor to share out."""
    found = re.match(r"(\d+)\.(\d+)", release)
    version = (int(found[1]), int(found[2])) if found is not None else FIRST_WITH_SLICES
    seen = _seen(measured=version >= _MEASURED_FROM)
    if version < FIRST_WITH_SLICES:
        yield Finding(
            "note",
            "processor",
            f"Linux {release} has no short time slices: {seen}",
            "Linux 6.12 or later, or a machine that other programs do not keep busy",
        )
    group = group_of(groups, shares)
    if group is not None:
        yield Finding(
            "note",
            "processor",
            f"what is started from this shell is in the group {group}, whose part of the processor"
            f" is for all in it together: {seen}. A node that runs as a service may be in another",
            "leave the node a processor that other programs do not keep busy: with systemd by a"
            " system unit in a slice of its own, and AllowedCPUs= of all processors but one for"
            " user.slice and system.slice",
        )


def _seen(*, measured: bool) -> str:
    late = "are some ms late" if measured else "may be late (by how much was not measured)"
    return (
        f"while other programs keep the processor busy, heartbeats {late} when this node reads and"
        " hashes, which who sees the packets can measure"
    )


def group_of(groups: str, shares: Callable[[str], bool]) -> str | None:
    """The innermost group by which the processor is shared out, if it is not the whole machine."""
    for line in groups.splitlines():
        number, _, rest = line.partition(":")
        controllers, _, path = rest.partition(":")
        if "cpu" in controllers.split(","):  # version 1, which has it then
            return path if path != "/" else None
    for line in groups.splitlines():
        number, _, path = line.partition("::")
        if number == "0" and ".." not in path.split("/"):
            one = PurePosixPath(path)
            return next((str(each) for each in (one, *one.parents) if shares(str(each))), None)
    return None


def _shares(group: str) -> bool:
    # That of the whole machine has no weight; that of a container has, and also shows as "/".
    return os.path.exists(f"{_GROUPS}{group}/cpu.weight")
