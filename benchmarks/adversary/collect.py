"""Session after session, each kept as one file of rows. What is there already is not made anew."""

from __future__ import annotations

import tempfile
import time
from pathlib import Path

import numpy as np

from benchmarks.adversary.features import rows
from benchmarks.adversary.play import BURST_CELL, IDLE_CELL, Session, play
from benchmarks.adversary.stage import PORT
from benchmarks.adversary.traffic import read


def collect(
    directory: Path,
    pace: str,
    build: str,
    nodes: int,
    sessions: int,
    events: int,
    quiet_s: float,
    seconds: float,
    seed: int,
) -> None:
    """Until there are `sessions`, or `seconds` are over: a session is never cut short for it."""
    directory.mkdir(parents=True, exist_ok=True)
    end = time.monotonic() + seconds
    for number in range(sessions):
        target = directory / f"{build}-{pace}-{nodes}-{number:03}.npz"
        if target.exists():
            continue
        if time.monotonic() > end:
            print("time is over: run it again to go on")
            return
        with tempfile.TemporaryDirectory(prefix="flocksy-adversary-") as temporary:
            place = Path(temporary)
            capture = place / "capture.pcap"
            (place / "flock").mkdir()
            began = time.monotonic()
            session = play(
                seed + number, pace, build, nodes, events, quiet_s, place / "flock", capture
            )
            size = capture.stat().st_size
            save(target, session, capture, quiet_s)
        seconds_taken = time.monotonic() - began
        print(f"{target.name}: {events} events, {size >> 20} MiB captured, {seconds_taken:.0f} s")


def save(target: Path, session: Session, capture: Path, window_s: float) -> None:
    """The rows of a session: one per event and node, and one array of raw values."""
    traffic = read(capture, session.addresses, PORT, IDLE_CELL, BURST_CELL)
    table, raws, bursts = [], [], []
    names: list[str] = []
    last_ns = session.events[-1].ended_ns + int(window_s * 1e9)
    starts = [event.began_ns for event in session.events[1:]] + [last_ns]
    for event, until_ns in zip(session.events, starts, strict=True):
        features, raw = rows(session, traffic, event, until_ns, window_s)
        if raw is not None and len(features) > len(names):
            names = list(features)
        table.append(features)
        raws.append(raw)
        bursts.append(raw is not None)
    nodes = len(session.addresses)
    empty = np.zeros(nodes)
    width = max((raw.shape[1] for raw in raws if raw is not None), default=1)
    names = names or list(table[0])
    np.savez_compressed(
        target,
        names=np.array(names),
        rows=np.array([np.stack([row.get(name, empty) for name in names], 1) for row in table]),
        raw=np.array([np.zeros((nodes, width)) if raw is None else raw for raw in raws]),
        source=np.array([-1 if e.source is None else e.source for e in session.events]),
        kind=np.array([event.kind for event in session.events]),
        size=np.array([event.size for event in session.events]),
        burst=np.array(bursts),
    )
