"""Every message comes back as it was; anything else is HostileInput and nothing worse."""

from __future__ import annotations

import itertools
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flocksy.errors import HostileInput
from flocksy.sync.content import small_list, symlink_root
from flocksy.sync.messages import (
    Address,
    Content,
    Encoding,
    Entry,
    Gone,
    Items,
    Message,
    Range,
    Ranges,
    Versions,
    Want,
    WantRecords,
    decode,
    encode,
)
from flocksy.sync.version import Kind, Version
from tests.sync.test_version import versions

boxes = st.binary(min_size=16, max_size=16)
addresses = st.text(st.characters(min_codepoint=33, max_codepoint=126), min_size=1, max_size=128)
keys = st.binary(min_size=16, max_size=16)
ids = st.binary(min_size=32, max_size=32)
paths = st.sampled_from(("a", "b/ü", "c d/\udcff", "x" * 255))


@st.composite
def entries(draw: st.DrawFn) -> Entry:
    version = draw(versions())
    inline = None
    if draw(st.booleans()):
        inline = draw(st.binary(max_size=100))
        version = Version(
            Kind.FILE, 0o644, 5, len(inline), small_list(inline).root, version.generation, ()
        )
    ancestry = draw(st.dictionaries(keys, st.sampled_from((b"", b"r" * 32)), max_size=4))
    return Entry(draw(paths), version, tuple(ancestry.items()), draw(st.booleans()), inline)


@st.composite
def item_lists(draw: st.DrawFn) -> Items:
    edges = sorted(draw(st.sets(keys, min_size=2, max_size=2)))
    inside = [key for key in draw(st.sets(keys, max_size=6)) if edges[0] <= key < edges[1]]
    open_end = draw(st.booleans())
    items = tuple((key, draw(ids)) for key in sorted(inside))
    return Items(draw(boxes), edges[0], b"" if open_end else edges[1], items)


@st.composite
def range_lists(draw: st.DrawFn) -> Ranges:
    """Ascending, and apart from each other or not."""
    edges = sorted(draw(st.sets(keys, min_size=2, max_size=8)))
    bounds = list(itertools.pairwise(edges))[:: draw(st.sampled_from((1, 2)))]
    if draw(st.booleans()):
        bounds[-1] = (bounds[-1][0], b"")
    counts, fingerprints = st.integers(0, 2**40), st.integers(0, 2**256 - 1)
    ranges = (Range(*bound, draw(counts), draw(fingerprints)) for bound in bounds)
    return Ranges(draw(boxes), tuple(ranges))


def lists(names: st.SearchStrategy[bytes]) -> st.SearchStrategy[tuple[bytes, ...]]:
    return st.lists(names, min_size=1, max_size=5).map(tuple)


def all_messages() -> st.SearchStrategy[Message]:
    return st.one_of(
        st.builds(
            Versions,
            boxes,
            st.lists(entries(), min_size=1, max_size=4).map(tuple),
            st.binary(min_size=8, max_size=8),
            st.integers(0, 1000),
        ),
        st.builds(Want, boxes, st.integers(0, 255), lists(ids)),
        st.builds(WantRecords, boxes, st.integers(0, 255), lists(keys)),
        st.builds(Gone, boxes, lists(ids)),
        st.binary(min_size=1, max_size=50).flatmap(
            lambda data: st.builds(
                Content, ids, st.just(len(data)), st.just(Encoding.RAW), st.just(data)
            )
        ),
        st.binary(min_size=1, max_size=50).flatmap(
            lambda data: st.builds(
                Content,
                ids,
                st.integers(len(data) + 1, 2 << 20),
                st.just(Encoding.ZSTD),
                st.just(data),
            )
        ),
        range_lists(),
        item_lists(),
        st.builds(Address, st.integers(0, 255), addresses),
    )


@given(all_messages())
def test_a_message_comes_back_as_it_was(message: Message) -> None:
    assert decode(b"".join(encode(message))) == message


@given(all_messages(), st.data())
def test_a_changed_message_is_another_or_refused(message: Message, data: st.DataObject) -> None:
    """Flips, cuts and tails: never an error but HostileInput, and what passes is canonical."""
    raw = bytearray(b"".join(encode(message)))
    for _ in range(data.draw(st.integers(1, 3))):
        raw[data.draw(st.integers(0, len(raw) - 1))] ^= data.draw(st.integers(0, 255))
    raw = raw[: data.draw(st.integers(1, len(raw)))] + data.draw(st.binary(max_size=3))
    try:
        found = decode(raw)
    except HostileInput:
        return
    again = b"".join(encode(found))
    # The attempt of GONE is the one byte that nobody reads.
    assert again == raw or isinstance(found, Gone)


