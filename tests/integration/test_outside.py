"""Real nodes, one of which comes back with changes of its own that have to wait, and finds one that
waited for it."""

from __future__ import annotations

from flocksy.testing.rig import wait_until
from tests.integration.flock import command, flying, random_bytes, rig_of_three, wait_for_files

SOON = 120.0
"""Three times the longest delay there can be with this mean, and the bursts after the join."""


def test_changes_made_while_a_node_was_not_running_arrive_after_all() -> None:
    with flying(rig_of_three(["outside_delay = 1", "possinymity_floor = 3"])) as rig:
        one, two, three = rig.nodes
        (one.box / "of the day before").write_bytes(random_bytes(100_000, 1))
        rig.wait_equal()
        assert one.status()["possinymity"] == 3
        assert rig.stop(three) == 0
        floor = "could come from only 2 members (possinymity_floor = 3)"
        wait_until(lambda: floor in str(one.status()["held_back"]), "the others say why", SOON)
        assert floor in command(one, "status")
        (one.box / "below the floor").write_text("z")
        (three.box / "made while away").write_text("x")
        (three.box / "made while away, and large").write_bytes(random_bytes(200_000, 2))
        (three.box / "of the day before").write_bytes(random_bytes(90_000, 3))
        assert not (two.box / "below the floor").exists()
        rig.start(three)
        rig.wait_for_view()
        (three.box / "made in the view").write_text("y")
        for _ in range(20):
            status = three.status()
            boxes = status["boxes"]
            assert isinstance(boxes, list)
            if status["held_back"]:
                assert "before this node came into its view" in str(status["held_back"])
                assert boxes[0]["state"] != "in sync"
        wait_for_files([one, two], ["made while away", "made while away, and large"], SOON)
        rig.wait_equal()
        rig.wait_for_calm()
        assert (one.box / "made in the view").read_text() == "y"
        assert (two.box / "below the floor").read_text() == "z"
        assert one.status()["possinymity"] == 3
        assert (two.box / "of the day before").read_bytes() == random_bytes(90_000, 3)
