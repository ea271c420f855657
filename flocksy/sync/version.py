"""A version: one immutable state of one path in a box. It bears no author and no clock order.

The record is what travels and what the index keeps, so its encoding is fixed: see
`docs/messages.md`, "Version record". Everything a version says is in its id.
"""

from __future__ import annotations

import hashlib
import itertools
import struct
from collections.abc import Iterable
from dataclasses import dataclass
from enum import IntEnum

from flocksy.errors import HostileInput
from flocksy.sync.attributes import MAX_ATTRIBUTES_BYTES, decode_attributes

RECORD_VERSION = 1
ATTRIBUTES_RECORD_VERSION = 2  # of a file that has any
VERSION_ID_BYTES = 16
ROOT_BYTES = 32
MAX_PARENTS = 4  # more are named by the ancestry of the message, not by the record
MAX_SIGNATURE_BYTES = 64  # room for one Ed25519 signature
MAX_PLAIN_RECORD_BYTES = 300  # without attributes
MAX_RECORD_BYTES = MAX_PLAIN_RECORD_BYTES + MAX_ATTRIBUTES_BYTES
MAX_GENERATION = 1 << 48  # nobody edits a path that often: more is an attack on the ordering
MAX_SIZE = 1 << 56  # bytes; beyond any file system
LATEST_NS = (1 << 63) - 1
"""April 2262: the last time that fits into the 64 signed bits of a version and of the index. File
systems go further (ext4 to 2446, tmpfs beyond), and a camera with a flat battery may say anything.
"""
MODE_MASK = 0o777
NO_ROOT = b""

Buffer = bytes | bytearray | memoryview  # what bytes from elsewhere may come in

# record version, kind, flags, mode, mtime_ns, size, generation, bytes of root, number of parents,
# bytes of signature; then root, parents, signature, and as far as the record goes the attributes.
_HEAD = struct.Struct("<BBBHqQQBBB")
_METADATA_ONLY = 1
_REPLACES_SHIFT = 1
_PERSON = b"flocksy version"


class Kind(IntEnum):
    """What stands at a path. The numbers are part of the record."""

    FILE = 1
    DIRECTORY = 2
    SYMLINK = 3
    TOMBSTONE = 4


@dataclass(frozen=True, slots=True)
class Version:
    """One state of one path.

    `mode` holds the nine permission bits (files and directories). `mtime_ns` and `size` are for
    files, zero elsewhere. `root` names the content: of a file the root of its chunk list, of a
    symlink the hash of its text, empty for directories and tombstones. `generation` is one more
    than the largest among the parents, 1 without parents (`next_generation`). `parents` are the
    youngest four, sorted. `attributes` are the extended ones of a file, as in
    `flocksy.sync.attributes`. `metadata_only` says that the content is that of a parent and only
    mode, mtime or attributes changed.
    `replaces` has a bit for each parent: 1, what that held was knowingly replaced. (Two members may
    delete the same copy for different reasons; those are two versions.)
    """

    kind: Kind
    mode: int
    mtime_ns: int
    size: int
    root: bytes
    generation: int
    parents: tuple[bytes, ...]
    metadata_only: bool = False
    signature: bytes = b""
    replaces: int = 0
    attributes: bytes = b""

    @property
    def is_content(self) -> bool:
        """Anything but a tombstone."""
        return self.kind is not Kind.TOMBSTONE


def next_generation(parents: Iterable[int]) -> int:
    """The generation of a version whose parents have these: one more than the largest. At its
    bound, where only an attack gets it, it stays: nobody would read a record beyond."""
    return min(1 + max(parents, default=0), MAX_GENERATION - 1)


def encode_record(version: Version) -> bytes:
    """The record: one encoding per version. Without attributes it is what it was before there were
    any, byte for byte."""
    return b"".join(
        (
            _HEAD.pack(
                ATTRIBUTES_RECORD_VERSION if version.attributes else RECORD_VERSION,
                version.kind,
                version.metadata_only | version.replaces << _REPLACES_SHIFT,
                version.mode,
                version.mtime_ns,
                version.size,
                version.generation,
                len(version.root),
                len(version.parents),
                len(version.signature),
            ),
            version.root,
            *version.parents,
            version.signature,
            version.attributes,
        )
    )


def version_id(version: Version) -> bytes:
    """The 16 bytes that name a version: a hash of its record."""
    return record_id(encode_record(version))


def record_id(record: Buffer) -> bytes:
    """The id of the version that `record` encodes."""
    return hashlib.blake2b(record, digest_size=VERSION_ID_BYTES, person=_PERSON).digest()


def decode_record(record: Buffer) -> Version:
    """The version in `record`, which must be its only encoding.

    Raises `HostileInput`.
    """
    data = bytes(record)
    if not _HEAD.size <= len(data) <= MAX_RECORD_BYTES:
        raise HostileInput("record of impossible length")
    (
        number,
        kind_number,
        flags,
        mode,
        mtime_ns,
        size,
        generation,
        root_bytes,
        parent_count,
        signature_bytes,
    ) = _HEAD.unpack_from(data)
    if number not in (RECORD_VERSION, ATTRIBUTES_RECORD_VERSION):
        raise HostileInput("record of unknown version")
    if parent_count > MAX_PARENTS or signature_bytes > MAX_SIGNATURE_BYTES:
        raise HostileInput("record with too many parents or too long a signature")
    if flags >> (_REPLACES_SHIFT + parent_count):
        raise HostileInput("record with unknown flags")
    parents_at = _HEAD.size + root_bytes
    signature_at = parents_at + parent_count * VERSION_ID_BYTES
    attributes_at = signature_at + signature_bytes
    has_attributes = len(data) > attributes_at
    if len(data) < attributes_at or has_attributes != (number == ATTRIBUTES_RECORD_VERSION):
        raise HostileInput("record whose length does not fit its parts")
    try:
        kind = Kind(kind_number)
    except ValueError:
        raise HostileInput("record of unknown kind") from None
    parents = tuple(
        data[at : at + VERSION_ID_BYTES] for at in range(parents_at, signature_at, VERSION_ID_BYTES)
    )
    version = Version(
        kind=kind,
        mode=mode,
        mtime_ns=mtime_ns,
        size=size,
        root=data[_HEAD.size : parents_at],
        generation=generation,
        parents=parents,
        metadata_only=bool(flags & _METADATA_ONLY),
        signature=data[signature_at:attributes_at],
        replaces=flags >> _REPLACES_SHIFT,
        attributes=data[attributes_at:],
    )
    _check(version)
    return version


def _check(version: Version) -> None:
    """Refuse what no honest node makes: it would give one state several ids."""
    parents = version.parents
    if any(left >= right for left, right in itertools.pairwise(parents)):
        raise HostileInput("record whose parents are not sorted")
    if not 1 <= version.generation < MAX_GENERATION:
        raise HostileInput("record of impossible generation")
    has_root = version.kind in (Kind.FILE, Kind.SYMLINK)
    if len(version.root) != (ROOT_BYTES if has_root else 0):
        raise HostileInput("record whose root does not fit its kind")
    has_mode = version.kind in (Kind.FILE, Kind.DIRECTORY)
    if version.mode & ~(MODE_MASK if has_mode else 0):
        raise HostileInput("record whose mode does not fit its kind")
    if version.kind is Kind.FILE:
        if version.size >= MAX_SIZE:
            raise HostileInput("record of impossible size")
    elif version.size or version.mtime_ns:
        raise HostileInput("record with a file's fields that is no file")
    if version.attributes:
        if version.kind is not Kind.FILE:
            raise HostileInput("record with attributes that is no file")
        decode_attributes(version.attributes)
