"""Thousands of whole flocks in memory (`tests.sync.examples`), every run the same ones. A hundred
thousand others: `make soak-planner`."""

from __future__ import annotations

import pytest

from tests.sync.examples import (
    EXAMPLES,
    Example,
    long_life,
    long_life_with_disasters,
)

PER_RUN: dict[Example, int] = {long_life: 75, long_life_with_disasters: 75}
PER_RUN_OTHERWISE = 200


@pytest.mark.parametrize("part", range(4))
@pytest.mark.parametrize("example", EXAMPLES, ids=lambda example: example.__name__)
def test_examples(example: Example, part: int) -> None:
    count = PER_RUN.get(example, PER_RUN_OTHERWISE)
    for seed in range(part * count, (part + 1) * count):
        try:
            example(seed)
        except AssertionError as error:
            error.add_note(f"tests.sync.examples.{example.__name__}({seed})")
            raise
