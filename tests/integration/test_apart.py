"""Bursts without some of the others are found in a log."""

from __future__ import annotations

import pytest

from tests.integration.apart import Apart, address_in, apart

ONE, TWO, THREE = (f"tcp://10.77.0.{number}:23600" for number in (1, 2, 3))
LOG = f"""\
16:14:00 flocksy 0.1.0 at {THREE}
16:14:04 flying with {ONE}, {TWO}
16:14:26 burst of 64 cells agreed
16:14:28 waiting for the flock: 0 of 2 members needed
16:14:28 warning: burst aborted: some member fell silent; it is repeated. If this happens again
16:14:29 warning: flying with {TWO}: in a view of two, who sent is a coin toss
16:14:30 repeated burst of 64 cells agreed
16:14:33 burst ended after 2.207 s
16:14:36 burst of 128 cells agreed
16:14:39 burst ended, with cells lost somewhere: it is repeated
16:14:39 {ONE}: joining
16:14:43 warning: flying with {ONE}: in a view of two, who sent is a coin toss
16:14:43 repeated burst of 64 cells agreed
16:14:46 burst ended after 2.217 s
16:14:46 burst of 512 cells agreed
16:14:47 warning: burst aborted: some member fell silent; it is repeated. If this happens again
16:14:48 flying with {ONE}, {TWO}
16:14:50 burst of 64 cells agreed
16:14:53 burst ended after 2.201 s
""".splitlines()


@pytest.mark.parametrize(
    ("others", "found"),
    [
        (set(), Apart()),
        ({TWO}, Apart(bursts=2, least=64, most=576)),
        ({ONE}, Apart(bursts=2, least=192, most=192)),
        ({ONE, TWO}, Apart(bursts=4, least=256, most=768)),
    ],
)
def test_bursts_without_one_of_the_others_are_counted(others: set[str], found: Apart) -> None:
    assert apart(LOG, others) == found
    half = len(LOG) // 2
    first = apart(LOG[:half], others)
    assert found.since(first).bursts + first.bursts == found.bursts


def test_a_node_is_known_by_its_address() -> None:
    assert address_in(LOG) == THREE
