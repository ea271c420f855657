"""Faults of every kind in real nodes, one after the other, while people work and ask.

    python -m tests.integration.faults [--seed N] [--stop-seconds 60] [WORD ...]

Each fault is one row of the table in docs/reliability.md; WORDs choose those whose names hold one
of them. Whatever happened, afterwards all nodes must be in one view, all boxes equal, nothing lost
(`hands.py`), no log may tell of anything broken, and who was not touched must have looked like the
others of those. Meanwhile somebody asks every node for things, and must get an answer in words.
"""

from __future__ import annotations

import argparse
import random
import signal
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from flocksy.errors import FlocksyError
from flocksy.status.client import request
from flocksy.testing.cells import (
    GEAR_CHANGE_CELLS,
    Cells,
    cells_since,
    check_cells,
    count_cells,
)
from flocksy.testing.over_tcp import write_flock
from flocksy.testing.processes import SCANNER, WIRE, roles
from flocksy.testing.rig import Rig, RigError, RigNode, wait_until
from flocksy.testing.stage import Stage, missing
from flocksy.testing.switch import Switch
from flocksy.wire.limits import WINDOW
from tests.integration.flock import KIB, rig_of_three
from tests.integration.hands import Hands

SLOW = ("period = 0.2", "settle = 0.2", "max_rate = 2M", "stall_timeout = 1.5")
"""A round is long enough to be caught in, and the shortest burst takes two seconds."""

BURST_BYTES = 300 * KIB
"""Written at once, this is more than heartbeats take."""

CATCH_SECONDS = 60.0
STATES = {
    "idle": 100,
    "announced": 120,
    "proposed": 121,
    "confirmed": 131,
    "bursting": 200,
    "settling": 150,
    "left": 410,
}
STOP_SECONDS = 6.0
"""How long a node stands still: some times as long as anybody waits for it."""

CUT_SECONDS = 6.0
DELAY_SECONDS = 0.3
PORT = 23600
COMMAND_SECONDS = 10.0
RESUME_SECONDS = 30.0


class Asking(threading.Thread):
    """Somebody who asks random nodes for random things, whatever state they are in."""

    COMMANDS: tuple[tuple[str, dict[str, object]], ...] = (
        ("status", {}),
        ("version", {}),
        ("box_list", {}),
        ("rescan", {"box": None}),
        ("wait", {"box": None, "timeout": 0.2}),
        ("reload", {}),
        ("deleted", {}),
        ("conflicts", {}),
        ("box_pause", {"name": "shared"}),
        ("box_resume", {"name": "shared"}),
        ("box_resume", {"name": "shared"}),
    )

    def __init__(self, rig: Rig, seed: int) -> None:
        super().__init__(daemon=True)
        self._rig = rig
        self._draw = random.Random(seed)
        self._calm = threading.Event()
        self._idle = threading.Event()
        self._over = threading.Event()
        self.answers: Counter[str] = Counter()
        self.wrong: list[str] = []

    def run(self) -> None:
        while not self._over.is_set():
            if self._calm.is_set():
                self._idle.set()
                time.sleep(0.05)
                continue
            time.sleep(self._draw.uniform(0.0, 0.4))
            node = self._draw.choice(self._rig.nodes)
            command, arguments = self._draw.choice(self.COMMANDS)
            try:
                request(node.control_socket(), command, arguments, COMMAND_SECONDS)
                self.answers["answered"] += 1
            except FlocksyError as error:
                self.answers["refused in words"] += 1
                if not str(error) or "\n" in str(error) or "Traceback" in str(error):
                    self.wrong.append(f"{node.name}: {command}: {error}")

    def calm(self) -> None:
        """Ask nothing more, and let every box go on."""
        self._idle.clear()
        self._calm.set()
        assert self._idle.wait(2 * COMMAND_SECONDS)
        for node in self._rig.nodes:
            wait_until(lambda node=node: _resumed(node), f"{node.name} resumes", RESUME_SECONDS)

    def go_on(self) -> None:
        """Ask again."""
        self._calm.clear()

    def end(self) -> None:
        """For good."""
        self._over.set()
        self.join(2 * COMMAND_SECONDS)


