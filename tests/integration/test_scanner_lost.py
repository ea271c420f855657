"""The processes of a node and what comes to them from outside: the scanner is killed, as the system
does when memory runs short, or a terminal hangs up."""

from __future__ import annotations

import os
import signal

from flocksy.testing.processes import SCANNER, WIRE, children, roles, stands_still
from flocksy.testing.rig import Rig, wait_until
from tests.integration.world import view_of
from tests.node.test_log import full_pipe


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


def test_ctrl_z_stops_the_wire_process_too(rig: Rig) -> None:
    """Else the node stayed in the view, and its in ring filled: all had to wait for it."""
    one, other = rig.nodes[0], rig.nodes[2]
    rig.stop(one)
    one.is_job = True
    for node in rig.nodes:
        if not node.running:
            rig.start(node)
    rig.wait_for_view()
    assert one.process is not None
    pid = one.process.pid
    all_of_it = roles(pid)
    assert WIRE in all_of_it and os.getpgid(all_of_it[WIRE]) != pid
    os.killpg(pid, signal.SIGTSTP)
    try:
        wait_until(
            lambda: all(stands_still(each) for each in all_of_it.values()), "all stand still", 20
        )
        wait_until(lambda: view_of(other) == 2, "the others fly on in a view of two", 30)
        (other.box / "meanwhile").write_text("told to who is there")
        wait_until((rig.nodes[1].box / "meanwhile").exists, "the others are equal", 30)
        assert not (one.box / "meanwhile").exists()
    finally:
        os.killpg(pid, signal.SIGCONT)
    rig.wait_for_view()
    rig.wait_equal()
    assert (one.box / "meanwhile").exists()
    assert roles(pid) == all_of_it


def test_what_no_process_can_catch_has_the_wire_process_leave(rig: Rig) -> None:
    """It is in no group of the others (`kill -STOP -GROUP`), and all would wait for its box."""
    one, other = rig.nodes[0], rig.nodes[2]
    for node in rig.nodes:
        if not node.running:
            rig.start(node)
    rig.wait_for_view()
    assert one.process is not None
    pid = one.process.pid
    wire = roles(pid)[WIRE]
    began = len(one.log.read_text())
    os.killpg(pid, signal.SIGSTOP)
    try:
        assert not stands_still(wire)
        wait_until(lambda: view_of(other) == 2, "the others fly on in a view of two", 30)
        (other.box / "without it").write_text("told to who is there")
        wait_until((rig.nodes[1].box / "without it").exists, "the others are equal", 30)
    finally:
        os.killpg(pid, signal.SIGCONT)
    rig.wait_for_view()
    rig.wait_equal()
    assert (one.box / "without it").exists()
    assert roles(pid)[WIRE] != wire, "it has joined anew, in the same process"
    assert "left the flock: joining it anew" in one.log.read_text()[began:]
    assert "ended unexpectedly" not in one.log.read_text()[began:]


def test_a_log_that_nobody_reads_holds_nobody_up(rig: Rig) -> None:
    """What is logged may come of what is in a box, and all would wait for it in a burst."""
    one = rig.nodes[0]
    rig.stop(one)
    with full_pipe() as (_, writer, _):
        one.before_start = lambda: os.dup2(writer, 2)
        rig.start(one)
        one.before_start = None
        rig.wait_for_view()
        rig.signal(one, signal.SIGHUP)  # which is logged as well
        (one.box / "unread").write_text("told all the same")
        rig.wait_equal()
        assert (rig.nodes[2].box / "unread").exists()
        assert rig.stop(one) == 0
