"""Runs with boxes in which every node has a floor (`possinymity_floor`), and members come and go.

What must hold, beside what holds in every run with boxes:

* Nobody knows of a change before the node that made it has been, since it made it, in a view of as
  many members as its floor says.
* What the meter counts only ever falls, also over restarts, and never below the floor.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from unittest import mock

from flocksy.boxes.lanes.crowd import Crowd
from flocksy.index import store
from flocksy.seam.joint import BoxSeam
from flocksy.sync.version import Version, version_id
from tests.simulator.boxes import BoxFlock, RealBoxes
from tests.simulator.checks import BrokenPromiseError
from tests.simulator.faults import Plan
from tests.simulator.node import BoxSide, Node


class CrowdFlock(BoxFlock):
    """A flock of nodes that tell no change of their own where too few could have made it."""

    def __init__(self, plan: Plan, root: Path, trace: Callable[[str], None] | None) -> None:
        super().__init__(plan, root, trace)
        self._made: dict[bytes, dict[int, int]] = {}
        """By version and node, when it made it."""
        self._known: list[set[bytes]] = [set() for _ in range(plan.nodes)]
        self._is_wide = [False] * plan.nodes
        """Whether a node is in a view that its floor allows."""
        self._wide_ns = [-1] * plan.nodes
        """When it last was."""
        self._crowds: list[int | None] = [None] * plan.nodes

    def make_box(self, node: Node, seam: BoxSeam) -> BoxSide:
        """The real box side, with its floor."""
        side = super().make_box(node, seam)
        assert isinstance(side, RealBoxes)
        uids = [member.uid for member in node.settings.members]
        kept = self._root / f"state{node.lane}" / "crowd.json"
        side.exchange.crowd = Crowd(uids, self.plan.floor, kept)
        return side

    def _follow(self, node: Node) -> None:
        assert node.emitter is not None
        members = node.emitter._state.epoch.members
        self._wide(node.lane, members.bit_count() >= self.plan.floor)
        super()._follow(node)

    def _wide(self, lane: int, is_wide: bool) -> None:
        if is_wide or self._is_wide[lane]:
            self._wide_ns[lane] = self.now_ns
        self._is_wide[lane] = is_wide

    def _fall(self, lane: int, *, power: bool) -> None:
        self._wide(lane, False)
        super()._fall(lane, power=power)

    def recorded(self, path: str, version: Version) -> None:
        """A node has made a version."""
        super().recorded(path, version)
        made = self._made.setdefault(version_id(version), {})
        made.setdefault(self._lane, self.now_ns)

    def learnt(self, versions: Iterable[bytes]) -> None:
        """A lane has carried these to a node, perhaps its own."""
        lane = self._lane
        for name in set(versions) - self._known[lane]:
            self._known[lane].add(name)
            made = self._made.get(name, {})
            if made and lane not in made and not any(map(self._may_have_told, made, made.values())):
                raise BrokenPromiseError(
                    f"node {lane} knows of {name.hex()}, and who made it was in no view of "
                    f"{self.plan.floor} since: {made}"
                )
        self._count()

    def _may_have_told(self, lane: int, made_ns: int) -> bool:
        return self._is_wide[lane] or self._wide_ns[lane] >= made_ns

    def _count(self) -> None:
        for node in self.nodes:
            if not isinstance(node.box, RealBoxes):
                continue
            before, size = self._crowds[node.lane], node.box.exchange.crowd.size
            if size is None:
                fell = before is None
            else:
                fell = self.plan.floor <= size <= (before or self.plan.nodes)
            if not fell:
                raise BrokenPromiseError(f"node {node.lane} counts {size} members after {before}")
            self._crowds[node.lane] = size

    def run(self) -> None:
        """As any run with boxes."""
        join = store.BoxIndex.join

        def joined(index: store.BoxIndex, path: str, heads: object, superseded: object) -> bool:
            self.learnt(heads)  # type: ignore[arg-type]  # as the index is given them
            return join(index, path, heads, superseded)  # type: ignore[arg-type]

        with mock.patch.object(store.BoxIndex, "join", joined):
            super().run()
