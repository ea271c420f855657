"""What stood at a path before, and what is deleted: what restoring can name."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest

from flocksy.index import migrations, past
from flocksy.index.contents import Piece, Place
from flocksy.index.journal import HISTORY, Kept
from flocksy.index.store import BoxIndex
from flocksy.sync.trees import DiskEntry
from flocksy.sync.version import Kind, Version, version_id


class Clock:
    now_ms = 1_000

    def __call__(self) -> int:
        return self.now_ms


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def index(tmp_path: Path, clock: Clock) -> Iterator[BoxIndex]:
    opened = BoxIndex.open(tmp_path / "box.sqlite", clock)
    yield opened
    opened.close()


def put(index: BoxIndex, path: str, content: str = "", kind: Kind = Kind.FILE) -> Version:
    """A version in place of what stands at the path, recorded here and not said yet."""
    state = index.flock(path)
    heads = {} if state is None else dict(state.heads)
    generation = 1 + max((head.generation for head in heads.values()), default=0)
    root = content.encode().ljust(32, b"r") if kind in (Kind.FILE, Kind.SYMLINK) else b""
    size = len(content) if kind is Kind.FILE else 0
    mode = 0o644 if kind in (Kind.FILE, Kind.DIRECTORY) else 0
    version = Version(kind, mode, 0, size, root, generation, tuple(sorted(heads)))
    index.record(
        path, version_id(version), version, dict.fromkeys(heads, b""), batch=b"b", due_ms=0
    )
    return version


def test_a_superseded_version_is_kept_with_its_times(index: BoxIndex, clock: Clock) -> None:
    first = put(index, "a", "one")
    clock.now_ms = 2_000
    second = put(index, "a", "two")
    clock.now_ms = 3_000
    put(index, "a", kind=Kind.TOMBSTONE)
    found = index.past.of("a", 10)
    assert [(one.version, one.since_ms, one.gone_ms) for one in found] == [
        (second, 2_000, 3_000),
        (first, 1_000, 2_000),
    ]
    assert [one.version for one in index.past.after("a", 2_000)] == [second]
    clock.now_ms = 4_000
    put(index, "a", "three")  # a tombstone is nothing that anybody wants back
    assert len(index.past.of("a", 10)) == 2


def test_what_others_superseded_counts_alike(index: BoxIndex, clock: Clock) -> None:
    first = put(index, "a", "one")
    index.join("a", {version_id(first): first}, {})
    clock.now_ms = 2_000
    next_one = Version(Kind.FILE, 0o644, 0, 3, b"n" * 32, 2, (version_id(first),))
    index.join("a", {version_id(next_one): next_one}, {version_id(first): b""})
    (found,) = index.past.of("a", 10)
    assert (found.id, found.gone_ms) == (version_id(first), 2_000)
    index.join("a", {version_id(next_one): next_one}, {version_id(first): b""})
    assert len(index.past.of("a", 10)) == 1


def test_the_text_of_a_link_is_kept(index: BoxIndex) -> None:
    link = put(index, "link", "x", Kind.SYMLINK)
    index.contents.put(link.root, blobs=((link.root, b"where/to"),))
    put(index, "link", kind=Kind.TOMBSTONE)
    index.tidy()
    assert index.contents.blob(link.root) is None
    assert index.past.of("link", 1)[0].text == b"where/to"


def test_what_is_deleted_by_folder(index: BoxIndex, clock: Clock) -> None:
    for path in ("d/a", "d/sub/b", "dz", "alive"):
        put(index, path, path)
    put(index, "d", kind=Kind.DIRECTORY)
    put(index, "alive", "edited")
    for path in ("d/a", "d/sub/b", "d", "dz"):
        clock.now_ms += 1
        put(index, path, kind=Kind.TOMBSTONE)
    assert [one.path for one in index.past.deleted("", 10)] == ["dz", "d", "d/sub/b", "d/a"]
    assert [one.path for one in index.past.deleted("d", 10)] == ["d", "d/sub/b", "d/a"]
    assert [one.path for one in index.past.deleted("", 1)] == ["dz"]
    assert index.past.paths_below("d", 0, 10) == ["d", "d/a", "d/sub/b"]
    put(index, "d/sub/b", "again")  # and the directory shows with it
    assert [one.path for one in index.past.deleted("", 10)] == ["dz", "d/a"]


def test_of_a_path_deleted_twice_the_last_counts(index: BoxIndex, clock: Clock) -> None:
    for content in ("one", "two"):
        last = put(index, "a", content)
        clock.now_ms += 1
        put(index, "a", kind=Kind.TOMBSTONE)
    (found,) = index.past.deleted("", 10)
    assert found.version == last


@pytest.mark.parametrize(
    "moves_ms", [(900_000, -900_000, 5), (50, -900, 5), (9, 900_000, -900_001)]
)
def test_a_clock_that_is_set_changes_no_order(
    index: BoxIndex, clock: Clock, moves_ms: tuple[int, ...]
) -> None:
    made = [put(index, "d/a", "first")]
    for number, by_ms in enumerate(moves_ms):
        clock.now_ms += by_ms
        made.append(put(index, "d/a", f"{number}"))
    put(index, "d/b", "b")
    clock.now_ms += 1
    for path in ("d/a", "d/b"):
        put(index, path, kind=Kind.TOMBSTONE)
    assert [one.version for one in index.past.of("d/a", 10)] == made[::-1]
    for under in ("", "d"):
        found = {one.path: one.version for one in index.past.deleted(under, 10)}
        assert found["d/a"] == made[-1]


def test_age_and_number_have_an_end(
    index: BoxIndex, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(past, "MAX_PER_PATH", 3)
    for number in range(10):
        clock.now_ms += 1
        put(index, "a", str(number))
        put(index, "b", str(number)) if number < 3 else None
    index.past.forget(0)
    assert len(index.past.of("a", 100)) == 3
    assert {one.version.size for one in index.past.of("b", 100)} == {1}
    index.past.forget(clock.now_ms)
    assert [one.gone_ms for one in index.past.of("a", 100)] == [clock.now_ms]
    assert not index.past.of("b", 100)


def test_what_has_come_last_stays_whatever_the_clock_showed(
    index: BoxIndex, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(past, "MAX_PER_PATH", 2)
    for number in range(5):
        clock.now_ms += 1
        put(index, "a", f"{number:0{number + 1}}")
    clock.now_ms = 5
    put(index, "a", "the last")
    index.past.forget(0)
    assert {one.version.size for one in index.past.of("a", 100)} == {4, 5}


def test_an_index_of_the_first_version_goes_on(tmp_path: Path, clock: Clock) -> None:
    path = tmp_path / "old.sqlite"
    connection = sqlite3.connect(path, isolation_level=None)
    connection.executescript(f"{migrations.STEPS[0]}\nPRAGMA user_version = 1;")
    connection.execute("INSERT INTO paths (path, parent) VALUES (x'', NULL)")
    connection.close()
    index = BoxIndex.open(path, clock)
    put(index, "a", "one")
    put(index, "a", "two")
    assert len(index.past.of("a", 10)) == 1
    index.close()


def test_rows_of_what_left_the_history_by_another_hand(index: BoxIndex) -> None:
    for kept_ms in (5, 6, 7):
        index.journal.keep(Kept(f"2026-09-21/{kept_ms}-1-a", "a", None, b"r" * 32, 1, kept_ms))
    index.journal.drop_kept_before(6)
    assert [one.kept_ms for one in index.journal.kept_of("a", 10)] == [7, 6]
    assert index.contents.kept_with(b"r" * 32) is not None
    index.journal.drop_kept_before(8)
    assert index.contents.kept_with(b"r" * 32) is None


def test_the_whole_box_is_listed_page_by_page(index: BoxIndex, clock: Clock) -> None:
    for number in range(30):
        clock.now_ms += 1
        for content in ("one", "two", "three"):
            put(index, f"f{number:02}", content)
        put(index, f"f{number:02}", kind=Kind.TOMBSTONE)
    names = [f"f{number:02}" for number in reversed(range(30))]
    assert [one.path for one in index.past.deleted("", 7)] == names[:7]
    assert [one.path for one in index.past.deleted("", 100)] == names
    assert {one.version.size for one in index.past.deleted("", 100)} == {5}


def test_chunks_of_the_history_can_be_served(index: BoxIndex) -> None:
    root, chunk = b"r" * 32, b"1" * 32
    index.contents.put(root, [Piece(0, 100, chunk)])
    index.journal.keep(Kept("2026-09-21/x-1-a", "a", None, root, 100, 5))
    assert list(index.contents.places(chunk)) == [Place(f"{HISTORY}/2026-09-21/x-1-a", 0, 100)]
    assert not index.contents.holds(chunk), "others may not have it any more: it is news"
    index.set_local("b", DiskEntry(Kind.FILE, 0o644, 1, 100, root))
    assert list(index.contents.places(chunk)) == [Place("b", 0, 100)]


def test_what_was_replaced_or_deleted_is_known_for_ever(index: BoxIndex, clock: Clock) -> None:
    """Only what the history knows of it goes with its time: a member that comes back after a year
    must not bring it back."""
    for content in ("one", "two"):
        put(index, "a", content)
    put(index, "a", kind=Kind.TOMBSTONE)
    before = index.flock("a")
    assert before is not None and len(before.superseded) == 2
    clock.now_ms += 400 * 24 * 3600 * 1000
    index.past.forget(clock.now_ms)
    index.journal.drop_kept_before(clock.now_ms)
    while index.tidy():
        pass
    assert not index.past.of("a", 10)
    assert index.flock("a") == before
