"""What is kept of a session: rows of features, and of which event each is."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from benchmarks.adversary import active
from benchmarks.adversary.features import SINGLE_WINDOW_S, WINDOW_S, Columns, Watch
from benchmarks.adversary.play import IDLE_CELL, PERIOD_MS, Event, Session
from benchmarks.adversary.traffic import Array, Burst, Traffic, read
from flocksy.protocol.parameters import Parameters
from flocksy.testing.stage import PORT

PERIOD_S = PERIOD_MS / 1000
LEAD_S = PERIOD_S * Parameters(3, 0, 2, PERIOD_MS, 0).lead_rounds
"""A burst starts so long after the round in which its need was shown, and no sooner."""


@dataclass(slots=True)
class Rows:
    """One for each burst, unit of time, or act."""

    bursts: int
    odd: int
    """Bursts that some lane left early, or never began."""
    strays: int = 0
    """Bursts after the first event that came of none: of nobody, a join, or a change before; and
    all where changes ride in heartbeats."""
    columns: list[Columns] = field(default_factory=list)
    raw: list[Array] = field(default_factory=list)
    event: list[int] = field(default_factory=list)
    """Of each row, the number of its event in the session."""
    oracles: list[tuple[bool, int, int, bool]] = field(default_factory=list)
    """Of each act, see `active.oracle`."""

    @property
    def judged(self) -> int:
        """Events that have rows."""
        return len(set(self.event))

    def add(self, number: int, columns: Columns, raw: Array) -> None:
        """A row of an event."""
        self.event.append(number)
        self.columns.append(columns)
        self.raw.append(raw)


def rows_of(session: Session, capture: Path) -> Rows:
    """All rows of a session."""
    traffic = read(capture, session.addresses, PORT, IDLE_CELL, session.burst_cell)
    window_s = SINGLE_WINDOW_S if session.series.question == "single" else WINDOW_S
    watch = Watch(traffic, len(session.addresses), PERIOD_S, LEAD_S, window_s)
    rows = Rows(len(traffic.bursts), sum(not burst.whole for burst in traffic.bursts))
    events = session.events
    rows.strays = sum(
        burst.start >= traffic.seconds(events[0].began_ns) for burst in traffic.bursts
    )
    ends_ns = [event.began_ns for event in events[1:]]
    ends_ns.append(traffic.origin_ns + int(traffic.end * 1e9))
    for number, (event, until_ns) in enumerate(zip(events, ends_ns, strict=True)):
        match session.series.question:
            case "who" if session.series.detail == "heartbeats":
                rows.add(number, *watch.moment(traffic.seconds(event.began_ns)))
            case "whether":
                rows.add(number, *_unit(watch, event))
            case "active" if event.act is None:
                pass  # what its change made follow is nobody else's all the same
            case "active":
                rows.add(number, *active.row(watch, event, until_ns))
                rows.oracles.append(active.oracle(watch, event, until_ns))
            case _:
                found = bursts_of(traffic, event, until_ns)
                rows.strays -= len(found)
                for burst in found:
                    rows.add(number, *watch.row(burst))
    return rows


def bursts_of(traffic: Traffic, event: Event, until_ns: int) -> list[Burst]:
    """The bursts that came of an event, the next of which begins at `until_ns`: none if its change
    arrived without one. A burst after the arrival repeats what was said: it counts as well, for an
    observer sees that it follows. None starts within a lead of its change: what does is of the
    event before."""
    began, arrived, until = (
        traffic.seconds(ns) for ns in (event.began_ns, event.ended_ns, until_ns)
    )
    found = [b for b in traffic.bursts if began + LEAD_S <= b.start < until + LEAD_S]
    if event.source is None or not found or found[0].start > arrived:
        return []
    return found


def _unit(watch: Watch, event: Event) -> tuple[Columns, Array]:
    """One unit of time, all nodes together, and of its heartbeats round by round the latest and the
    earliest. Where heartbeats were to carry a change and a burst did, that is what an observer
    would see, so it stays."""
    traffic = watch.traffic
    since, till = traffic.seconds(event.began_ns), traffic.seconds(event.ended_ns)
    near = [burst for burst in traffic.bursts if burst.end >= since and burst.start < till]
    rows = [watch.window(since, till)]
    inside = [burst for burst in near if since <= burst.start]
    burst_rows = [watch.row(burst)[0] for burst in inside]
    if burst_rows:
        rows.append(
            {
                f"burst {name}": np.mean([row[name] for row in burst_rows], axis=0)
                for name in burst_rows[0]
            }
        )
    found: Columns = {"bursts": np.array([float(len(near))])}
    found["cells"] = np.array([float(sum(sum(map(len, b.cells.values())) for b in near))])
    for row in rows:
        for name, values in row.items():
            for how, value in (
                ("mean", values.mean()),
                ("most", values.max()),
                ("least", values.min()),
            ):
                found[f"{name}, {how}"] = np.array([float(value)])
    beats = watch.beats(since, round((till - since) / watch.period_s))
    return found, np.concatenate([beats.max(axis=0), beats.min(axis=0)])[None, :]
