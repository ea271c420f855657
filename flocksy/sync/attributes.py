"""Extended attributes of a file as versions say them: one encoding, bounded, and how they merge.

Only those of the `user.` namespace, by their names without that prefix: the others belong to the
system that a file is on. The blob is, in ascending order of the names,

    bytes of name u8, bytes of value u16 (little endian), name, value

one after the other. No attributes are the empty blob.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping

from flocksy.errors import HostileInput

MAX_ATTRIBUTES = 64
MAX_ATTRIBUTES_BYTES = 4096
"""Of the blob: ext4 holds no more in all, and a record has to stay small beside what it is of."""
MAX_NAME_BYTES = 250  # Linux' 255 without "user."

_HEAD = struct.Struct("<BH")


class AttributesError(Exception):
    """A file has more attributes than a version says. The text is for people."""


def encode_attributes(attributes: Mapping[bytes, bytes]) -> bytes:
    """The blob of these. Raises `AttributesError` when they are too many or too large."""
    total = sum(_HEAD.size + len(name) + len(value) for name, value in attributes.items())
    if len(attributes) > MAX_ATTRIBUTES or total > MAX_ATTRIBUTES_BYTES:
        raise AttributesError(
            f"has {len(attributes)} extended attributes of {total} bytes; only {MAX_ATTRIBUTES} of"
            f" {MAX_ATTRIBUTES_BYTES} bytes are synced, so what others have stays as it is"
        )
    return b"".join(
        _HEAD.pack(len(name), len(value)) + name + value
        for name, value in sorted(attributes.items())
    )


def decode_attributes(blob: bytes) -> dict[bytes, bytes]:
    """What `encode_attributes` was given. Raises `HostileInput` for anything else."""
    if len(blob) > MAX_ATTRIBUTES_BYTES:
        raise HostileInput("attributes of impossible length")
    found: dict[bytes, bytes] = {}
    at, before = 0, b""
    while at < len(blob):
        if at + _HEAD.size > len(blob) or len(found) == MAX_ATTRIBUTES:
            raise HostileInput("too many attributes, or cut ones")
        name_bytes, value_bytes = _HEAD.unpack_from(blob, at)
        value_at = at + _HEAD.size + name_bytes
        at = value_at + value_bytes
        name = blob[value_at - name_bytes : value_at]
        if at > len(blob) or not 0 < name_bytes <= MAX_NAME_BYTES or b"\0" in name:
            raise HostileInput("attribute of impossible length or name")
        if name <= before:
            raise HostileInput("attributes that are not sorted")
        found[name] = blob[value_at:at]
        before = name
    return found


def merged_attributes(base: bytes, ours: bytes, theirs: bytes) -> bytes:
    """`theirs` with what has become of `base` in `ours`. Blobs that were once accepted."""
    if ours == base:
        return theirs
    if theirs in (base, ours):
        return ours
    was, now, result = (decode_attributes(blob) for blob in (base, ours, theirs))
    for name in was.keys() - now.keys():
        result.pop(name, None)
    result.update({name: value for name, value in now.items() if was.get(name) != value})
    try:
        return encode_attributes(result)
    except AttributesError:
        return ours  # both do not fit: what somebody has just set goes before


def is_between(found: bytes, before: bytes, after: bytes) -> bool:
    """Whether `found` is `before`, `after`, or what a change from one to the other shows while it
    is under way. (Whoever sets attributes sets one at a time.)"""
    has, had, gets = (decode_attributes(blob) for blob in (found, before, after))
    return all(
        has.get(name) in (had.get(name), gets.get(name))
        for name in has.keys() | had.keys() | gets.keys()
    )
