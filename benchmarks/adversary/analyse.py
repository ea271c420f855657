"""The report: who sent it, whether anything was sent, and the controls."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from sklearn.ensemble import RandomForestClassifier
from sklearn.metrics import roc_auc_score

from benchmarks.adversary.judge import BOOTSTRAPS, Table, judge, strongest

LEAST_EVENTS = 20


def analyse(directory: Path) -> None:
    """Print what can be said of the sessions in `directory`."""
    groups: dict[str, list[Path]] = {}
    for path in sorted(directory.glob("*.npz")):
        groups.setdefault(path.stem.rpartition("-")[0], []).append(path)
    for group, paths in groups.items():
        print(f"\n## {group}: {len(paths)} sessions")
        table = load(paths)
        if len(paths) < 2 or len(table.source) < LEAST_EVENTS:
            print(f"{len(table.source)} bursts: too few to say anything")
            continue
        print(f"source:     {judge(table)}")
        shuffled = np.random.default_rng(1).integers(table.rows.shape[1], size=len(table.source))
        blind = Table(table.names, table.rows, table.raw, shuffled, table.session)
        print(f"A/A:        {judge(blind)}")
        for name, difference, p in strongest(table)[:8]:
            print(f"  {name:45} {difference:6.3f} sd, p = {p:.4f}")
        print(f"anything:   {anything(paths)}")


def load(paths: list[Path]) -> Table:
    """All events of these sessions with a burst and a source."""
    parts = []
    for number, path in enumerate(paths):
        with np.load(path) as file:
            if not file["burst"].any():
                continue
            kept = file["burst"] & (file["source"] >= 0)
            parts.append(
                Table(
                    tuple(file["names"]),
                    file["rows"][kept],
                    file["raw"][kept],
                    file["source"][kept],
                    np.full(int(kept.sum()), number),
                )
            )
    return Table(
        parts[0].names,
        np.nan_to_num(np.concatenate([part.rows for part in parts])),
        np.concatenate([part.raw for part in parts]),
        np.concatenate([part.source for part in parts]),
        np.concatenate([part.session for part in parts]),
    )


def anything(paths: list[Path]) -> str:
    """Whether a change that rode in heartbeats can be told from a time in which nothing was."""
    rows, sent, session = [], [], []
    for number, path in enumerate(paths):
        with np.load(path) as file:
            kept = ~file["burst"]
            # Without a burst only the windows have something to say: of the whole group.
            each = np.nan_to_num(file["rows"][kept])
            rows.append(np.concatenate([each.mean(axis=1), each.max(axis=1)], axis=1))
            sent.append(file["source"][kept] >= 0)
            session.append(np.full(int(kept.sum()), number))
    values, truth, group = np.concatenate(rows), np.concatenate(sent), np.concatenate(session)
    if truth.sum() < LEAST_EVENTS // 2 or (~truth).sum() < LEAST_EVENTS // 2:
        return f"{truth.sum()} with, {(~truth).sum()} without: too few to say anything"
    scores = np.zeros(len(truth))
    for one in np.unique(group):
        forest = RandomForestClassifier(400, min_samples_leaf=3, n_jobs=2, random_state=0)
        forest.fit(values[group != one], truth[group != one])
        scores[group == one] = forest.predict_proba(values[group == one])[:, 1]
    draw = np.random.default_rng(0)
    areas = []
    for _ in range(BOOTSTRAPS):
        picked = draw.integers(len(truth), size=len(truth))
        if truth[picked].any() and not truth[picked].all():
            areas.append(roc_auc_score(truth[picked], scores[picked]))
    low, high = np.percentile(areas, [2.5, 97.5])
    return (
        f"AUC {roc_auc_score(truth, scores):.3f} [{low:.3f}, {high:.3f}], "
        f"{truth.sum()} with, {(~truth).sum()} without"
    )
