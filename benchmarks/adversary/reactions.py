"""The two oracles of rule 7: do the others start over, and does a repair follow, by role?

Cut or mute a node in the middle of a burst: if the others begin anew only where the node that is
gone was not the source, or was, its role shows. Drop a node's cells: likewise for the repair. So
how many bursts follow, and how long they are, must be distributed equally, whoever was hindered.
"""

from __future__ import annotations

import numpy as np

from benchmarks.adversary.traffic import Array

PERMUTATIONS = 10_000
LEAST = 5
"""Events of each sort without which nothing can be said."""


def compare(hindered: Array, values: Array, session: Array, seed: int = 0) -> float:
    """How likely values differ as much between the two sorts of events by chance: a permutation
    test within sessions on the largest distance of their distributions (Kolmogorov, Smirnov)."""
    draw = np.random.default_rng(seed)
    seen = _distance(hindered, values)
    where = [np.flatnonzero(session == one) for one in np.unique(session)]
    beaten = 0
    for _ in range(PERMUTATIONS):
        drawn = hindered.copy()
        for part in where:
            drawn[part] = draw.permutation(hindered[part])
        beaten += _distance(drawn, values) >= seen - 1e-12
    return (beaten + 1) / (PERMUTATIONS + 1)


def _distance(sort: Array, values: Array) -> float:
    edges = np.unique(values)
    one, other = np.sort(values[sort]), np.sort(values[~sort])
    if not len(one) or not len(other):
        return 0.0
    shares = [np.searchsorted(each, edges, side="right") / len(each) for each in (one, other)]
    return float(np.abs(shares[0] - shares[1]).max())


def table(
    kind: str, hindered: Array, phases: Array, bursts: Array, cells: Array, session: Array
) -> tuple[str, ...]:
    """Lines of a table in Markdown: by phase, what followed where the source was hindered and
    where it was not."""
    lines = [
        f"| {kind}, during | events (source hindered, another) | bursts that follow | p "
        "| cells that follow | p |",
        "|---|---|---|---|---|---|",
    ]
    for phase in ("all", *np.unique(phases)):
        kept = np.ones(len(phases), bool) if phase == "all" else phases == phase
        source, other = kept & hindered, kept & ~hindered
        counts = f"{source.sum()}, {other.sum()}"
        if min(source.sum(), other.sum()) < LEAST:
            lines.append(f"| {phase} | {counts} | too few | | | |")
            continue
        cells_of = [phase, counts]
        for values in (bursts, cells):
            p = compare(hindered[kept], values[kept], session[kept])
            cells_of += [
                f"{values[source].mean():.2f}, {values[other].mean():.2f}",
                f"{p:.3f}",
            ]
        lines.append(f"| {' | '.join(cells_of)} |")
    return tuple(lines)
