"""What the report of the adversary says of what was found, and when it says that a row holds."""

from __future__ import annotations

from dataclasses import replace

import pytest

np = pytest.importorskip("numpy")
pytest.importorskip("sklearn")

from benchmarks.adversary.bounds import STEPS  # noqa: E402
from benchmarks.adversary.judge import (  # noqa: E402
    LEAST_DRAWN,
    PERMUTATIONS_OF_A_FEATURE,
    Verdict,
)
from benchmarks.adversary.plan import PLANS  # noqa: E402
from benchmarks.adversary.reactions import table  # noqa: E402
from benchmarks.adversary.report import Finding, report, together  # noqa: E402
from benchmarks.adversary.series import GROSS, Series  # noqa: E402

USUAL = (0.5, 0.45, 0.55)


def finding(series: Series, p: float = 0.5, auc: tuple[float, float, float] = USUAL) -> Finding:
    verdict = Verdict(1200, 3, 400, 1 / 3, 0.31, 0.36, *auc, p, 0.01, ())
    return Finding(series, 30, 1200, 1200, 0, 0, verdict, None, [])


def with_controls(*honest: Finding) -> list[Finding]:
    controls = {series for one in honest for series in one.series.controls}
    return together(
        [*honest, *(finding(series, 0.001, (0.95, 0.93, 0.97)) for series in controls)]
    )[: len(honest)]


WHO, CUT = Series("who", "bursts"), Series("active", "cut")


def test_what_is_chance_with_all_its_controls_holds() -> None:
    (one,) = with_controls(replace(finding(WHO), blind=finding(WHO).verdict))
    assert one.holds == "holds"
    assert "| holds |" in report([one])


@pytest.mark.parametrize("lacking", WHO.controls, ids=lambda series: series.build)
@pytest.mark.parametrize("is_there", [False, True])
def test_nothing_holds_without_its_controls(lacking: Series, is_there: bool) -> None:
    controls = [finding(series, 0.001, (0.95, 0.93, 0.97)) for series in WHO.controls]
    kept = [one for one in controls if one.series != lacking]
    if is_there:
        kept.append(finding(lacking, 0.3, (0.52, 0.47, 0.57)))
    (one, *_) = together([finding(WHO), *kept])
    assert one.holds == f"NO CONTROL, so it says nothing: {lacking.name} not found"
    assert all("NOT FOUND" in other.holds for other in kept if other.series == lacking)


def test_a_gross_leak_has_to_be_found_nearly_always() -> None:
    found = [
        finding(replace(WHO, build=build), 0.001, (0.8, 0.77, 0.83)) for build in ("skew", *GROSS)
    ]
    assert [one.is_found for one in found] == [True, False, False]


def test_a_control_at_another_pace_is_none() -> None:
    grid = replace(WHO, pace="grid")
    (one, *_) = together([finding(WHO), *(finding(series, 0.001) for series in grid.controls)])
    assert "NO CONTROL" in one.holds


def test_where_something_is_found_in_nothing_nothing_is_believed() -> None:
    blind = finding(WHO, 0.001).verdict
    (one,) = with_controls(replace(finding(WHO, 0.001), blind=blind))
    assert one.holds.startswith("NOT TO BE BELIEVED")
    assert "NOT CHANCE" in report([one])


@pytest.mark.parametrize("plan", sorted(set(PLANS) - {"quick"}))
def test_every_row_of_a_plan_comes_with_its_controls(plan: str) -> None:
    flown = {step.series for step in PLANS[plan]}
    for series in flown:
        assert flown >= set(series.controls), series.name


@pytest.mark.parametrize("plan", sorted(set(PLANS) - {"quick"}))
def test_every_row_has_sessions_enough_to_draw_from(plan: str) -> None:
    """With fewer its interval is one over events, and too narrow."""
    for step in PLANS[plan]:
        if step.series.is_honest:
            count = step.judged // step.events
            assert count - count // STEPS >= LEAST_DRAWN, step.series.name


def test_to_find_less_than_guessing_is_no_leak() -> None:
    (one,) = with_controls(finding(WHO, 0.99, (0.46, 0.42, 0.49)))
    assert one.holds == "holds"


def test_one_surprise_among_many_is_no_leak() -> None:
    auc = (0.53, 0.505, 0.56)
    assert "LEAKS" in with_controls(finding(WHO, 0.02, auc))[0].holds
    many = with_controls(finding(WHO, 0.02, auc), *(finding(WHO) for _ in range(11)))
    assert not any("LEAKS" in one.holds for one in many)
    assert [one.holds == "holds" for one in many] == [False] + [True] * 11
    assert "its own AUC is above 0.5" in many[0].holds
    many = with_controls(finding(WHO, 0.001, auc), *(finding(WHO) for _ in range(11)))
    assert ["LEAKS" in one.holds for one in many] == [True] + [False] * 11


def test_an_oracle_is_a_leak() -> None:
    acts = [replace(finding(CUT), oracle_p=p) for p in (0.001, 0.5)]
    found = with_controls(*acts, finding(WHO))
    assert ["tells who was hindered" in one.holds for one in found] == [True, False, False]


def test_a_single_figure_that_tells_is_a_leak() -> None:
    rows = [replace(finding(WHO), features=[("gap p99", 0.2, p)]) for p in (0.0001, 0.02, 0.5)]
    found = with_controls(*rows)
    assert found[0].holds.startswith('LEAKS: "gap p99" tells')
    assert found[1].holds == 'chance after Holm, but "gap p99" tells, p = 0.020 by itself'
    assert found[2].holds == "holds"


def test_the_oracles_are_judged_by_all_that_follows() -> None:
    draw = np.random.default_rng(1)
    hindered, whole = draw.random((2, 240)) < 0.5
    phase = draw.choice(["announcement", "burst"], 240)
    session, cells = np.arange(240) // 20, np.full(240, 64)
    same = draw.integers(2, size=240)
    told = same + (hindered & (phase == "burst"))
    assert table(hindered, phase, same, cells, whole, session)[1] > 0.05
    lines, p = table(hindered, phase, told, cells, whole, session)
    assert p < 0.05
    assert [line.split()[1] for line in lines[2:]] == ["all", "announcement", "burst"]


def test_what_is_not_found_is_said_with_what_may_be() -> None:
    series = Series("whether", "heartbeats")
    (one,) = with_controls(finding(series, 0.6, (0.51, 0.45, 0.57)))
    assert "at most 0.570" in one.holds


FIGURES = {"who": 212, "single": 385, "whether": 1100, "active": 185}
"""That differ, about: of `single` also those against the group, of `whether` three ways each."""


@pytest.mark.parametrize("question", FIGURES)
def test_what_is_certain_is_a_leak_beside_all_other_rows(question: str) -> None:
    """The least p that a permutation test can give, as a complete report corrects it."""
    steps = [step.series for plan in set(PLANS) - {"quick"} for step in PLANS[plan]]
    honest = [series for series in steps if series.is_honest]
    count = FIGURES[question]
    least = count / (PERMUTATIONS_OF_A_FEATURE * count + 1)
    rows = [finding(series) for series in honest]
    at = next(at for at, series in enumerate(honest) if series.question == question)
    rows[at] = replace(rows[at], features=[("gap p99", 0.3, least)])
    if question == "active":
        rows[at] = replace(rows[at], oracle_p=0.5)
    assert with_controls(*rows)[at].holds.startswith("LEAKS")
