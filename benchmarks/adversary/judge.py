"""Classifiers, and what their success is worth.

Trained on some sessions and tested on the others. Which classifier is taken is decided on the
training sessions alone. Several bursts of one event are judged together: their log odds add up.
Intervals: Wilson (1927) for the accuracy, a bootstrap over sessions for the area under the curve;
permutation tests per feature with Holm's (1979) correction.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from sklearn.ensemble import HistGradientBoostingClassifier, RandomForestClassifier
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score, roc_curve
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import QuantileTransformer

from benchmarks.adversary.bounds import advantage, holm, wilson

Array = np.ndarray[Any, np.dtype[Any]]
BOOTSTRAPS = 1000
LEAST_DRAWN = 10
PERMUTATIONS = 20_000
"""Enough that p times as many features as there are can still be small."""
PERMUTED_AT_ONCE = 200
FOLDS = 5
INNER_FOLDS = 2
TREES = 150
ALL = "all together"
"""The mean of all classifiers' log odds, a candidate like each of them."""
SUREST = 1e-6
"""Probabilities are taken for no nearer to 0 and 1."""


@dataclass(frozen=True, slots=True)
class Table:
    """Bursts of several sessions. `rows`: burst, node, feature. `truth`: burst, node: whether it
    was the source. With a single node the question is yes or no, otherwise which of the nodes."""

    names: tuple[str, ...]
    rows: Array
    raw: Array
    truth: Array
    event: Array
    """A number for each event, over all sessions."""
    session: Array

    @property
    def nodes(self) -> int:
        """Rows of a burst."""
        return int(self.truth.shape[1])

    @property
    def classes(self) -> int:
        """Answers that are possible."""
        return max(2, self.nodes)

    def of(self, chosen: Array) -> Table:
        """Some of the bursts."""
        return Table(
            self.names,
            self.rows[chosen],
            self.raw[chosen],
            self.truth[chosen],
            self.event[chosen],
            self.session[chosen],
        )

    def blind(self, seed: int) -> Table:
        """The same with a source drawn anew for each event: there is nothing to be found."""
        draw = np.random.default_rng(seed)
        at = np.unique(self.event, return_inverse=True)[1]
        if self.nodes == 1:
            return replace(self, truth=draw.permutation(at.max() + 1)[at, None] % 2 == 1)
        drawn = draw.integers(self.nodes, size=at.max() + 1)[at]
        return replace(self, truth=np.arange(self.nodes)[None, :] == drawn[:, None])


@dataclass(frozen=True, slots=True)
class Verdict:
    """How well the question was answered."""

    events: int
    classes: int
    right: int
    accuracy: float
    low: float
    high: float
    auc: float
    auc_low: float
    auc_high: float
    p: float
    """How often as little as guessing finds comes of a drawing of sessions. One-sided: to find less
    than guessing is to have learnt nothing, and no leak."""
    hits_at_one_percent: float
    chosen: tuple[str, ...]

    @property
    def advantage(self) -> tuple[float, float, float]:
        """Of the accuracy over guessing, with its interval: 0 is guessing, 1 is knowing."""
        low, middle, high = (
            advantage(share, self.classes) for share in (self.low, self.accuracy, self.high)
        )
        return middle, low, high


def classifiers(seed: int) -> dict[str, tuple[str, Any]]:
    """By name: what each looks at (`rows`, `raw` or both), and itself."""
    return {
        "regression": (
            "rows",
            make_pipeline(_even(seed), LogisticRegression(C=0.01, max_iter=1000)),
        ),
        "forest": (
            "rows",
            RandomForestClassifier(
                TREES, min_samples_leaf=4, max_samples=0.7, n_jobs=2, random_state=seed
            ),
        ),
        "boosting": (
            "both",
            HistGradientBoostingClassifier(
                max_iter=80,
                learning_rate=0.08,
                max_leaf_nodes=8,
                max_bins=63,
                max_features=0.3,
                random_state=seed,
            ),
        ),
        "forest on raw gaps": (
            "raw",
            RandomForestClassifier(
                TREES, min_samples_leaf=4, max_samples=0.7, n_jobs=2, random_state=seed
            ),
        ),
        "network on raw gaps": (
            "raw",
            make_pipeline(
                _even(seed),
                MLPClassifier(
                    (64, 32), alpha=1.0, early_stopping=True, max_iter=200, random_state=seed
                ),
            ),
        ),
    }


