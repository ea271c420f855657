"""What one burst says, and what the burst that repeats it."""

from __future__ import annotations

import dataclasses
from collections import deque
from collections.abc import Iterator, Sequence

import pytest

from flocksy.boxes.box import Box
from flocksy.boxes.lanes import feed as feed_module
from flocksy.boxes.lanes.answers import Answers
from flocksy.boxes.lanes.carried import Carried
from flocksy.boxes.lanes.feed import Feed
from flocksy.errors import FlocksyError
from flocksy.seam.report import AgreedBurst
from flocksy.sync.messages import Content, Entry, Message, Versions, decode
from flocksy.sync.state import MAX_ANCESTRY, PUSH_ANCESTRY
from flocksy.sync.stream import StreamReader
from flocksy.sync.version import Kind, Version, version_id
from tests.boxes.flock_of_boxes import Flock, flock, spool
from tests.boxes.test_delta import noise
from tests.boxes.test_pushed_content import alone, see, waiting

__all__ = ["flock", "spool"]


def tombstone(number: int, parents: tuple[bytes, ...] = ()) -> Version:
    return Version(Kind.TOMBSTONE, 0, 0, 0, b"", 1 + number, parents)


def names(count: int) -> list[bytes]:
    """Of versions that nobody knows more of."""
    return [(1 + number).to_bytes(16, "big") for number in range(count)]


def hear(flock: Flock, lane: int, entries: Sequence[Entry]) -> None:
    """A lane has carried this to the box of a node."""
    box = flock.box(lane)
    box.receive(Versions(box.setup.tag, tuple(entries)), own=False, now=flock.now)


def with_past(flock: Flock, path: str, heads: int, past: int) -> list[Version]:
    """The first node knows that many heads of a path, and that many that they superseded."""
    gone = tuple((name, b"r" * 32) for name in names(past))
    made = [tombstone(number, (gone[number][0],)) for number in range(heads)]
    first, *others = (Entry(path, one) for one in made)
    hear(flock, 0, [Entry(path, first.version, gone), *others])
    return made


def failed(_: Box, error: OSError | FlocksyError) -> None:
    raise error


def burst(
    flock: Flock, answers: Answers, slots: int = 64, again: Carried | None = None
) -> tuple[Feed, list[Versions]]:
    """The first node says what it has to say in a burst; and what that is."""
    node = flock.nodes[0]
    agreed = AgreedBurst(b"a burst.", 0b111, 0, slots, again is not None)
    feed = Feed(agreed, [flock.box(0)], deque(), answers, node.spool, again, failed)
    return feed, said_by(flock, feed)


def said_by(flock: Flock, feed: Feed) -> list[Versions]:
    return [one for one in messages_of(flock, feed) if isinstance(one, Versions)]


def messages_of(flock: Flock, feed: Feed) -> Iterator[Message]:
    """What is said, slot by slot."""
    node, reader = flock.nodes[0], StreamReader()
    header = node.wire.shape.header
    while not feed.full:
        feed.fill(node.seam, 1)
        slot = node.wire.burst_cell(feed.burst.burst_id)
        assert slot is not None
        found = [bytes(one) for one in reader.feed(slot[header:][: node.seam.burst_payload], False)]
        slot.release()
        node.wire.burst_out.release()
        yield from map(decode, found)


def entries_of(said: Sequence[Versions]) -> list[Entry]:
    return [entry for message in said for entry in message.entries]


@pytest.mark.parametrize("heads", [3, 500])
def test_the_past_of_a_path_goes_with_one_of_its_heads(flock: Flock, heads: int) -> None:
    """With each of them it was gigabytes, of what one hostile member can make up."""
    made = with_past(flock, "a", heads, MAX_ANCESTRY)
    first, *others = flock.box(0).offers.answer("a")
    assert len(first.superseded) == MAX_ANCESTRY and not first.truncated
    assert all(len(one.superseded) <= 1 and not one.truncated for one in others)
    assert {version_id(one.version) for one in (first, *others)} == set(map(version_id, made))


def test_the_heads_of_a_path_come_with_their_past(flock: Flock) -> None:
    """In one message: of two, one can be lost. Nobody doubts what is all there is."""
    old = tombstone(77)
    hear(flock, 1, [Entry("a", old)])
    with_past(flock, "a", 3, 2000)
    hear(flock, 0, [Entry("a", tombstone(1, (names(2)[1],)), ((version_id(old), b""),))])
    answers = Answers()
    answers.add_record(flock.box(0), "a")
    _, (message,) = burst(flock, answers)
    hear(flock, 1, message.entries)
    known = [flock.box(lane).index.flock("a") for lane in (0, 1)]
    assert known[0] is not None and known[0] == known[1] and len(known[0].heads) == 3
    assert not flock.box(1)._receiving.unsure


def test_a_path_of_a_long_past_counts_as_long(flock: Flock) -> None:
    """So that the burst that is to carry it is long enough."""
    with_past(flock, "a", 1, 2000)
    with_past(flock, "b", 1, 1)
    answers, box = Answers(), flock.box(0)
    for path in ("a", "b"):
        answers.add_record(box, path)
    assert answers.payload_bytes > 2000 * 48
    answers.drop_record(box, "a")
    assert answers.payload_bytes < 2000
    answers.add_record(box, "a")
    answers.forget(box)
    assert not answers.payload_bytes


