"""Lists of chunks: built, taken apart, and put together from hostile hands."""

from __future__ import annotations

import tracemalloc

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flocksy.errors import HostileInput, LimitExceeded
from flocksy.sync.content import (
    MAX_BLOB_BYTES,
    MAX_CHUNK_BYTES,
    MAX_CHUNKS,
    Chunk,
    ListAssembly,
    build_list,
    chunk_id,
    inline_fits,
    parse_blob,
    root_of,
    small_list,
    symlink_root,
)
from flocksy.sync.version import Kind, Version


def chunks(count: int, length: int = 10) -> list[Chunk]:
    return [Chunk(number.to_bytes(32, "big"), length) for number in range(count)]


@pytest.mark.parametrize("count", [0, 1, 7281, 7282, 20_000])
def test_a_list_comes_back_whole(count: int) -> None:
    whole = chunks(count)
    built = build_list(whole)
    blobs = dict(built.blobs())
    assert all(len(blob) <= MAX_BLOB_BYTES for blob in blobs.values())
    assembly = ListAssembly(built.root, count * 10)
    while missing := assembly.missing():
        for name in missing:
            assert assembly.add(name, blobs[name])
            assert not assembly.add(name, blobs[name]), "a second one is of no use"
    assert assembly.chunks() == whole


def test_a_list_names_equal_pieces_once() -> None:
    """A file of zeros: every piece of its list is the same blob."""
    same = [Chunk(b"z" * 32, 100)] * (2 * 7281)
    built = build_list(same)
    blobs = dict(built.blobs())
    assembly = ListAssembly(built.root, 100 * len(same))
    assembly.add(built.root, built.top)
    (piece,) = assembly.missing()
    assembly.add(piece, blobs[piece])
    assert assembly.chunks() == same


def test_a_blob_that_is_named_often_is_kept_once() -> None:
    """Whatever a list stands for, reading it takes the memory of what came."""
    blob = b"\0" + (b"z" * 32 + (100).to_bytes(4, "little")) * 7281
    top = b"\1" + (chunk_id(blob) + len(blob).to_bytes(4, "little")) * 140
    assembly = ListAssembly(root_of(top), 100 * 140 * 7281)
    tracemalloc.start()
    try:
        assembly.add(root_of(top), top)
        assembly.add(chunk_id(blob), blob)
        _, peak_bytes = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert not assembly.missing()
    assert peak_bytes < 4 << 20


def test_a_root_is_no_chunk_id() -> None:
    assert root_of(b"\0") != chunk_id(b"\0") != symlink_root(b"\0")


@given(st.integers(0, 2**32 - 1), st.integers(0, 2**40))
def test_sizes_must_sum_up(length: int, size: int) -> None:
    built = build_list([Chunk(b"c" * 32, length)])
    assembly = ListAssembly(built.root, size)
    if 0 < length <= MAX_CHUNK_BYTES and length == size:
        assembly.add(built.root, built.top)
        assert [chunk.length for chunk in assembly.chunks()] == [length]
    else:
        with pytest.raises(HostileInput):
            assembly.add(built.root, built.top)


def test_a_blob_that_is_something_else_is_refused() -> None:
    built = build_list(chunks(2))
    with pytest.raises(HostileInput):
        ListAssembly(built.root, 20).add(built.root, built.top + b"x")


def test_a_list_cannot_explode() -> None:
    """A list that names the same blob 7,281 times would stand for 53 million chunks."""
    bottom = b"\0" + (b"c" * 32 + (1).to_bytes(4, "little")) * 7281
    top = b"\1" + (chunk_id(bottom) + len(bottom).to_bytes(4, "little")) * 7281
    with pytest.raises(HostileInput, match="too many"):
        ListAssembly(root_of(top), 1 << 50).add(root_of(top), top)


def test_no_list_has_a_third_level() -> None:
    """Two name fifty times as many chunks as a file can have."""
    entry = b"c" * 32 + (37).to_bytes(4, "little")
    assert parse_blob(b"\1" + entry) == (1, [Chunk(b"c" * 32, 37)])
    with pytest.raises(HostileInput, match="level"):
        parse_blob(b"\2" + entry)


