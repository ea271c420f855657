"""The messages of the exchange: what members of a box say to each other inside lanes.

One byte says which, the rest is fixed fields (little endian) and counted lists; `docs/messages.md`
has every layout. None of them bears an author, a host, a user or a path outside the box. The lane a
message came from is known to whoever reads it and is not in it.

`encode` gives parts to be joined, so that a chunk is not copied. `decode` trusts nothing: counts,
sizes, types, paths and records are checked, and what remains unread is an error too.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum

from flocksy.errors import HostileInput
from flocksy.sync.content import (
    INLINE_BYTES,
    MAX_BLOB_BYTES,
    MAX_CHUNK_BYTES,
    MAX_SYMLINK_BYTES,
    inline_fits,
)
from flocksy.sync.names import MAX_PATH_BYTES, decode_path, encode_path
from flocksy.sync.state import MAX_ANCESTRY
from flocksy.sync.stream import MAX_MESSAGE_BYTES
from flocksy.sync.version import (
    MAX_RECORD_BYTES,
    NO_ROOT,
    ROOT_BYTES,
    VERSION_ID_BYTES,
    Buffer,
    Version,
    decode_record,
    encode_record,
)

BOX_TAG_BYTES = 16  # the first bytes of the box id
BATCH_BYTES = 8
KEY_BYTES = 16  # of a path, see `flocksy.sync.reconcile`
ITEM_BYTES = 32
CHUNK_ID_BYTES = 32
MAX_ENTRIES = 4096  # versions in one message; they must fit MAX_MESSAGE_BYTES as well
MAX_BATCH = 1 << 24  # versions of one scan
MAX_WANTED = 16384  # ids or keys in one message: 512 KiB
MAX_RANGES = 1024  # 69 KiB
MAX_ITEMS = 4096  # 192 KiB
MAX_COUNT = 1 << 40  # paths in a range of a box
MAX_ADDRESS_BYTES = 128  # an address and a port, or the name of an onion service; one heartbeat

_INLINE = 1
_TRUNCATED = 2


class Type(IntEnum):
    """The first byte of a message."""

    VERSIONS = 1
    CONTENT = 2
    WANT = 3
    WANT_RECORDS = 4
    GONE = 5
    RANGES = 6
    ITEMS = 7
    ADDRESS = 8


class Encoding(IntEnum):
    """How the data of a chunk travels."""

    RAW = 0
    ZSTD = 1


@dataclass(frozen=True, slots=True)
class Entry:
    """One version at one path, and what is known to be superseded there.

    `superseded` as in `PathState` (at most `MAX_ANCESTRY`); `truncated`: the sender knows more.
    `inline`: the whole content of a small file, or the text of a symlink; checked by `decode`.
    """

    path: str
    version: Version
    superseded: tuple[tuple[bytes, bytes], ...] = ()
    truncated: bool = False
    inline: bytes | None = None


@dataclass(frozen=True, slots=True)
class Versions:
    """New versions. Those of one scan bear one `batch` mark, and `batch_size` says how many they
    are in all messages together; a mark of zeros: no batch."""

    box: bytes
    entries: tuple[Entry, ...]
    batch: bytes = bytes(BATCH_BYTES)
    batch_size: int = 0


@dataclass(frozen=True, slots=True)
class Content:
    """A chunk of data, or a list blob under its id (the top one under the root). The caller hashes
    what it unpacks: `decode` has only checked the sizes."""

    chunk_id: bytes
    raw_length: int
    encoding: Encoding
    data: Buffer


@dataclass(frozen=True, slots=True)
class Want:
    """Contents that somebody lacks. `attempt` says how often that was said before: it chooses
    another holder each time."""

    box: bytes
    attempt: int
    chunk_ids: tuple[bytes, ...]


@dataclass(frozen=True, slots=True)
class WantRecords:
    """Paths (by key) whose heads and whole ancestry somebody lacks. `attempt` as in `Want`, but
    drawn at random where a comparison has just shown them."""

    box: bytes
    attempt: int
    keys: tuple[bytes, ...]


@dataclass(frozen=True, slots=True)
class Gone:
    """Contents that whoever would have served them has no more."""

    box: bytes
    chunk_ids: tuple[bytes, ...]


@dataclass(frozen=True, slots=True)
class Range:
    """The sender's items with lower <= key < upper; an empty `upper` means no end."""

    lower: bytes
    upper: bytes
    count: int
    fingerprint: int


