"""Some of the faults of `faults.py`, the cheap ones; `make soak-faults` has all of them.

After each of them there is one view, all boxes are equal, nothing is lost, the logs are clean, and
who was not touched has sent what the others of those have.
"""

from __future__ import annotations

import random
from collections.abc import Iterator

import pytest

from tests.integration import faults
from tests.integration.flock import rig_of_three
from tests.integration.world import Fault, World, world_of

QUICK = ("max_rate = 16M", "stall_timeout = 1.0")
"""The shortest burst takes a quarter of a second, and heartbeats are as in profile fast."""

STOP_SECONDS = 2.0


@pytest.fixture(scope="module")
def world() -> Iterator[World]:
    seed = random.randrange(1 << 32)
    print(f"seed {seed}")
    with world_of(rig_of_three(QUICK), seed, stop_seconds=STOP_SECONDS) as made:
        yield made


@pytest.mark.slow
@pytest.mark.timeout(300)
@pytest.mark.parametrize("fault", [faults.wire_process_killed, faults.stopped_in_a_burst])
def test_all_is_well_afterwards(world: World, fault: Fault) -> None:
    world.run(fault)
