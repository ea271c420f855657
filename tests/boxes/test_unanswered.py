"""A person's answer that the index could not take in: it is asked again, and nothing is lost."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import pytest

from flocksy.errors import FlocksyError
from flocksy.index.database import Database
from tests.boxes.flock_of_boxes import spool
from tests.boxes.test_guard import Guarded, fill, flock, waiting

__all__ = ["flock", "spool"]


@contextmanager
def full(at: str) -> Iterator[None]:
    """The disk of all indexes has no room for statements that begin so."""
    execute = Database.execute

    def refuse(database: Database, sql: str, parameters: Sequence[object] = ()) -> int:
        if sql.startswith(at):
            raise FlocksyError("no space left for index box.sqlite")
        return execute(database, sql, parameters)

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(Database, "execute", refuse)
        yield


@pytest.fixture
def asking(flock: Guarded) -> Guarded:
    """The deletions of `a` and `b` wait on node 2."""
    fill(flock, ["a", "b", "stays"])
    flock.stop(2)
    flock.path(2, "a").unlink()
    flock.path(2, "b").unlink()
    flock.restart(2)
    flock.settle()
    return flock


@pytest.mark.parametrize("at", ["DELETE FROM synced", "COMMIT"])
def test_what_could_not_be_rejected_still_waits(asking: Guarded, at: str) -> None:
    with full(at), pytest.raises(FlocksyError):
        asking.box(2).reject()
    assert waiting(asking, 2) == {"a", "b"}
    assert asking.box(2).reject() == 2
    asking.settle_equal()
    assert asking.tree(2) == {"a", "b", "stays"}


def test_what_could_not_be_approved_still_waits(asking: Guarded) -> None:
    """Strangers at the same time: their meeting is all that the index is told."""
    guard = asking.box(2).guard
    guard._strangers = "are they meant to be one?"
    with full("INSERT OR REPLACE INTO remembered"), pytest.raises(FlocksyError):
        asking.box(2).approve()
    assert guard.strangers and waiting(asking, 2) == {"a", "b"}
    assert asking.box(2).approve() == 2
    asking.settle_equal()
    assert asking.tree(0) == {"stays"}
