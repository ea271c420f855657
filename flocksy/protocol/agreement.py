"""Leaderless agreement on views and bursts: one pure step per round (design 4.4)."""

from __future__ import annotations

from dataclasses import dataclass

from flocksy.protocol.shown import Inputs, Output, Shown


@dataclass(frozen=True, slots=True)
class Parameters:
    """What does not change while a node runs. All but `own` is equal on all members.

    Args:
        lanes: members of the configured flock.
        own: own lane index.
        min_view: members that a view must have for anything real to leave (rule 12).
        period_ms: length of a round.
        rest_mean_ms: mean of the rest after a burst (rule 8).
        lead_rounds: K, rounds from r0 to the start of a burst, at least 4.
    """

    lanes: int
    own: int
    min_view: int
    period_ms: int
    rest_mean_ms: int
    lead_rounds: int = 4


@dataclass(frozen=True, slots=True)
class State:
    """What one node knows and has promised. Immutable; made by `initial`, changed by `step`."""

    shown: Shown | None


def initial(parameters: Parameters) -> State:
    """The state of a node that has just started and knows nothing."""
    raise NotImplementedError


def step(parameters: Parameters, state: State, inputs: Inputs) -> tuple[State, Output]:
    """One round: take in what came, say what to show and do."""
    raise NotImplementedError
