"""The scanner process of a node is killed, as the system does when memory runs short."""

from __future__ import annotations

import os
import signal
from pathlib import Path

from flocksy.boxes.scanner import NICENESS
from flocksy.testing.rig import Rig, wait_until


def test_it_is_started_again(rig: Rig) -> None:
    one = rig.nodes[0]
    pid = int(str(one.status()["pid"]))
    (scanner,) = scanners(pid)
    os.kill(scanner, signal.SIGKILL)
    wait_until(lambda: len(scanners(pid) - {scanner}) == 1, "another scanner runs", 20)
    (one.box / "afterwards").write_text("is found all the same")
    rig.wait_equal()
    assert (rig.nodes[2].box / "afterwards").read_text() == "is found all the same"
    assert "the scanner process ended unexpectedly" in one.log.read_text()
    assert one.running


def scanners(pid: int) -> set[int]:
    """The children of a process that run at the priority of scanners."""
    return {child for child in children(pid) if priority(child) == NICENESS}


def children(pid: int) -> list[int]:
    """What this system knows of the processes that another one has started."""
    found = []
    for thread in Path(f"/proc/{pid}/task").iterdir():
        found += [int(word) for word in (thread / "children").read_text().split()]
    return found


def priority(pid: int) -> int | None:
    """How nice a process is; None when it has just ended."""
    try:
        return os.getpriority(os.PRIO_PROCESS, pid)
    except ProcessLookupError:
        return None
