"""The library and the table give the same answers, for every state and event."""

from __future__ import annotations

from collections import deque

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flocksy.protocol.fsm_table import FINAL, INITIAL, TABLE, Action, Event, Mode
from flocksy.protocol.machine import Machine


def paths() -> dict[Mode, list[Event]]:
    """The shortest way to every state."""
    found: dict[Mode, list[Event]] = {INITIAL: []}
    queue = deque([INITIAL])
    while queue:
        mode = queue.popleft()
        for event in Event:
            target, _ = TABLE[mode, event]
            if target not in found:
                found[target] = [*found[mode], event]
                queue.append(target)
    return found


PATHS = paths()


def test_every_state_can_be_reached() -> None:
    assert set(PATHS) == set(Mode)


@pytest.mark.parametrize("mode", Mode)
@pytest.mark.parametrize("event", Event)
def test_follows_the_table(mode: Mode, event: Event) -> None:
    machine = Machine()
    for before in PATHS[mode]:
        machine.feed(before)
    assert machine.mode is mode
    target, action = TABLE[mode, event]
    assert machine.decide(mode, event) == (target, action)
    assert machine.mode is target
    if action is Action.IGNORE:
        assert target is mode


@given(st.lists(st.sampled_from(Event)))
def test_table_and_library_agree_on_any_sequence(events: list[Event]) -> None:
    machine, mode = Machine(), INITIAL
    for event in events:
        mode, action = TABLE[mode, event]
        assert machine.feed(event) is action
        assert machine.mode is mode


def test_two_callers_of_one_machine_are_noticed() -> None:
    with pytest.raises(AssertionError, match="machine is in WAITING"):
        Machine().decide(Mode.READY, Event.NEED_RAISED)


def test_nothing_leaves_a_final_state() -> None:
    assert all(TABLE[mode, event] == (mode, Action.IGNORE) for mode in FINAL for event in Event)