def test_a_blob_has_one_length_wherever_it_is_named() -> None:
    """Else the second mention would count for chunks that are not there."""
    bottom = b"\0" + b"c" * 32 + (1).to_bytes(4, "little")
    name = chunk_id(bottom)
    top = b"\1" + name + (37).to_bytes(4, "little") + name + (73).to_bytes(4, "little")
    with pytest.raises(HostileInput, match="two lengths"):
        ListAssembly(root_of(top), 2).add(root_of(top), top)


def test_a_chunk_has_one_length_wherever_it_is_named() -> None:
    """Else what is written for it is not what the size of the file counts."""
    liar = build_list([Chunk(b"c" * 32, 10), Chunk(b"c" * 32, 20)])
    with pytest.raises(HostileInput, match="two lengths"):
        ListAssembly(liar.root, 30).add(liar.root, liar.top)


@pytest.mark.parametrize("last", [0, 1])
def test_a_chunk_has_one_length_in_all_blobs_that_name_it(last: int) -> None:
    blobs = [b"\0" + b"c" * 32 + length.to_bytes(4, "little") for length in (10, 20)]
    top = b"\1" + b"".join(chunk_id(blob) + (37).to_bytes(4, "little") for blob in blobs)
    assembly = ListAssembly(root_of(top), 30)
    assembly.add(root_of(top), top)
    assembly.add(chunk_id(blobs[1 - last]), blobs[1 - last])
    with pytest.raises(HostileInput, match="two lengths"):
        assembly.add(chunk_id(blobs[last]), blobs[last])
    assert assembly.missing() == [chunk_id(blobs[last])]


def test_what_is_refused_changes_nothing() -> None:
    built = build_list(chunks(7282))
    blobs = dict(built.blobs())
    assembly = ListAssembly(built.root, 72820)
    with pytest.raises(HostileInput, match="id"):
        assembly.add(built.root, b"\0")
    assert assembly.missing() == [built.root]
    assembly.add(built.root, built.top)
    one, other = assembly.missing()
    with pytest.raises(HostileInput, match="id"):
        assembly.add(one, blobs[other])
    assert assembly.missing() == [one, other]


@given(st.lists(st.integers(0, 2), min_size=1, max_size=6), st.data())
def test_blobs_come_in_any_order(named: list[int], data: st.DataObject) -> None:
    """Of a list that names some of them again: every chunk stands where it belongs."""
    pieces = [
        b"\0" + b"".join(bytes([n, i]) * 16 + (9).to_bytes(4, "little") for i in range(n + 1))
        for n in range(3)
    ]
    top = b"\1" + b"".join(
        chunk_id(pieces[n]) + len(pieces[n]).to_bytes(4, "little") for n in named
    )
    expected = [Chunk(bytes([n, i]) * 16, 9) for n in named for i in range(n + 1)]
    assembly = ListAssembly(root_of(top), 9 * len(expected))
    assembly.add(root_of(top), top)
    by_id = {chunk_id(piece): piece for piece in pieces}
    for name in data.draw(st.permutations(assembly.missing())):
        assert assembly.add(name, by_id[name])
        assert not assembly.add(name, by_id[name])
    assert not assembly.missing()
    assert assembly.chunks() == expected


def test_more_chunks_than_a_list_can_name_are_refused_with_a_word() -> None:
    with pytest.raises(LimitExceeded, match="chunks"):
        build_list([Chunk(b"c" * 32, 1)] * (MAX_CHUNKS + 1))


@given(st.binary(max_size=200))
def test_any_bytes_are_a_blob_or_refused(data: bytes) -> None:
    try:
        level, entries = parse_blob(data)
    except HostileInput:
        return
    assert len(data) == 1 + 36 * len(entries)
    assert level == data[0]


@given(st.binary(max_size=4096))
def test_inline_content_is_checked_against_the_root(data: bytes) -> None:
    version = Version(Kind.FILE, 0o644, 0, len(data), small_list(data).root, 1, ())
    assert inline_fits(version, data)
    assert not inline_fits(version, data + b"x")
    link = Version(Kind.SYMLINK, 0, 0, 0, symlink_root(data), 1, ())
    assert inline_fits(link, data) == (b"\0" not in data), "no disk holds such a text"
    assert not inline_fits(link, data + b"x")