def _even(seed: int) -> QuantileTransformer:
    return QuantileTransformer(
        n_quantiles=50, output_distribution="normal", subsample=100_000, random_state=seed
    )


def judge(table: Table, seed: int = 0) -> Verdict:
    """Every session is tested once, by what was trained on sessions of other folds."""
    scores = np.zeros(table.truth.shape)
    chosen = []
    for train, test in folds(table, FOLDS, seed):
        learnt = table.of(train)
        best = _best(learnt, seed)
        chosen.append(best)
        scores[test] = _scores(seed, learnt, table.of(test), only=best)[best]
    return verdict(table, scores, tuple(chosen), seed)


def _best(table: Table, seed: int) -> str:
    """Which classifier does best on folds of these sessions, by the area under the curve: that
    says more than who is right, where nobody is right often."""
    success: dict[str, list[float]] = {}
    for train, test in folds(table, INNER_FOLDS, seed + 1):
        if not table.truth[train].any() or table.truth[train].all():
            continue
        held_out = table.of(test)
        truth = by_event(held_out, held_out.truth.astype(float))[0] > 0
        if truth.all() or not truth.any():
            continue
        for name, scores in _scores(seed, table.of(train), held_out).items():
            area = roc_auc_score(truth.ravel(), by_event(held_out, scores)[0].ravel())
            success.setdefault(name, []).append(float(area))
    return max(success, key=lambda name: float(np.mean(success[name]))) if success else "forest"


def by_event(table: Table, scores: Array) -> tuple[Array, Array]:
    """Scores added up over the bursts of each event, and the session of each event."""
    events, first, at = np.unique(table.event, return_index=True, return_inverse=True)
    total = np.zeros((len(events), scores.shape[1]))
    np.add.at(total, at, scores)
    return total, table.session[first]


def verdict(table: Table, scores: Array, chosen: tuple[str, ...], seed: int) -> Verdict:
    """What these scores are worth."""
    total, session = by_event(table, scores)
    truth = by_event(table, table.truth.astype(float))[0] > 0
    events = len(total)
    if table.nodes == 1:
        right = int(((total > 0) == truth).sum())
    else:
        right = int(truth[np.arange(events), total.argmax(axis=1)].sum())
    accuracy, low, high = wilson(right, events)
    auc, auc_low, auc_high, p = area(truth, total, session, seed)
    false, hits, _ = roc_curve(truth.ravel(), total.ravel())
    return Verdict(
        events,
        table.classes,
        right,
        accuracy,
        low,
        high,
        auc,
        auc_low,
        auc_high,
        p,
        float(hits[false <= 0.01].max()),
        chosen,
    )


def area(
    truth: Array, scores: Array, session: Array, seed: int
) -> tuple[float, float, float, float]:
    """Under the curve, with its 95 % interval and its p from a bootstrap over sessions. (So few
    sessions can be drawn in few ways, all alike: below `LEAST_DRAWN` of them events are drawn.)"""
    draw = np.random.default_rng(seed)
    where = [np.flatnonzero(session == one) for one in np.unique(session)]
    if len(where) < LEAST_DRAWN:
        where = [np.array([one]) for one in range(len(session))]
    areas = []
    for _ in range(BOOTSTRAPS):
        picked = np.concatenate([where[one] for one in draw.integers(len(where), size=len(where))])
        some = truth[picked].ravel()
        if some.any() and not some.all():
            areas.append(roc_auc_score(some, scores[picked].ravel()))
    low, high = np.percentile(areas, [2.5, 97.5])
    p = (1 + sum(one <= 0.5 for one in areas)) / (1 + len(areas))
    return float(roc_auc_score(truth.ravel(), scores.ravel())), float(low), float(high), p


