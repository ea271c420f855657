"""Signals that come at any moment."""

from __future__ import annotations

import itertools
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

import pytest

from flocksy.node.loop import Loop
from flocksy.system import processes


@pytest.fixture
def loop() -> Iterator[Loop]:
    made = Loop()
    made.catch(*processes.OF_A_PERSON)
    yield made
    made.close()


@pytest.mark.parametrize("number", processes.OF_A_PERSON)
def test_one_that_comes_while_a_process_is_started_is_not_lost(
    loop: Loop, number: signal.Signals
) -> None:
    with processes.held_back():
        signal.raise_signal(number)  # to this thread: any other may take what comes to the process
        assert loop.signalled() == []
    assert loop.signalled() == [number]


@contextmanager
def coming(number: signal.Signals, after_steps: int) -> Iterator[list[signal.Signals]]:
    """The signal comes between two steps of `signalled`, after so many of them; noted once it
    has."""
    left, came = itertools.count(after_steps, -1), list[signal.Signals]()

    def trace(frame: FrameType, event: str, _: Any) -> Any:
        if frame.f_code is not Loop.signalled.__code__:
            return None
        frame.f_trace_opcodes = True
        if event == "opcode" and next(left) == 0:
            came.append(number)
            signal.raise_signal(number)
        return trace

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        yield came
    finally:
        sys.settrace(before)


def test_one_that_comes_while_others_are_taken_is_not_lost(loop: Loop) -> None:
    first, second, *_ = processes.OF_A_PERSON
    for step in itertools.count():
        signal.raise_signal(first)
        with coming(second, step) as came:
            taken = loop.signalled()
        if not came:
            break
        assert [*taken, *loop.signalled()] == [first, second], step
    assert step > 10
