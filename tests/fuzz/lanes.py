"""Targets that take what comes over a link: cells, slots, messages, records, contents."""

from __future__ import annotations

import itertools
import struct
from bisect import bisect_left
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import replace
from functools import cache

import zstandard

from flocksy.boxes.lanes.inbox import Unpacker
from flocksy.errors import HostileInput
from flocksy.protocol.cell import Codec, fields, glance, pack_burst, peek, read_prefix
from flocksy.protocol.draws import proposal_id
from flocksy.protocol.flock_settings import FlockSettings
from flocksy.protocol.fsm_table import Status
from flocksy.protocol.header import KNOWN_BYTES, Echo, Gear, Hot, Times
from flocksy.protocol.proposals import make_proposal
from flocksy.protocol.shown import Epoch, Kind, Shown
from flocksy.sync import messages, reconcile
from flocksy.sync.attributes import encode_attributes
from flocksy.sync.content import (
    MAX_CHUNK_BYTES,
    MAX_CHUNKS,
    ListAssembly,
    chunk_id,
    parse_blob,
    root_of,
    small_list,
    symlink_root,
)
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
)
from flocksy.sync.names import (
    MAX_NAME_BYTES,
    MAX_STEP,
    check_path,
    conflict_name,
    decode_path,
    encode_path,
    owner_of_copy,
)
from flocksy.sync.stream import MAX_MESSAGE_BYTES, MIN_SLOT_BYTES, StreamReader, StreamWriter
from flocksy.sync.version import Kind as Standing
from flocksy.sync.version import Version, decode_record, encode_record, version_id
from tests.fuzz.target import DEEPER, Feed, Target

SESSION = b"session."
SETTINGS = FlockSettings.of((("period_ms", "250"), ("members", '["a","b"]')))
LANES = (2, 3, 20, 32)
ROUND = 7_000_000_000
PARTS = {part: (at, size) for part, at, size in fields()}
_PROPOSAL = struct.Struct("<8sBBQQIII")
_SEQUENCE_BYTES = 8


@cache
def codec(lanes: int) -> Codec:
    """One for each size of a flock."""
    return Codec(lanes, SETTINGS, SESSION)


def name_proposal(frame: bytearray) -> None:
    """Give the proposal in a header, where there is one, the id that follows from its fields: no
    fuzzer finds hashes."""
    at, size = PARTS["proposal"]
    if len(frame) < at + size or not any(frame[at : at + size]):
        return
    _, *words = _PROPOSAL.unpack_from(frame, at)
    kind, what, round_, number, members, length, delta_us = words
    repeat, joins = bool(what & 1), bool(what & 2)
    frame[at : at + 8] = proposal_id(kind, round_, number, members, length, delta_us, repeat, joins)


def cell(data: bytes) -> None:
    """A header that is accepted says the same when it is packed again, byte for byte."""
    feed = Feed(data)
    how = feed.number()
    ours = codec(LANES[how & 3])
    frame = bytearray(feed.rest())
    if how & 4:
        name_proposal(frame)
    if len(frame) >= ours.size:
        glance(frame)
    try:
        prefix = read_prefix(frame)
        SETTINGS.first_difference(prefix.digest, prefix.vector)
        header = ours.unpack(frame)
    except HostileInput:
        return
    again = bytearray(ours.size)
    sequence = header.prefix.sequence
    ours.pack(again, header.prefix.gear, sequence, header.shown, header.known, header.times)
    if header.prefix.gear == Gear.BURST:
        pack_burst(again, bytes(again), sequence, header.hot, header.times.sent_us)
    hot_at, _ = PARTS["hot"]
    begin = hot_at - _SEQUENCE_BYTES  # before it stand settings and session, which are anything
    assert again[begin:] == frame[begin : ours.size]
    assert again[:4] == frame[:4]
    assert peek(again) == header.hot


def shown(lanes: int, **more: object) -> Shown:
    """What an idle member of a whole flock shows."""
    everybody = (1 << lanes) - 1
    plain = Shown(
        round=ROUND,
        status=Status.IDLE,
        epoch=Epoch(5, everybody),
        highest=5,
        row=everybody,
        candidate=everybody,
        echo=(ROUND - 1,) * lanes,
        need=0,
        repeat_of=None,
        proposal=None,
        confirmed=False,
        position=None,
        gap_of=None,
        left=None,
        sustain_us=800,
        leaving=False,
    )
    return replace(plain, **more)  # type: ignore[arg-type]  # keywords of the seeds


