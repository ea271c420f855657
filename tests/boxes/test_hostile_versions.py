"""What a hostile member can say of a path, and what people do there afterwards: every node has to
live with it, also after a restart."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest

from flocksy.boxes.lanes.answers import Answers
from flocksy.boxes.lanes.feed import NO_BATCH, Feed, Parts, versions
from flocksy.sync.content import small_list, symlink_root
from flocksy.sync.messages import MAX_ENTRIES, Entry, Versions, decode
from flocksy.sync.state import MAX_ANCESTRY
from flocksy.sync.stream import StreamReader, StreamWriter
from flocksy.sync.version import MAX_GENERATION, Kind, Version, version_id
from tests.boxes.flock_of_boxes import Flock, flock, spool

__all__ = ["flock", "spool"]

OLDEST = MAX_GENERATION - 1


def say(flock: Flock, path: str, text: bytes, generation: int) -> None:
    """A member says that the path holds this now, and all hear it."""
    known = flock.box(0).index.flock(path)
    assert known is not None
    ((parent, before),) = known.heads.items()
    root = small_list(text).root
    mtime_ns = 1_700_000_000_000_000_000
    version = Version(Kind.FILE, 0o644, mtime_ns, len(text), root, generation, (parent,))
    entry = Entry(path, version, ((parent, before.root),), False, text)
    for node in flock.up:
        box = flock.box(node.lane)
        box.receive(Versions(box.setup.tag, (entry,)), own=False, now=flock.now)
    flock.settle_equal()
    assert flock.path(0, path).read_bytes() == text


@pytest.mark.parametrize("generation", [OLDEST - 1, OLDEST])
def test_a_path_of_the_last_generation_can_be_edited_and_deleted(
    flock: Flock, generation: int
) -> None:
    flock.write(0, "a", "one")
    flock.settle_equal()
    say(flock, "a", b"as if it had been edited for a million years", generation)
    for lane, text in ((0, "edited"), (1, "once more"), (2, "and again")):
        flock.write(lane, "a", text)
        flock.settle_equal()
        assert {flock.path(other, "a").read_text() for other in range(3)} == {text}
    flock.stop(0)
    flock.restart(0)
    flock.settle_equal()
    flock.path(0, "a").unlink()
    flock.settle_equal()
    assert flock.tree(1) == set()


def a_lie(text: bytes, generation: int, gone: list[bytes]) -> Entry:
    """A version with what it says to supersede; and itself, if `gone` is empty."""
    root = small_list(text).root
    version = Version(Kind.FILE, 0o644, 1_700_000_000, len(text), root, generation, ())
    names = gone or [version_id(version)]
    return Entry("a", version, tuple((name, b"") for name in names), False, text)


@pytest.mark.parametrize("lies", ["of itself", "of each other"])
@pytest.mark.parametrize("generation", [1, 2])
@pytest.mark.parametrize("hearers", [(0,), (0, 1), (0, 1, 2)])
def test_no_lie_leaves_a_path_without_heads(
    flock: Flock, lies: str, generation: int, hearers: tuple[int, ...]
) -> None:
    flock.write(0, "a", "one")
    flock.settle_equal()
    known = flock.box(0).index.flock("a")
    assert known is not None
    (head,) = known.heads
    first = a_lie(b"first", generation, [])
    entries = [first]
    if lies == "of each other":
        second = a_lie(b"second", generation, [version_id(first.version)])
        entries = [replace(first, superseded=((version_id(second.version), b""),)), second]
    entries = [replace(one, superseded=(*one.superseded, (head, b""))) for one in entries]
    for lane in hearers:
        box = flock.box(lane)
        box.receive(Versions(box.setup.tag, tuple(entries)), own=False, now=flock.now)
        flock.nodes[lane].exchange._known.clear()  # as after what it hears in a lane
        entries.reverse()
    flock.settle_equal()
    assert flock.tree(2) == {"a"}
    flock.write(2, "a", "and people go on")
    flock.settle_equal()
    assert flock.path(0, "a").read_text() == "and people go on"


def test_a_link_with_a_text_that_no_disk_holds_ends_nobody(flock: Flock) -> None:
    text = b"a\0b"
    version = Version(Kind.SYMLINK, 0, 0, 0, symlink_root(text), 1, ())
    entry = Entry("link", version, (), False, text)
    for node in flock.up:  # as if an earlier flocksy had let it in
        box = flock.box(node.lane)
        box.receive(Versions(box.setup.tag, (entry,)), own=False, now=flock.now)
    flock.write(0, "a", "one")
    flock.run_until(lambda: flock.path(2, "a").exists() and "link" in flock.box(2).problems)
    flock.stop(2)
    flock.restart(2)
    flock.run_until(lambda: "link" in flock.box(2).problems)


def test_more_past_than_a_message_holds_is_told_in_several(flock: Flock) -> None:
    """A message that nobody may send ended whoever was asked for the path."""
    box = flock.box(0)
    mine = [small_tombstone(number) for number in range(20)]
    gone = tuple((number.to_bytes(16, "big"), b"r" * 32) for number in range(MAX_ANCESTRY))
    first, *others = (Entry("a", version) for version in mine)
    said = Versions(box.setup.tag, (replace(first, superseded=gone), *others))
    box.receive(said, own=False, now=flock.now)
    answers = Answers()
    answers.add_record(box, "a")
    feed = Feed.for_heartbeats([box], deque(), answers, flock.nodes[0].spool)
    told = [entry for parts in feed for entry in decoded(parts)]
    assert {version_id(entry.version) for entry in told} == {version_id(one) for one in mine}
    assert {len(entry.superseded) for entry in told} == {MAX_ANCESTRY, 0}
    assert not answers.records()


def test_more_heads_than_a_message_names_are_told_in_several() -> None:
    entries = [Entry("a", small_tombstone(number)) for number in range(MAX_ENTRIES + 1)]
    told = [
        entry for parts in versions(b"t" * 16, NO_BATCH, 0, entries) for entry in decoded(parts)
    ]
    assert told == entries


def test_all_that_a_message_says_of_a_path_is_joined_at_once(
    flock: Flock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One after the other, each was held against all that had come before it."""
    box, joined = flock.box(0), list[str]()
    join = box.index.join

    def counted(path: str, *state: Mapping[bytes, Any]) -> bool:
        joined.append(path)
        return join(path, *state)

    monkeypatch.setattr(box.index, "join", counted)
    mine = [small_tombstone(number) for number in range(20)]
    gone = (version_id(mine[0]), b"r" * 32)
    entries = [Entry("a", one, (gone,) if one is mine[-1] else ()) for one in mine]
    entries.insert(7, Entry("b", mine[0]))
    box.receive(Versions(box.setup.tag, tuple(entries)), own=False, now=flock.now)
    assert joined == ["a", "b"]
    known = box.index.flock("a")
    assert known is not None and known.heads.keys() == {version_id(one) for one in mine[1:]}
    assert dict(known.superseded) == dict((gone,))


def small_tombstone(number: int) -> Version:
    return Version(Kind.TOMBSTONE, 0, 0, 0, b"", 1 + number, ())


def decoded(parts: Parts) -> tuple[Entry, ...]:
    """The entries of a message, as a lane carries it."""
    writer, reader, found = StreamWriter(), StreamReader(), []
    queue: list[Parts] = [parts]
    while queue or writer.left:
        slot = bytearray(1 << 16)
        writer.fill(memoryview(slot), lambda _: queue.pop() if queue else None)
        found += reader.feed(memoryview(slot), False)
    message = decode(b"".join(found))
    assert isinstance(message, Versions)
    return message.entries
