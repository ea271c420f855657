"""What `flocksy check` looks at beside the configuration: disks, memory, limits, names, clock."""

from __future__ import annotations

import os
import shlex
import sys
import time
from collections.abc import Iterator

from flocksy.cli.findings import Finding, refused
from flocksy.config.load import Words
from flocksy.config.settings import NodeSettings
from flocksy.config.state import control_path
from flocksy.errors import FlocksyError
from flocksy.status.render import size
from flocksy.system import clocks, filesystems
from flocksy.system.ports import unresolved

LEAST_FREE_BYTES = 1 << 30
"""Less free than this on a box's disk is worth a word: a burst alone may bring a GiB."""

LEAST_STATE_BYTES = 64 << 20
"""Less free than this for the state stops the node soon: its spool and an index are as large."""

OLDEST_S = 1_735_689_600
NEWEST_S = 4_102_444_800
"""2025 and 2100: a clock outside of that was never set."""

MAX_COUNTED_DIRECTORIES = 200_000
MAX_COUNT_SECONDS = 5.0
"""For counting directories against the limit of inotify. Beyond, it says "at least"."""


# ── disks ────────────────────────────────────────────────────────────────────────────────────


def box_findings(name: str, path: str, *, removable: bool) -> Iterator[Finding]:
    """What there is to say about one box, its folder and its disk."""
    what = f"box {name}"
    if not os.path.isdir(path):
        if removable and not os.path.lexists(path):
            yield Finding("ok", what, f"{path}: its disk is away; it is removable")
        return  # else the loading says so
    if not os.access(path, os.R_OK | os.W_OK | os.X_OK):
        yield Finding(
            "problem",
            what,
            f"{path}: cannot be read and written by this user",
            f"chmod u+rwx {shlex.quote(path)}, or choose a folder that is yours",
        )
        return
    space = _space(what, path)
    if isinstance(space, Finding):
        yield space
        return
    free, total = space
    if free < LEAST_FREE_BYTES and free < total // 10:
        yield Finding(
            "warning",
            what,
            f"{path}: {size(free)} free of {size(total)} on its disk",
            "make room: what does not fit waits, and the box pauses",
        )
    else:
        yield Finding("ok", what, f"{path}: {size(free)} free")


def state_findings(settings: NodeSettings) -> Iterator[Finding]:
    """Where the state of the node is kept."""
    path = settings.state_dir
    there = path
    while not os.path.lexists(there):
        there = os.path.dirname(there)
    if not os.path.isdir(there) or not os.access(there, os.R_OK | os.W_OK | os.X_OK):
        yield Finding(
            "problem",
            "state",
            f"{path}: cannot be made, read or written ({there})",
            "mend that, or name another directory with state_dir",
        )
        return
    try:
        control_path(settings.state_dir)
    except FlocksyError as error:
        yield refused("control socket", error)
    space = _space("state", there)
    if isinstance(space, Finding):
        yield space
        return
    free, _ = space
    if free < LEAST_STATE_BYTES:
        yield Finding("problem", "state", f"{path}: {size(free)} free on its disk", "make room")
    else:
        yield Finding("ok", "state", f"{path}: {size(free)} free")


def memory_findings(settings: NodeSettings) -> Iterator[Finding]:
    """The rings between the processes of a node; containers often have little memory of it."""
    from flocksy.node.processes import shared_bytes

    try:
        needed = shared_bytes(settings)
    except FlocksyError as error:
        yield refused("configuration", error)
        return
    if not os.path.isdir("/dev/shm"):
        return
    space = _space("memory", "/dev/shm")
    if isinstance(space, Finding):
        yield space
        return
    free, _ = space
    if free < needed:
        yield Finding(
            "problem",
            "memory",
            f"/dev/shm: {size(free)} free, {size(needed)} needed between the node's processes",
            "make it larger (mount -o remount,size=512M /dev/shm; in a container --shm-size), or "
            "take a smaller burst_cell",
        )
    else:
        yield Finding("ok", "memory", f"/dev/shm: {size(free)} free, {size(needed)} needed")


def _space(what: str, path: str) -> tuple[int, int] | Finding:
    """(free, all) bytes of the disk that an existing path is on; or why nobody can say."""
    try:
        descriptor = os.open(path, os.O_RDONLY)
        try:
            return filesystems.space(descriptor)
        finally:
            os.close(descriptor)
    except OSError as error:
        return Finding(
            "problem",
            what,
            f"{path}: does not say how much room there is ({error.strerror})",
            f"see what is wrong there (ls -ld {shlex.quote(path)}, df {shlex.quote(path)}, dmesg)",
        )


# ── the machine ──────────────────────────────────────────────────────────────────────────────


def name_findings(words: Words) -> Iterator[Finding]:
    """Whether the names in the members' endpoints can be found."""
    for node in words.nodes:
        reason = unresolved(node)
        if reason:
            yield Finding(
                "warning",
                "members",
                f"{node}: {reason}",
                "mend the name, or bring the network up: until it is found the link stays down",
            )


def watch_findings(words: Words) -> Iterator[Finding]:
    """The limits of inotify, against the folders that there are."""
    if sys.platform != "linux":
        return
    limit = _limit("max_user_watches")
    instances = _limit("max_user_instances")
    if limit is None or instances is None:
        return
    if instances < len(words.boxes) + 1:
        yield Finding(
            "warning",
            "inotify",
            f"{len(words.boxes)} boxes need as many inotify instances, the limit is {instances}",
            "sudo sysctl fs.inotify.max_user_instances=1024",
        )
    directories, whole = _directories([box.path for box, _ in words.boxes])
    said = f"{directories} folders to watch" if whole else f"at least {directories} folders"
    if directories > limit * 9 // 10:
        yield Finding(
            "warning",
            "inotify",
            f"{said}, the limit of all programs of this user is {limit}; beyond it changes are "
            "noticed by looking only, once an hour",
            "sudo sysctl fs.inotify.max_user_watches=1048576",
        )
    else:
        yield Finding("ok", "inotify", f"{said}, the limit is {limit}")


def _limit(name: str) -> int | None:
    try:
        with open(f"/proc/sys/fs/inotify/{name}", encoding="ascii") as file:
            return int(file.read())
    except (OSError, ValueError):
        return None


def _directories(roots: list[str]) -> tuple[int, bool]:
    """How many directories there are, and whether all were counted."""
    count = 0
    end = time.monotonic() + MAX_COUNT_SECONDS
    for root in roots:
        for _, names, _ in os.walk(root):
            count += 1
            if count >= MAX_COUNTED_DIRECTORIES or time.monotonic() > end:
                return count, False
            names[:] = [name for name in names if name != ".flocksy"]
    return count, True


def clock_findings() -> Iterator[Finding]:
    """Whether the wall clock can be right."""
    now_s = time.time()
    stamp = time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime(now_s))
    remedy = "sudo timedatectl set-ntp true, or whatever keeps the clock here"
    if not OLDEST_S < now_s < NEWEST_S:
        yield Finding("problem", "clock", f"shows {stamp}, it was never set", remedy)
        return
    kept = clocks.clock_is_kept()
    if kept is False:
        yield Finding(
            "warning",
            "clock",
            f"shows {stamp}, and nothing keeps it right (the kernel has heard of no time server)",
            remedy,
        )
    else:
        yield Finding("ok", "clock", stamp)