def strongest(table: Table, seed: int = 0) -> list[tuple[str, float, float]]:
    """(feature, standardised difference of the source to the rest, p after Holm), best first.

    Sources are drawn anew for each event, as they were: uniformly among its nodes, or by a coin. A
    figure and its difference to the group's median differ by what all nodes share, so of the two
    only one is tested where nodes are compared."""
    draw = np.random.default_rng(seed)
    first = np.unique(table.event, return_index=True)[1]
    once = table.of(first)
    names = [
        at
        for at, name in enumerate(table.names)
        if table.nodes == 1 or not name.endswith(", from the group")
    ]
    rows, truth = once.rows[:, :, names].astype(np.float64), once.truth
    if table.nodes > 1:
        rows = rows - rows.mean(axis=1, keepdims=True)
    else:
        rows = rows - rows.mean(axis=0, keepdims=True)
    scale = rows.std(axis=(0, 1))
    usable = np.flatnonzero(scale > 1e-12)
    if not len(usable):
        return []
    standard = rows[:, :, usable] / scale[usable]
    flat = standard.reshape(-1, len(usable))
    seen = np.abs(truth.ravel().astype(np.float64) @ flat) / max(1, truth.sum())
    beaten = np.zeros(len(usable))
    for _ in range(PERMUTATIONS // PERMUTED_AT_ONCE):
        drawn = _drawn_anew(truth, draw)
        sums = np.abs(drawn @ flat) / np.maximum(1, drawn.sum(axis=1, keepdims=True))
        beaten += (sums >= seen - 1e-12).sum(axis=0)
    p = (beaten + 1) / (PERMUTATIONS + 1)
    found = zip(
        (table.names[names[index]] for index in usable), seen, holm(p.tolist()), strict=True
    )
    return sorted(((n, float(s), float(q)) for n, s, q in found), key=lambda one: (one[2], -one[1]))


def _drawn_anew(truth: Array, draw: np.random.Generator) -> Array:
    """Many drawings of the sources at once, each flat over events and nodes."""
    events, nodes = truth.shape
    if nodes == 1:
        return np.stack([draw.permutation(truth[:, 0]) for _ in range(PERMUTED_AT_ONCE)]).astype(
            np.float64
        )
    drawn = draw.integers(nodes, size=(PERMUTED_AT_ONCE, events))
    one = np.arange(nodes)[None, None, :] == drawn[:, :, None]
    return np.asarray(one.reshape(PERMUTED_AT_ONCE, -1), dtype=np.float64)


def folds(table: Table, count: int, seed: int) -> list[tuple[Array, Array]]:
    """(training, test) bursts, parted by session."""
    sessions = np.random.default_rng(seed).permutation(np.unique(table.session))
    return [
        (
            np.flatnonzero(~np.isin(table.session, part)),
            np.flatnonzero(np.isin(table.session, part)),
        )
        for part in np.array_split(sessions, min(count, len(sessions)))
    ]


def _scores(seed: int, train: Table, test: Table, only: str = "") -> dict[str, Array]:
    """Log odds that each node of each burst was the source, by classifier; or of one alone."""
    found = {}
    for name, (looks_at, classifier) in classifiers(seed).items():
        if only in ("", ALL, name):
            with warnings.catch_warnings():
                # Few events are said to be few, and more quantiles than samples do no harm.
                warnings.simplefilter("ignore", ConvergenceWarning)
                warnings.filterwarnings("ignore", message="n_quantiles")
                classifier.fit(_values(train, looks_at), train.truth.ravel())
            shares = classifier.predict_proba(_values(test, looks_at))[:, 1]
            shares = np.clip(shares, SUREST, 1 - SUREST)
            found[name] = np.log(shares / (1 - shares)).reshape(test.truth.shape)
    if only in ("", ALL):
        found[ALL] = np.mean(list(found.values()), axis=0)
    return found


def _values(table: Table, looks_at: str) -> Array:
    parts = {"rows": (table.rows,), "raw": (table.raw,), "both": (table.rows, table.raw)}[looks_at]
    bursts, nodes = table.truth.shape
    return np.concatenate([part.reshape(bursts * nodes, -1) for part in parts], axis=1)
