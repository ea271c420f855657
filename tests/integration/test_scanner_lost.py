"""The scanner process of a node is killed, as the system does when memory runs short."""

from __future__ import annotations

import os
import signal

from flocksy.testing.processes import SCANNER, roles
from flocksy.testing.rig import Rig, wait_until


def test_it_is_started_again(rig: Rig) -> None:
    one = rig.nodes[0]
    pid = int(str(one.status()["pid"]))
    scanner = roles(pid)[SCANNER]
    os.kill(scanner, signal.SIGKILL)
    wait_until(lambda: roles(pid).get(SCANNER, scanner) != scanner, "another scanner runs", 20)
    (one.box / "afterwards").write_text("is found all the same")
    rig.wait_equal()
    assert (rig.nodes[2].box / "afterwards").read_text() == "is found all the same"
    assert "the scanner process ended unexpectedly" in one.log.read_text()
    assert one.running
