"""Counting what leaves the nodes of a rig: whatever was real, all must have sent equally much."""

from __future__ import annotations

from flocksy.errors import FlocksyError
from flocksy.testing.rig import Rig, RigError, wait_until

GEAR_CHANGE_CELLS = 12
"""Heartbeats by which two nodes may differ: the statuses are asked one after the other, and each
node leaves out the heartbeats between its own last burst cell and the next instant of the grid."""

IDLE = 100
"""The status code that cells show at rest."""

QUIET_SECONDS = 60.0
"""For the flock to come to rest after the last change, repeat bursts included."""

Cells = dict[tuple[str, str], tuple[int, int]]
"""(name of a node, endpoint of the other end) -> cells out of it since its start: idle, burst."""


def count_cells(rig: Rig) -> Cells:
    """Cells out of every running node on each of its links, while the flock is at rest.

    The nodes are asked one after the other, twice: where no count of burst cells has moved between,
    no burst ran while they were asked. Raises `RigError` where there is no rest.
    """
    found: Cells = {}

    def at_rest() -> bool:
        nonlocal found
        first, second = _ask(rig), _ask(rig)
        if first is None or second is None:
            return False
        found = second
        return [burst for _, burst in first.values()] == [burst for _, burst in second.values()]

    wait_until(at_rest, "the flock comes to rest", QUIET_SECONDS)
    return found


def cells_since(before: Cells, after: Cells) -> Cells:
    """What was sent between two counts."""
    return {
        link: (idle - before.get(link, (0, 0))[0], burst - before.get(link, (0, 0))[1])
        for link, (idle, burst) in after.items()
    }


def check_cells(sent: Cells, links: int) -> None:
    """Raise `RigError` unless all of the `links` carried equally much, but for a gear change."""
    if len(sent) != links:
        raise RigError(f"{len(sent)} links are counted, not {links}")
    idle, burst = zip(*sent.values(), strict=True)
    if len(set(burst)) != 1:
        raise RigError(f"the nodes sent different numbers of burst cells: {sent}")
    if max(idle) - min(idle) > GEAR_CHANGE_CELLS:
        raise RigError(f"the nodes' heartbeats differ by more than {GEAR_CHANGE_CELLS}: {sent}")


def _ask(rig: Rig) -> Cells | None:
    """The counts as they are now, or None where some node is not idle."""
    found: Cells = {}
    for node in rig.nodes:
        if not node.running:
            continue
        try:
            status = node.status()
        except FlocksyError:
            return None  # it is busy with a batch
        if status["code"] != IDLE or status["burst"] is not None:
            return None
        links = status["links"]
        assert isinstance(links, list)
        for link in links:
            if link["uid"] != status["uid"]:
                found[node.name, link["endpoint"]] = (
                    link["cells_out_idle"],
                    link["cells_out_burst"],
                )
    return found