def test_what_does_not_fit_into_a_burst_keeps_nothing_behind_it(flock: Flock) -> None:
    with_past(flock, "a", 1, MAX_ANCESTRY)
    with_past(flock, "b", 1, 1)
    answers, box = Answers(), flock.box(0)
    for path in ("a", "b"):
        answers.add_record(box, path)
    _, said = burst(flock, answers, 4)
    assert [entry.path for entry in entries_of(said)] == ["b"]
    assert answers.records() == [(box, "a")]
    _, said = burst(flock, answers)
    assert [entry.path for entry in entries_of(said)] == ["a"]
    assert not answers.records()


def push(flock: Flock, path: str, version: Version, gone: Sequence[bytes], batch: bytes) -> None:
    """The first node has made a version that supersedes these."""
    box, superseded = flock.box(0), dict.fromkeys(gone, b"r" * 32)
    box.index.record(path, version_id(version), version, superseded, batch=batch, due_ms=0)
    box.offers.add(path, version, (), batch, 1)


def come_back(flock: Flock, said: Sequence[Versions]) -> None:
    """Our own lane has carried it."""
    for message in said:
        flock.box(0).receive(message, own=True, now=flock.now)


def test_a_repeat_says_of_a_version_what_the_burst_said_of_it(flock: Flock) -> None:
    """Its whole past would cost its source reading that nobody else has, and room for chunks."""
    gone, before = names(100), tombstone(7)
    hear(flock, 0, [Entry("a", before)])
    push(flock, "a", tombstone(200, tuple(gone[-1:])), [version_id(before), *gone], b"a batch.")
    feed, said = burst(flock, Answers())
    (entry,) = entries_of(said)
    assert len(entry.superseded) == PUSH_ANCESTRY + 1
    come_back(flock, said)
    _, again = burst(flock, Answers(), again=feed.carried)
    assert entries_of(again) == [entry]


def test_a_repeat_says_of_what_was_asked_for_all_that_it_said(flock: Flock) -> None:
    with_past(flock, "a", 2, 100)
    answers = Answers()
    answers.add_record(flock.box(0), "a")
    feed, said = burst(flock, answers)
    push(flock, "a", tombstone(200), (), b"a batch.")
    feed, again = burst(flock, Answers(), again=feed.carried)
    assert again[0] == said[0] and len(entries_of(said)) == 2
    assert burst(flock, Answers(), again=feed.carried)[1][0] == said[0]


def test_a_burst_that_ends_between_two_messages_is_repeated(
    flock: Flock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It has told changes of our own, and its repeat says what it said of them."""
    monkeypatch.setattr(feed_module, "MESSAGE_BYTES", 1)
    push(flock, "a", tombstone(0), (), b"a batch.")
    heads = [tombstone(number) for number in range(2000)]
    hear(flock, 0, [Entry("b", one) for one in heads])
    push(flock, "b", tombstone(2000), [version_id(one) for one in heads], b"a batch.")
    feed, said = burst(flock, Answers(), 1)
    assert [entry.path for entry in entries_of(said)] == ["a"]
    assert feed.carried.own
    feed, again = burst(flock, Answers(), 1, again=feed.carried)
    assert entries_of(again) == entries_of(said) and feed.carried.own
    assert not [one for one in flock.box(0).offers.pushes if one.told]
    _, rest = burst(flock, Answers(), 100)
    assert [entry.path for entry in entries_of(rest)] == ["a", "b"]
    assert all(one.told for one in flock.box(0).offers.pushes)


def test_the_repeat_of_a_burst_without_us_says_nothing_of_an_earlier_one(flock: Flock) -> None:
    """Real bytes were not allowed when it was agreed, so this node had nothing to say in it."""
    flock.write(0, "large", bytes(100_000))
    flock.settle()
    exchange = flock.nodes[0].exchange
    assert exchange._carried is not None and exchange._carried.records
    calm = dataclasses.replace(exchange.report, burst=None)
    for burst_id, repeat in ((b"without ", False), (b"the next", True)):
        agreed = AgreedBurst(burst_id, calm.view, 0, 64, repeat)
        exchange._follow(dataclasses.replace(calm, burst=agreed, real_allowed=repeat))
        if repeat:
            assert exchange._feed is not None and next(exchange._feed._items, None) is None
        exchange._follow(calm)


def test_what_is_new_since_a_burst_is_said_whole_in_its_repeat(flock: Flock) -> None:
    """Also where the own lane brings its record back before its content is said."""
    alone(flock)
    box, path = flock.box(0), flock.write(0, "big", noise(300_000, 1))
    see(flock)
    box.offers.release()
    feed, said = burst(flock, Answers())
    for message in said:
        box.receive(message, own=True, now=flock.now)
    path.write_bytes(noise(300_000, 1) + noise(200_000, 2))
    see(flock)
    box.offers.release()
    new, chunks = waiting(flock, "big"), set[bytes]()
    agreed = dataclasses.replace(feed.burst, burst_id=b"repeated", repeat=True)
    again = Feed(agreed, [box], deque(), Answers(), flock.nodes[0].spool, feed.carried, failed)
    for message in messages_of(flock, again):
        if isinstance(message, Versions):
            box.receive(message, own=True, now=flock.now)
        elif isinstance(message, Content):
            chunks.add(message.chunk_id)
    assert new and new <= chunks
    assert not box.index.outgoing_count() and not len(box.offers.pushes)
