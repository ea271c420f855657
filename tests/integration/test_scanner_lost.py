"""The processes of a node and what comes to them from outside: the scanner is killed, as the system
does when memory runs short, or a terminal hangs up."""

from __future__ import annotations

import os
import signal

from flocksy.testing.processes import SCANNER, children, roles
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


def test_what_a_terminal_tells_the_whole_group_is_for_the_node_alone(rig: Rig) -> None:
    one = rig.nodes[1]
    pid = int(str(one.status()["pid"]))
    before = roles(pid)
    helpers = set(children(pid))
    began = len(one.log.read_text())
    rig.signal(one, signal.SIGHUP)
    wait_until(lambda: "read anew" in one.log.read_text()[began:], "it reads its files anew", 20)
    (one.box / "after a hang-up").write_text("is found")
    rig.wait_equal()
    assert roles(pid) == before
    assert set(children(pid)) == helpers, "what Python keeps for shared memory lives on too"
    rig.signal(one, signal.SIGINT)
    assert one.process is not None
    assert one.process.wait(20) == 0
    said = one.log.read_text()[began:]
    assert "ended unexpectedly" not in said and "resource_tracker" not in said
