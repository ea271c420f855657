"""Signals that come at any moment."""

from __future__ import annotations

import signal
from collections.abc import Iterator

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