@dataclass(frozen=True, slots=True)
class Ranges:
    """In ascending order, and none overlaps another: a path costs whoever compares once."""

    box: bytes
    ranges: tuple[Range, ...]


@dataclass(frozen=True, slots=True)
class Items:
    """All of the sender's items with lower <= key < upper, in order of the key."""

    box: bytes
    lower: bytes
    upper: bytes
    items: tuple[tuple[bytes, bytes], ...]


@dataclass(frozen=True, slots=True)
class Address:
    """Where a member is reached: its place among the sorted uids, and an endpoint. It is derived
    from no box. `decode` has only checked its characters."""

    member: int
    endpoint: str


Message = Versions | Content | Want | WantRecords | Gone | Ranges | Items | Address

_VERSIONS = struct.Struct("<B16s8sII")
_ENTRY = struct.Struct("<BHHHH")  # flags, bytes of path, record, inline; number of superseded
_CONTENT = struct.Struct("<B32sIB")
_LIST = struct.Struct("<B16sBI")
_RANGES = struct.Struct("<B16sI")
_RANGE = struct.Struct("<16s16sQ32s")
_ITEMS = struct.Struct("<B16s16s16sI")
_ADDRESS = struct.Struct("<BB")
_NO_END = bytes(KEY_BYTES)  # no range ends where keys begin


def encode(message: Message) -> Sequence[Buffer]:
    """The message as parts to be joined. Asserts the bounds that `decode` checks."""
    match message:
        case Versions():
            return _encode_versions(message)
        case Content():
            head = _CONTENT.pack(
                Type.CONTENT, message.chunk_id, message.raw_length, message.encoding
            )
            return (head, message.data)
        case Want():
            return _encode_list(Type.WANT, message.box, message.attempt, message.chunk_ids)
        case WantRecords():
            return _encode_list(Type.WANT_RECORDS, message.box, message.attempt, message.keys)
        case Gone():
            return _encode_list(Type.GONE, message.box, 0, message.chunk_ids)
        case Ranges():
            assert len(message.ranges) <= MAX_RANGES
            parts = [_RANGES.pack(Type.RANGES, message.box, len(message.ranges))]
            parts += (
                _RANGE.pack(
                    part.lower,
                    part.upper or _NO_END,
                    part.count,
                    part.fingerprint.to_bytes(ITEM_BYTES, "big"),
                )
                for part in message.ranges
            )
            return (b"".join(parts),)
        case Items():
            assert len(message.items) <= MAX_ITEMS
            head = _ITEMS.pack(
                Type.ITEMS,
                message.box,
                message.lower,
                message.upper or _NO_END,
                len(message.items),
            )
            return (head + b"".join(key + item for key, item in message.items),)
        case Address():
            endpoint = message.endpoint.encode("ascii")
            assert 0 < len(endpoint) <= MAX_ADDRESS_BYTES
            return (_ADDRESS.pack(Type.ADDRESS, message.member) + endpoint,)


def _encode_list(kind: Type, box: bytes, attempt: int, names: Sequence[bytes]) -> Sequence[Buffer]:
    assert 0 < len(names) <= MAX_WANTED
    return (_LIST.pack(kind, box, min(attempt, 255), len(names)) + b"".join(names),)


