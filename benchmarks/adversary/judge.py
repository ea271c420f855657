"""Classifiers, and what their success is worth.

Each session is tested by what has learnt from those before it. (Sessions that are each trained on
and tested count every pair of them twice: then errors hang together, and p's and intervals that
take them for independent are too small. Here nothing that is tested has been used before it, so
that what guessing finds is known exactly.) Which classifier is taken is decided on the sessions it
learns from alone. Several bursts of one event are judged together: their log odds add up.
Intervals: Wilson (1927) for the accuracy, a bootstrap over sessions for the area under the curve.
How surprising that is, and what single features tell, is said by permutation tests, the latter with
Holm's (1979) correction: sources are drawn anew as they were drawn, for each event among its nodes,
or by coins within a session.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from sklearn.ensemble import HistGradientBoostingClassifier, RandomForestClassifier
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_curve
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import QuantileTransformer

from benchmarks.adversary.bounds import STEPS, advantage, holm, wilson

Array = np.ndarray[Any, np.dtype[Any]]
BOOTSTRAPS = 1000
LEAST_DRAWN = 8
PERMUTATIONS = 20_000
PERMUTATIONS_OF_A_FEATURE = 2000
"""Likewise, for each that a row has: then the least p after Holm over them, 1 / 2000, is small also
after what is corrected for in `report`: what else a row is tested by, and all rows of all plans.
A multiple of `PERMUTED_AT_ONCE`."""
PERMUTED_AT_ONCE = 200
INNER_FOLDS = 4
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
        _, first, at = np.unique(self.event, return_index=True, return_inverse=True)
        once = self.of(first)
        drawn = _drawn_anew(once.truth, once.session, np.random.default_rng(seed), 1)
        return replace(self, truth=drawn.reshape(once.truth.shape)[at] > 0)


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
    """How often these scores do as well with sources drawn anew. One-sided: to find less than
    guessing is to have learnt nothing, and no leak."""
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
    """Every session but the first ones is tested once, by what was trained on those before it."""
    parts = sessions(table, STEPS, seed)
    chosen, tested, scores = [], [], []
    for step in range(1, len(parts)):
        learnt, test = table.of(np.concatenate(parts[:step])), table.of(parts[step])
        if learnt.truth.any() and not learnt.truth.all():
            best = _best(learnt, seed)
            chosen.append(best)
            tested.append(parts[step])
            scores.append(_scores(seed, learnt, test, only=best)[best])
    return verdict(table.of(np.concatenate(tested)), np.concatenate(scores), tuple(chosen), seed)


def _best(table: Table, seed: int) -> str:
    """Which classifier does best on folds of these sessions, by the area under the curve: that
    says more than who is right, where nobody is right often."""
    success: dict[str, list[float]] = {}
    parts = sessions(table, INNER_FOLDS, seed + 1)
    for at, test in enumerate(parts):
        train = np.concatenate([np.zeros(0, int), *parts[:at], *parts[at + 1 :]])
        if not table.truth[train].any() or table.truth[train].all():
            continue
        held_out = table.of(test)
        truth = by_event(held_out, held_out.truth.astype(float))[0] > 0
        for name, scores in _scores(seed, table.of(train), held_out).items():
            won, pairs = _won(truth, *by_event(held_out, scores))
            if pairs.any():
                success.setdefault(name, []).append(float(won.sum() / pairs.sum()))
    return max(success, key=lambda name: float(np.mean(success[name]))) if success else ALL


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
    """Under the curve, with its 95 % interval and its p (see `Verdict.p`).

    The interval is of a bootstrap over sessions. (So few sessions can be drawn in few ways, all
    alike: below `LEAST_DRAWN` of them events are drawn.)"""
    draw = np.random.default_rng(seed)
    won, pairs = _won(truth, scores, session)
    if not pairs.any():
        return 0.5, 0.0, 1.0, 1.0
    own = np.unique(session, return_inverse=True)[1]
    if own.max() + 1 < LEAST_DRAWN:
        own = np.arange(len(session))
    won_of, pairs_of = np.bincount(own, won), np.bincount(own, pairs)
    picked = draw.integers(len(won_of), size=(BOOTSTRAPS, len(won_of)))
    areas = won_of[picked].sum(axis=1) / np.maximum(pairs_of[picked].sum(axis=1), 0.5)
    low, high = np.percentile(areas, [2.5, 97.5])
    # Among sources drawn anew the area grows with the sum of their ranks.
    ranks = _ranks(scores, session).ravel()
    beaten, seen = 0, float(ranks @ truth.ravel())
    for _ in range(PERMUTATIONS // PERMUTED_AT_ONCE):
        drawn = _drawn_anew(truth, session, draw, PERMUTED_AT_ONCE)
        beaten += int((drawn @ ranks >= seen - 1e-9).sum())
    p = (beaten + 1) / (PERMUTATIONS + 1)
    return float(won.sum() / pairs.sum()), float(low), float(high), p


def _won(truth: Array, scores: Array, session: Array) -> tuple[Array, Array]:
    """Of each event, in how many pairs of a source and another its source was put first, and how
    many pairs there are.

    A pair is two nodes of an event; where there is one node, two events of a session, and half of
    it belongs to each. What differently trained classifiers have scored makes no pair."""
    if truth.shape[1] > 1:
        others = truth.shape[1] - 1
        won = np.asarray((_ranks(scores, session) * truth).sum(axis=1) / others)
        return won, np.ones(len(truth))
    won, pairs = np.zeros(len(truth)), np.zeros(len(truth))
    for one in np.unique(session):
        at = np.flatnonzero(session == one)
        yes, no = at[truth[at, 0]], at[~truth[at, 0]]
        apart = np.sign(scores[yes, 0][:, None] - scores[no, 0][None, :]) / 2 + 0.5
        won[yes], won[no] = apart.sum(axis=1) / 2, apart.sum(axis=0) / 2
        pairs[yes], pairs[no] = len(no) / 2, len(yes) / 2
    return won, pairs


def _ranks(scores: Array, session: Array) -> Array:
    """How many others are below, of the nodes of an event, or where there is one of the events of a
    session; half of those that are equal."""
    if scores.shape[1] > 1:
        return np.stack([_below(row) for row in scores])
    found = np.zeros(scores.shape)
    for one in np.unique(session):
        at = session == one
        found[at, 0] = _below(scores[at, 0])
    return found


def _below(values: Array) -> Array:
    ordered = np.sort(values)
    low, high = (np.searchsorted(ordered, values, side) for side in ("left", "right"))
    return np.asarray((low + high - 1) / 2)


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
    for one in np.unique(once.session):
        rows[once.session == one] -= rows[once.session == one].mean(axis=(0, 1))
    scale = rows.std(axis=(0, 1))
    usable = np.flatnonzero(scale > 1e-12)
    if not len(usable):
        return []
    standard = rows[:, :, usable] / scale[usable]
    flat = standard.reshape(-1, len(usable))
    seen = np.abs(truth.ravel().astype(np.float64) @ flat) / max(1, truth.sum())
    beaten = np.zeros(len(usable))
    permutations = PERMUTATIONS_OF_A_FEATURE * len(usable)
    for _ in range(permutations // PERMUTED_AT_ONCE):
        drawn = _drawn_anew(truth, once.session, draw, PERMUTED_AT_ONCE)
        sums = np.abs(drawn @ flat) / np.maximum(1, drawn.sum(axis=1, keepdims=True))
        beaten += (sums >= seen - 1e-12).sum(axis=0)
    p = (beaten + 1) / (permutations + 1)
    found = zip(
        (table.names[names[index]] for index in usable), seen, holm(p.tolist()), strict=True
    )
    return sorted(((n, float(s), float(q)) for n, s, q in found), key=lambda one: (one[2], -one[1]))


def _drawn_anew(truth: Array, session: Array, draw: np.random.Generator, count: int) -> Array:
    """So many drawings of the sources at once, each flat over events and nodes."""
    events, nodes = truth.shape
    if nodes == 1:
        found = np.tile(truth[:, 0].astype(np.float64), (count, 1))
        for one in np.unique(session):
            at = np.flatnonzero(session == one)
            found[:, at] = draw.permuted(found[:, at], axis=1)
        return found
    drawn = draw.integers(nodes, size=(count, events))
    one_of = np.arange(nodes)[None, None, :] == drawn[:, :, None]
    return np.asarray(one_of.reshape(count, -1), dtype=np.float64)


def sessions(table: Table, count: int, seed: int) -> list[Array]:
    """The bursts in so many parts, whole sessions in each, in any order; the first has fewest."""
    shuffled = np.random.default_rng(seed).permutation(np.unique(table.session))
    parts = np.array_split(shuffled, min(count, len(shuffled)))
    return [np.flatnonzero(np.isin(table.session, part)) for part in reversed(parts)]


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
