"""Conflicts that are decided on a disk which has not come to show all that was heard of."""

from __future__ import annotations

from dataclasses import dataclass

import pytest

from flocksy.sync.undo import kept_at_owner, kept_both, kept_copy
from flocksy.sync.view import View
from tests.sync.flock_in_memory import Node, file
from tests.sync.lives import Flock

TEXTS = tuple("abcdefgh")


@dataclass(frozen=True)
class Late:
    """`first` shows a conflict of `f`, as `copy` with the head `shown`; a third edit of `f` has
    been heard of (`late`) and is on no disk but that of its maker."""

    flock: Flock
    first: Node
    copy: str
    shown: bytes
    late: bytes

    @property
    def wins(self) -> bool:
        """Whether the third edit is what is to stand at `f`."""
        return View(self.first.trees).at("f").head == self.late


def heard_of(text: str) -> Late:
    flock = Flock([Node(), Node(), Node()])
    first, second, third = flock.nodes
    first.write("f", file("old"))
    flock.settle()
    third.write("f", file(text))
    third.step()
    ((path, news),) = third.outgoing
    first.write("f", file("one"))
    second.write("f", file("two"))
    Flock([first, second]).settle()
    (copy,) = set(first.disk) - {"f"}
    synced = first.trees.synceds[copy]
    assert synced.copy_of is not None
    first.receive(path, news)
    (late,) = news.heads
    return Late(flock, first, copy, synced.copy_of[1], late)


def test_it_comes_as_copy_and_as_winner() -> None:
    assert {heard_of(text).wins for text in TEXTS} == {True, False}


@pytest.mark.parametrize("text", TEXTS)
def test_what_was_only_heard_of_is_no_side_of_it(text: str) -> None:
    at = heard_of(text)
    trees = at.first.trees
    for records in (kept_at_owner(trees, "f"), kept_both(trees, "f")):
        # Where it is to stand at the path, what stands there is about to give way.
        assert bool(records) is not at.wins
        assert not any(at.late in record.superseded for record in records)
    assert kept_copy(trees, "f", at.late) == []
    (record,) = kept_copy(trees, "f", at.shown)
    assert at.shown in record.superseded
    assert at.late not in record.superseded


@pytest.mark.parametrize("text", TEXTS)
def test_it_is_seen_by_everybody_in_the_end(text: str) -> None:
    at = heard_of(text)
    kept = at.first.disk[at.copy].root
    at.first.learn(kept_copy(at.first.trees, "f", at.shown))
    at.flock.settle()
    for node in at.flock.nodes:
        assert {entry.root for entry in node.disk.values()} == {kept, file(text).root}
