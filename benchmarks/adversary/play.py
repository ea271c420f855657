"""One session: fresh processes, a fresh shuffling of nodes over addresses, some tens of changes.

Which node makes a change, which change, and when, is drawn; what happens between two changes is a
random while, so that no event falls on a grid. In sessions that ask *whether* there was a change
the time is cut into units of equal length, and a coin says of each whether there is one.
"""

from __future__ import annotations

import contextlib
import math
import random
import resource
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from benchmarks.adversary.changes import (
    LARGE_BYTES,
    SMALL_BYTES,
    SMALL_KINDS,
    Change,
    Files,
    arrived,
    await_change,
    sham,
)
from benchmarks.adversary.manipulation import Act
from benchmarks.adversary.series import PARTED, Series
from flocksy.system.kernel import LIBC
from flocksy.testing.cells import count_cells
from flocksy.testing.over_tcp import write_flock
from flocksy.testing.rig import Rig, RigError, RigNode
from flocksy.testing.stage import PORT, Stage

IDLE_CELL, BURST_CELL = 1024, 65536
CONSTANT_CELL = 16384
PERIOD_MS = 100
EVERY_SECONDS = 10
"""Between two bursts on a timetable."""
RATES = {"timetable": "4M", "constant": "1M"}
"""Far below what three nodes carry on two cores."""
UNIT_SECONDS = {"heartbeats": 4.0, "timetable": EVERY_SECONDS * 1.0, "constant": 8.0}
EARLY_SECONDS = (0.2, 0.3)
"""A change is made so long after its unit begins: the least, and the share of it at most."""
CHANNEL_BYTES = {"heartbeats": SMALL_BYTES, "timetable": (1 << 10, 2 << 20)}
POLLS_BEFORE_SECONDS = 0.3
"""Before the end of a unit: then it is seen whether all have the change."""
REST_SECONDS = 3.0
"""Without a burst after the start, before the first event."""
RESTS = 20
NOBODY_SHARE = 0.1
"""Of the changes that need bursts: times in which nothing may happen."""
CONSTANT_BYTES = (1 << 10, 256 << 10)


# linux/prctl.h and linux/capability.h
_PR_CAPBSET_DROP, _CAP_SYS_NICE = 24, 23


@dataclass(frozen=True, slots=True)
class Event:
    """What was done. `source`: index of the address; None for nobody."""

    began_ns: int
    ended_ns: int
    """When all had it; of a unit, its end."""
    source: int | None
    kind: str
    size: int
    act: Act | None = None
    """What was done to a link or a node meanwhile, and from when to when."""
    acted_ns: tuple[int, int] = (0, 0)


@dataclass(frozen=True, slots=True)
class Session:
    """What is kept beside the capture."""

    series: Series
    addresses: tuple[str, ...]
    burst_cell: int
    events: tuple[Event, ...]
    tested: int = 0
    """Index of the address of the node under test, where there is one."""


def settings_of(series: Series) -> list[str]:
    """Lines of everybody's configuration."""
    channel = series.detail if series.question == "whether" else ""
    cell = CONSTANT_CELL if channel == "constant" else BURST_CELL
    lines = ["profile = fast", f"pace = {series.pace}", f"idle_cell = {IDLE_CELL}"]
    lines.append(f"burst_cell = {cell}")
    if channel in ("timetable", "constant"):
        lines += [f"burst_timing = {channel}", "burst_cells = 64"]
        lines.append(f"burst_every = {EVERY_SECONDS}")
    if channel in RATES:
        lines.append(f"max_rate = {RATES[channel]}")
    if series.question == "active":
        lines.append("stall_timeout = 1")
        if series.detail != PARTED:
            lines.append(f"min_view = {series.nodes}")
    return lines


@dataclass(slots=True)
class Flight:
    """Nodes that fly on a stage."""

    rig: Rig
    shuffled: list[int]
    """Index of the address of each node of the rig."""
    draw: random.Random
    files: Files

    def source(self, nobody: bool) -> tuple[RigNode, int] | None:
        """A node and its address, all equally likely; or now and then `nobody`."""
        at = self.draw.randrange(len(self.rig.nodes))
        if nobody and self.draw.random() < NOBODY_SHARE:
            return None
        return self.rig.nodes[at], self.shuffled[at]

    def told(self, node: RigNode | None) -> None:
        """Leaky builds are told who is the source: see `leaky`."""
        beside = self.rig.root / "source to be"
        beside.write_text(node.name if node is not None else "")
        beside.rename(self.rig.root / "source")


def play(series: Series, seed: int, events: int, place: Path, capture: Path) -> Session:
    """Fly the nodes, make the changes, capture. `place`: an empty directory."""
    with Stage(series.nodes) as stage, flying(stage, series, seed, place) as flight:
        with stage.capturing(capture):
            take_off(flight)
            run = _units if series.question == "whether" else _changes
            done = tuple(run(flight, series, events))
        addresses = tuple(stage.addresses)
    cell = CONSTANT_CELL if series.detail == "constant" else BURST_CELL
    return Session(series, addresses, cell, done)


