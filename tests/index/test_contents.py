"""Chunks, small contents kept whole, wants; the journal and the history's rows."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from flocksy.index.contents import Piece, Place, Want
from flocksy.index.journal import Kept
from flocksy.index.store import BoxIndex
from flocksy.sync.trees import DiskEntry
from flocksy.sync.version import Kind

ROOT, OTHER = b"r" * 32, b"o" * 32
PIECES = [Piece(0, 100, b"1" * 32), Piece(100, 50, b"2" * 32)]


@pytest.fixture
def index(tmp_path: Path) -> Iterator[BoxIndex]:
    opened = BoxIndex.open(tmp_path / "box.sqlite")
    yield opened
    opened.close()


def put_file(index: BoxIndex, path: str, root: bytes) -> None:
    index.set_local(path, DiskEntry(Kind.FILE, 0o644, 1, 150, root))


def test_a_chunk_lies_wherever_its_content_is(index: BoxIndex) -> None:
    index.contents.put(ROOT, PIECES)
    assert not index.contents.holds(b"2" * 32)
    put_file(index, "a", ROOT)
    assert list(index.contents.places(b"2" * 32)) == [Place("a", 100, 50)]
    assert index.contents.path_with(ROOT) == "a"
    # A rename: nothing but the local tree changes.
    put_file(index, "b", ROOT)
    index.set_local("a", None)
    assert list(index.contents.places(b"2" * 32)) == [Place("b", 100, 50)]
    assert list(index.contents.pieces(ROOT)) == PIECES
    assert list(index.contents.pieces(OTHER)) == []


def test_small_contents_are_kept_by_id(index: BoxIndex) -> None:
    index.contents.put(ROOT, blobs=[(ROOT, b"list"), (b"x" * 32, b"lower list")])
    index.contents.put(ROOT, blobs=[(ROOT, b"list")])
    assert index.contents.blob(b"x" * 32) == b"lower list"
    assert index.contents.holds(ROOT)
    assert dict(index.contents.blobs(ROOT)) == {ROOT: b"list", b"x" * 32: b"lower list"}
    assert index.contents.blob(OTHER) is None


def test_contents_that_nobody_has_are_forgotten(index: BoxIndex) -> None:
    index.contents.put(ROOT, PIECES, [(ROOT, b"list")])
    put_file(index, "a", ROOT)
    kept = {b"w" * 32: "wanted", b"h" * 32: "in history", b"s" * 32: "being received"}
    for root in (*kept, OTHER):
        index.contents.put(root, PIECES, [(root, b"list")])
    index.contents.want(Want("w", b"v" * 16, b"w" * 32, 150, 1))
    index.journal.keep(Kept("2026/h", "h", None, b"h" * 32, 150, 1))
    assert not index.contents.forget_unused(100, keep=[b"s" * 32])
    assert index.contents.blob(OTHER) is None
    for root in (ROOT, *kept):
        assert index.contents.blob(root) == b"list"
        assert list(index.contents.pieces(root)) == PIECES


def test_few_are_looked_at_in_one_go(index: BoxIndex) -> None:
    roots = [bytes([number]) * 32 for number in range(7)]
    for number, root in enumerate(roots):
        index.contents.put(root, PIECES)
        if number % 2:
            put_file(index, f"file {number}", root)
    rounds = 1
    while index.contents.forget_unused(2):
        rounds += 1
        assert rounds < 10, "there is no end to it"
    for number, root in enumerate(roots):
        assert bool(index.contents.pieces(root)) == bool(number % 2)
    assert rounds == 4
    index.contents.put(OTHER, PIECES)
    while index.contents.forget_unused(2):
        pass
    assert not list(index.contents.pieces(OTHER)), "it begins anew"


def test_tidying_keeps_what_is_needed(index: BoxIndex) -> None:
    put_file(index, "a", ROOT)
    index.contents.put(ROOT, PIECES)
    index.contents.put(OTHER, PIECES)
    index.tidy()
    assert list(index.contents.pieces(ROOT)) == PIECES
    assert list(index.contents.pieces(OTHER)) == []


def test_wants_are_given_oldest_first_and_once(index: BoxIndex) -> None:
    old, young = (Want("a", b"1" * 16, ROOT, 5, 10), Want("b", b"2" * 16, OTHER, 6, 20))
    index.contents.want(young)
    index.contents.want(old)
    index.contents.want(Want("a", b"1" * 16, ROOT, 5, 99))
    assert list(index.contents.wants(10)) == [old, young]
    assert index.contents.want_count() == 2
    index.contents.unwant("a", b"1" * 16)
    index.contents.unwant("never seen")
    assert list(index.contents.wants(10)) == [young]
    index.contents.unwant("b")
    assert index.contents.want_count() == 0


def test_an_open_batch_survives_a_crash(tmp_path: Path) -> None:
    path = tmp_path / "box.sqlite"
    index = BoxIndex.open(path)
    with index.transaction(durable=True):
        index.journal.open([("b", b"plan b"), ("a", b"plan a")])
    # No close: as if the process had been killed.
    again = BoxIndex.open(path)
    assert list(again.journal.open_rows()) == [("b", b"plan b"), ("a", b"plan a")]
    assert again.journal.contains("a")
    assert not again.journal.contains("c")
    with again.transaction():
        again.journal.close()
    assert list(again.journal.open_rows()) == []
    again.close()
    index.close()


def test_the_history_is_read_by_age_and_by_path(index: BoxIndex) -> None:
    rows = [Kept(f"n{age}", "p" if age % 2 else "q", b"v" * 16, ROOT, 10, age) for age in range(5)]
    for row in reversed(rows):
        index.journal.keep(row)
    assert list(index.journal.kept(3, 10)) == rows[:3]
    assert list(index.journal.kept_of("p", 10)) == [rows[3], rows[1]]
    assert index.journal.kept_bytes() == 50
    index.journal.drop_kept("n1")
    assert index.journal.kept_bytes() == 40