@given(st.binary(max_size=200))
def test_noise_is_refused(raw: bytes) -> None:
    try:
        decode(raw)
    except HostileInput:
        return


def one(**change: object) -> bytes:
    fields: dict[str, object] = {
        "path": "a",
        "version": Version(Kind.DIRECTORY, 0, 0, 0, b"", 1, ()),
    }
    entry = Entry(**(fields | change))  # type: ignore[arg-type]  # wrong on purpose
    return b"".join(encode(Versions(bytes(16), (entry,))))


def a_link(text: bytes) -> bytes:
    version = Version(Kind.SYMLINK, 0, 0, 0, symlink_root(text), 1, ())
    return one(version=version, inline=text)


def a_range(lower: int, upper: int) -> bytes:
    """`upper` 0: no end."""
    key = bytes(15)
    return struct.pack("<16s16sQ32s", key + bytes((lower,)), key + bytes((upper,)), 1, bytes(32))


def of_ranges(*ranges: bytes) -> bytes:
    return struct.pack("<B16sI", 6, bytes(16), len(ranges)) + b"".join(ranges)


@pytest.mark.parametrize(
    ("what", "raw"),
    [
        ("nothing", b""),
        ("an unknown type", b"\xff"),
        ("only a type", b"\1"),
        ("a path out of the box", one(path="../etc/passwd")),
        ("a path into our directory", one(path=".flocksy/marker")),
        ("content of a directory", one(inline=b"x")),
        ("a link with a NUL in its text", a_link(b"a\0b")),
        ("a repeated ancestor", one(superseded=((b"i" * 16, b""), (b"i" * 16, b"")))),
        ("content of no bytes", struct.pack("<B32sIB", 2, b"c" * 32, 0, 0)),
        ("content longer than it says", struct.pack("<B32sIB", 2, b"c" * 32, 1, 0) + b"xx"),
        ("a chunk beyond the bound", struct.pack("<B32sIB", 2, b"c" * 32, (2 << 20) + 1, 1) + b"x"),
        ("an unknown encoding", struct.pack("<B32sIB", 2, b"c" * 32, 1, 2) + b"x"),
        ("a want of nothing", struct.pack("<B16sBI", 3, bytes(16), 0, 0)),
        ("ranges in no order", of_ranges(a_range(3, 4), a_range(1, 2))),
        ("one range twice", of_ranges(a_range(1, 3), a_range(1, 3))),
        ("ranges that overlap", of_ranges(a_range(1, 3), a_range(2, 4))),
        ("a range behind the end of all", of_ranges(a_range(1, 0), a_range(2, 3))),
        ("a range that ends before it begins", of_ranges(a_range(2, 1))),
        ("an address of nothing", b"\x08\1"),
        ("an address that is too long", b"\x08\1" + b"a" * 129),
        ("an address with a space", b"\x08\1tcp://a b:1"),
        ("an address that is no ASCII", b"\x08\1tcp://\xfc:1"),
        ("a count that is a lie", struct.pack("<B16sBI", 3, bytes(16), 0, 2**32 - 1)),
    ],
)
def test_hostile_messages(what: str, raw: bytes) -> None:
    with pytest.raises(HostileInput):
        decode(raw)
        pytest.fail(what)


def test_content_is_not_copied() -> None:
    data = bytes(1000)
    parts = encode(Content(b"c" * 32, 1000, Encoding.RAW, data))
    assert parts[1] is data
    found = decode(b"".join(parts))
    assert isinstance(found, Content)
    assert isinstance(found.data, memoryview)


def test_no_byte_of_a_version_message_names_its_maker() -> None:
    """Golden: box, batch, path, record, content, ancestry, and nothing else."""
    inline = b"hello"
    version = Version(Kind.FILE, 0o644, 1, 5, small_list(inline).root, 2, (b"p" * 16,))
    entry = Entry("a/b", version, ((b"p" * 16, b""),), True, inline)
    raw = b"".join(encode(Versions(b"B" * 16, (entry,), b"M" * 8, 1)))
    record = (
        bytes((1, 1, 0))
        + struct.pack("<HqQQ", 0o644, 1, 5, 2)
        + bytes((32, 1, 0))
        + version.root
        + b"p" * 16
    )
    expected = (
        b"\1" + b"B" * 16 + b"M" * 8 + struct.pack("<II", 1, 1)
        + struct.pack("<BHHHH", 3, 3, len(record), 5, 1)
        + b"a/b" + record + b"hello" + b"p" * 16 + b"\0"
    )  # fmt: skip
    assert raw == expected