@contextlib.contextmanager
def flying(stage: Stage, series: Series, seed: int, place: Path) -> Iterator[Flight]:
    """The nodes, ready to be started; ended afterwards."""
    draw = random.Random(f"{series.name} {seed}")
    shuffled = list(range(series.nodes))
    draw.shuffle(shuffled)
    endpoints = [f"{stage.addresses[number]}:{PORT}" for number in shuffled]
    configs = write_flock(place, endpoints, settings_of(series))
    with Rig(configs, place) as rig:
        for node, number in zip(rig.nodes, shuffled, strict=True):
            node.before_start = stage.enter(number)
            if not series.rights:
                node.before_start = as_people_do(node.before_start)
            if not series.is_honest:
                told = str(rig.root / "source")
                node.program = ("benchmarks.adversary.leaky", series.build, told, node.name)
        making = rig.root / "making"
        making.mkdir()
        yield Flight(rig, shuffled, draw, Files(making, draw))


def as_people_do(before: Callable[[], None]) -> Callable[[], None]:
    """Also let go of the right to raise a priority, which root has and the users of flocksy have
    not: of the capability, for all that is started from then on, and of the limit."""

    def start() -> None:
        before()
        assert LIBC is not None
        if LIBC.prctl(_PR_CAPBSET_DROP, _CAP_SYS_NICE, 0, 0, 0) != 0:
            raise OSError("the right to raise a priority cannot be given away")
        resource.setrlimit(resource.RLIMIT_NICE, (0, 0))

    return start


def take_off(flight: Flight) -> None:
    """Start, and wait until what follows a start is over: nothing of it belongs to an event."""
    flight.rig.start_all()
    flight.rig.wait_for_view()
    flight.rig.wait_in_sync()
    flight.rig.wait_for_calm()


def come_to_rest(burst_cells: Callable[[], object]) -> None:
    """Until no burst has run for a while: what was sent in bursts stays the same. (Joins have a
    programme of them.) Raises `RigError` when there is no end of them."""
    before = None
    for _ in range(RESTS):
        now = burst_cells()
        if now == before:
            return
        before = now
        time.sleep(REST_SECONDS)
    raise RigError("bursts go on although nothing has changed")


def cells_of_all(flight: Flight) -> object:
    """What all nodes have sent in bursts, once none runs."""
    return [burst for _, burst in count_cells(flight.rig).values()]


def _changes(flight: Flight, series: Series, count: int) -> Iterator[Event]:
    if series.largest_mib:
        flight.files.sizes = LARGE_BYTES[0], series.largest_mib << 20
    if series.detail == "heartbeats":
        flight.files.sizes, flight.files.kinds = SMALL_BYTES, SMALL_KINDS
    for node in flight.rig.nodes:
        _make_change(flight, node)  # what is done at a first change only belongs to no event
    come_to_rest(lambda: cells_of_all(flight))
    for _number in range(count):
        time.sleep(flight.draw.uniform(*series.gap_seconds))
        yield one_change(flight, nobody=series.detail == "bursts")
    time.sleep(series.gap_seconds[1])


def one_change(flight: Flight, nobody: bool) -> Event:
    """A change by whoever is drawn, made and arrived; or none, by `nobody`."""
    source = flight.source(nobody)
    if source is None:
        sham(flight.files)
        now_ns = time.time_ns()
        return Event(now_ns, now_ns, None, "nobody", 0)
    node, address = source
    change, began_ns = _make_change(flight, node)
    return Event(began_ns, time.time_ns(), address, change.kind, change.size)


def _make_change(flight: Flight, node: RigNode) -> tuple[Change, int]:
    """One change by that node, and since when; all have it then."""
    change = flight.files.prepare()
    flight.told(node)
    began_ns = time.time_ns()
    change.make(node.box)
    await_change(flight.rig.nodes, change, flight.rig.log_tails)
    return change, began_ns


def _units(flight: Flight, series: Series, count: int) -> Iterator[Event]:
    """Nothing that the harness does between two changes depends on whether there is one."""
    channel, draw, files = series.detail, flight.draw, flight.files
    unit_s = UNIT_SECONDS[channel]
    files.sizes = CHANNEL_BYTES.get(channel, CONSTANT_BYTES)
    if channel == "heartbeats":
        files.kinds = SMALL_KINDS
    # On a timetable a unit has its burst in its middle: what a change does before it is seen too.
    shift_s = unit_s / 2 if channel == "timetable" else 0.0
    begins_s = math.ceil((time.time() + 1 - shift_s) / unit_s) * unit_s + shift_s
    for _ in range(count):
        source = draw.choice(list(zip(flight.rig.nodes, flight.shuffled, strict=True)))
        is_one = draw.random() < 0.5
        change: Change | None = None
        if is_one:
            change = files.prepare()
        else:
            sham(files)
        early, share = EARLY_SECONDS
        _sleep_until(begins_s + draw.uniform(early, unit_s * share))
        flight.told(source[0] if is_one else None)
        if change is not None:
            change.make(source[0].box)
        ends_s = begins_s + unit_s
        _sleep_until(ends_s - POLLS_BEFORE_SECONDS)
        if change is not None and not arrived(flight.rig.nodes, change):
            await_change(flight.rig.nodes, change, flight.rig.log_tails)
        # Also if it came late: that is of no unit's window, and to leave it out would be to choose
        # units by whether there was a change.
        yield Event(
            int(begins_s * 1e9),
            int((ends_s - POLLS_BEFORE_SECONDS) * 1e9),
            source[1] if change is not None else None,
            change.kind if change is not None else "nobody",
            change.size if change is not None else 0,
        )
        passed = math.ceil((max(ends_s, time.time()) - shift_s) / unit_s)
        begins_s = passed * unit_s + shift_s


def _sleep_until(wall_s: float) -> None:
    time.sleep(max(0.0, wall_s - time.time()))
