"""A node is lost in the middle of a transfer, and comes back."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from flocksy.testing.rig import Rig, RigNode, wait_until
from tests.integration.flock import MIB, flying, random_bytes, rig_of_three

STALL_SECONDS = 5.0
FINISH_SECONDS = 30.0


@pytest.fixture
def rig() -> Iterator[Rig]:
    with flying(rig_of_three([f"stall_timeout = {STALL_SECONDS:g}"])) as started:
        yield started


@pytest.mark.timeout(300)
def test_killed_while_40_mib_are_moving(rig: Rig) -> None:
    one, two, three = rig.nodes
    content = random_bytes(40 * MIB, 1)
    (one.box / "large").write_bytes(content)
    wait_until(lambda: _cells_done(three) > 100, "the burst has begun", 60)
    rig.kill(three)
    assert not (three.box / "large").exists()

    wait_until(
        lambda: len(_view(one)) == len(_view(two)) == 2,
        "the others see that it is gone",
        STALL_SECONDS + FINISH_SECONDS,
    )
    wait_until(
        lambda: (two.box / "large").exists(), "the others finish", STALL_SECONDS + FINISH_SECONDS
    )
    assert (two.box / "large").read_bytes() == content
    for node in (one, two):
        assert "burst aborted" in node.log.read_text()
        assert "a view of two" in node.log.read_text()

    (three.box / "made meanwhile").write_text("while the node was dead")
    (one.box / "made by the others").write_text("while it was away")
    rig.start(three)
    rig.wait_for_view()
    rig.wait_equal()
    for node in rig.nodes:
        assert (node.box / "large").read_bytes() == content
        assert (node.box / "made meanwhile").exists()
        assert (node.box / "made by the others").exists()


def _cells_done(node: RigNode) -> int:
    burst = node.status()["burst"]
    if burst is None:
        return 0
    assert isinstance(burst, dict)
    return int(burst["done"])


def _view(node: RigNode) -> list[str]:
    view = node.status()["view"]
    assert isinstance(view, list)
    return view
