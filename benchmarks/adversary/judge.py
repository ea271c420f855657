"""Classifiers, and what their success is worth.

Trained on some sessions and tested on the others. Which classifier is taken is decided on the
training sessions alone. Intervals: Wilson (1927) for the accuracy, a bootstrap over sessions for
the area under the curve; permutation tests per feature with Holm's (1979) correction.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score, roc_curve
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import QuantileTransformer, StandardScaler

Array = np.ndarray[Any, np.dtype[Any]]
Z = 1.96
BOOTSTRAPS = 1000
PERMUTATIONS = 2000
FOLDS = 5


@dataclass(frozen=True, slots=True)
class Table:
    """Events of several sessions. `rows`: event, node, feature; `source`: a node, per event."""

    names: tuple[str, ...]
    rows: Array
    raw: Array
    source: Array
    session: Array

    def of(self, chosen: Array) -> Table:
        """Some of the events."""
        return Table(
            self.names,
            self.rows[chosen],
            self.raw[chosen],
            self.source[chosen],
            self.session[chosen],
        )


@dataclass(frozen=True, slots=True)
class Verdict:
    """How well the source was named."""

    events: int
    nodes: int
    right: int
    accuracy: float
    low: float
    high: float
    auc: float
    auc_low: float
    auc_high: float
    hits_at_one_percent: float
    chosen: tuple[str, ...]

    @property
    def advantage(self) -> tuple[float, float, float]:
        """Of the accuracy over guessing, with its interval: 0 is guessing, 1 is knowing."""
        return tuple(  # type: ignore[return-value]
            (value - 1 / self.nodes) / (1 - 1 / self.nodes)
            for value in (self.accuracy, self.low, self.high)
        )

    def __str__(self) -> str:
        advantage, low, high = self.advantage
        return (
            f"{self.right} of {self.events} right: {self.accuracy:.3f} "
            f"[{self.low:.3f}, {self.high:.3f}], chance {1 / self.nodes:.3f}; "
            f"advantage {advantage:+.3f} [{low:+.3f}, {high:+.3f}]; "
            f"AUC {self.auc:.3f} [{self.auc_low:.3f}, {self.auc_high:.3f}]; "
            f"hits at 1 % false alarms {self.hits_at_one_percent:.3f}; "
            f"chosen {', '.join(sorted(set(self.chosen)))}"
        )


def classifiers(seed: int) -> dict[str, tuple[str, Any]]:
    """By name: what each looks at, and itself."""
    return {
        "regression": ("rows", make_pipeline(_even(seed), LogisticRegression(C=0.1, max_iter=500))),
        "forest": (
            "rows",
            RandomForestClassifier(400, min_samples_leaf=3, n_jobs=2, random_state=seed),
        ),
        "network on raw gaps": (
            "raw",
            make_pipeline(
                StandardScaler(),
                MLPClassifier((64, 32), alpha=1e-2, max_iter=300, random_state=seed),
            ),
        ),
    }


def _even(seed: int) -> QuantileTransformer:
    return QuantileTransformer(
        n_quantiles=50, output_distribution="normal", subsample=100_000, random_state=seed
    )


def judge(table: Table, seed: int = 0) -> Verdict:
    """Every session is tested once, by what was trained on sessions of other folds."""
    scores = np.zeros((*table.source.shape, table.rows.shape[1]))
    chosen = []
    for train, test in _folds(table, seed):
        inner = next(iter(_folds(table.of(train), seed)))
        success = {
            name: _right(
                table.of(train).of(inner[1]),
                _scores(name, seed, table.of(train).of(inner[0]), table.of(train).of(inner[1])),
            )
            for name in classifiers(seed)
        }
        best = max(success, key=lambda name: success[name])
        chosen.append(best)
        scores[test] = _scores(best, seed, table.of(train), table.of(test))
    return verdict(table, scores, tuple(chosen), seed)


def verdict(table: Table, scores: Array, chosen: tuple[str, ...], seed: int) -> Verdict:
    """What these scores are worth."""
    events, nodes = scores.shape
    right = _right(table, scores)
    accuracy, low, high = wilson(right, events)
    truth = np.arange(nodes)[None, :] == table.source[:, None]
    draw = np.random.default_rng(seed)
    sessions = np.unique(table.session)
    areas = []
    for _ in range(BOOTSTRAPS):
        picked = draw.choice(sessions, len(sessions))
        index = np.concatenate([np.flatnonzero(table.session == one) for one in picked])
        areas.append(roc_auc_score(truth[index].ravel(), scores[index].ravel()))
    false, hits, _ = roc_curve(truth.ravel(), scores.ravel())
    return Verdict(
        events,
        nodes,
        right,
        accuracy,
        low,
        high,
        float(roc_auc_score(truth.ravel(), scores.ravel())),
        float(np.percentile(areas, 2.5)),
        float(np.percentile(areas, 97.5)),
        float(hits[false <= 0.01].max()),
        chosen,
    )


def wilson(right: int, events: int) -> tuple[float, float, float]:
    """A share with its 95 % interval."""
    share = right / events
    middle = (share + Z * Z / (2 * events)) / (1 + Z * Z / events)
    half = (
        Z
        / (1 + Z * Z / events)
        * np.sqrt(share * (1 - share) / events + Z * Z / (4 * events * events))
    )
    return share, float(middle - half), float(middle + half)


def strongest(table: Table, seed: int = 0) -> list[tuple[str, float, float]]:
    """(feature, standardised difference of the source to the others, p after Holm), best first."""
    draw = np.random.default_rng(seed)
    events, nodes, _ = table.rows.shape
    centred = table.rows - table.rows.mean(axis=1, keepdims=True)
    scale = centred.std(axis=(0, 1))
    usable = np.flatnonzero(scale > 0)
    standard = centred[:, :, usable] / scale[usable]
    at = np.arange(events)
    seen = np.abs(standard[at, table.source].mean(axis=0))
    beaten = np.zeros(len(usable))
    for _ in range(PERMUTATIONS):
        beaten += np.abs(standard[at, draw.integers(nodes, size=events)].mean(axis=0)) >= seen
    p = (beaten + 1) / (PERMUTATIONS + 1)
    order = np.argsort(p, kind="stable")
    corrected = np.minimum(1, np.maximum.accumulate(p[order] * (len(p) - np.arange(len(p)))))
    found = [
        (table.names[usable[index]], float(seen[index]), float(value))
        for index, value in zip(order, corrected, strict=True)
    ]
    return sorted(found, key=lambda one: (one[2], -one[1]))


def _folds(table: Table, seed: int) -> list[tuple[Array, Array]]:
    sessions = np.random.default_rng(seed).permutation(np.unique(table.session))
    parts = np.array_split(sessions, min(FOLDS, len(sessions)))
    return [
        (
            np.flatnonzero(~np.isin(table.session, part)),
            np.flatnonzero(np.isin(table.session, part)),
        )
        for part in parts
    ]


def _scores(name: str, seed: int, train: Table, test: Table) -> Array:
    looks_at, classifier = classifiers(seed)[name]
    events, nodes, _ = train.rows.shape
    truth = np.arange(nodes)[None, :] == train.source[:, None]
    values = getattr(train, looks_at).reshape(events * nodes, -1)
    classifier.fit(values, truth.ravel())
    values = getattr(test, looks_at).reshape(len(test.source) * nodes, -1)
    return np.asarray(classifier.predict_proba(values)[:, 1]).reshape(-1, nodes)


def _right(table: Table, scores: Array) -> int:
    return int((scores.argmax(axis=1) == table.source).sum())
