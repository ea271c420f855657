"""The core of the judge: what is planted is found, and where nothing is, nothing is found."""

from __future__ import annotations

import sys
from dataclasses import replace
from itertools import pairwise
from typing import Any

import pytest

np = pytest.importorskip("numpy")
pytest.importorskip("sklearn")

from sklearn.metrics import roc_auc_score  # noqa: E402

from benchmarks.adversary import judge as judging  # noqa: E402
from benchmarks.adversary.bounds import ENOUGH, STEPS, flown  # noqa: E402
from benchmarks.adversary.judge import (  # noqa: E402
    Table,
    area,
    by_event,
    judge,
    sessions,
    strongest,
    verdict,
)

NODES, EVENTS, OF_A_SESSION, FEATURES = 3, 300, 20, 8


def planted(shift: float, seed: int, nodes: int = NODES, raw_shift: float = 0.0) -> Table:
    """Sources differ by so many standard deviations in one figure. What slows all nodes of an
    event alike, and what differs from session to session, is larger."""
    draw = np.random.default_rng(seed)
    session = np.arange(EVENTS) // OF_A_SESSION
    if nodes == 1:
        truth = (draw.random(EVENTS) < 0.5)[:, None]
    else:
        truth = np.arange(nodes)[None, :] == draw.integers(nodes, size=EVENTS)[:, None]
    rows = draw.normal(size=(EVENTS, nodes, FEATURES))
    rows += draw.normal(size=(EVENTS, 1, FEATURES)) * (nodes > 1)
    rows += draw.normal(size=(EVENTS, 1, FEATURES))[session] * (nodes > 1)
    raw = draw.normal(size=(EVENTS, nodes, FEATURES))
    rows[:, :, 3] += shift * truth
    raw[:, :, 5] += raw_shift * truth
    names = tuple(f"figure {number}" for number in range(FEATURES))
    return Table(names, rows, raw, truth, np.arange(EVENTS), session)


CLASSIFIERS = judging.classifiers


def two_classifiers(seed: int) -> dict[str, tuple[str, Any]]:
    """Enough where all of them are tried as well."""
    regressions = [CLASSIFIERS(seed)["regression"][1] for _ in range(2)]
    return {"regression": ("rows", regressions[0]), "raw": ("raw", regressions[1])}


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(judging, "classifiers", two_classifiers)
    monkeypatch.setattr(judging, "PERMUTATIONS", 2000)
    monkeypatch.setattr(judging, "TREES", 20)


