"""Flocks at rest, in which one node has something to say: what is the same whichever node it is?

`python -m tests.simulator.roles` prints it as JSON, for `test_roles`.
"""

from __future__ import annotations

import json
import os
import random
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from tests.simulator.boxes import BoxFlock, made
from tests.simulator.disk import SimulatedDisk
from tests.simulator.faults import MS, Plan, S

NODES = 3
CUT_OFF = 2
SOURCES = (0, CUT_OFF)
CUT_LINK = (0, 1)
"""Cut in a burst, and again in its repeat."""
LARGER, LARGE, SMALL = 400_000, 200_000, 1_000
"""Of bytes: more than a burst of a programme carries, a burst's, and what rides in heartbeats."""
PERIOD_MS, WINDOW = 100, 8
CUTS = {
    f"{pace}, {size} bytes, {'all' if not last else f'the last {last}'} cells": (pace, size, last)
    for pace in ("max", "grid")
    for size, last in ((LARGE, 0), (LARGER, 0), (LARGER, WINDOW))
}

LOOK_NS = 5 * MS
LATEST_NS = 120 * S

Act = Callable[[SimulatedDisk], None]


def content(size: int, seed: int) -> bytes:
    return random.Random(seed).randbytes(size)


ACTS: dict[str, Act] = {
    "a large file": lambda disk: disk.write_file("large", content(LARGE, 1)),
    "a small file": lambda disk: disk.write_file("small", content(SMALL, 2)),
    "an edit": lambda disk: disk.write_file("large", content(LARGE, 3)),
    "a rename": lambda disk: disk.move("large", "elsewhere"),
    "a deletion": lambda disk: disk.remove_file("elsewhere"),
}


@contextmanager
def at_rest(*, floor: int = 0, pace: str = "max", min_view: int = 2) -> Iterator[BoxFlock]:
    """Nothing goes wrong, all are there, and the bursts after their joins are over."""
    plan = Plan(
        seed=6,
        nodes=NODES,
        period_ms=PERIOD_MS,
        pace=pace,
        window=WINDOW,
        rest_mean_ms=50,
        min_view=min_view,
        hostile=False,
        gentle=True,
        faults=(),
        calm_ns=0,
        programme=True,
        floor=floor,
    )
    with made(plan) as flock:
        for lane in range(NODES):
            flock.begin(lane)
        assert flock.pass_until(60 * S, flock.at_rest), flock.unrest()
        flock.pass_until(flock.now_ns + 2 * S)
        yield flock


def act(flock: BoxFlock, lane: int, what: Act) -> None:
    """Somebody does it in the box of a node."""
    node = flock.nodes[lane]
    flock._enter(node)
    flock._by_hand(lane, random.Random(0), lambda _: what(flock.disks[lane]))
    flock.woken(node)


def operations() -> dict[str, list[list[int]]]:
    """By act and source: of each node the calls that change something on its disk, until all is
    done. The source comes first. What hands do does not count."""
    found: dict[str, list[list[int]]] = {name: [] for name in ACTS}
    for source in SOURCES:
        with at_rest() as flock:
            for name, what in ACTS.items():
                before = [disk.operations for disk in flock.disks]
                act(flock, source, what)
                flock.pass_until(flock.now_ns + S)
                assert flock.pass_until(flock.now_ns + 60 * S, flock.at_rest), flock.unrest()
                counts = [
                    disk.operations - old for disk, old in zip(flock.disks, before, strict=True)
                ]
                found[name].append([counts.pop(source), *counts])
    return found


def shows_need(flock: BoxFlock, lane: int) -> bool:
    emitter = flock.nodes[lane].emitter
    assert flock.now_ns < LATEST_NS, "nothing was announced"
    return emitter is not None and bool(emitter._output and emitter._output.shown.need)


def cut_off(source: int, floor: int) -> list[list[int]]:
    """Lengths of the bursts while a member is cut off from the moment on in which the source has
    announced a change, and of those when it is back."""
    with at_rest(floor=floor) as flock:
        before = len(flock.checks.bursts)
        act(flock, source, ACTS["a large file"])
        while not shows_need(flock, source):
            flock.pass_until(flock.now_ns + LOOK_NS)
        links = [(a, b) for a in range(NODES) for b in range(NODES) if a != b and CUT_OFF in (a, b)]
        flock.cut(links)
        flock.pass_until(flock.now_ns + 4 * S)
        meanwhile = len(flock.checks.bursts)
        flock.mend(links)
        flock.pass_until(flock.now_ns + S)
        assert flock.pass_until(flock.now_ns + 60 * S, flock.at_rest), flock.unrest()
        assert all(disk.find("large") is not None for disk in flock.disks)
        lengths = list(flock.checks.bursts.values())
        return [lengths[before:meanwhile], lengths[meanwhile:]]


def is_bursting(flock: BoxFlock, last: int = 0) -> bool:
    """Whether any node is in a burst that it has begun, and has no more than `last` cells to send;
    0: or more."""
    for node in flock.nodes:
        run = node.emitter._run if node.emitter is not None else None
        if run is not None and run.sent > 0 and (not last or run.sent >= run.length - last):
            return True
    return False


def cut_twice(source: int, pace: str, size: int, last: int) -> list[list[list[int]]]:
    """A burst and its repeat, in both of which cells of one link are lost, and what follows: of
    each the length, and in which round after the repeat it began. Only who was at that end, and has
    something to say, has lost any of it. `last`: just so many cells of the end, 0 for all."""
    with at_rest(pace=pace, min_view=NODES) as flock:
        before = len(flock.checks.bursts)
        act(flock, source, lambda disk: disk.write_file("large", content(size, 1)))
        for _ in range(2):
            while not is_bursting(flock, last):
                flock.pass_until(flock.now_ns + MS)
                assert flock.now_ns < LATEST_NS, "no burst, or none that repeats it"
            flock.cut([CUT_LINK])
            while is_bursting(flock):
                flock.pass_until(flock.now_ns + LOOK_NS)
            flock.mend([CUT_LINK])
        after = len(flock.checks.bursts)
        flock.pass_until(flock.now_ns + S)
        assert flock.pass_until(flock.now_ns + 60 * S, flock.at_rest), flock.unrest()
        assert all(disk.find("large") is not None for disk in flock.disks)
        bursts = list(flock.checks.bursts.items())[before:]
        began = [flock.checks.began_ns[burst] for burst, _ in bursts]
        repeated = began[after - before - 1]
        found = [
            [length, round((at - repeated) / (PERIOD_MS * MS))]
            for (_, length), at in zip(bursts, began, strict=True)
        ]
        return [found[: after - before], found[after - before :]]


def main() -> None:
    found = {
        "operations": operations(),
        "cut off": {
            str(floor): [cut_off(source, floor) for source in SOURCES] for floor in (0, NODES)
        },
        "cut twice": {
            name: [cut_twice(source, *what) for source in SOURCES] for name, what in CUTS.items()
        },
    }
    print(json.dumps(found, indent=1))


if __name__ == "__main__":
    if os.environ.get("PYTHONHASHSEED") != "0":
        os.environ["PYTHONHASHSEED"] = "0"
        os.execv(sys.executable, [sys.executable, "-m", "tests.simulator.roles"])
    main()
