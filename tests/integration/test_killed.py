"""Nodes are killed at random instants while people work on all of them (`make soak-crash` does it
for longer)."""

from __future__ import annotations

import random

import pytest

from tests.integration.kills import run

KILLS = 6


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_killed_half_a_dozen_times() -> None:
    run(KILLS, random.randrange(1 << 32))