@pytest.mark.parametrize("looks_at", ["rows", "raw"])
def test_every_classifier_finds_what_is_planted(
    looks_at: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(judging, "classifiers", CLASSIFIERS)
    in_rows = looks_at == "rows"
    table = planted(3.0 * in_rows, 8, raw_shift=3.0 * (not in_rows))
    learnt, test = table.of(np.arange(200)), table.of(np.arange(200, EVENTS))
    scores = judging._scores(0, learnt, test)
    known = judging.classifiers(0)
    assert set(scores) == {*known, judging.ALL}
    for name, found in scores.items():
        seen = name == judging.ALL or known[name][0] in (looks_at, "both")
        assert (area(test.truth, found, test.session, 0)[0] > 0.8) == seen, name


@pytest.mark.parametrize(("looks_at", "chosen"), [("rows", "regression"), ("raw", "raw")])
def test_the_classifier_that_does_best_is_chosen(looks_at: str, chosen: str) -> None:
    in_rows = looks_at == "rows"
    table = planted(2.0 * in_rows, 8, raw_shift=2.0 * (not in_rows))
    assert judging._best(table, 0) in (chosen, judging.ALL)
    assert judging._best(table.of(np.arange(OF_A_SESSION)), 0) == judging.ALL


@pytest.mark.parametrize("nodes", [1, NODES])
def test_what_is_planted_is_found(nodes: int) -> None:
    found = judge(planted(2.0, 1, nodes))
    assert found.auc_low > 0.7
    assert found.p < 0.001
    assert found.advantage[1] > 0.2


def test_what_is_planted_in_raw_times_is_found() -> None:
    assert judge(planted(0.0, 1, raw_shift=2.0)).auc_low > 0.7


@pytest.mark.parametrize("nodes", [1, NODES])
def test_where_nothing_is_nothing_is_found(nodes: int) -> None:
    found = judge(planted(0.0, 2, nodes))
    assert found.p > 0.05
    assert found.auc_low < 0.5
    assert found.advantage[1] < 0 < found.advantage[2]


@pytest.mark.parametrize("nodes", [1, NODES])
def test_what_is_drawn_blindly_is_not_found(nodes: int) -> None:
    table = planted(2.0, 3, nodes)
    blind = table.blind(1)
    assert not (blind.truth == table.truth).all()
    for one in np.unique(table.session):  # no session gives anything away
        mine = table.session == one
        assert blind.truth[mine].sum() == table.truth[mine].sum()
    assert judge(blind).p > 0.05


@pytest.mark.parametrize("nodes", [1, NODES])
def test_the_strongest_figure_is_the_one_that_was_planted(nodes: int) -> None:
    (name, difference, p), *others = strongest(planted(1.0, 5, nodes))
    assert (name, p < 0.01, difference > 0.3) == ("figure 3", True, True)
    assert all(other[2] > 0.05 for other in others)
    assert all(p > 0.05 for _, _, p in strongest(planted(0.0, 5, nodes)))


def test_an_advantage_of_the_bound_shows_in_the_figure_that_gives_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A shift of 0.19 in one of as many figures as there are, of as many changes as are flown."""
    monkeypatch.setattr(sys.modules[__name__], "EVENTS", flown(ENOUGH))
    monkeypatch.setattr(sys.modules[__name__], "FEATURES", 212)
    monkeypatch.setattr(judging, "PERMUTATIONS_OF_A_FEATURE", 200)
    (name, _, p), *others = strongest(planted(0.19, 0))
    assert (name, p < 0.05) == ("figure 3", True)
    assert all(p > 0.05 for _, _, p in others)


def test_parts_are_of_whole_sessions() -> None:
    table = planted(0.0, 6)
    parts = sessions(table, STEPS, 0)
    assert sorted(np.concatenate(parts).tolist()) == list(range(EVENTS))
    flown = [set(table.session[part].tolist()) for part in parts]
    assert sum(map(len, flown)) == len(set().union(*flown)) == EVENTS // OF_A_SESSION
    assert [len(part) for part in flown] == [1] + [2] * (STEPS - 1)


@pytest.mark.parametrize("of_a_session", [54, 60])
def test_enough_is_flown_for_what_has_to_be_tested(of_a_session: int) -> None:
    count = -(-flown(1200) // of_a_session)
    events = np.arange(count * of_a_session)
    table = replace(planted(0.0, 6).of(events % EVENTS), session=events // of_a_session)
    assert sum(map(len, sessions(table, STEPS, 0)[1:])) >= 1200


def test_nothing_that_is_tested_was_learnt_or_chosen_from_before(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    table = planted(0.0, 7)
    seen: list[tuple[set[int], set[int], set[int]]] = []
    chosen_on: list[set[int]] = []
    learn = judging._scores

    def best(learnt: Table, _seed: int) -> str:
        chosen_on.append(set(learnt.session.tolist()))
        return "regression"

    def scores(seed: int, train: Table, test: Table, only: str = "") -> dict[str, Any]:
        seen.append((chosen_on[-1], set(train.session.tolist()), set(test.session.tolist())))
        return learn(seed, train, test, only)

    monkeypatch.setattr(judging, "_best", best)
    monkeypatch.setattr(judging, "_scores", scores)
    found = judge(table)
    assert len(seen) == STEPS - 1
    for chosen, learnt, tested in seen:
        assert chosen == learnt
        assert not learnt & tested
    tests = [session for *_, tested in seen for session in tested]
    assert len(tests) == len(set(tests)) == EVENTS // OF_A_SESSION - 1
    assert found.events == len(tests) * OF_A_SESSION
    assert all(a[1] < b[1] and a[2] <= b[1] for a, b in pairwise(seen))


def scored(pull: float, seed: int, nodes: int) -> tuple[Any, Any, Any]:
    table = planted(0.0, seed, nodes)
    noise = np.random.default_rng(seed + 100).normal(size=table.truth.shape)
    return table.truth, noise + pull * table.truth, table.session


@pytest.mark.parametrize("nodes", [1, 2, NODES, 5])
def test_an_area_is_the_share_of_pairs_in_the_right_order(nodes: int) -> None:
    truth, scores, session = scored(1.0, 9, nodes)
    auc, low, high, p = area(truth, scores, session, 0)
    assert auc == pytest.approx(roc_auc_score(truth.ravel(), scores.ravel()), abs=0.05)
    assert low < auc < high
    assert 0.05 < high - low < 0.2
    assert p < 0.001
    assert area(truth, -scores, session, 0)[0] == pytest.approx(1 - auc)


@pytest.mark.parametrize("nodes", [1, NODES])
def test_a_surprise_is_as_seldom_as_its_p_says(nodes: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(judging, "PERMUTATIONS", 400)
    values = [area(*scored(0.0, seed, nodes), seed)[3] for seed in range(100)]
    assert sum(p <= 0.05 for p in values) <= 12
    assert 35 <= sum(p <= 0.5 for p in values) <= 65


def test_to_do_worse_than_guessing_is_no_surprise() -> None:
    assert area(*scored(-1.0, 10, NODES), 0)[3] > 0.99


@pytest.mark.parametrize("nodes", [1, NODES])
def test_what_classifiers_of_other_folds_have_scored_is_not_compared(nodes: int) -> None:
    """Sessions (and with several nodes events) are scored higher or lower as a whole."""
    truth, scores, session = scored(1.0, 11, nodes)
    moved = scores + np.random.default_rng(1).normal(size=EVENTS)[session][:, None] * 100
    assert area(truth, moved, session, 0) == pytest.approx(area(truth, scores, session, 0))


def test_with_few_sessions_events_are_drawn() -> None:
    truth, scores, _ = scored(1.0, 12, 1)
    auc, low, high, _ = area(truth, scores, np.arange(EVENTS) % 2, 0)
    assert low < auc < high
    assert 0.05 < high - low < 0.2


def test_where_there_are_no_two_answers_nothing_is_said() -> None:
    nothing = np.ones((20, 1), bool), np.ones((20, 1)), np.arange(20) // 10
    assert area(*nothing, 0) == (0.5, 0.0, 1.0, 1.0)


def test_bursts_of_an_event_are_judged_together() -> None:
    table = replace(planted(0.0, 13), event=np.arange(EVENTS) // 2)
    total, session = by_event(table, np.ones((EVENTS, NODES)))
    assert total.shape == (EVENTS // 2, NODES)
    assert (total == 2).all()
    assert session.tolist() == table.session[::2].tolist()


def test_a_verdict_counts_who_was_put_first() -> None:
    table = planted(0.0, 14)
    right = verdict(table, table.truth * 1.0, ("all",), 0)
    assert (right.right, right.auc, right.hits_at_one_percent) == (EVENTS, 1.0, 1.0)
    wrong = verdict(table, -1.0 * table.truth, ("all",), 0)
    assert (wrong.right, wrong.auc) == (0, 0.0)
    alone = planted(0.0, 14, nodes=1)
    assert verdict(alone, alone.truth - 0.5, ("all",), 0).right == EVENTS
