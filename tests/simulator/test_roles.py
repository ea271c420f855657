"""What is the same whichever node has something to say: on disks, and where a member is cut off."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from flocksy.protocol.programme import PROGRAMME_BURSTS
from tests.simulator.roles import ACTS, CUTS, NODES, SOURCES
from tests.simulator.test_simulator import ROOT


@pytest.fixture(scope="module")
def found() -> dict[str, dict[str, list[list[list[int]]]]]:
    """As a process of its own tells it: see `test_simulator`."""
    command = [sys.executable, "-m", "tests.simulator.roles"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    told: dict[str, dict[str, list[list[list[int]]]]] = json.loads(done.stdout)
    return told


@pytest.mark.parametrize("act", ACTS)
def test_all_do_about_as_much_to_their_disks(
    found: dict[str, dict[str, list[list[int]]]], act: str
) -> None:
    """Calls that change something, of the source and of the others (leak 5: what is counted)."""
    of_each_source = found["operations"][act]
    assert len(of_each_source) == len(SOURCES)
    for source, *others in of_each_source:
        assert 0 < max(source, *others) <= 2 * min(source, *others)


def test_with_a_floor_of_all_a_cut_does_not_say_whose_change_it_was(
    found: dict[str, dict[str, list[list[list[int]]]]],
) -> None:
    """As with `min_view` of all (`tests/wire/test_cut_off.py`). Without a floor two go on."""
    of_another, of_the_one = found["cut off"]["0"]
    assert len(of_another[0]) == 1 and not of_the_one[0]
    of_another, of_the_one = found["cut off"][str(NODES)]
    assert of_another == of_the_one and of_another[1] and not of_another[0]


@pytest.mark.parametrize("cut", CUTS)
def test_to_cut_a_burst_and_its_repeat_does_not_say_whose_change_it_was(
    found: dict[str, dict[str, list[list[list[list[int]]]]]], cut: str
) -> None:
    """Of one source the others lack what was lost there, of the other nobody lacks anything. What
    follows is as long, and comes as soon."""
    of_the_one, of_another = found["cut twice"][cut]
    assert len(of_the_one[0]) == 2 and len(of_the_one[1]) == PROGRAMME_BURSTS
    # Pauses differ with the ids of bursts, so the first one is not compared but in length.
    assert of_the_one[0][0][0] == of_another[0][0][0]
    assert [*of_the_one[0][1:], *of_the_one[1]] == [*of_another[0][1:], *of_another[1]]
