"""`flocksy restore` of what was deleted on this disk, before anybody was told."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from flocksy.errors import FlocksyError
from flocksy.node.offline import Offline
from flocksy.node.undo import Undo
from flocksy.status.control import Answer, Pending
from tests.boxes.flock_of_boxes import Flock, flock, spool
from tests.boxes.test_guard import Guarded

__all__ = ["flock", "spool"]


def offline(flock: Flock, lane: int) -> Offline:
    """The commands of a node that does not run."""
    made = Offline([], "", ())
    made._setups = [flock.setup(lane)]
    return made


def ask(flock: Flock, undo: Undo, name: str, at: str | None = None) -> Answer | Pending:
    return undo.handlers["restore"]({"path": str(flock.path(0, name)), "at": at})


def undo_of(flock: Flock) -> Undo:
    node = flock.nodes[0]
    return Undo(node.exchange, node.keeper, lambda: flock.now, members=3)


def write_twice(flock: Flock) -> None:
    for lane, content in enumerate(("one", "two")):
        flock.write(lane, "folder/file", content)
        flock.settle_equal()


@pytest.mark.parametrize("named", ["folder/file", "folder", ""])
@pytest.mark.parametrize("gone", ["folder/file", "folder"])
def test_no_node_runs(flock: Flock, named: str, gone: str) -> None:
    write_twice(flock)
    flock.stop(0)
    if gone == "folder":
        shutil.rmtree(flock.path(0, gone))
    else:
        flock.path(0, gone).unlink()
    where = named if named == "folder/file" else gone
    with pytest.raises(FlocksyError, match=rf"^{where}: is gone.*start the node"):
        offline(flock, 0).restore(str(flock.path(0, named)), None)
    flock.restart(0)
    flock.settle_equal()
    for lane in range(3):
        assert not flock.path(lane, gone).exists(), "nothing was changed: it is a deletion"


def test_no_node_runs_and_it_stands_there(flock: Flock) -> None:
    write_twice(flock)
    flock.stop(0)
    path = flock.path(0, "folder/file")
    offline(flock, 0).restore(str(path), None)
    assert path.read_text() == "one"
    flock.restart(0)
    flock.settle_equal()
    assert flock.path(2, "folder/file").read_text() == "one"


def test_once_the_node_runs_it_is_a_word_to_what_waits(tmp_path: Path, spool: Path) -> None:
    with Guarded(tmp_path, spool) as flock:
        write_twice(flock)
        flock.stop(0)
        flock.path(0, "folder/file").unlink()
        with pytest.raises(FlocksyError, match="start the node and ask again"):
            offline(flock, 0).restore(str(flock.path(0, "folder/file")), None)
        flock.restart(0)
        flock.run_until(lambda: bool(flock.box(0).guard.waiting))
        ask(flock, undo_of(flock), "folder/file")
        flock.settle_equal()
        assert flock.path(0, "folder/file").read_text() == "two"


@pytest.mark.parametrize("named", ["folder/file", "folder", ""])
def test_it_is_not_recorded_yet(flock: Flock, named: str) -> None:
    write_twice(flock)
    undo = undo_of(flock)
    flock.path(0, "folder/file").unlink()
    with pytest.raises(FlocksyError, match=r"^folder/file: is gone.*again in a moment"):
        ask(flock, undo, named)
    flock.settle_equal()
    pending = ask(flock, undo, named)
    assert isinstance(pending, Pending)

    def restored() -> bool:
        undo.turn(flock.now)
        return not undo._jobs

    flock.run_until(restored)
    flock.settle_equal()
    for lane in range(3):
        assert flock.path(lane, "folder/file").read_text() == "two", "what stood there last"
