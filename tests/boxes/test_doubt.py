"""Two heads may be one after the other, to somebody who knows too little of their past."""

from __future__ import annotations

import pytest

from flocksy.boxes.lanes.repair import Repair
from flocksy.sync.state import PUSH_ANCESTRY
from tests.boxes.flock_of_boxes import Flock, flock, spool

__all__ = ["flock", "spool"]

EDITS = PUSH_ANCESTRY + 4


def in_doubt(flock: Flock) -> bool:
    return bool(flock.box(2)._receiving.unsure)


def make_doubtful(flock: Flock) -> None:
    """Node 2 misses more edits than a message speaks of, and hears of the last one."""
    flock.write(0, "file", "old")
    flock.settle_equal()
    flock.lost = lambda _sender, receiver, _round: receiver == 2
    for number in range(EDITS):
        flock.write(0, "file", f"edit {number}")
        seen = heads_of(flock, 1)
        flock.run_until(lambda seen=seen: heads_of(flock, 1) != seen)  # type: ignore[misc]
        flock.run_until(lambda: flock.box(0).settled)
    flock.lost = lambda _sender, _receiver, _round: False
    with pytest.MonkeyPatch.context() as patch:
        # Where the scan of the edit takes long, it is mended first and there is nothing to doubt.
        patch.setattr(Repair, "differs", lambda *_, **__: None)
        flock.write(0, "file", "the last edit")
        flock.run_until(lambda: len(heads_of(flock, 2)) > 1)


def heads_of(flock: Flock, lane: int) -> set[bytes]:
    state = flock.box(lane).index.flock("file")
    return set() if state is None else set(state.heads)


def shown(flock: Flock) -> set[str]:
    return {name for name in flock.tree(2) if not name.startswith(".")}


def test_a_clash_is_not_believed_before_its_ancestry_is_known(flock: Flock) -> None:
    make_doubtful(flock)
    assert in_doubt(flock)
    while in_doubt(flock):
        flock.step()
        assert shown(flock) == {"file"}
    flock.settle_equal()
    assert flock.path(2, "file").read_text() == "the last edit"


def test_doubt_outlives_the_process(flock: Flock) -> None:
    make_doubtful(flock)
    assert in_doubt(flock)
    flock.kill(2)
    flock.restart(2)
    flock.run_until(lambda: flock.kept(2).box is not None)
    for _ in range(100):
        flock.step()
        assert shown(flock) == {"file"}, "a conflict copy of what was simply replaced"
    flock.settle_equal()
    assert flock.path(2, "file").read_text() == "the last edit"


def test_a_clash_that_is_believed_is_not_doubted_with_every_edit(flock: Flock) -> None:
    """Somebody works on a file that shows as a conflict copy as well."""
    flock.write(0, "other", "")
    flock.settle_equal()
    flock.lost = lambda sender, receiver, _round: sender != receiver
    for lane in (0, 1):
        flock.write(lane, "file", f"by {lane}")
    flock.run_until(lambda: all(len(heads_of(flock, lane)) == 1 for lane in (0, 1)))
    flock.lost = lambda _sender, _receiver, _round: False
    flock.run_until(lambda: len(shown(flock)) == 3)
    flock.settle_equal()
    said = flock.said_bytes
    for number in range(EDITS):
        flock.write(0, "file", f"edit {number}")
        flock.run_until(lambda number=number: flock.path(2, "file").read_text() == f"edit {number}")  # type: ignore[misc]
        assert not in_doubt(flock)
    flock.settle_equal()
    assert flock.said_bytes - said < EDITS * 1000