def _encode_versions(message: Versions) -> Sequence[Buffer]:
    assert 0 < len(message.entries) <= MAX_ENTRIES
    parts = [
        _VERSIONS.pack(
            Type.VERSIONS, message.box, message.batch, message.batch_size, len(message.entries)
        )
    ]
    for entry in message.entries:
        path = encode_path(entry.path)
        record = encode_record(entry.version)
        inline = entry.inline if entry.inline is not None else b""
        flags = _TRUNCATED if entry.truncated else 0
        if entry.inline is not None:
            flags |= _INLINE
        parts.append(_ENTRY.pack(flags, len(path), len(record), len(inline), len(entry.superseded)))
        parts += (path, record, inline)
        for name, root in entry.superseded:
            parts.append(name + (b"\1" + root if root else b"\0"))
    return (b"".join(parts),)


def decode(data: Buffer) -> Message:
    """The message in `data`. Buffers in it are views of `data`. Raises `HostileInput`."""
    if not 0 < len(data) <= MAX_MESSAGE_BYTES:
        raise HostileInput("message of impossible length")
    try:
        kind = Type(data[0])
    except ValueError:
        raise HostileInput("message of unknown type") from None
    view = memoryview(data)
    try:
        match kind:
            case Type.VERSIONS:
                return _decode_versions(view)
            case Type.CONTENT:
                return _decode_content(view)
            case Type.WANT:
                box, attempt, names = _decode_list(view, CHUNK_ID_BYTES)
                return Want(box, attempt, names)
            case Type.WANT_RECORDS:
                box, attempt, names = _decode_list(view, KEY_BYTES)
                return WantRecords(box, attempt, names)
            case Type.GONE:
                box, _, names = _decode_list(view, CHUNK_ID_BYTES)
                return Gone(box, names)
            case Type.RANGES:
                return _decode_ranges(view)
            case Type.ITEMS:
                return _decode_items(view)
            case Type.ADDRESS:
                return _decode_address(view)
    except struct.error:
        raise HostileInput("message that ends too early") from None


def _decode_list(view: memoryview, width: int) -> tuple[bytes, int, tuple[bytes, ...]]:
    _, box, attempt, count = _LIST.unpack_from(view)
    _check_count(count, MAX_WANTED)
    _check_end(view, _LIST.size + count * width)
    at = range(_LIST.size, len(view), width)
    return box, attempt, tuple(bytes(view[begin : begin + width]) for begin in at)


def _decode_content(view: memoryview) -> Content:
    _, name, raw_length, encoding_number = _CONTENT.unpack_from(view)
    try:
        encoding = Encoding(encoding_number)
    except ValueError:
        raise HostileInput("content in an unknown encoding") from None
    data = view[_CONTENT.size :]
    if not 0 < raw_length <= max(MAX_CHUNK_BYTES, MAX_BLOB_BYTES) or not len(data):
        raise HostileInput("content of impossible length")
    if encoding is Encoding.RAW and len(data) != raw_length:
        raise HostileInput("content whose length is not what it says")
    if encoding is Encoding.ZSTD and len(data) >= raw_length:
        raise HostileInput("content that grew when it was packed")
    return Content(name, raw_length, encoding, data)


def _decode_ranges(view: memoryview) -> Ranges:
    _, box, count = _RANGES.unpack_from(view)
    _check_count(count, MAX_RANGES)
    _check_end(view, _RANGES.size + count * _RANGE.size)
    ranges = []
    end: bytes | None = bytes(KEY_BYTES)  # of the range before; None: of all keys
    for lower, upper, items, fingerprint in _RANGE.iter_unpack(view[_RANGES.size :]):
        if items > MAX_COUNT:
            raise HostileInput("range of impossible count")
        if end is None or lower < end:
            raise HostileInput("ranges out of order, or that overlap")
        found = Range(lower, _upper(lower, upper), items, int.from_bytes(fingerprint, "big"))
        ranges.append(found)
        end = found.upper or None
    return Ranges(box, tuple(ranges))


