"""The active adversary: hinder a link or a node around a change, and look at everybody's reactions.

Whose change it is and who is hindered are drawn apart from each other. What a node does when its
own or another link stands still must tell neither who the source was, nor whether it was the one
that was hindered: `reactions` has the two oracles of rule 7 of the design by name.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from benchmarks.adversary.changes import await_change
from benchmarks.adversary.features import Columns, Watch, with_group
from benchmarks.adversary.manipulation import Act, Phase
from benchmarks.adversary.play import (
    BURST_CELL,
    Event,
    Flight,
    Session,
    cells_of_all,
    come_to_rest,
    flying,
    take_off,
)
from benchmarks.adversary.series import Series
from benchmarks.adversary.switch import SwitchedStage
from benchmarks.adversary.traffic import Array, Burst

SIZES = (8 << 10, 8 << 20)
"""None rides in heartbeats, and the largest need more than the shortest burst, or than the bursts
after a join."""
EARLY_SECONDS = 0.5
"""An act during the announcement begins at most so long after the change."""
PATIENCE_SECONDS = 15.0
"""For an act to begin and end."""
WINDOWS = ((-2.0, 0.0), (0.0, 1.0), (1.0, 3.0), (3.0, 8.0))
"""Around the beginning of the act, in seconds."""
BURSTS = 3
"""So many are looked at, from the one in which the act began."""
RAW_SECONDS, RAW_STEP = 8.0, 0.1
"""After the beginning of the act bytes are counted in steps."""


def play_active(series: Series, seed: int, events: int, place: Path, capture: Path) -> Session:
    """Like `play.play`."""
    with SwitchedStage(series.nodes) as stage, flying(stage, series, seed, place) as flight:
        with stage.capturing(capture):
            take_off(flight)
            done = tuple(_events(flight, stage, series.manipulation, events))
        return Session(series, tuple(stage.addresses), BURST_CELL, done)


def _events(flight: Flight, stage: SwitchedStage, kind: str, count: int) -> Iterator[Event]:
    draw, files, rig = flight.draw, flight.files, flight.rig
    files.sizes, files.kinds = SIZES, ("new", "edit")
    for _ in range(count):
        rig.wait_for_view()
        come_to_rest(lambda: cells_of_all(flight))
        at = draw.randrange(len(rig.nodes))
        change = files.prepare()
        act = Act.drawn(kind, len(rig.nodes), draw)
        source = flight.shuffled[at]
        flight.told(rig.nodes[at] if source in (act.victim, act.other) else None)
        began_ns = time.time_ns()
        change.make(rig.nodes[at].box)
        if act.phase is Phase.ANNOUNCEMENT:
            time.sleep(draw.uniform(0, EARLY_SECONDS))
        stage.hinder(act)
        acted_ns = stage.hindered(PATIENCE_SECONDS)
        await_change(rig.nodes, change, rig.log_tails)
        now_ns = time.time_ns()
        if acted_ns is None:
            # There was no burst, or it was too short for the act: nothing is judged, but what
            # followed is none of the event before.
            yield Event(began_ns, now_ns, source, change.kind, change.size)
            continue
        yield Event(began_ns, now_ns, source, change.kind, change.size, act, acted_ns)
    time.sleep(RAW_SECONDS)


def row(watch: Watch, event: Event, until_ns: int) -> tuple[Columns, Array]:
    """Features of all nodes around an act, and their bytes in steps of time."""
    assert event.act is not None
    traffic, nodes = watch.traffic, watch.nodes
    at = traffic.seconds(event.acted_ns[0])
    until = min(traffic.seconds(until_ns), traffic.end)
    found: Columns = {}
    for since, till in WINDOWS:
        window = watch.window(at + since, max(at + since, min(at + till, until)))
        found |= {f"{since:+g} s {name}": values for name, values in window.items()}
    after = bursts_after(watch, event, until_ns)
    for number in range(BURSTS):
        times = after[number] if number < len(after) else None
        found |= {f"burst {number + 1} {name}": v for name, v in _burst(times, nodes).items()}
    found["bursts"] = np.full(nodes, float(len(after)))
    found = with_group(found)
    who = np.arange(nodes)
    found["is the victim"] = (who == event.act.victim).astype(float)
    found["is the other end"] = (who == event.act.other).astype(float)
    found["phase"] = np.full(nodes, float(list(Phase).index(event.act.phase)))
    edges = at + np.arange(0, RAW_SECONDS + RAW_STEP, RAW_STEP)
    raw = np.array(
        [
            sum(np.histogram(lane.data[:, 0], edges, weights=lane.data[:, 1])[0] for lane in lanes)
            for lanes in watch.sent
        ]
    )
    raw[:, edges[1:] > until] = 0  # what is of the next event
    return found, raw


def bursts_after(watch: Watch, event: Event, until_ns: int) -> list[Burst]:
    """The bursts that were not over when the act began, up to the next event."""
    traffic = watch.traffic
    began, until = traffic.seconds(event.acted_ns[0]), traffic.seconds(until_ns)
    return [burst for burst in traffic.bursts if burst.end >= began and burst.start < until]


def _burst(burst: Burst | None, nodes: int) -> Columns:
    names = ("cells", "fewest cells", "first cell", "last cell")
    if burst is None:
        return {name: np.zeros(nodes) for name in names}
    columns: dict[str, list[float]] = {name: [] for name in names}
    for node in range(nodes):
        lanes = [cells for (a, _), cells in burst.cells.items() if a == node]
        times = np.concatenate(lanes)
        columns["cells"].append(float(max(map(len, lanes))))
        columns["fewest cells"].append(float(min(map(len, lanes))))
        columns["first cell"].append(float(times.min()) if len(times) else burst.end)
        columns["last cell"].append(float(times.max()) if len(times) else burst.end)
    found = {name: np.array(values) for name, values in columns.items()}
    for name in ("first cell", "last cell"):
        found[name] = found[name] - np.median(found[name])
    return found


def oracle(watch: Watch, event: Event, until_ns: int) -> tuple[bool, int, int, bool]:
    """For the oracles of rule 7: whether the source was hindered; bursts that began after the act
    had; how many cells those had, on the lane that carried most; and whether a whole node was
    hindered, or a link."""
    assert event.act is not None
    hindered = event.source in (event.act.victim, event.act.other)
    began = watch.traffic.seconds(event.acted_ns[0])
    after = [burst for burst in bursts_after(watch, event, until_ns) if burst.start >= began]
    cells = sum(max(len(times) for times in burst.cells.values()) for burst in after)
    return hindered, len(after), cells, event.act.other is None
