"""Several members are to answer the same question: what one lane has carried no other one repeats.

Askers draw who is to serve, so after two halves have met as many as there are askers might.
"""

from __future__ import annotations

import dataclasses
from collections import deque
from collections.abc import Sequence

import pytest

from flocksy.boxes.lanes import answers as answers_module
from flocksy.boxes.lanes.answers import Answers
from flocksy.boxes.lanes.feed import Feed
from flocksy.sync import reconcile
from flocksy.sync.content import small_list, symlink_root
from flocksy.sync.messages import Entry, Items, Message, Versions, WantRecords, decode
from flocksy.sync.version import NO_ROOT, Kind, Version
from tests.boxes.flock_of_boxes import Flock, flock, spool
from tests.boxes.test_feed import entries_of, hear, tombstone, with_past

__all__ = ["flock", "spool"]

LINK = Version(Kind.SYMLINK, 0, 0, 0, symlink_root(b"text"), 9, ())
FILE = Version(Kind.FILE, 0o644, 1, 4, small_list(b"text").root, 9, ())


def answers_of(flock: Flock) -> Answers:
    return flock.nodes[0].exchange._answers


def hears(flock: Flock, entries: Sequence[Entry], lane: int = 1) -> bool:
    """A lane says this to the first node. Whether that one still has something to answer."""
    flock.nodes[0].exchange._handle(lane, Versions(flock.box(0).setup.tag, tuple(entries)))
    return bool(answers_of(flock).payload_bytes)


@pytest.fixture
def asked(flock: Flock) -> list[Entry]:
    """Somebody has asked the first node for `a`; and what that would say of it."""
    with_past(flock, "a", 2, 5)
    answers_of(flock).add_record(flock.box(0), "a")
    return flock.box(0).offers.answer("a")


def test_what_another_lane_has_carried_is_not_said_again(flock: Flock, asked: list[Entry]) -> None:
    assert not hears(flock, asked)


def test_what_says_less_leaves_the_answer_to_be_given(flock: Flock, asked: list[Entry]) -> None:
    first, second = asked
    assert hears(flock, [first])
    assert hears(flock, [second])
    assert hears(flock, [dataclasses.replace(first, superseded=first.superseded[:-2]), second])
    assert hears(flock, [dataclasses.replace(first, truncated=True), second])
    no_roots = tuple((name, NO_ROOT) for name, _ in first.superseded)
    assert hears(flock, [dataclasses.replace(first, superseded=no_roots), second])
    assert hears(flock, [dataclasses.replace(one, path="b") for one in asked])
    assert not hears(flock, asked)


def test_what_shows_more_than_was_known_is_answered_with_that(
    flock: Flock, asked: list[Entry]
) -> None:
    """Who asked has not heard of the head that only the other one has left out."""
    assert hears(flock, [Entry("a", tombstone(50))])
    assert hears(flock, asked)
    assert not hears(flock, flock.box(0).offers.answer("a"))


def test_who_asks_again_is_answered_whatever_others_say(flock: Flock, asked: list[Entry]) -> None:
    """That lane may be heard here, and not there."""
    answers, box = answers_of(flock), flock.box(0)
    assert not hears(flock, asked)
    answers.add_record(box, "a")
    assert hears(flock, asked)
    assert list(Feed.for_heartbeats([], deque(), answers, flock.nodes[0].spool))
    answers.add_record(box, "a")
    assert not hears(flock, asked)


def test_of_those_left_to_others_the_oldest_are_forgotten(
    flock: Flock, asked: list[Entry], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(answers_module, "MAX_ANSWERS", 3)
    answers, box = answers_of(flock), flock.box(0)
    assert not hears(flock, asked)
    for path in ("b", "c", "d"):
        answers.carried(box, path)
    answers.add_record(box, "a")
    assert not hears(flock, asked)


@pytest.mark.parametrize("inline", [None, b"text"])
@pytest.mark.parametrize("version", [LINK, FILE])
def test_what_comes_without_its_content_is_no_whole_answer(
    flock: Flock, version: Version, inline: bytes | None
) -> None:
    hear(flock, 0, [Entry("a", version, inline=b"text")])
    answers_of(flock).add_record(flock.box(0), "a")
    assert hears(flock, [Entry("a", version, inline=inline)]) == (inline is None)


def test_what_is_carried_while_others_are_said_is_left_out(
    flock: Flock, asked: list[Entry]
) -> None:
    """A burst reads its answers one by one, and others go on meanwhile."""
    hear(flock, 0, [Entry("b", tombstone(60)), Entry("c", tombstone(61))])
    node, box, answers = flock.nodes[0], flock.box(0), answers_of(flock)
    answers.drop_record(box, "a")
    for path in ("b", "a", "c"):
        answers.add_record(box, path)
    saying = Feed.for_heartbeats([], deque(), answers, node.spool)
    said = [decode(b"".join(next(saying)))]
    assert hears(flock, asked)
    said += [decode(b"".join(parts)) for parts in saying]
    assert [one.path for one in entries_of(said)] == ["b", "c"]
    assert not answers.payload_bytes


@pytest.mark.parametrize("name", ["a", "of which the others know nothing"])
def test_a_difference_that_is_none_any_more_is_not_asked_for(flock: Flock, name: str) -> None:
    """What another one has told of has come meanwhile; or its power went before it was asked."""
    flock.write(0, "a", "something")
    flock.settle_equal()
    asked: list[Message] = []
    repair, box = flock.nodes[0].exchange.repair, flock.box(0)
    repair._say, say = asked.append, repair._say
    key = reconcile.path_key(name)
    repair.heard(box, 1, Items(box.setup.tag, bytes(16), b"", ((key, bytes(32)),)), 0b111)
    assert [one.keys for one in asked if isinstance(one, WantRecords)] == [(key,)]
    repair._say = say  # the question went into a cell that got lost
    flock.settle_equal()


def test_a_doubt_is_asked_about_though_all_say_the_same(flock: Flock) -> None:
    """Digests do not tell of the past."""
    flock.write(0, "a", "something")
    flock.settle_equal()
    repair, box = flock.nodes[0].exchange.repair, flock.box(0)
    asked: list[Message] = []
    repair._say = asked.append
    key = reconcile.path_key("a")
    repair.heard(box, 1, Items(box.setup.tag, bytes(16), b"", ((key, bytes(32)),)), 0b111)
    box.unknown.add("a")
    repair.ask(box, flock.now, [1, 2], [1, 2], soon=False)
    for _ in range(100):
        flock.step()
    wants = [one for one in asked if isinstance(one, WantRecords)]
    assert len(wants) > 2 and all(one.keys == (key,) for one in wants)
