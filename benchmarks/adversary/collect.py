"""Session after session, each kept as one file of rows. What is there already is not made anew."""

from __future__ import annotations

import os
import platform
import subprocess
import tempfile
import time
from pathlib import Path

import numpy as np

from benchmarks.adversary.active import play_active
from benchmarks.adversary.play import Session, play
from benchmarks.adversary.rows import Rows, rows_of
from benchmarks.adversary.series import Series
from benchmarks.adversary.single import play_single
from flocksy.errors import FlocksyError
from flocksy.testing.rig import RigError

MOST_FAILURES = 3
"""Sessions in a row that may fail (on a laden machine nodes lose each other) before it is given up.
"""


JUDGING = tuple(
    f":(exclude)benchmarks/adversary/{name}.py"
    for name in ("analyse", "bounds", "judge", "plan", "reactions", "report")
)
"""What flies and what is kept of it does not depend on these."""


def build() -> str:
    """What would fly now: the last commit that changed any of it, with a plus where something is
    not committed."""
    what = ("--", "flocksy", "benchmarks/adversary", *JUDGING)
    # As long as git likes it just now, it would be another one after the next `git gc`.
    commit = _git("log", "-1", "--abbrev=12", "--format=%h", *what)
    return commit + ("+" if _git("status", "--porcelain", *what) else "")


def flew(series: Series) -> str:
    """What would fly now, and on what."""
    return f"{build()} on {platform.system()} {platform.release()}{series.conditions}"


def _git(*words: str) -> str:
    root = Path(__file__).resolve().parents[2]
    try:
        return subprocess.run(
            ("git", "-C", str(root), *words), check=True, capture_output=True, text=True
        ).stdout.strip()
    except (OSError, subprocess.CalledProcessError) as error:
        raise FlocksyError(f"{root}: git has to say what flies here: {error}") from None


def build_of(path: Path) -> str:
    """What flew in a session."""
    with np.load(path) as file:
        return str(file["build"]) if "build" in file else "an unknown build"


def collect(
    directory: Path, series: Series, judged: int, events: int, seconds: float, seed: int
) -> bool:
    """Until there are `judged` events that say something, or `seconds` are over: a session, of
    `events`, is never cut short for it. Whether there are enough."""
    directory.mkdir(parents=True, exist_ok=True)
    _check_build(directory, series)
    end = time.monotonic() + seconds
    number = failures = 0
    while (have := count(directory, series)) < judged:
        target = directory / f"{series.name}-{number:03}.npz"
        if target.exists():
            number += 1
            continue
        if time.monotonic() > end:
            print(f"{series.name}: time is over at {have} of {judged}")
            return False
        _check_build(directory, series)
        began = time.monotonic()
        try:
            told = _one(target, series, seed + number, events)
            failures = 0
        except (RigError, FlocksyError) as error:
            failures += 1
            print(f"{target.name}: failed: {error}")
            if failures == MOST_FAILURES:
                raise
            seed += 1000
            continue
        print(f"{target.name}: {told}, {time.monotonic() - began:.0f} s", flush=True)
    return True


def _check_build(directory: Path, series: Series) -> None:
    """Also between sessions: who commits meanwhile would have the rest saved as of that."""
    flies = flew(series)
    for path in directory.glob(f"{series.name}-*.npz"):
        if (flown := build_of(path)) != flies:
            raise FlocksyError(
                f"{path}: a session of {flown}, and {flies} would fly now: go back to that"
                " commit, remove it, or give another directory"
            )


def count(directory: Path, series: Series) -> int:
    """Events so far that can be judged."""
    total = 0
    for path in directory.glob(f"{series.name}-*.npz"):
        with np.load(path) as file:
            total += int(file["judged"])
    return total


def others_seconds() -> float:
    """CPU time since the start of this machine that is not of this program and of what it has
    started and seen end. What the kernel does for devices is nobody's."""
    user, nice, system = Path("/proc/stat").read_text().split(maxsplit=4)[1:4]
    busy = (int(user) + int(nice) + int(system)) / os.sysconf("SC_CLK_TCK")
    return busy - sum(os.times()[:4])


def _one(target: Path, series: Series, seed: int, events: int) -> str:
    others_s, began_s = others_seconds(), time.monotonic()
    with tempfile.TemporaryDirectory(prefix="flocksy-adversary-") as temporary:
        place = Path(temporary)
        capture = place / "capture.pcap"
        (place / "flock").mkdir()
        fly = {"single": play_single, "active": play_active}.get(series.question, play)
        session = fly(series, seed, events, place / "flock", capture)
        others = (others_seconds() - others_s) / (time.monotonic() - began_s)
        size = capture.stat().st_size
        rows = rows_of(session, capture)
        save(target, session, rows, others)
    told = f"{rows.judged} of {events} events judged, {size >> 20} MiB captured"
    return f"{told}, {others:.2f} cores taken by others"


def save(target: Path, session: Session, rows: Rows, others: float) -> None:
    """Write them, with the labels beside them. `others`: cores that other programs took."""
    nodes = 1 if session.series.question == "whether" else len(session.addresses)
    names = sorted({name for row in rows.columns for name in row})
    empty = np.zeros(nodes)
    table = [np.stack([row.get(name, empty) for name in names], axis=1) for row in rows.columns]
    events = session.events
    temporary = target.with_suffix(".part")
    with temporary.open("wb") as file:
        np.savez_compressed(
            file,
            build=flew(session.series),
            others=others,
            judged=rows.judged,
            bursts=rows.bursts,
            odd=rows.odd,
            strays=rows.strays,
            tested=session.tested,
            names=np.array(names),
            rows=np.array(table, dtype=np.float32),
            raw=np.array(rows.raw, dtype=np.float32),
            event=np.array(rows.event, dtype=int),
            source=np.array([-1 if event.source is None else event.source for event in events]),
            kind=np.array([event.kind for event in events]),
            size=np.array([event.size for event in events]),
            phase=np.array([event.act.phase.value if event.act else "" for event in events]),
            oracle=np.array(rows.oracles, dtype=int).reshape(-1, 4),
        )
    temporary.rename(target)
