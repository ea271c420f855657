"""What can be said of the sessions in a directory: one finding for each series."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from benchmarks.adversary.collect import build_of
from benchmarks.adversary.judge import Table, Verdict, judge, strongest
from benchmarks.adversary.reactions import table
from benchmarks.adversary.report import Finding, report, together
from benchmarks.adversary.series import Series, parse
from flocksy.errors import FlocksyError

LEAST_EVENTS = 10
LEAST_SESSIONS = 2
REPORT = "report.md"


def analyse(directory: Path, names: Sequence[str] = ()) -> None:
    """Print a finding for each series whose name begins with one of `names` (none: for all), and
    write them as Markdown beside the sessions."""
    groups: dict[str, list[Path]] = {}
    for path in sorted(directory.glob("*.npz")):
        groups.setdefault(path.stem.rpartition("-")[0], []).append(path)
    findings = []
    for name, paths in groups.items():
        if names and not name.startswith(tuple(names)):
            continue
        findings.append(find(parse(name), paths))
        print(f"{name}: judged", flush=True)
    findings = together(findings)
    for finding in findings:
        print(finding.text())
    target = directory / REPORT
    target.write_text(report(findings))
    print(f"\nwritten to {target}")


def find(series: Series, paths: list[Path]) -> Finding:
    """Judge one series."""
    loaded = load(series, paths)
    table = loaded.table
    verdict: Verdict | None = None
    blind: Verdict | None = None
    features: list[tuple[str, float, float]] = []
    if table is not None and _enough(table):
        verdict, features = judge(table), strongest(table)
        # The blind control is of the build that is to be believed in.
        blind = judge(table.blind(1)) if series.is_honest else None
    reactions, oracle_p = _reactions(paths) if series.question == "active" else ((), None)
    return Finding(
        series,
        len(paths),
        loaded.events,
        loaded.bursts,
        loaded.odd,
        loaded.strays if series.question in ("who", "single") else 0,
        verdict,
        blind,
        features,
        reactions,
        oracle_p,
        loaded.build,
        loaded.others,
    )


def _reactions(paths: list[Path]) -> tuple[tuple[str, ...], float]:
    """What followed the acts of all sessions, and the p of the oracles."""
    oracles, phases, sessions = [], [], []
    for number, path in enumerate(paths):
        with np.load(path) as file:
            oracles.append(file["oracle"])
            phases.append(file["phase"][file["event"]])
            sessions.append(np.full(len(file["event"]), number))
    hindered, bursts, cells, whole = np.concatenate(oracles).T
    phase, session = np.concatenate(phases), np.concatenate(sessions)
    return table(hindered == 1, phase, bursts, cells, whole == 1, session)


@dataclass(slots=True)
class Loaded:
    """The files of a series."""

    table: Table | None = None
    events: int = 0
    """That can be judged."""
    bursts: int = 0
    odd: int = 0
    """Bursts that not all lanes carried to the end."""
    strays: int = 0
    """Bursts that came of no event."""
    build: str = ""
    others: float = 0.0
    """Cores that other programs took, in the session where that was most."""
    parts: list[Table] = field(default_factory=list)


def load(series: Series, paths: list[Path]) -> Loaded:
    """All bursts (or units) of these sessions that belong to a question with an answer. Raises
    `FlocksyError` where they are not all of one build."""
    loaded = Loaded(build=one_build(paths))
    names = _names(paths)
    for number, path in enumerate(paths):
        with np.load(path) as file:
            loaded.bursts += int(file["bursts"])
            loaded.odd += int(file["odd"])
            loaded.strays += int(file["strays"])
            loaded.others = max(loaded.others, float(file["others"]))
            if not len(file["rows"]):
                continue
            loaded.parts.append(_part(series, dict(file), names, number))
    if loaded.parts:
        parts = loaded.parts
        width = min(part.raw.shape[2] for part in parts)
        loaded.table = Table(
            names,
            np.nan_to_num(np.concatenate([part.rows for part in parts])),
            np.concatenate([part.raw[:, :, :width] for part in parts]),
            np.concatenate([part.truth for part in parts]),
            np.concatenate([part.event for part in parts]),
            np.concatenate([part.session for part in parts]),
        )
        loaded.events = len(np.unique(loaded.table.event))
    return loaded


def one_build(paths: list[Path]) -> str:
    """The build that flew in these sessions. Raises `FlocksyError` for more than one: what is found
    in a mixture is of neither."""
    builds: dict[str, Path] = {}
    for path in paths:
        builds.setdefault(build_of(path), path)
    if len(builds) > 1:
        told = ", ".join(f"{path.name} of {build}" for build, path in builds.items())
        raise FlocksyError(
            f"{paths[0].parent}: sessions of different builds ({told}): remove those of all but one"
        )
    return next(iter(builds), "")


def _names(paths: list[Path]) -> tuple[str, ...]:
    """All that some session has a figure for: where a unit had no burst it has none for bursts."""
    names: set[str] = set()
    for path in paths:
        with np.load(path) as file:
            names.update(file["names"].tolist())
    return tuple(sorted(names))


EVENTS_PER_SESSION = 1_000_000
"""More than any session has: what numbers the events of all sessions."""


def _part(
    series: Series, file: dict[str, np.ndarray], names: tuple[str, ...], number: int
) -> Table:
    event, rows = file["event"], file["rows"]
    column = {name: at for at, name in enumerate(file["names"])}
    # A figure that no unit of a session had is nought in it.
    padded = np.concatenate([rows, np.zeros((*rows.shape[:2], 1), rows.dtype)], axis=2)
    rows = padded[:, :, [column.get(name, -1) for name in names]]
    raw = file["raw"]
    source = file["source"][event]
    if series.question == "whether":
        truth = (source >= 0)[:, None]
    elif series.question == "single":
        tested = int(file["tested"])
        rows, raw = rows[:, tested : tested + 1], raw[:, tested : tested + 1]
        truth = (source == tested)[:, None]
    else:
        truth = np.arange(rows.shape[1])[None, :] == source[:, None]
    session = np.full(len(event), number)
    return Table(names, rows, raw, truth, event + number * EVENTS_PER_SESSION, session)


def _enough(table: Table) -> bool:
    events = len(np.unique(table.event))
    answers = table.truth.any(axis=0).sum() + (table.nodes == 1 and not table.truth.all())
    sessions = len(np.unique(table.session))
    return bool(events >= LEAST_EVENTS and sessions >= LEAST_SESSIONS and answers >= table.classes)
