"""All runs of three nodes keep the promises, and the explorer notices what would break them.

Bounds here are those for every test run. `explore_deep` (`make explore-deep`) goes further.
"""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import replace
from unittest import mock

import pytest

from flocksy.protocol import agreement, heard, needs, proposals, views
from flocksy.protocol.fsm_table import Event, Mode, Status
from flocksy.protocol.heard import Heard
from flocksy.protocol.shown import Output, Proposal, Shown, StartBurst
from tests.protocol.explorer import LARGE, SMALL, Bounds, BrokenPromiseError, Explorer, modelled

Turn = agreement._Turn


@contextmanager
def without_collector() -> Iterator[None]:
    """Millions of small objects that all stay: looking for garbage takes longer than they do."""
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


def explore(bounds: Bounds) -> Explorer:
    """All promises hold within these bounds."""
    with modelled(bounds.programme), without_collector():
        explorer = Explorer(bounds)
        explorer.explore()
        slowest = explorer.slowest()
    print(f"\n{bounds}: {len(explorer.states)} states, slowest {slowest} rounds")
    return explorer


@pytest.mark.parametrize(
    "bounds",
    [
        pytest.param(
            Bounds(losses=1, crashes=0, rejoins=0, needs=2, programme=1), id="needs-merge-and-grow"
        ),
        pytest.param(
            Bounds(losses=0, crashes=1, rejoins=1, needs=1, sizes=(SMALL,), programme=1),
            id="crash-and-rejoin",
        ),
        pytest.param(
            Bounds(losses=1, crashes=0, rejoins=0, needs=2, latency=2, programme=1),
            id="slow-links",
        ),
        pytest.param(
            Bounds(losses=4, crashes=0, rejoins=0, needs=0, min_view=3), id="no-smaller-view"
        ),
    ],
)
def test_promises_hold(bounds: Bounds) -> None:
    explore(bounds)


def patched(name: str, value: object, where: object = Turn) -> AbstractContextManager[object]:
    """A mutant: one part of the step replaced."""
    return mock.patch.object(where, name, value)


def no_latch() -> AbstractContextManager[object]:
    """The shown need follows the box process at once."""
    original = Turn.need

    def need(turn: Turn) -> None:
        original(turn)
        latch = turn.needs.latch
        if latch is not None and latch.repeat_of is None:
            latch = replace(latch, need=max(turn.inputs.need, latch.need))
            turn.needs = replace(turn.needs, latch=latch)

    return patched("need", need)


def start_from_noticing() -> AbstractContextManager[object]:
    """The start is counted from the round in which a node confirms."""
    original = Turn._arm_burst

    def arm(turn: Turn, proposal: Proposal | None) -> None:
        original(turn, proposal)
        start = turn.commands.pop()
        assert isinstance(start, StartBurst)
        begins = turn.now + turn.parameters.lead_rounds
        turn.commands.append(StartBurst(replace(start.plan, start_round=begins)))

    return patched("_arm_burst", arm)


def digest_of_the_round_before() -> AbstractContextManager[object]:
    """Certain is what all showed alike in the round before, whatever r0 they had; that is r0."""
    original = Turn.confirmation

    def confirmation(turn: Turn) -> None:
        ours = turn.proposal
        if turn.mode is not Mode.PROPOSING or ours is None:
            original(turn)
            return
        complete = proposals.newest_complete(turn.heard.history, ours.members)
        cells = proposals.cells_of(turn.heard.history, ours.members, complete)
        if cells and all(
            c.proposal is not None and c.proposal.length == ours.length for c in cells
        ):
            certain = proposals.make_proposal(
                ours.kind, complete, ours.number, ours.members, ours.length, ours.delta_us
            )
            turn.feed(Event.PROPOSAL_CONFIRMED, certain)

    return patched("confirmation", confirmation)


def own_row_alone() -> AbstractContextManager[object]:
    """Who hears all goes on, whomever the others miss."""

    def all_hear_all(here: Heard, members: int) -> bool:
        return not members & ~here.row

    return patched("all_hear_all", all_hear_all, Heard)


def one_way_liveness() -> AbstractContextManager[object]:
    """A member counts as alive as soon as it is heard, whatever its cells say."""

    def is_alive(cell: Shown, own: int, now: int, slack_rounds: int) -> bool:
        del own, slack_rounds
        return cell.round >= now - views.MAX_CELL_AGE and not cell.leaving

    @contextmanager
    def both() -> Iterator[None]:
        with patched("is_alive", is_alive, heard), own_row_alone():
            yield

    return both()


def no_confirm() -> AbstractContextManager[object]:
    """Who collects a burst is bound to it at once, and nobody can tell from what it shows."""
    proposing, result = Turn.proposing, Turn.result

    def bound(turn: Turn) -> None:
        proposing(turn)
        if turn.mode is Mode.PROPOSING:
            turn.feed(Event.PROPOSAL_CONFIRMED, turn.proposal)

    def shown(turn: Turn) -> tuple[agreement.State, Output]:
        state, output = result(turn)
        if state.mode is not Mode.CONFIRMED:
            return state, output
        cell = replace(output.shown, status=Status.PROPOSED, confirmed=False)
        own = turn.parameters.own
        history = list(state.history)
        history[own] = (cell, *history[own][1:])
        return replace(state, history=tuple(history)), replace(output, shown=cell)

    @contextmanager
    def both() -> Iterator[None]:
        with patched("proposing", bound), patched("result", shown):
            yield

    return both()


def programme_only_with_need() -> AbstractContextManager[object]:
    """After a join there are bursts only where somebody needs one."""
    original = Turn.need

    def need(turn: Turn) -> None:
        if turn.needs.owed or turn.needs.latch or turn.inputs.need:
            original(turn)

    return patched("need", need)


def repeat_without_programme() -> AbstractContextManager[object]:
    """After a repeat that was left there are bursts only where somebody needs one."""
    return patched("spoilt", lambda *_: None, needs)


@pytest.mark.parametrize(
    ("mutant", "bounds", "says"),
    [
        (no_latch, Bounds(0, 0, 0, 2), "released by"),
        (start_from_noticing, Bounds(1, 0, 0, 1), "two plans"),
        (digest_of_the_round_before, Bounds(1, 0, 0, 1), "two plans"),
        (one_way_liveness, Bounds(0, 1, 1, 0), "two-way echo"),
        (own_row_alone, Bounds(4, 0, 0, 0, min_view=3), "misses another"),
        (no_confirm, Bounds(1, 0, 0, 1, latency=2), "two plans"),
        (programme_only_with_need, Bounds(0, 0, 0, 0, programme=1), "not served"),
        (
            repeat_without_programme,
            Bounds(2, 0, 0, 1, sizes=(SMALL,), programme=1),
            "not served",
        ),
    ],
)
def test_mutants_are_caught(
    mutant: Callable[[], AbstractContextManager[object]], bounds: Bounds, says: str
) -> None:
    with pytest.raises(BrokenPromiseError, match=says), mutant():
        explore(bounds)


def test_the_same_bounds_hold_without_a_mutant() -> None:
    """The catches above are the mutants' fault."""
    explore(Bounds(1, 0, 0, 1, sizes=(SMALL, LARGE)))
    explore(Bounds(0, 1, 1, 0))
    explore(Bounds(0, 0, 0, 0, programme=1))
    explore(Bounds(2, 0, 0, 1, sizes=(SMALL,), programme=1))
