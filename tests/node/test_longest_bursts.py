"""How long the bursts last that a node asks for."""

from __future__ import annotations

import dataclasses

import pytest

from flocksy.boxes.announcing import MAX_BURST_BYTES
from flocksy.cli import service
from flocksy.config.load import load
from flocksy.config.together import LONGEST_BURST_SECONDS
from flocksy.node.node import BURST_SECONDS, LEAVE_SECONDS, _timing
from flocksy.wire.limits import LEAVE_NS
from tests.place import PLAIN, Place


@pytest.mark.parametrize("members", [2, 3, 20])
def test_it_asks_for_what_each_link_carries_in_half_a_minute(place: Place, members: int) -> None:
    settings = load(place.write(f"{PLAIN}max_rate = 500K\n"))
    settings = dataclasses.replace(settings, members=settings.members[:1] * members)
    assert _timing(settings).max_burst_bytes == 500_000 * BURST_SECONDS


@pytest.mark.parametrize("rate", ["0", "1G"])
def test_and_never_for_more_than_a_gibibyte(place: Place, rate: str) -> None:
    settings = load(place.write(f"{PLAIN}max_rate = {rate}\n"))
    assert _timing(settings).max_burst_bytes == MAX_BURST_BYTES


def test_who_leaves_has_the_time_to_finish_the_longest() -> None:
    assert 2 * BURST_SECONDS <= LONGEST_BURST_SECONDS, "padding may double it"
    assert LONGEST_BURST_SECONDS + 20 <= LEAVE_SECONDS <= LEAVE_NS / 1e9
    assert LEAVE_SECONDS + 20 <= service.LEAVE_SECONDS