class World:
    """A rig that flies, hands that work on it, and somebody who asks."""

    def __init__(self, rig: Rig, seed: int, *, stop_seconds: float = STOP_SECONDS) -> None:
        self.rig = rig
        self.hands = Hands(rig, seed)
        self.draw = self.hands.draw
        self.asking = Asking(rig, seed)
        self.stop_seconds = stop_seconds
        self.touched: set[str] = set()
        """Names of the nodes that the fault was done to."""
        self.hit: Counter[str] = Counter()
        """States in which a node was restarted."""
        self._before: Cells = {}
        self._aborts = 0
        self._bursts = 0
        self._read: dict[str, int] = {}

    def begin(self) -> None:
        """Before the first fault."""
        self.asking.start()
        self.asking.calm()
        self.rest()

    def run(self, fault: Callable[[World], None]) -> float:
        """One fault, and everything that must hold afterwards. Returns the seconds until it did."""
        self.touched = set()
        self.asking.go_on()
        self.work(3)
        fault(self)
        healed = time.monotonic()
        self.work(3)
        self.asking.calm()
        self.rest()
        return time.monotonic() - healed

    def rest(self) -> None:
        """Everything that must hold when nothing is wrong any more."""
        self.hands.rest()
        cells = count_cells(self.rig)
        self._survivors_alike(cells)
        if self.touched or not self._before:
            self.hands.keep(self.draw.choice(self.rig.nodes).box, BURST_BYTES)
            self.hands.rest()
            after = count_cells(self.rig)
            count = len(self.rig.nodes)
            check_cells(cells_since(cells, after), count * (count - 1))
            cells = after
        self._before = cells
        self._aborts, self._bursts = self._logged("burst aborted"), self._logged("cells agreed")
        broken = [line for line in self.rig.complaints() if "resource_tracker" not in line]
        assert not broken, broken
        assert not self.asking.wrong, self.asking.wrong

    def work(self, changes: int) -> None:
        """So many changes by hand, wherever."""
        for _ in range(changes):
            self.hands.change()

    def start_burst(self, *nodes: RigNode) -> None:
        """Something large is written on these nodes."""
        for node in nodes:
            self.hands.keep(node.box, BURST_BYTES)

    def catch(self, node: RigNode, code: int) -> None:
        """Wait until the node shows this status code; returns within a moment of that."""
        deadline = time.monotonic() + CATCH_SECONDS
        while _code(node) != code:
            if time.monotonic() > deadline:
                raise RigError(f"{node.name} did not come to {code} within {CATCH_SECONDS:g} s")
            time.sleep(0.002)

    def touch(self, *nodes: RigNode) -> None:
        """The fault is done to these."""
        self.touched |= {node.name for node in nodes}

    @contextmanager
    def standing_still(self, node: RigNode) -> Iterator[None]:
        """All processes of the node are stopped meanwhile."""
        self.touch(node)
        self.rig.signal(node, signal.SIGSTOP)
        try:
            yield
        finally:
            self.rig.signal(node, signal.SIGCONT)

    def _logged(self, words: str) -> int:
        return sum(node.log.read_text().count(words) for node in self.rig.nodes)

    def _survivors_alike(self, cells: Cells) -> None:
        """Who was not touched has sent as many cells as the others who were not."""
        sent = [
            count
            for (name, _), count in cells_since(self._before, cells).items()
            if name not in self.touched
        ]
        if not self._before or not sent:
            return
        idle, burst = zip(*sent, strict=True)
        aborts, bursts = self._logged("burst aborted") - self._aborts, self._logged("cells agreed")
        # Who leaves a burst may be two windows ahead of who was further behind.
        if max(burst) - min(burst) > 2 * WINDOW * aborts:
            raise RigError(f"burst cells of who was not touched: {sent}, {aborts} aborted")
        if max(idle) - min(idle) > GEAR_CHANGE_CELLS + bursts - self._bursts:
            raise RigError(f"heartbeats of who was not touched: {sent}")


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
        wait_until(lambda: all(_view(other) == 2 for other in others), "a view of two", 30)
        world.start_burst(others[0])
        world.hands.keep(node.box, 100)
        time.sleep(world.stop_seconds)


def stopped_in_a_burst(world: World) -> None:
    """SIGSTOP of a node in a burst: the others leave it, and repeat it without the node."""
    node, other = world.draw.sample(world.rig.nodes, 2)
    world.start_burst(world.draw.choice((node, other)))
    world.catch(node, STATES["bursting"])
    with world.standing_still(node):
        wait_until(lambda: _view(other) == 2, "a view of two", 30)
        time.sleep(world.stop_seconds)


def wire_process_stopped(world: World) -> None:
    """SIGSTOP of the wire process alone, in a burst."""
    node, other = world.draw.sample(world.rig.nodes, 2)
    world.start_burst(other)
    world.catch(node, STATES["bursting"])
    world.touch(node)
    with world.rig.one_standing_still(node, WIRE):
        wait_until(lambda: _view(other) == 2, "a view of two", 30)
        time.sleep(world.stop_seconds)


def box_process_stopped(world: World) -> None:
    """SIGSTOP of the box process alone, in a burst: its wire process goes on with cover."""
    node, other = world.draw.sample(world.rig.nodes, 2)
    world.start_burst(world.draw.choice((node, other)))
    world.catch(node, STATES["bursting"])
    world.touch(node)
    assert node.process is not None
    node.process.send_signal(signal.SIGSTOP)
    try:
        time.sleep(world.stop_seconds)
        assert _view(other) == 3, "its heartbeats go on"
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
    wait_until(lambda: _code(last) == 102, "the last one waits for the flock", 30)
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


def restarted_in(state: str, *, killed: bool, source: bool) -> Callable[[World], None]:
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
    wait_until(lambda: _view(other) == 2, "a view of two", 60)
    world.start_burst(other)
    world.hands.keep(node.box, 100)
    time.sleep(CUT_SECONDS)
    switch.set()


