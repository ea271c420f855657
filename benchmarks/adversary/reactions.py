"""The two oracles of rule 7: do the others start over, and does a repair follow, by role?

Cut or mute a node in the middle of a burst: if the others begin anew only where the node that is
gone was not the source, or was, its role shows. Drop a node's cells: likewise for the repair. So
how many bursts follow, and how long they are, must be distributed equally, whoever was hindered.
"""

from __future__ import annotations

import numpy as np

from benchmarks.adversary.traffic import Array

PERMUTATIONS = 50_000
"""Enough that the least p of eight comparisons is small beside all rows, see `judge`."""
LEAST = 5
"""Events of each sort without which nothing can be said."""


def compare(hindered: Array, values: Array, whole: Array, session: Array, seed: int = 0) -> float:
    """How likely values differ as much between the two sorts of events by chance: a permutation
    test on the largest distance of their distributions (Kolmogorov, Smirnov).

    Hindering a whole node meets the source one time in three, a link two in three, and what follows
    differs by that. So only like is compared with like, and permuted within sessions."""
    draw = np.random.default_rng(seed)
    drawn = np.tile(hindered, (PERMUTATIONS + 1, 1))  # the first row stays what was seen
    distances = np.zeros(len(drawn))
    for alike in (whole, ~whole):
        for one in np.unique(session[alike]):
            at = np.flatnonzero(alike & (session == one))
            drawn[1:, at] = draw.permuted(drawn[1:, at], axis=1)
        distances += _distances(drawn[:, alike], values[alike])
    return float((distances >= distances[0] - 1e-9).mean())


def _distances(sorts: Array, values: Array) -> Array:
    """Of each row of `sorts`, which has as many of each sort as the others: how far apart the
    distributions are, by what such a distance is by chance."""
    one = int(sorts[0].sum())
    other = len(values) - one
    if not one or not other:
        return np.zeros(len(sorts))
    below = (values[:, None] <= np.unique(values)).astype(np.float64)
    of_one = sorts @ below
    apart = np.abs(of_one / one - (below.sum(axis=0) - of_one) / other).max(axis=1)
    return np.asarray(apart * np.sqrt(one * other / len(values)))


def table(
    hindered: Array,
    phases: Array,
    bursts: Array,
    cells: Array,
    whole: Array,
    session: Array,
) -> tuple[tuple[str, ...], float]:
    """Lines of a table in Markdown: by phase, what followed where the source was hindered and
    where it was not; and the p of all of it, by Bonferroni."""
    lines = [
        "| during | events (source hindered, another) | bursts that follow | p "
        "| cells that follow | p |",
        "|---|---|---|---|---|---|",
    ]
    found = []
    for phase in ("all", *np.unique(phases)):
        kept = np.ones(len(phases), bool) if phase == "all" else phases == phase
        source, other = kept & hindered, kept & ~hindered
        counts = f"{source.sum()}, {other.sum()}"
        if min(source.sum(), other.sum()) < LEAST:
            lines.append(f"| {phase} | {counts} | too few | | | |")
            continue
        cells_of = [phase, counts]
        for values in (bursts, cells):
            p = compare(hindered[kept], values[kept], whole[kept], session[kept])
            found.append(p)
            cells_of += [
                f"{values[source].mean():.2f}, {values[other].mean():.2f}",
                f"{p:.3f}",
            ]
        lines.append(f"| {' | '.join(cells_of)} |")
    return tuple(lines), min([1.0, *(p * len(found) for p in found)])
