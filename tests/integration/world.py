"""What goes on in a flock of real nodes while faults are done to it, and what must hold afterwards.

Hands work on all boxes, and somebody asks every node for things and must get an answer in words.
Whatever happened, in the end all nodes are in one view, all boxes equal, nothing is lost
(`hands.py`), no log tells of anything broken, and who was not touched has looked like the others of
those, but for bursts in views that held only some of them.
"""

from __future__ import annotations

import random
import signal
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
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
from flocksy.testing.rig import Rig, RigError, RigNode, wait_until
from flocksy.testing.stage import Stage
from flocksy.testing.switch import Switch
from flocksy.wire.limits import WINDOW
from tests.integration.apart import Apart, address_in, apart
from tests.integration.flock import KIB, not_of_the_interpreter
from tests.integration.hands import Hands

SLOW = ("period = 0.2", "settle = 0.2", "max_rate = 2M", "stall_timeout = 1.5")
"""A round is long enough to be caught in, and the shortest burst takes two seconds."""

BURST_BYTES = 300 * KIB
"""Written at once, this is more than heartbeats take."""

STOP_SECONDS = 6.0
"""How long a node stands still: some times as long as anybody waits for it."""

APART_HEARTBEATS = 16
"""Left out for the shortest burst, and until the next instant of the grid."""

CATCH_SECONDS = 60.0
COMMAND_SECONDS = 10.0
RESUME_SECONDS = 30.0
PORT = 23600


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
        """Lines of the logs of before that."""

    def begin(self) -> None:
        """Before the first fault."""
        self.asking.start()
        self.asking.calm()
        self.rest()

    def run(self, fault: Fault) -> float:
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
        self._read = {node.name: len(_lines(node)) for node in self.rig.nodes}
        broken = not_of_the_interpreter(self.rig.complaints())
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
        while code_of(node) != code:
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
        """Who was not touched has sent as many cells as the others who were not, but for bursts
        that only some of them were in a view for."""
        untouched = [node for node in self.rig.nodes if node.name not in self.touched]
        if not self._before or not untouched:
            return
        parted = {node.name: self._apart(node, untouched) for node in untouched}
        sent = [
            (idle, burst, parted[name])
            for (name, _), (idle, burst) in cells_since(self._before, cells).items()
            if name in parted
        ]
        aborts, bursts = self._logged("burst aborted") - self._aborts, self._logged("cells agreed")
        least = max(burst - alone.most for _, burst, alone in sent)
        most = min(burst - alone.least for _, burst, alone in sent)
        # Who leaves a burst may be two windows ahead of who was further behind.
        if least - most > 2 * WINDOW * aborts:
            raise RigError(f"burst cells of who was not touched: {sent}, {aborts} aborted")
        idle = [idle for idle, _, _ in sent]
        bursts += APART_HEARTBEATS * sum(alone.bursts for alone in parted.values())
        if max(idle) - min(idle) > GEAR_CHANGE_CELLS + bursts - self._bursts:
            raise RigError(f"heartbeats of who was not touched: {sent}")

    def _apart(self, node: RigNode, untouched: Sequence[RigNode]) -> Apart:
        """What the node has sent in bursts without some of the others who were not touched."""
        others = {address_in(_lines(other)) for other in untouched if other is not node}
        lines = _lines(node)
        return apart(lines, others).since(apart(lines[: self._read[node.name]], others))


Fault = Callable[[World], None]


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
def networked(
    count: int, seed: int, settings: Sequence[str] = SLOW
) -> Iterator[tuple[World, Switch]]:
    """Nodes with a network namespace each, and the switch between them."""
    with (
        Stage(count, bridged=False) as stage,
        Switch(stage, count) as switch,
        tempfile.TemporaryDirectory() as directory,
    ):
        endpoints = [f"{address}:{PORT}" for address in stage.addresses]
        configs = write_flock(Path(directory), endpoints, ["profile = fast", *settings])
        rig = Rig(configs, Path(directory))
        for number, node in enumerate(rig.nodes):
            node.before_start = stage.enter(number)
        with world_of(rig, seed) as world:
            yield world, switch


def _lines(node: RigNode) -> list[str]:
    """What the node has logged."""
    return node.log.read_text(errors="backslashreplace").splitlines()


def code_of(node: RigNode) -> int:
    """The status code that the node shows, 0 where it does not answer."""
    try:
        return int(str(node.status()["code"]))
    except FlocksyError:
        return 0


def view_of(node: RigNode) -> int:
    """How many members its view has, 0 where it does not answer."""
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