def cells() -> Iterable[bytes]:
    """Idle and burst headers of each size of a flock."""
    for number, lanes in enumerate(LANES):
        everybody = (1 << lanes) - 1
        burst = make_proposal(Kind.BURST, ROUND - 1, 5, everybody, 128, 800)
        view = make_proposal(Kind.VIEW, ROUND - 1, 6, everybody, 0, 0, joins=True)
        times = Times(1_800_000_000_000_000, -40, (Echo(1, 2), None) * (lanes // 2 + 1))
        times = times._replace(echoes=times.echoes[:lanes])
        for one in (
            shown(lanes),
            shown(lanes, status=Status.CONFIRMED, need=100, proposal=burst, confirmed=True),
            shown(lanes, status=Status.PROPOSED, proposal=view, gap_of=b"g" * 8, left=b"l" * 8),
            shown(lanes, repeat_of=b"r" * 8, leaving=True, joins=True, echo=(0,) * lanes),
        ):
            buffer = bytearray(codec(lanes).size)
            codec(lanes).pack(buffer, Gear.IDLE, 9, one, b"k" * KNOWN_BYTES, times)
            yield bytes([number | 4]) + buffer
            pack_burst(buffer, bytes(buffer), 9, Hot(b"burst id", 7, 128, 40), 5)
            buffer[1] = Gear.BURST
            yield bytes([number]) + buffer


def record(data: bytes) -> None:
    """A record that is accepted is the only encoding of its version."""
    try:
        version = decode_record(data)
    except HostileInput:
        return
    assert encode_record(version) == data
    assert len(version_id(version)) == 16


def versions() -> tuple[Version, ...]:
    """One of each kind, and one with all that a record can hold."""
    file = Version(Standing.FILE, 0o644, 1_700_000_000_000_000_000, 9, b"r" * 32, 1, ())
    return (
        file,
        Version(Standing.DIRECTORY, 0o755, 0, 0, b"", 2, (b"p" * 16,)),
        Version(Standing.SYMLINK, 0, 0, 0, symlink_root(b"text"), 3, (b"p" * 16, b"q" * 16)),
        Version(Standing.TOMBSTONE, 0, 0, 0, b"", 4, (b"p" * 16,)),
        replace(
            file,
            metadata_only=True,
            generation=9,
            parents=tuple(bytes([n]) * 16 for n in range(4)),
            signature=b"s" * 64,
        ),
        replace(file, attributes=encode_attributes({b"tag": b"red", b"comment": b"", b"c": b"\0"})),
    )


def records() -> Iterable[bytes]:
    """The records of `versions`."""
    return map(encode_record, versions())


_UNPACKER = Unpacker()


def message(data: bytes) -> None:
    """What is accepted comes back equal, bytes and all; a chunk unpacks to what it says."""
    try:
        found = messages.decode(data)
    except HostileInput:
        return
    again = b"".join(messages.encode(found))
    assert len(again) == len(data)
    if isinstance(found, Gone):
        assert messages.decode(again) == found  # one byte of it means nothing
    else:
        assert again == data
    match found:
        case Content():
            unpacked(found)
        case Versions():
            for entry in found.entries:
                check_path(entry.path)


def unpacked(content: Content) -> None:
    """A chunk unpacks to the length that it says, or not at all."""
    try:
        raw = _UNPACKER.unpack(content)
    except HostileInput:
        return
    assert len(raw) == content.raw_length <= MAX_CHUNK_BYTES


def all_messages() -> Iterable[Message]:
    """One or more of each type."""
    box, key, item = b"b" * 16, b"k" * 16, b"i" * 32
    inline = b"a small file"
    file, directory, symlink, tombstone, full, tagged = versions()
    small = replace(file, size=len(inline), root=small_list(inline).root)
    yield Versions(box, (Entry("a/ü", small, ((key, item), (item[:16], b"")), True, inline),))
    yield Versions(
        box,
        (
            Entry("d", directory),
            Entry("d/\udcff", full),
            Entry("link", symlink, (), False, b"text"),
            Entry("gone", tombstone, ((key, b""),)),
            Entry("tagged", tagged),
        ),
        b"batch...",
        9,
    )
    yield Content(item, 5, Encoding.RAW, b"chunk")
    yield Content(item, 1000, Encoding.ZSTD, zstandard.compress(b"chunk" * 200))
    yield Want(box, 1, (item, key + key))
    yield WantRecords(box, 0, (key, box))
    yield Gone(box, (item,))
    yield Ranges(box, (Range(key, b"l" * 16, 0, 0), Range(b"l" * 16, b"", 7, 1 << 200)))
    yield Items(box, bytes(16), b"", ((key, item), (b"l" * 16, item)))
    yield Items(box, key, b"l" * 16, ())
    yield Address(1, "tcp://192.0.2.1:5000")


def encoded_messages() -> Iterable[bytes]:
    """`all_messages` as they travel."""
    return (b"".join(messages.encode(one)) for one in all_messages())


def packed(data: bytes) -> None:
    """Whatever zstd is made to believe, a chunk unpacks to its length and within its bound."""
    feed = Feed(data)
    raw_length = feed.number(3) % (MAX_CHUNK_BYTES + 1)
    frame = feed.rest()
    if raw_length and frame:
        unpacked(Content(b"i" * 32, raw_length, Encoding.ZSTD, frame))


def packed_chunks() -> Iterable[bytes]:
    """Frames with and without their size, with a check sum, one behind the other, a bomb."""
    text = b"what is said again and again. " * 40
    plain = zstandard.compress(text)
    yield len(text).to_bytes(3, "little") + plain
    yield len(text).to_bytes(3, "little") + plain + plain
    with_sum = zstandard.ZstdCompressor(write_checksum=True).compress(text)
    yield len(text).to_bytes(3, "little") + with_sum
    yield len(text).to_bytes(3, "little") + zstandard.ZstdCompressor(
        write_content_size=False
    ).compress(text)
    bomb = zstandard.compress(bytes(MAX_CHUNK_BYTES))
    yield MAX_CHUNK_BYTES.to_bytes(3, "little") + bomb
    yield (12).to_bytes(3, "little") + zstandard.compress(bytes(64 << 20))
    skippable = struct.pack("<II", 0x184D2A50, 12) + b"skipped over"
    yield (12).to_bytes(3, "little") + skippable
    yield len(text).to_bytes(3, "little") + skippable + plain


def slots(data: bytes) -> None:
    """Nothing that a reader holds or gives is longer than a message can be, nor than the slots it
    came in."""
    _hostile_slots(Feed(data), StreamReader())


def stream(data: bytes) -> None:
    """What an honest writer says comes out of a reader, without what was lost, whatever was heard
    before."""
    feed = Feed(data)
    reader = StreamReader()
    slot_bytes = _hostile_slots(feed, reader)
    _honest_stream(feed, reader, slot_bytes)


def _hostile_slots(feed: Feed, reader: StreamReader) -> int:
    """Some slots of the input; returns how large each is."""
    slot_bytes = MIN_SLOT_BYTES + feed.number()
    fed = 0
    for _ in range(feed.number() % 8):
        slot = feed.take(feed.number()).ljust(slot_bytes, b"\0")
        fed += len(slot)
        try:
            found = reader.feed(memoryview(slot), gap=False)
        except HostileInput:
            assert reader.left == 0
            continue
        assert all(0 < len(one) <= MAX_MESSAGE_BYTES for one in found)
        assert sum(map(len, found)) <= fed
        assert reader.left <= MAX_MESSAGE_BYTES
    return slot_bytes


def _honest_stream(feed: Feed, reader: StreamReader, slot_bytes: int) -> None:
    said = [
        bytes([number]) * (1 + feed.number(2) % 1500) for number in range(1, 1 + feed.number() % 8)
    ]
    losses = feed.number(2)
    queue = iter(said)
    writer = StreamWriter()
    heard: list[bytes] = []
    lost = True  # what the hostile ones left under way
    slot = bytearray(slot_bytes)
    view = memoryview(slot)
    for number in range(200):
        if not writer.fill(view, lambda _: next(queue, None)):
            break
        if losses >> (number % 16) & 1:
            lost = True
            continue
        heard += (bytes(one) for one in reader.feed(view, gap=lost))
        lost = False
    remaining = iter(said)
    assert all(one in remaining for one in heard), "in order, each once, none made up"
    if not losses:
        assert heard == said


def streams() -> Iterable[bytes]:
    """Slots of a writer, whole and in the middle, and honest ones behind them."""
    parts = [b"m" * 30, b"n" * 200, b"o" * 3]
    queue = iter(parts)
    writer = StreamWriter()
    slots = []
    for _ in range(4):
        slot = bytearray(MIN_SLOT_BYTES + 9)
        writer.fill(memoryview(slot), lambda _: next(queue, None))
        slots.append(bytes([len(slot)]) + slot)
    tail = bytes([3, 200, 0, 0, 3, 9, 0])
    for losses in (b"\0\0", b"\5\0"):
        for chosen in (slots, slots[1:], slots[:1] + slots[2:], slots[:1] * 3):
            yield bytes([9, len(chosen)]) + b"".join(chosen) + tail + losses
    yield bytes([9, 2]) + slots[0][:40].ljust(len(slots[0])) + slots[1] + tail


_WHICH_AND_LENGTH = struct.Struct("<BHB")


def chunk_lists(data: bytes) -> None:
    """A list is bounded whatever its blobs say, and sums up to the file's size when it is whole.

    The blobs come from the input, last first; entries of an upper level get the ids of those
    that follow, since no fuzzer finds hashes.
    """
    feed = Feed(data)
    size = feed.number(4)
    blobs: list[bytes] = []
    ids: list[bytes] = []
    while feed.left and len(blobs) < 8:
        level, count = feed.number(), feed.number()
        said = feed.take(4 * (count % 64)).ljust(4 * (count % 64), b"\0")
        entries = []
        for which, low, high in _WHICH_AND_LENGTH.iter_unpack(said):
            name, length = bytes([which]) * 32, low | high << 16
            if level and blobs:
                below = which % len(blobs)
                name, length = ids[below], len(blobs[below]) if which & 64 else length
            entries.append(name + length.to_bytes(4, "little"))
        blobs.append(bytes([level]) + b"".join(entries) + feed.take(count >> 6 & 1))
        ids.append(chunk_id(blobs[-1]))
    if not blobs:
        return
    top = blobs[-1]
    with suppress(HostileInput):
        parse_blob(top)
    root = root_of(top)
    assembly = ListAssembly(root, size)
    by_id = dict(zip(ids, blobs, strict=True)) | {root: top}
    for _ in range(64):
        missing = assembly.missing()
        known = [name for name in missing if name in by_id]
        if not known:
            break
        try:
            assert assembly.add(known[0], by_id[known[0]])
        except HostileInput:
            return
    if assembly.missing():
        return
    chunks = assembly.chunks()
    assert len(chunks) <= MAX_CHUNKS
    assert sum(chunk.length for chunk in chunks) == size
    assert all(0 < chunk.length <= MAX_CHUNK_BYTES for chunk in chunks)
    assert len(set(chunks)) == len({chunk.chunk_id for chunk in chunks})


def list_blobs() -> Iterable[bytes]:
    """One blob, two levels, a blob named twice."""
    lengths = (1000, 2000, 3000)
    entries = b"".join(
        bytes([n]) + length.to_bytes(3, "little") for n, length in enumerate(lengths)
    )
    low = bytes([0, 3]) + entries
    yield (6000).to_bytes(4, "little") + low
    yield bytes(4) + bytes([0, 0])
    yield (6000).to_bytes(4, "little") + low + bytes([1, 1, 64, 0, 0, 0])
    yield (12000).to_bytes(4, "little") + low + bytes([1, 2, 64, 0, 0, 0, 64, 0, 0, 0])
    middle = bytes([1, 2, 64, 0, 0, 0, 64, 0, 0, 0])
    yield (24000).to_bytes(4, "little") + low + middle + bytes([2, 2]) + bytes([65, 0, 0, 0]) * 2


class _Held:
    """Some paths that lanes have carried."""

    def __init__(self) -> None:
        paths = [f"path {number}" for number in range(200)]
        self._items = sorted(
            (reconcile.path_key(path), reconcile.item_hash(path, [b"h" * 16])) for path in paths
        )
        self._keys = [key for key, _ in self._items]
        numbers = (int.from_bytes(item, "big") for _, item in self._items)
        self._sums = list(itertools.accumulate(numbers, initial=0))

    def fingerprint(self, lower: bytes, upper: bytes) -> tuple[int, int]:
        begin, end = self._between(lower, upper)
        return end - begin, (self._sums[end] - self._sums[begin]) % reconcile.MODULUS

    def items(self, lower: bytes, upper: bytes, limit: int) -> list[tuple[bytes, bytes]]:
        begin, end = self._between(lower, upper)
        return self._items[begin : min(end, begin + limit)]

    def _between(self, lower: bytes, upper: bytes) -> tuple[int, int]:
        begin = bisect_left(self._keys, lower)
        return begin, max(begin, bisect_left(self._keys, upper) if upper else len(self._keys))


_HELD = _Held()


def answers(data: bytes) -> None:
    """What is answered to a hostile comparison is bounded and can be said."""
    try:
        found = messages.decode(data)
    except HostileInput:
        return
    if not isinstance(found, Ranges | Items):
        return
    response = reconcile.respond(_HELD, found)
    assert len(response.offered) <= reconcile.MAX_OFFERED
    assert len(response.wanted) <= messages.MAX_ITEMS
    for answer in response.messages:
        assert messages.decode(b"".join(messages.encode(answer))) == answer


def comparisons() -> Iterable[bytes]:
    """Ranges and items that differ, agree, are empty here or there."""
    box, lower = b"b" * 16, bytes(16)
    held = _HELD.items(lower, b"", 3)
    ranges = (
        Range(lower, b"", *_HELD.fingerprint(lower, b"")),
        Range(lower, b"", 3, 5),
        Range(lower, b"", 0, 0),
    )
    parts = (
        Range(lower, lower[:15] + b"\1", 2, 2),
        Range(lower[:15] + b"\1", b"\x10" + bytes(15), 1, 1),
        Range(b"\x20" + bytes(15), b"", 0, 0),
    )
    for one in (*((whole,) for whole in ranges), parts):
        yield b"".join(messages.encode(Ranges(box, one)))
    for items in (tuple(held), (held[0], (held[1][0], b"x" * 32)), ()):
        yield b"".join(messages.encode(Items(box, lower, b"", items)))


def path(data: bytes) -> None:
    """A path that is accepted is the one it was read from, and its conflict copy can exist."""
    feed = Feed(data)
    step = feed.number() % (MAX_STEP + 1)
    mtime_ns = int.from_bytes(feed.take(8), "little", signed=True)
    name = feed.take(16).ljust(16, b"\0")
    raw = feed.rest()
    try:
        found = decode_path(raw)
    except HostileInput:
        return
    assert encode_path(found) == raw
    copy = conflict_name(found, name, mtime_ns, step)
    assert len(encode_path(copy.rpartition("/")[2])) <= MAX_NAME_BYTES
    owner = owner_of_copy(copy)
    assert owner is not None
    expected, sure = owner
    assert expected == found if sure else found.startswith(expected[: len(expected) // 2])


def paths() -> Iterable[bytes]:
    """Plain, deep, odd, long, and named like a copy."""
    head = bytes([0]) + (1_700_000_000_000_000_000).to_bytes(8, "little") + b"v" * 16
    for text in (
        b"a.txt",
        b"a/b/c.tar.gz",
        b"\xff\xfe",
        "ü/日本.md".encode(),
        b"x" * 255,
        "é".encode() * 127 + b".pdf",
        b"a.conflict-20260102-0123ab.txt",
        b".flocksy/x",
        b"d/" * 127 + b"x",
    ):
        yield head + text
    yield bytes([13]) + head[1:] + b"y" * 250 + b".html"


TARGETS = (
    Target("cell", "protocol/cell.py", cell, cells, 600),
    Target("record", "sync/version.py", record, records, 320),
    Target("message", "sync/messages.py", message, encoded_messages, 1500),
    Target("slots", "sync/stream.py", slots, streams, 1500),
    Target("stream", "sync/stream.py", stream, streams, 1500, goal=DEEPER),
    Target("packed", "boxes/lanes/inbox.py", packed, packed_chunks, 2500),
    Target("lists", "sync/content.py", chunk_lists, list_blobs, 600),
    Target("comparison", "sync/reconcile.py", answers, comparisons, 600),
    Target("path", "sync/names.py", path, paths, 700),
)
