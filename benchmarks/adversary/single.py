"""One node alone on its core, with players of valid lanes as its peers on another.

Several whole nodes on two cores slow each other down alike, which hides what would show on
machines of their own. Here nothing but the node under test works on its core, and its peers are
quick: what a burst waits for is this node. A coin says whether it makes the change, or a player.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from benchmarks.adversary.changes import Change, await_change
from benchmarks.adversary.play import (
    BURST_CELL,
    Event,
    Flight,
    Session,
    come_to_rest,
    flying,
)
from benchmarks.adversary.series import Series
from flocksy.errors import FlocksyError
from flocksy.testing.rig import START_SECONDS, RigNode, wait_until
from flocksy.testing.stage import PORT, Stage

SIZES = (8 << 10, 8 << 20)
"""None rides in heartbeats."""
EVENT_SECONDS = 2.5
"""Given to a change to be everywhere; nobody is asked in between, whoever the source is."""


def play_single(series: Series, seed: int, events: int, place: Path, capture: Path) -> Session:
    """Like `play.play`."""
    before = os.sched_getaffinity(0)
    if len(before) < 2:
        raise FlocksyError("the single-node test needs two processors")
    alone, rest = sorted(before)[:2]
    os.sched_setaffinity(0, {rest})  # the harness, tcpdump, and the players, who inherit it
    try:
        with Stage(series.nodes) as stage, flying(stage, series, seed, place) as flight:
            tested, *players = flight.rig.nodes
            tested.before_start = _pinned(tested.before_start, alone)
            endpoint = f"tcp://{stage.addresses[flight.shuffled[0]]}:{PORT}"
            for player in players:
                control = flight.rig.root / f"control-{player.name}"
                os.mkfifo(control)
                player.program = ("benchmarks.adversary.player", str(control), endpoint)
            with stage.capturing(capture):
                flight.rig.start_all()
                wait_until(lambda: _sees(tested) == series.nodes, "the players fly", START_SECONDS)
                come_to_rest(lambda: [link["cells_out_burst"] for link in _links(tested)])
                done = tuple(_events(flight, series, events))
            addresses = tuple(stage.addresses)
            return Session(series, addresses, BURST_CELL, done, flight.shuffled[0])
    finally:
        os.sched_setaffinity(0, before)


def _events(flight: Flight, series: Series, count: int) -> Iterator[Event]:
    draw, files = flight.draw, flight.files
    tested, *players = flight.rig.nodes
    files.kinds, files.sizes = ("new",), SIZES
    for number in range(count):
        at = draw.randrange(1, len(flight.rig.nodes)) if draw.random() < 0.5 else 0
        # Both are made ready, so that what the harness does tells nothing.
        change = files.prepare()
        name = f"played-{number}"
        player = flight.rig.root / f"control-{(flight.rig.nodes[at] if at else players[0]).name}"
        _tell(player, f"prepare {name} {change.size}")
        time.sleep(draw.uniform(*series.gap_seconds))
        flight.told(flight.rig.nodes[at])
        began_ns = time.time_ns()
        if at:
            _tell(player, "send")
            size = change.size
            played = Change("new", size, lambda _: None, _holds(name, size))
        else:
            change.make(tested.box)
            played = change
        time.sleep(EVENT_SECONDS)
        await_change([tested], played, flight.rig.log_tails)
        source = flight.shuffled[at]
        yield Event(began_ns, time.time_ns(), source, "new", change.size)
    time.sleep(series.gap_seconds[1])


def _holds(name: str, size: int) -> Callable[[Path], bool]:
    def holds(box: Path) -> bool:
        path = box / name
        return path.exists() and path.stat().st_size == size

    return holds


def _tell(control: Path, line: str) -> None:
    descriptor = os.open(control, os.O_WRONLY)
    try:
        os.write(descriptor, line.encode() + b"\n")
    finally:
        os.close(descriptor)


def _sees(node: RigNode) -> int:
    try:
        view = node.status()["view"]
    except FlocksyError:
        return 0
    return len(view) if isinstance(view, list) else 0


def _links(node: RigNode) -> list[dict[str, object]]:
    links = node.status()["links"]
    assert isinstance(links, list)
    return links


def _pinned(before: Callable[[], None] | None, core: int) -> Callable[[], None]:
    def start() -> None:
        if before is not None:
            before()
        os.sched_setaffinity(0, {core})

    return start
