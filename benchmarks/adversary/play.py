"""One session: fresh processes, a fresh shuffling of nodes over addresses, some tens of changes."""

from __future__ import annotations

import json
import random
import time
from dataclasses import asdict, dataclass
from pathlib import Path

from benchmarks.adversary.stage import PORT, Stage
from flocksy.testing.over_tcp import write_flock
from flocksy.testing.rig import Rig, RigNode

LEAST_BYTES, MOST_BYTES = 1 << 10, 8 << 20
MORE_SECONDS = 2.0
"""At most that much more, so that no event falls on a grid."""
KINDS = ("new",) * 4 + ("edit",) * 4 + ("rename", "delete")
PATIENCE_SECONDS = 60.0
POLL_SECONDS = 0.05
IDLE_CELL, BURST_CELL = 1024, 65536


@dataclass(frozen=True, slots=True)
class Event:
    """What was done. `source`: index of the address; None for nobody."""

    began_ns: int
    ended_ns: int
    source: int | None
    kind: str
    size: int


@dataclass(frozen=True, slots=True)
class Session:
    """What `collect` writes beside the capture."""

    seed: int
    pace: str
    build: str
    addresses: tuple[str, ...]
    period_ms: int
    events: tuple[Event, ...]

    def save(self, path: Path) -> None:
        """As JSON."""
        path.write_text(json.dumps(asdict(self)))

    @classmethod
    def load(cls, path: Path) -> Session:
        """What `save` wrote."""
        read = json.loads(path.read_text())
        events = tuple(Event(**event) for event in read.pop("events"))
        return cls(**{**read, "addresses": tuple(read["addresses"]), "events": events})


def play(
    seed: int,
    pace: str,
    build: str,
    nodes: int,
    events: int,
    quiet_s: float,
    place: Path,
    capture: Path,
) -> Session:
    """Fly the nodes, make the changes, capture. `place`: an empty directory. `quiet_s`: how
    long the features look before and after an event; between two there is at least twice that."""
    draw = random.Random(seed)
    shuffled = list(range(nodes))
    draw.shuffle(shuffled)
    with Stage(nodes) as stage:
        settings = ["profile = fast", f"pace = {pace}", f"burst_cell = {BURST_CELL}"]
        settings.append(f"idle_cell = {IDLE_CELL}")
        endpoints = [f"{stage.addresses[number]}:{PORT}" for number in shuffled]
        configs = write_flock(place, endpoints, settings)
        with Rig(configs, place) as rig:
            leak = rig.root / "source"
            for node, number in zip(rig.nodes, shuffled, strict=True):
                node.before_start = stage.enter(number)
                if build != "honest":
                    node.program = ("benchmarks.adversary.leaky", build, str(leak), node.name)
            with stage.capturing(capture):
                rig.start_all()
                rig.wait_for_view()
                rig.wait_in_sync()
                done = tuple(_events(rig, shuffled, draw, events, quiet_s, leak))
    return Session(seed, pace, build, tuple(stage.addresses), 100, done)


def _events(
    rig: Rig, shuffled: list[int], draw: random.Random, count: int, quiet_s: float, leak: Path
) -> list[Event]:
    files: list[str] = []
    done = []
    for number in range(count):
        time.sleep(2 * quiet_s + draw.random() * MORE_SECONDS)
        at = draw.randrange(len(rig.nodes) + 1)
        source = rig.nodes[at] if at < len(rig.nodes) else None
        kind = draw.choice(KINDS) if source else "nobody"
        size = int(LEAST_BYTES * (MOST_BYTES / LEAST_BYTES) ** draw.random())
        began_ns = time.time_ns()
        if source is not None:
            leak.write_text(source.name)
            kind = _change(rig, source, kind, size, files, number, draw)
        done.append(
            Event(
                began_ns,
                time.time_ns(),
                shuffled[at] if source is not None else None,
                kind,
                size if kind in ("new", "edit") else 0,
            )
        )
    time.sleep(2 * quiet_s)
    return done


def _change(
    rig: Rig,
    source: RigNode,
    kind: str,
    size: int,
    files: list[str],
    number: int,
    draw: random.Random,
) -> str:
    """Make the change and wait until all have it. Returns what it was."""
    if not files and kind != "new":
        kind = "new"
    if kind in ("new", "edit"):
        name = f"file {number}" if kind == "new" else draw.choice(files)
        hidden = source.box / ".flocksy" / f"making {number}"
        hidden.write_bytes(draw.randbytes(size))
        hidden.rename(source.box / name)
        if kind == "new":
            files.append(name)
        _await(rig, lambda node: _size(node.box / name) == size)
    elif kind == "rename":
        old = files.pop(draw.randrange(len(files)))
        new = f"moved {number}"
        (source.box / old).rename(source.box / new)
        files.append(new)
        _await(rig, lambda node: _size(node.box / new) >= 0 > _size(node.box / old))
    else:
        name = files.pop(draw.randrange(len(files)))
        (source.box / name).unlink()
        _await(rig, lambda node: _size(node.box / name) < 0)
    return kind


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return -1


def _await(rig: Rig, holds: object) -> None:
    assert callable(holds)
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not all(holds(node) for node in rig.nodes):
        if time.monotonic() > deadline:
            raise RuntimeError(rig.log_tails())
        time.sleep(POLL_SECONDS)
