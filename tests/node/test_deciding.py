"""`flocksy conflicts resolve` keeps what a person sees, or says why it does not."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from flocksy.boxes.setup import Mode
from flocksy.errors import FlocksyError
from flocksy.node.undo import Undo
from flocksy.status.control import Answer
from tests.boxes.flock_of_boxes import Flock, flock, spool
from tests.boxes.test_held import Choosing
from tests.boxes.test_modes import take_mode
from tests.boxes.test_restoring import make_conflict
from tests.node.test_restore_what_is_gone import offline

__all__ = ["flock", "spool"]


def resolve(flock: Flock, name: str, *, both: bool = False, running: bool = True) -> Answer:
    path = str(flock.path(0, name))
    if not running:
        return offline(flock, 0).conflicts_resolve(path, both=both)
    node = flock.nodes[0]
    undo = Undo(node.exchange, node.keeper, lambda: flock.now, members=3)
    answer = undo.handlers["conflicts_resolve"]({"path": path, "both": both})
    assert isinstance(answer, dict)
    return answer


@pytest.mark.parametrize("running", [True, False])
@pytest.mark.parametrize(
    ("edited", "kept"),
    [("copy", "copy"), ("copy", "owner"), ("copy", "both"), ("owner", "owner"), ("owner", "copy")],
)
def test_what_was_merged_by_hand_is_not_put_away(
    flock: Flock, edited: str, kept: str, running: bool
) -> None:
    copy, before = make_conflict(flock)
    merged = copy if edited == "copy" else "file"
    if not running:
        flock.stop(0)
    flock.write(0, merged, "merged by hand")
    remedy = "ask again in a moment" if running else "start the node and ask again"
    with pytest.raises(FlocksyError, match=f"^{re.escape(merged)}: was changed.*; {remedy}$"):
        resolve(flock, copy if kept == "copy" else "file", both=kept == "both", running=running)
    if not running:
        flock.restart(0)
    flock.settle_equal()
    other = "file" if edited == "copy" else copy
    assert flock.path(1, merged).read_text() == "merged by hand"
    assert flock.path(1, other).read_text() == before[other]


def test_what_a_look_has_found_is_decided_about_first(flock: Flock) -> None:
    copy, before = make_conflict(flock)
    flock.box(0).intake.changed[copy] = ()
    with pytest.raises(FlocksyError, match="in a moment"):
        resolve(flock, "file")
    flock.settle_equal()
    assert "it is kept" in str(resolve(flock, copy)["text"])
    flock.settle_equal()
    assert flock.tree(1) == {"file"}
    assert flock.path(1, "file").read_text() == before[copy]


def test_nothing_is_decided_where_only_is_sent(tmp_path: Path, spool: Path) -> None:
    """What the others made does not come to that disk, so nobody can have seen it there."""
    with Choosing(tmp_path, spool) as flock:
        take_mode(flock, 0, Mode.SEND_ONLY)
        for lane in (0, 1):
            flock.write(lane, "file", f"by {lane}")
        flock.settle()
        assert len(flock.tree(1)) == 2
        with pytest.raises(FlocksyError, match=r"is not decided on this node: .* send-only here"):
            resolve(flock, "file")
        flock.settle()
        assert len(flock.tree(1)) == 2
        assert flock.path(0, "file").read_text() == "by 0"
