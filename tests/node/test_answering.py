"""`flocksy approve` and `reject` of a running node with several boxes in which deletions wait."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from flocksy.boxes.setup import BoxSetup, Mode
from flocksy.errors import FlocksyError
from flocksy.node.undo import Undo
from flocksy.testing.lockstep import LockstepNode
from tests.boxes.flock_of_boxes import Flock, spool

__all__ = ["spool"]

SECOND = "sends"
"""Send-only on node 0, and after the other by name."""


class Two(Flock):
    """Every node has two boxes, guarded as by default."""

    def setup(self, lane: int) -> BoxSetup:
        return replace(super().setup(lane), guard_percent=100)

    def second(self, lane: int) -> BoxSetup:
        return replace(
            self.setup(lane),
            name=SECOND,
            path=str(self.root / f"{SECOND}{lane}"),
            box_id=hashlib.blake2b(SECOND.encode()).digest(),
            index_path=str(self.root / f"state{lane}" / "second.sqlite"),
            mode=Mode.SYNC if lane else Mode.SEND_ONLY,
        )

    def _start(self, lane: int) -> LockstepNode:
        node = super()._start(lane)
        Path(self.second(lane).path).mkdir(exist_ok=True)
        node.keeper.add(self.second(lane), self.now)
        return node


@pytest.fixture
def flock(tmp_path: Path, spool: Path) -> Iterator[Two]:
    """In both boxes of node 0 the deletion of `gone` waits."""
    with Two(tmp_path, spool) as made:
        gone = [Path(setup.path, "gone") for setup in (made.setup(0), made.second(0))]
        for path in gone:
            path.write_text("one")
        made.settle()
        made.stop(0)
        for path in gone:
            path.unlink()
        made.restart(0)
        made.settle()
        yield made


def answer(flock: Two, command: str, box: str | None = None) -> str:
    node = flock.nodes[0]
    undo = Undo(node.exchange, node.keeper, lambda: flock.now, members=3)
    told = undo.handlers[command]({"box": box})
    assert isinstance(told, dict)
    return str(told["text"])


def waiting(flock: Two) -> dict[str, list[str]]:
    return {
        kept.setup.name: list(kept.box.guard.waiting)
        for kept in flock.nodes[0].keeper.boxes
        if kept.box is not None
    }


def test_nothing_is_rejected_where_not_all_can_be(flock: Two) -> None:
    with pytest.raises(FlocksyError, match=r"sends: is send-only.*approve.*nothing is undone"):
        answer(flock, "reject")
    assert waiting(flock) == {"box": ["gone"], SECOND: ["gone"]}
    assert answer(flock, "reject", "box").startswith("box: 1 deletion undone")
    assert waiting(flock) == {"box": [], SECOND: ["gone"]}
    flock.settle()
    assert flock.path(0, "gone").read_text() == "one"


def test_all_are_approved_at_once(flock: Two) -> None:
    assert answer(flock, "approve").splitlines() == [
        "box: 1 deletion approved",
        "sends: 1 deletion approved",
    ]
    flock.settle_equal()
    assert flock.tree(1) == set()
    assert not Path(flock.second(1).path, "gone").exists()
    assert answer(flock, "reject") == "nothing waits"
