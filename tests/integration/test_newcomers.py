"""New people on new machines: from nothing to a synced file, in few words."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager

import pytest

from tests.integration.newcomers import (
    Desk,
    NewcomersError,
    found_a_flock,
    meet_by_looking,
    three_machines,
)

MOST_MINUTES = 3.0


@contextmanager
def three_machines_or_skip(apart: bool) -> Iterator[Desk]:
    with ExitStack() as stack:
        try:
            desk = stack.enter_context(three_machines(apart=apart))
        except NewcomersError as error:
            pytest.skip(str(error))
        yield desk


@pytest.mark.slow
@pytest.mark.parametrize(
    ("story", "apart"), [(found_a_flock, True), (found_a_flock, False), (meet_by_looking, True)]
)
def test_new_machines_meet(story: Callable[[Desk], None], apart: bool) -> None:
    with three_machines_or_skip(apart) as desk:
        story(desk)
        assert desk.minutes < MOST_MINUTES, "all three together, typed slowly"
        for machine in desk.machines:
            log = machine.home / "log"
            said = log.read_text() if log.exists() else ""
            assert "Traceback" not in said and "Error" not in said
