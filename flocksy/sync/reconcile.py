"""Finding out in which paths two members differ, at a cost that grows with the difference.

Theory of operation
-------------------
Every path has a *key*, 16 bytes of BLAKE2b over the path, and an *item*, 32 bytes of BLAKE2b over
path and sorted head ids. The *fingerprint* of a range of keys is the number of items in it and
their sum modulo 2^256, so it can be kept up to date by additions. Only heads enter, and only those
that lanes have carried: members that heard the same have equal fingerprints.

Somebody whose digest differs says RANGES: the whole range of keys with its fingerprint. Whoever
hears it compares with its own:

* equal: nothing;
* nothing here but something there: says so (a range of no items);
* nothing there but something here: offers it all;
* few items here: says them one by one (ITEMS);
* else: cuts the range into 16 parts and says RANGES for all of them.

Whoever hears ITEMS compares them with its own items in that range: what it has and the speaker has
not, or has otherwise, it offers; what the speaker has and it has not, or has otherwise, it wants.
Keys are hashes, so parts of equal width hold about equal numbers: the depth is the logarithm of the
number of paths, and only ranges that differ are cut further.

Everything is said in a lane and heard by all, so several members may answer the same RANGES. That
costs bytes, not correctness. Offers and wants come out of here as keys; who serves them (the holder
with the lowest hash) is for the exchange to say.
"""

from __future__ import annotations

import hashlib
import itertools
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Protocol

from flocksy.sync import messages
from flocksy.sync.messages import ITEM_BYTES, KEY_BYTES, Items, Range, Ranges
from flocksy.sync.names import encode_path

FEW = 32  # items that are said one by one: 1.5 KiB, two idle cells
PARTS = 16  # of a range that is cut: as much as one list of items
MAX_OFFERED = 65536  # keys out of one message; the next round finds the rest
MODULUS = 1 << 256

KNOWN_TAG_BYTES = 8  # of a box's tag, before the digest in the 32 bytes that a cell has for it
KNOWN_DIGEST_BYTES = 24

_KNOWN_PERSON = b"flocksy known"
_KEY_SPACE = 1 << (8 * KEY_BYTES)


class Store(Protocol):
    """What the lanes have carried. Ranges are lower <= key < upper; an empty `upper` means no
    end."""

    def fingerprint(self, lower: bytes, upper: bytes) -> tuple[int, int]:
        """(count, sum of the items mod 2^256)."""
        ...

    def items(self, lower: bytes, upper: bytes, limit: int) -> Sequence[tuple[bytes, bytes]]:
        """At most `limit` (key, item) in order of the key."""
        ...


@dataclass(frozen=True, slots=True)
class Response:
    """What follows from one message: say `messages`; offer the heads of the paths with the keys
    `offered`, ask for those of `wanted`."""

    messages: tuple[Ranges | Items, ...] = ()
    offered: tuple[bytes, ...] = ()
    wanted: tuple[bytes, ...] = ()


def path_key(path: str) -> bytes:
    """The 16 bytes that stand for a path."""
    return hashlib.blake2b(encode_path(path), digest_size=KEY_BYTES).digest()


def item_hash(path: str, heads: Iterable[bytes]) -> bytes:
    """The 32 bytes that stand for a path with these heads."""
    digest = hashlib.blake2b(path_key(path), digest_size=ITEM_BYTES)
    for head in sorted(heads):
        digest.update(head)
    return digest.digest()


def known_bytes(box: bytes, store: Store) -> bytes:
    """The bytes of a cell that say what this member knows of one box: the first of its tag, and a
    hash over the fingerprint of the whole range."""
    count, total = store.fingerprint(bytes(KEY_BYTES), b"")
    digest = hashlib.blake2b(
        count.to_bytes(8, "big") + total.to_bytes(ITEM_BYTES, "big"),
        digest_size=KNOWN_DIGEST_BYTES,
        person=_KNOWN_PERSON,
    )
    return box[:KNOWN_TAG_BYTES] + digest.digest()


def opening(box: bytes, store: Store) -> Ranges:
    """What to say first: the whole range."""
    lower = bytes(KEY_BYTES)
    return Ranges(box, (Range(lower, b"", *store.fingerprint(lower, b"")),))


def respond(store: Store, message: Ranges | Items) -> Response:
    """What follows from a message of another member about a box that both know."""
    if isinstance(message, Items):
        return _compare(store, message)
    said: list[Range] = []
    listed: list[Items] = []
    offered: list[bytes] = []
    for theirs in message.ranges:
        count, total = store.fingerprint(theirs.lower, theirs.upper)
        if (count, total) == (theirs.count, theirs.fingerprint):
            continue
        if count == 0:
            said.append(Range(theirs.lower, theirs.upper, 0, 0))
        elif theirs.count == 0:
            room = MAX_OFFERED - len(offered)
            offered += (key for key, _ in store.items(theirs.lower, theirs.upper, room))
        elif count <= FEW:
            items = tuple(store.items(theirs.lower, theirs.upper, FEW))
            listed.append(Items(message.box, theirs.lower, theirs.upper, items))
        else:
            said += _cut(store, theirs)
    ranges = (
        Ranges(message.box, tuple(said[at : at + messages.MAX_RANGES]))
        for at in range(0, len(said), messages.MAX_RANGES)
    )
    return Response((*ranges, *listed), tuple(offered))


def _cut(store: Store, whole: Range) -> list[Range]:
    """Own fingerprints of 16 parts of the range, as far as there are so many keys in it."""
    first = int.from_bytes(whole.lower, "big")
    end = int.from_bytes(whole.upper, "big") if whole.upper else _KEY_SPACE
    parts = min(PARTS, end - first)
    edges = [first + (end - first) * number // parts for number in range(parts + 1)]
    ranges = []
    for lower_number, upper_number in itertools.pairwise(edges):
        lower = lower_number.to_bytes(KEY_BYTES, "big")
        upper = b"" if upper_number == _KEY_SPACE else upper_number.to_bytes(KEY_BYTES, "big")
        # An empty part is said as well: the other may have something in it.
        ranges.append(Range(lower, upper, *store.fingerprint(lower, upper)))
    return ranges


def _compare(store: Store, theirs: Items) -> Response:
    ours = dict(store.items(theirs.lower, theirs.upper, MAX_OFFERED))
    told = dict(theirs.items)
    offered = tuple(key for key, item in ours.items() if told.get(key) != item)
    wanted = tuple(key for key, item in told.items() if ours.get(key) != item)
    return Response((), offered, wanted)
