"""Several nodes change something in the same instant."""

from __future__ import annotations

import pytest

from flocksy.testing.cells import cells_since, check_cells, count_cells
from flocksy.testing.rig import Rig
from tests.integration.flock import KIB, random_bytes, wait_for_files

TIMES = 24
SIZES = (700, 1500, 40 * KIB, 300)
"""What rides in heartbeats and what needs a burst, in turns."""


@pytest.mark.timeout(240)
def test_different_files_all_arrive(rig: Rig) -> None:
    before = count_cells(rig)
    for number in range(TIMES):
        pair = [rig.nodes[number % 3], rig.nodes[(number + 1) % 3]]
        for lane, node in enumerate(pair):
            size = SIZES[(number + lane * (number // 4)) % len(SIZES)]
            (node.box / f"{number}-{lane}").write_bytes(random_bytes(size, 2 * number + lane))
        wait_for_files(rig.nodes, [f"{number}-0", f"{number}-1"], 30)
    rig.wait_equal()
    assert len([path for path in rig.nodes[0].box.iterdir() if path.is_file()]) == 2 * TIMES
    check_cells(cells_since(before, count_cells(rig)), 6)


@pytest.mark.parametrize("size", [200, 200 * KIB], ids=["in heartbeats", "in a burst"])
def test_the_same_file_has_one_winner_and_one_copy(rig: Rig, size: int) -> None:
    name = f"contested {size}.txt"
    (rig.nodes[2].box / name).write_text("before")
    rig.wait_equal()
    contents = {random_bytes(size, 1), random_bytes(size, 2)}
    for node, content in zip(rig.nodes, sorted(contents), strict=False):
        (node.box / name).write_bytes(content)
    rig.wait_equal()
    for node in rig.nodes:
        found = [path for path in node.box.iterdir() if path.name.startswith(f"contested {size}")]
        assert len(found) == 2
        assert node.box / name in found
        assert {path.read_bytes() for path in found} == contents


def test_an_edit_is_stronger_than_a_deletion(rig: Rig) -> None:
    name = "deleted and edited"
    (rig.nodes[0].box / name).write_text("before")
    rig.wait_equal()
    (rig.nodes[0].box / name).unlink()
    (rig.nodes[1].box / name).write_text("edited meanwhile")
    rig.wait_equal()
    for node in rig.nodes:
        assert (node.box / name).read_text() == "edited meanwhile"
