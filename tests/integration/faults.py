"""Faults of every kind in real nodes, one after the other, while people work and ask.

    python -m tests.integration.faults [--seed N] [--stop-seconds 60] [WORD ...]

Each fault is one row of the table in docs/reliability.md; WORDs choose those whose names hold one
of them. What must hold after each is said in `world.py`.
"""

from __future__ import annotations

import argparse
import itertools
import random
import signal
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass

from flocksy.testing.processes import SCANNER, WIRE, roles
from flocksy.testing.rig import RigNode, wait_until
from flocksy.testing.stage import missing
from flocksy.testing.switch import Switch
from tests.integration.flock import rig_of_three
from tests.integration.membership import CHANGES, flock_before
from tests.integration.world import (
    BURST_BYTES,
    CATCH_SECONDS,
    COMMAND_SECONDS,
    SLOW,
    Fault,
    World,
    code_of,
    networked,
    view_of,
    world_of,
)

STATES = {
    "waiting": 102,
    "idle": 100,
    "announced": 120,
    "proposed": 121,
    "confirmed": 131,
    "bursting": 200,
    "settling": 150,
    "left": 410,
}
CUT_SECONDS = 6.0
LEAVING_SECONDS = 2.0
"""In which a node is killed that was told to end: the shortest burst takes as long."""
DELAY_SECONDS = 0.3


# -- faults ----------------------------------------------------------------------------------------


def node_killed(world: World) -> None:
    """kill -9 of all processes of a node in a burst."""
    node = world.draw.choice(world.rig.nodes)
    world.start_burst(world.draw.choice(world.rig.nodes))
    world.catch(node, STATES["bursting"])
    _kill_and_start(world, node)


def box_process_killed(world: World) -> None:
    """kill -9 of the box process alone: the others go by themselves, and no trace is left."""
    node = world.draw.choice(world.rig.nodes)
    world.start_burst(node)
    world.catch(node, STATES["bursting"])
    world.touch(node)
    world.rig.kill(node, alone=True)
    world.hands.change(away=node)
    world.rig.start(node)


def wire_process_killed(world: World) -> None:
    """kill -9 of the wire process alone: the node ends with a clear word."""
    node = world.draw.choice(world.rig.nodes)
    world.touch(node)
    world.rig.kill_one(node, WIRE)
    assert node.process is not None
    code = node.process.wait(COMMAND_SECONDS)
    (said,) = node.log.read_text().splitlines()[-1:]
    assert code == 1 and "the wire process ended unexpectedly" in said, (code, said)
    world.rig.start(node)


def scanner_killed(world: World) -> None:
    """kill -9 of the scanner alone: another one is started, and the node flies on."""
    node = world.draw.choice(world.rig.nodes)
    world.touch(node)
    assert node.process is not None
    pid = node.process.pid
    before = roles(pid)[SCANNER]
    world.rig.kill_one(node, SCANNER)
    world.hands.keep(node.box)
    # It pauses for longer each time it has died shortly before.
    wait_until(lambda: roles(pid).get(SCANNER, before) != before, "another scanner", CATCH_SECONDS)


def stopped_idle(world: World) -> None:
    """SIGSTOP of a node while nothing happens; the others go on without it."""
    node = world.draw.choice(world.rig.nodes)
    with world.standing_still(node):
        others = [other for other in world.rig.nodes if other is not node]
        wait_until(lambda: all(view_of(other) == 2 for other in others), "a view of two", 30)
        world.start_burst(others[0])
        world.hands.keep(node.box, 100)
        time.sleep(world.stop_seconds)


def stopped_in_a_burst(world: World) -> None:
    """SIGSTOP of a node in a burst: the others leave it, and repeat it without the node."""
    node, other = world.draw.sample(world.rig.nodes, 2)
    world.start_burst(world.draw.choice((node, other)))
    world.catch(node, STATES["bursting"])
    with world.standing_still(node):
        wait_until(lambda: view_of(other) == 2, "a view of two", 30)
        time.sleep(world.stop_seconds)


def wire_process_stopped(world: World) -> None:
    """SIGSTOP of the wire process alone, in a burst."""
    node, other = world.draw.sample(world.rig.nodes, 2)
    world.start_burst(other)
    world.catch(node, STATES["bursting"])
    world.touch(node)
    with world.rig.one_standing_still(node, WIRE):
        wait_until(lambda: view_of(other) == 2, "a view of two", 30)
        time.sleep(world.stop_seconds)


def box_process_stopped(world: World) -> None:
    """SIGSTOP of the box process alone, in a burst: its wire process goes on with cover, and leaves
    after a while."""
    node, other = world.draw.sample(world.rig.nodes, 2)
    world.start_burst(world.draw.choice((node, other)))
    world.catch(node, STATES["bursting"])
    world.touch(node)
    assert node.process is not None
    node.process.send_signal(signal.SIGSTOP)
    try:
        wait_until(lambda: view_of(other) == 2, "a view of two", 30)
        time.sleep(world.stop_seconds)
    finally:
        node.process.send_signal(signal.SIGCONT)


