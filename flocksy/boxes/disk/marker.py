"""The marker of a box: is this directory the one that the index speaks of?

An empty mount point looks like a box in which everything was deleted, a restored backup like one
in which much was edited. So every box holds `.flocksy/marker`: the id of the box, a secret of this
(node, box), and a nonce that is renewed in index and marker at each activation, now and then while
the box is open, and at its end: whatever is copied of a box is an old one soon. `look` compares and
changes nothing; `activate` makes or renews the marker. What `look` finds:

    fresh     the index never knew the box, and there is no marker: make one, without asking
    ours      go on
    stale     the secret is ours, the nonce an old one (a clone, a backup), or the directory another
              one (a copy); the file system the same as before: adopt, said aloud
    missing   the index knows the box, its marker is gone (not mounted?): pause, delete nothing
    moved     the secret is ours, but the file system is another one: pause
    foreign   another index keeps this directory, or it is another box: pause; also what would be
              stale on a removable drive, of which there may well be two

The last three end by themselves when `look` finds ours again, or by `flocksy box adopt`.
"""

from __future__ import annotations

import json
import os
import shlex
from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager, suppress
from dataclasses import dataclass
from enum import Enum
from typing import Protocol

from flocksy.boxes.disk.port import PRIVATE, Disk
from flocksy.errors import BoxError
from flocksy.system import files, filesystems

MARKER = f"{PRIVATE}/marker"
_NEW = f"{PRIVATE}/marker.new"

SECRET_BYTES = 16
NONCE_BYTES = 16
MAX_MARKER_BYTES = 4096
"""A marker has some 300 bytes; more is none of ours, and is not read into memory."""

_FORMAT = 1


class Memory(Protocol):
    """Where the index keeps small named values (`flocksy.index.store.BoxIndex`)."""

    def remembered(self, name: str) -> bytes | None: ...

    def remember(self, name: str, value: bytes | None) -> None: ...

    def transaction(self, *, durable: bool = False) -> AbstractContextManager[None]: ...


class MarkerState(Enum):
    """See the head of this module."""

    FRESH = "fresh"
    OURS = "ours"
    STALE = "stale"
    MISSING = "missing"
    MOVED = "moved"
    FOREIGN = "foreign"


@dataclass(frozen=True, slots=True)
class Finding:
    """What `look` found. `message` is one line for people, empty where nothing is to be said."""

    state: MarkerState
    message: str = ""

    @property
    def pauses(self) -> bool:
        """Whether the box must not be touched, nor its absence be believed."""
        return self.state in (MarkerState.MISSING, MarkerState.MOVED, MarkerState.FOREIGN)

    @property
    def adopts(self) -> bool:
        """Whether the disk is of unknown past: nothing absent counts as deleted."""
        return self.state in (MarkerState.FRESH, MarkerState.STALE)


@dataclass(frozen=True, slots=True)
class Marker:
    """What the file says; empty where it says nothing that can be read."""

    box_id: bytes
    secret: bytes
    nonce: bytes


def look(
    disk: Disk, name: str, path: str, box_id: bytes, memory: Memory, *, removable: bool = False
) -> Finding:
    """Compare marker and index of the box `name` at `path`. Changes nothing.

    Raises `BoxError` where there is a marker that cannot be read.
    """
    marker = _read(disk, path)
    secret = memory.remembered("secret")
    nonce = memory.remembered("nonce")
    remedy = f"flocksy box adopt {shlex.quote(name)}"
    if marker is None:
        # A secret without a nonce: the very first activation did not get as far as the marker.
        if secret is None or nonce is None:
            if removable:
                return Finding(
                    MarkerState.MISSING,
                    f"box {name}: {path} has no marker yet and is a removable drive; if this is the"
                    f" right one: {remedy}",
                )
            return Finding(MarkerState.FRESH)
        return Finding(
            MarkerState.MISSING,
            f"box {name}: {path} has lost its marker; is the drive mounted? Nothing is deleted"
            f" meanwhile. If its content really is to be taken as it is: {remedy}",
        )
    if marker.box_id != box_id:
        return Finding(
            MarkerState.FOREIGN,
            f"box {name}: {path} holds another box; correct the path, or: {remedy}",
        )
    if secret is None or marker.secret != secret:
        return Finding(
            MarkerState.FOREIGN,
            f"box {name}: {path} is kept by another node or by an index that is gone; if no other"
            f" node uses it: {remedy}",
        )
    is_old = marker.nonce not in (nonce, memory.remembered("pending"))
    if is_old and removable:
        return Finding(
            MarkerState.FOREIGN,
            f"box {name}: {path} is an older copy of the box (a clone or a backup), and nothing is"
            f" written there; if it is the right drive: {remedy}",
        )
    # First, since an old copy elsewhere may be somebody else's, and adopting it would fill it.
    filesystem = memory.remembered("device")
    if filesystem is not None and not _is_on(disk, filesystem):
        return Finding(
            MarkerState.MOVED,
            f"box {name}: {path} is on another file system than before; mount the right one, or"
            f" if it has moved there: {remedy}",
        )
    if is_old:
        return Finding(
            MarkerState.STALE,
            f"box {name}: {path} is an older copy of the box (a clone or a backup): it is"
            " adopted, and nothing that it lacks counts as deleted",
        )
    root = memory.remembered("root")
    if root is not None and root != _number(_inode(disk)):
        if removable:
            return Finding(
                MarkerState.FOREIGN,
                f"box {name}: {path} is another directory than before (a copy?), and nothing is"
                f" written there; if it is the right one: {remedy}",
            )
        return Finding(
            MarkerState.STALE,
            f"box {name}: {path} is another directory than before (a copy?): it is adopted, and"
            " nothing that it lacks counts as deleted",
        )
    return Finding(MarkerState.OURS)