def cut_one_way(world: World, switch: Switch) -> None:
    """All packets from one node to one other are lost: one of the two is left out, whose cells
    still reach the others."""
    node, other, third = world.draw.sample(world.rig.nodes, 3)
    world.touch(node, other)
    switch.set(cut={(world.rig.nodes.index(node), world.rig.nodes.index(other))})
    wait_until(lambda: _view(third) == 2, "a view of two", 60)
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
    wait_until(lambda: all(_code(node) == 102 for node in world.rig.nodes), "all wait", 60)
    world.start_burst(world.rig.nodes[1], world.rig.nodes[2])
    world.work(6)
    switch.set()


def one_and_three(world: World, switch: Switch) -> None:
    """Four nodes in one and three: the three fly on, people work on both sides; joined again."""
    world.touch(world.rig.nodes[0])
    switch.set(cut=switch.around(0))
    wait_until(lambda: all(_view(node) == 3 for node in world.rig.nodes[1:]), "three fly", 60)
    world.start_burst(world.rig.nodes[0], world.rig.nodes[1])
    world.work(6)
    switch.set()


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the table."""

    name: str
    fault: Callable[[World], None]


def rows() -> list[Row]:
    """Everything that is done to three nodes on one machine."""
    faults = (
        *(node_killed, box_process_killed, wire_process_killed, scanner_killed),
        *(stopped_idle, stopped_in_a_burst, wire_process_stopped, box_process_stopped),
        *(two_at_once, all_at_once),
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


NETWORK_FAULTS = (cut_both_ways, cut_one_way, delayed)
FOUR_FAULTS = (in_halves, one_and_three)


@contextmanager
def world_of(rig: Rig, seed: int, *, stop_seconds: float = STOP_SECONDS) -> Iterator[World]:
    """Start the rig and what goes on in it; afterwards all nodes must end well."""
    with rig:
        rig.start_all()
        world = World(rig, seed, stop_seconds=stop_seconds)
        try:
            world.begin()
            yield world
            for node in rig.nodes:
                assert rig.stop(node) == 0, node.log_tail()
        finally:
            world.asking.end()


@contextmanager
def networked(count: int, seed: int) -> Iterator[tuple[World, Switch]]:
    """Nodes with a network namespace each, and the switch between them."""
    with (
        Stage(count, bridged=False) as stage,
        Switch(stage, count) as switch,
        tempfile.TemporaryDirectory() as directory,
    ):
        endpoints = [f"{address}:{PORT}" for address in stage.addresses]
        configs = write_flock(Path(directory), endpoints, ["profile = fast", *SLOW])
        rig = Rig(configs, Path(directory))
        for number, node in enumerate(rig.nodes):
            node.before_start = stage.enter(number)
        with world_of(rig, seed) as world:
            yield world, switch


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


def _code(node: RigNode) -> int:
    try:
        return int(str(node.status()["code"]))
    except FlocksyError:
        return 0


def _view(node: RigNode) -> int:
    try:
        view = node.status()["view"]
    except FlocksyError:
        return 0
    assert isinstance(view, list)
    return len(view)


def _resumed(node: RigNode) -> bool:
    try:
        request(node.control_socket(), "box_resume", {"name": "shared"})
    except FlocksyError:
        return False
    return True


def main() -> int:
    """All faults, one after the other. Returns the exit status."""
    parser = argparse.ArgumentParser(description="faults of every kind in real nodes")
    parser.add_argument("--seed", type=int, default=random.randrange(1 << 32))
    parser.add_argument("--stop-seconds", type=float, default=STOP_SECONDS)
    parser.add_argument("words", nargs="*", help="parts of names of faults; none: all")
    given = parser.parse_args()
    print(f"seed {given.seed}", flush=True)
    chosen = [row for row in rows() if _chosen(row.name, given.words)]
    failed = 0
    if chosen:
        with world_of(rig_of_three(SLOW), given.seed, stop_seconds=given.stop_seconds) as world:
            failed += sum(not _tell(world, row.name, row.fault) for row in chosen)
            print(f"restarted in {dict(world.hit)}; commands {dict(world.asking.answers)}")
    for count, faults in ((3, NETWORK_FAULTS), (4, FOUR_FAULTS)):
        some = [fault for fault in faults if _chosen(fault.__name__, given.words)]
        if some and missing():
            print(f"left out {', '.join(fault.__name__ for fault in some)}: {missing()}")
        elif some:
            with networked(count, given.seed) as (world, switch):
                for fault in some:
                    failed += not _tell(world, fault.__name__, lambda w, f=fault, s=switch: f(w, s))
    print(f"{failed} failed" if failed else "all well")
    return 1 if failed else 0


def _chosen(name: str, words: Sequence[str]) -> bool:
    return not words or any(word in name for word in words)


def _tell(world: World, name: str, fault: Callable[[World], None]) -> bool:
    began = time.monotonic()
    try:
        seconds = world.run(fault)
    except Exception as error:
        print(f"FAILED {name}: {error!r}\n{world.rig.log_tails()}", flush=True)
        raise
    took = time.monotonic() - began
    print(f"{name:32} {took:5.1f} s, well {seconds:5.1f} s after it was over", flush=True)
    return True


if __name__ == "__main__":
    sys.exit(main())