def two_at_once(world: World) -> None:
    """kill -9 of two of three nodes in a burst: the last one waits for the flock."""
    first, second, last = world.draw.sample(world.rig.nodes, 3)
    world.start_burst(world.draw.choice(world.rig.nodes))
    world.catch(last, STATES["bursting"])
    world.touch(first, second)
    world.rig.kill(first)
    world.rig.kill(second)
    wait_until(lambda: code_of(last) == 102, "the last one waits for the flock", 30)
    world.hands.keep(last.box, BURST_BYTES)
    world.rig.start(first)
    world.rig.start(second)


def all_at_once(world: World) -> None:
    """kill -9 of all nodes in a burst."""
    world.start_burst(*world.rig.nodes)
    world.catch(world.rig.nodes[0], STATES["bursting"])
    world.touch(*world.rig.nodes)
    for node in world.rig.nodes:
        world.rig.kill(node)
    for node in world.rig.nodes:
        world.hands.change(away=node)
        world.rig.start(node)


def killed_while_leaving(world: World) -> None:
    """A node is told to end in a burst, which it finishes first, and killed before it has ended."""
    node, other = world.draw.sample(world.rig.nodes, 2)
    world.start_burst(world.draw.choice((node, other)))
    world.catch(node, STATES["bursting"])
    assert node.process is not None
    node.process.terminate()
    time.sleep(world.draw.uniform(0.0, LEAVING_SECONDS))
    _kill_and_start(world, node)


def restarted_in(state: str, *, killed: bool, source: bool) -> Fault:
    """A node is restarted when it is seen in a state of the machine: killed, or told to end; the
    one that has something to send, or another."""

    def fault(world: World) -> None:
        node, other, third = world.draw.sample(world.rig.nodes, 3)
        world.touch(node)
        if state == "left":
            world.start_burst(node if source else other)
            world.catch(third, STATES["bursting"])
            with world.standing_still(third):
                world.catch(node, STATES["left"])
                world.hit[state] += 1
                _restart(world, node, killed=killed)
            return
        if state == "waiting":
            with world.standing_still(other), world.standing_still(third):
                world.catch(node, STATES[state])
                if source:
                    world.start_burst(node)
                world.hit[state] += 1
                _restart(world, node, killed=killed)
            return
        if state != "idle":
            # Only who has a need announces it.
            world.start_burst(node if source or state == "announced" else other)
        world.catch(node, STATES[state])
        world.hit[state] += 1
        _restart(world, node, killed=killed)

    how = "killed" if killed else "told to end"
    fault.__doc__ = f"A node is {how} when {state}{', with a need' if source else ''}."
    return fault


def cut_both_ways(world: World, switch: Switch) -> None:
    """All packets of a node are lost, in a burst; the others go on without it."""
    node, other = world.draw.sample(world.rig.nodes, 2)
    world.start_burst(world.draw.choice((node, other)))
    world.catch(node, STATES["bursting"])
    world.touch(node)
    switch.set(cut=switch.around(world.rig.nodes.index(node)))
    wait_until(lambda: view_of(other) == 2, "a view of two", 60)
    world.start_burst(other)
    world.hands.keep(node.box, 100)
    time.sleep(CUT_SECONDS)
    switch.set()


def healed_in_turn(world: World, switch: Switch) -> None:
    """All packets of a node are lost, in a burst; then one of its links heals long after the other.
    Where the uids are in that order, a view of the first takes the place of the one that stands,
    and the repeat that only the node still owes is made in it."""
    node, other, third = world.draw.sample(world.rig.nodes, 3)
    world.start_burst(world.draw.choice((node, other, third)))
    world.catch(node, STATES["bursting"])
    world.touch(node)
    switch.set(cut=switch.around(world.rig.nodes.index(node)))
    wait_until(lambda: view_of(other) == 2, "a view of two", 60)
    time.sleep(CUT_SECONDS)
    late = {world.rig.nodes.index(node), world.rig.nodes.index(third)}
    switch.set(cut=set(itertools.permutations(late, 2)))
    time.sleep(2 * CUT_SECONDS)
    switch.set()


def cut_one_way(world: World, switch: Switch) -> None:
    """All packets from one node to one other are lost: one of the two is left out, whose cells
    still reach the others."""
    node, other, third = world.draw.sample(world.rig.nodes, 3)
    world.touch(node, other)
    switch.set(cut={(world.rig.nodes.index(node), world.rig.nodes.index(other))})
    wait_until(lambda: view_of(third) == 2, "a view of two", 60)
    world.start_burst(third)
    time.sleep(CUT_SECONDS)
    switch.set()