def claims(disk: Disk, path: str, box_id: bytes) -> dict[str, bytes]:
    """What an index has to remember for `look` to find the marker that is here now ours; empty
    where there is none of this box. Raises as `look`, and `OSError`."""
    marker = _read(disk, path)
    if marker is None or marker.box_id != box_id:
        return {}
    return {
        "secret": marker.secret,
        "nonce": marker.nonce,
        "device": _number(disk.identity()),
    }


def lost() -> dict[str, bytes]:
    """What an index has to remember for `look` to know that there was a marker, and to find none
    that is it: nobody can tell any more which it was."""
    return {"secret": os.urandom(SECRET_BYTES), "nonce": os.urandom(NONCE_BYTES)}


def activate(
    disk: Disk,
    box_id: bytes,
    memory: Memory,
    *,
    adopt: bool = False,
    random: Callable[[int], bytes] = os.urandom,
) -> None:
    """Make the marker, or renew its nonce, after `look` found fresh, ours or stale, or on the
    user's word (`adopt`: a new secret, whatever was there). Now and then, too, while it is ours.

    The index learns first which nonce is about to be written and last that it was: a crash in
    between leaves either nonce in the marker, and both are known, also when the next try gets no
    further than to the index. Raises `OSError`.
    """
    secret = memory.remembered("secret")
    if secret is None or adopt:
        secret = random(SECRET_BYTES)
    nonce = random(NONCE_BYTES)
    root = _number(_inode(disk)) if filesystems.keeps_folders(disk.type_name()) else None
    written = memory.remembered("pending")
    found = None if written is None or adopt else _read(disk, ".")
    with memory.transaction(durable=True):
        memory.remember("secret", secret)
        if found is not None and found.nonce == written:
            memory.remember("nonce", written)
        memory.remember("pending", nonce)
        memory.remember("root", root)
    _write(disk, Marker(box_id, secret, nonce))
    with memory.transaction(durable=True):
        memory.remember("nonce", nonce)
        memory.remember("pending", None)
        memory.remember("device", _number(disk.identity()))


def check_place(name: str, path: str, others: Iterable[str]) -> None:
    """Refuse a box inside another one: `others` are the paths of this node's other boxes, and
    markers in the directories above speak for those of other nodes. Raises `BoxError`."""
    here = os.path.realpath(path)
    for other in others:
        there = os.path.realpath(other)
        if here == there:
            raise BoxError(f"box {name}: {path} is another box already; choose another directory")
        if os.path.commonpath((here, there)) in (here, there):
            raise BoxError(
                f"box {name}: {path} and the box at {other} lie one inside the other; boxes cannot"
                " be nested"
            )
    above = os.path.dirname(here)
    while True:
        if os.path.lexists(os.path.join(above, MARKER)):
            raise BoxError(
                f"box {name}: {path} lies inside the box at {above}; boxes cannot be nested"
            )
        if above == os.path.dirname(above):
            return
        above = os.path.dirname(above)


def _read(disk: Disk, path: str) -> Marker | None:
    try:
        descriptor = disk.open_read(MARKER)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise BoxError(
            f"{path}/{MARKER} cannot be read: {error.strerror}; give flocksy's user the right to"
        ) from None
    try:
        data = files.read_at(descriptor, MAX_MARKER_BYTES, 0)
    except OSError as error:
        raise BoxError(f"{path}/{MARKER} cannot be read: {error.strerror}") from None
    finally:
        os.close(descriptor)
    return decode(data, path)


def decode(data: bytes, path: str) -> Marker:
    """The marker that `data` is; `path` is the box's, for the message. Raises `BoxError`."""
    try:
        fields = json.loads(data)
        if fields["flocksy"] > _FORMAT:
            raise BoxError(f"{path} was kept by a newer flocksy: install that version here too")
        return Marker(*(bytes.fromhex(fields[key]) for key in ("box", "secret", "nonce")))
    except (ValueError, KeyError, TypeError, RecursionError):
        # Cut off by a crash of the system, or not ours at all: in both cases nothing to go by.
        return Marker(b"", b"", b"")


def encode(marker: Marker) -> bytes:
    """The marker as its file says it."""
    return json.dumps(
        {
            "flocksy": _FORMAT,
            "box": marker.box_id.hex(),
            "secret": marker.secret.hex(),
            "nonce": marker.nonce.hex(),
        }
    ).encode("ascii")


def _write(disk: Disk, marker: Marker) -> None:
    with suppress(FileExistsError):
        disk.make_directory(PRIVATE, 0o700)
    with suppress(FileNotFoundError):
        disk.remove_file(_NEW)
    data = encode(marker)
    descriptor = disk.create(_NEW)
    try:
        files.write_at(descriptor, data, 0)
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
    disk.replace(_NEW, MARKER)
    disk.flush_directory(PRIVATE)
    disk.flush_directory("")


def _is_on(disk: Disk, filesystem: bytes) -> bool:
    if filesystem == _number(disk.identity()):
        return True  # as a rule, and asked often
    return filesystem == _number(disk.former_identity())


def _inode(disk: Disk) -> int:
    found = disk.stat("")
    assert found is not None  # by the handle
    return found.inode


def _number(value: int) -> bytes:
    return value.to_bytes(8, "big")