def _decode_items(view: memoryview) -> Items:
    _, box, lower, upper_bytes, count = _ITEMS.unpack_from(view)
    upper = _upper(lower, upper_bytes)
    if count > MAX_ITEMS:
        raise HostileInput("list of impossible length")
    width = KEY_BYTES + ITEM_BYTES
    _check_end(view, _ITEMS.size + count * width)
    items = tuple(
        (bytes(view[at : at + KEY_BYTES]), bytes(view[at + KEY_BYTES : at + width]))
        for at in range(_ITEMS.size, len(view), width)
    )
    last = lower
    for number, (key, _) in enumerate(items):
        if key < last or (number and key == last) or (upper and key >= upper):
            raise HostileInput("items out of order or out of their range")
        last = key
    return Items(box, lower, upper, items)


def _decode_address(view: memoryview) -> Address:
    _, member = _ADDRESS.unpack_from(view)
    text = bytes(view[_ADDRESS.size :])
    if not 0 < len(text) <= MAX_ADDRESS_BYTES or not all(0x21 <= byte <= 0x7E for byte in text):
        raise HostileInput("address that can be none")
    return Address(member, text.decode("ascii"))


def _upper(lower: bytes, upper: bytes) -> bytes:
    if upper == _NO_END:
        return b""
    if upper <= lower:
        raise HostileInput("range that ends before it begins")
    return upper


def _decode_versions(view: memoryview) -> Versions:
    _, box, batch, batch_size, count = _VERSIONS.unpack_from(view)
    _check_count(count, MAX_ENTRIES)
    if batch_size > MAX_BATCH:
        raise HostileInput("batch of impossible size")
    entries = []
    at = _VERSIONS.size
    for _ in range(count):
        entry, at = _decode_entry(view, at)
        entries.append(entry)
    _check_end(view, at)
    return Versions(box, tuple(entries), batch, batch_size)


def _decode_entry(view: memoryview, at: int) -> tuple[Entry, int]:
    flags, path_bytes, record_bytes, inline_bytes, count = _ENTRY.unpack_from(view, at)
    if flags & ~(_INLINE | _TRUNCATED):
        raise HostileInput("version with unknown flags")
    if path_bytes > MAX_PATH_BYTES or record_bytes > MAX_RECORD_BYTES or count > MAX_ANCESTRY:
        raise HostileInput("version with too long a path, record or ancestry")
    if inline_bytes > max(INLINE_BYTES, MAX_SYMLINK_BYTES):
        raise HostileInput("version with too much content")
    at += _ENTRY.size
    path_at, record_at = at, at + path_bytes
    inline_at = record_at + record_bytes
    at = inline_at + inline_bytes
    if at > len(view):
        raise HostileInput("message that ends too early")
    path = decode_path(view[path_at:record_at])
    version = decode_record(view[record_at:inline_at])
    inline = bytes(view[inline_at:at]) if flags & _INLINE else None
    if inline is None:
        if inline_bytes:
            raise HostileInput("version with content that it denies")
    elif not inline_fits(version, inline):
        raise HostileInput("version with the content of another")
    superseded = []
    seen = set()
    for _ in range(count):
        name = bytes(view[at : at + VERSION_ID_BYTES])
        at += VERSION_ID_BYTES + 1
        if at > len(view) or name in seen:
            raise HostileInput("ancestry that ends too early or repeats itself")
        seen.add(name)
        root = NO_ROOT
        match view[at - 1]:
            case 0:
                pass
            case 1:
                root = bytes(view[at : at + ROOT_BYTES])
                at += ROOT_BYTES
                if at > len(view):
                    raise HostileInput("message that ends too early")
            case _:
                raise HostileInput("ancestry of an unknown form")
        superseded.append((name, root))
    return Entry(path, version, tuple(superseded), bool(flags & _TRUNCATED), inline), at


def _check_count(count: int, limit: int) -> None:
    if not 0 < count <= limit:
        raise HostileInput("list of impossible length")


def _check_end(view: memoryview, end: int) -> None:
    if end != len(view):
        raise HostileInput("message whose length does not fit its parts")