def delayed(world: World, switch: Switch) -> None:
    """All packets are late by more than a round, in a burst and after it."""
    world.touch(*world.rig.nodes)  # who leaves a burst together repeats it, in whichever view
    world.start_burst(*world.draw.sample(world.rig.nodes, 2))
    switch.set(delay_seconds=DELAY_SECONDS)
    time.sleep(CUT_SECONDS)
    world.start_burst(world.draw.choice(world.rig.nodes))
    time.sleep(CUT_SECONDS)
    switch.set()


def in_halves(world: World, switch: Switch) -> None:
    """Four nodes in two halves: neither may fly, people work in both; joined again."""
    cut = {(one, other) for one in (0, 1) for other in (2, 3)}
    cut |= {(other, one) for one, other in cut}
    world.touch(*world.rig.nodes)
    world.start_burst(world.rig.nodes[0])
    switch.set(cut=cut)
    wait_until(lambda: all(code_of(node) == 102 for node in world.rig.nodes), "all wait", 60)
    world.start_burst(world.rig.nodes[1], world.rig.nodes[2])
    world.work(6)
    switch.set()


def one_and_three(world: World, switch: Switch) -> None:
    """Four nodes in one and three: the three fly on, people work on both sides; joined again."""
    world.touch(world.rig.nodes[0])
    switch.set(cut=switch.around(0))
    wait_until(lambda: all(view_of(node) == 3 for node in world.rig.nodes[1:]), "three fly", 60)
    world.start_burst(world.rig.nodes[0], world.rig.nodes[1])
    world.work(6)
    switch.set()


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the table."""

    name: str
    fault: Fault


def rows() -> list[Row]:
    """Everything that is done to three nodes on one machine."""
    faults = (
        *(node_killed, box_process_killed, wire_process_killed, scanner_killed),
        *(stopped_idle, stopped_in_a_burst, wire_process_stopped, box_process_stopped),
        *(two_at_once, all_at_once, killed_while_leaving),
    )
    table = [Row(fault.__name__, fault) for fault in faults]
    for state in STATES:
        for killed in (True, False):
            for source in (True, False):
                name = (
                    f"{state}_{'killed' if killed else 'ended'}_{'with' if source else 'without'}"
                )
                table.append(Row(name, restarted_in(state, killed=killed, source=source)))
    return table


NETWORK_FAULTS = (cut_both_ways, healed_in_turn, cut_one_way, delayed)
FOUR_FAULTS = (in_halves, one_and_three)


def _kill_and_start(world: World, node: RigNode) -> None:
    world.touch(node)
    world.rig.kill(node)
    world.hands.change(away=node)
    world.rig.start(node)


def _restart(world: World, node: RigNode, *, killed: bool) -> None:
    if killed:
        _kill_and_start(world, node)
    else:
        assert world.rig.stop(node) == 0, node.log_tail()
        world.hands.change(away=node)
        world.rig.start(node)


def main() -> int:
    """All faults, one after the other. Returns the exit status."""
    parser = argparse.ArgumentParser(description="faults of every kind in real nodes")
    parser.add_argument("--seed", type=int, default=random.randrange(1 << 32))
    parser.add_argument("--stop-seconds", type=float, default=60.0)
    parser.add_argument("words", nargs="*", help="parts of names of faults; none: all")
    given = parser.parse_args()
    print(f"seed {given.seed}", flush=True)
    chosen = [row for row in rows() if _chosen(row.name, given.words)]
    if chosen:
        with world_of(rig_of_three(SLOW), given.seed, stop_seconds=given.stop_seconds) as world:
            for row in chosen:
                _tell(world, row.name, row.fault)
            print(f"restarted in {dict(world.hit)}; commands {dict(world.asking.answers)}")
    for count, faults in ((3, NETWORK_FAULTS), (4, FOUR_FAULTS)):
        some = [fault for fault in faults if _chosen(fault.__name__, given.words)]
        if some and missing():
            print(f"left out {', '.join(fault.__name__ for fault in some)}: {missing()}")
        elif some:
            with networked(count, given.seed) as (world, switch):
                for fault in some:
                    _tell(world, fault.__name__, lambda w, f=fault, s=switch: f(w, s))
    for change in (change for change in CHANGES if _chosen(change.__name__, given.words)):
        with flock_before(change, given.seed) as (world, flock):
            _tell(world, change.__name__, lambda w, c=change, f=flock: c(w, f))
    print("all well")
    return 0


def _chosen(name: str, words: Sequence[str]) -> bool:
    return not words or any(word in name for word in words)


def _tell(world: World, name: str, fault: Fault) -> None:
    began = time.monotonic()
    try:
        seconds = world.run(fault)
    except Exception:
        print(f"FAILED {name}\n{world.rig.log_tails()}", flush=True)
        raise
    took = time.monotonic() - began
    print(f"{name:32} {took:5.1f} s, well {seconds:5.1f} s after it was over", flush=True)


if __name__ == "__main__":
    sys.exit(main())
