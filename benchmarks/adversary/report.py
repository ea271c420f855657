"""Findings in words and tables: what the anonymity page says of a measurement."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from benchmarks.adversary.bounds import GOAL, enough, holm
from benchmarks.adversary.series import GROSS, Series

if TYPE_CHECKING:  # the words here do without what judges
    from benchmarks.adversary.judge import Verdict

CONTROL_AUC = 0.9
SHOWN_FEATURES = 6
SURE = 0.05
BUDGETS = (0.25, 0.5)
"""Advantages that a source may be willing to risk over all its linked bursts."""


@dataclass(frozen=True, slots=True)
class Finding:
    """What was found of one series."""

    series: Series
    sessions: int
    events: int
    bursts: int
    odd: int
    strays: int
    verdict: Verdict | None
    blind: Verdict | None
    features: list[tuple[str, float, float]]
    reactions: tuple[str, ...] = ()
    """Of an active adversary: further lines, see `reactions`."""
    oracle_p: float | None = None
    """Likewise: of what followed, by whether the source was hindered."""
    build: str = ""
    """What flew: see `collect.build`."""
    others: float = 0.0
    """Cores that other programs took meanwhile, at most."""
    p: float = 1.0
    """`seen_p`, corrected for how many rows are judged together: see `together`."""
    blind_p: float = 1.0
    """Likewise of what was drawn blindly."""
    lacking: tuple[str, ...] = ()
    """Controls that were not judged with it, or not found."""

    @property
    def surprises(self) -> dict[str, float]:
        """What was tested in this row, in words, and the p of each."""
        if self.verdict is None:
            return {}
        found = {"more than guessing finds": self.verdict.p}
        if self.features:
            name, _, p = self.features[0]
            found[f'"{name}" tells'] = p
        if self.oracle_p is not None:
            found["what follows tells who was hindered"] = self.oracle_p
        return found

    @property
    def seen_p(self) -> float | None:
        """Of all of them."""
        values = self.surprises.values()
        return min(1.0, len(values) * min(values)) if values else None

    @property
    def is_found(self) -> bool:
        """Of a leaky build: whether its leak was found."""
        if self.series.build in GROSS:
            return self.verdict is not None and self.verdict.auc > CONTROL_AUC
        return not self.series.is_honest and self.seen_p is not None and self.seen_p < SURE

    @property
    def holds(self) -> str:
        """Whether it is as it should be, in words."""
        verdict, series = self.verdict, self.series
        if verdict is None:
            return "too few to say anything"
        if not series.is_honest:
            return "found" if self.is_found else "NOT FOUND: nothing here can be believed"
        if self.blind_p < SURE:
            return "NOT TO BE BELIEVED: more than guessing finds where nothing is to be found"
        surprises = self.surprises
        how = min(surprises, key=lambda one: surprises[one])
        if self.p < SURE:
            return f"LEAKS: {how}, p = {self.p:.3f} after Holm"
        if self.lacking:
            return f"NO CONTROL, so it says nothing: {', '.join(self.lacking)} not found"
        if verdict.auc_low > 0.5:
            return "chance after Holm, but the interval of its own AUC is above 0.5"
        if surprises[how] < SURE:
            return f"chance after Holm, but {how}, p = {surprises[how]:.3f} by itself"
        if series.question == "whether":
            return f"nothing found; the AUC is at most {verdict.auc_high:.3f}"
        if verdict.advantage[2] > GOAL:
            return f"chance, but the bound is above {GOAL}"
        wanted = enough(verdict.classes)
        if verdict.events < wanted:
            return f"chance, on fewer than {wanted} tested events"
        return "holds"

    def text(self) -> str:
        """For the terminal."""
        lines = [
            f"\n## {self.series.name}: {self.sessions} sessions, {self.events} events judged, "
            f"{self.bursts} bursts ({self.odd} not whole, {self.strays} of no event), "
            f"build {self.build}, {self.others:.2f} cores taken by others at most: {self.holds}"
        ]
        if self.verdict is not None:
            lines.append(f"verdict: {_words(self.verdict)}")
        if self.blind is not None:
            lines.append(f"A/A:     {_words(self.blind)}")
        lines += [
            f"  {name:55} {difference:6.3f} sd, p = {p:.4f}"
            for name, difference, p in self.features[:SHOWN_FEATURES]
        ]
        return "\n".join([*lines, *self.reactions])


def together(findings: Sequence[Finding]) -> list[Finding]:
    """The same, each with what the others say of it: its p's after Holm (of a dozen without leaks
    at 5 % each, nearly every second report would say of one that it leaks), and which of its
    controls are lacking."""
    seen = _holm([one.seen_p if one.series.is_honest else None for one in findings])
    blind = _holm([one.blind.p if one.blind else None for one in findings])
    found = {one.series for one in findings if one.is_found}
    return [
        replace(
            one,
            p=p,
            blind_p=blind_p,
            lacking=tuple(other.name for other in one.series.controls if other not in found),
        )
        for one, p, blind_p in zip(findings, seen, blind, strict=True)
    ]


def _holm(values: Sequence[float | None]) -> list[float]:
    """Corrected for how many there are; where there is none, there is no surprise."""
    told = iter(holm([p for p in values if p is not None]))
    return [1.0 if p is None else next(told) for p in values]


def report(findings: Sequence[Finding]) -> str:
    """A piece of Markdown for docs/anonymity.md."""
    lines = [
        "| sessions | events | right | advantage, 95 % | AUC, 95 % | hits at 1 % false alarms |"
        " chosen | |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for finding in findings:
        lines.append(_row(finding.series.name, finding.verdict, finding.events, finding.holds))
        if finding.blind is not None:
            is_chance = "chance" if finding.blind_p >= SURE else "NOT CHANCE"
            lines.append(_row("… the same, drawn blindly", finding.blind, 0, is_chance))
    flew = ", ".join(sorted({finding.build for finding in findings if finding.build}))
    lines += [
        "",
        f"Build: {flew or 'none'}. Other programs took at most "
        f"{max([0.0, *(finding.others for finding in findings)]):.2f} cores of any session.",
        "",
        "Strongest features (standardised difference of the source, p after Holm):",
        "",
    ]
    for finding in findings:
        if finding.features:
            told = "; ".join(
                f"{name} {difference:.2f} ({p:.3f})" for name, difference, p in finding.features[:3]
            )
            lines.append(f"* {finding.series.name}: {told}")
    for finding in findings:
        if finding.reactions:
            lines += ["", f"{finding.series.name}:", "", *finding.reactions]
    return "\n".join([*lines, "", *_budget(findings), ""])


def linked_bursts(bound: float, budget: float) -> tuple[int, int]:
    """How many linked bursts may be sent until the advantage may reach `budget`, where a single
    one gives at most `bound`: if all of them tell as much as they can, and if what they tell adds
    up like noise.

    The advantage between two hypotheses is the total variation distance of what is observed, and
    that of k independent observations is at most k times that of one (Levin, Peres and Wilmer
    2009, "Markov Chains and Mixing Times", on products of distributions). Where each observation
    is a weak signal in noise the distance grows with the square root of k (for normal
    distributions it is about proportional to the shift of the mean).
    """
    if bound <= 0:
        raise ValueError("a bound is above nought")
    return int(budget / bound), int((budget / bound) ** 2)


def _budget(findings: Sequence[Finding]) -> list[str]:
    lines = []
    for finding in findings:
        verdict = finding.verdict
        if verdict is None or finding.series.question != "who" or not finding.series.is_honest:
            continue
        bound = max(verdict.advantage[2], 1e-3)
        told = [
            "an advantage of {} takes at least {} linked changes, and about {} if what they tell"
            " adds up like noise".format(budget, *linked_bursts(bound, budget))
            for budget in BUDGETS
        ]
        lines.append(
            f"* {finding.series.name}: with at most {bound:.3f} a change, " + "; ".join(told) + "."
        )
    return ["Leak budget:", "", *lines] if lines else []


def _words(verdict: Verdict) -> str:
    advantage, low, high = verdict.advantage
    return (
        f"{verdict.right} of {verdict.events} right: {verdict.accuracy:.3f} "
        f"[{verdict.low:.3f}, {verdict.high:.3f}], chance {1 / verdict.classes:.3f}; "
        f"advantage {advantage:+.3f} [{low:+.3f}, {high:+.3f}]; "
        f"AUC {verdict.auc:.3f} [{verdict.auc_low:.3f}, {verdict.auc_high:.3f}]; "
        f"hits at 1 % false alarms {verdict.hits_at_one_percent:.3f}; "
        f"chosen {', '.join(sorted(set(verdict.chosen)))}"
    )


def _row(name: str, verdict: Verdict | None, events: int, holds: str) -> str:
    if verdict is None:
        return f"| {name} | {events} | | | | | | {holds} |"
    advantage, low, high = verdict.advantage
    cells = (
        name,
        str(verdict.events),
        str(verdict.right),
        f"{advantage:+.3f}, {low:+.3f} to {high:+.3f}",
        f"{verdict.auc:.3f}, {verdict.auc_low:.3f} to {verdict.auc_high:.3f}",
        f"{verdict.hits_at_one_percent:.3f}",
        ", ".join(sorted(set(verdict.chosen))),
        holds,
    )
    return f"| {' | '.join(cells)} |"
