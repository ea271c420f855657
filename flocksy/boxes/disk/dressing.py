"""Mode, time and extended attributes of an entry, through one handle of it."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass

from flocksy.boxes.disk.port import MODE_BITS, ModeRefusedError, Stat, as_stat
from flocksy.sync.attributes import AttributesError, decode_attributes, encode_attributes
from flocksy.system import opening, xattrs

_LOOKED_AT_BYTES = 1 << 16
"""Of attributes, before a file is said to have too many: many times what is synced."""


@dataclass(frozen=True, slots=True)
class Handle:
    """A file or directory. `target` is what calls take that want no handle without the right to
    read."""

    descriptor: int
    target: int | str


@contextmanager
def handle(open_: Callable[[str, int], int], path: str) -> Iterator[Handle]:
    """The entry at `path`, opened by `open_` (path, flags), which follows no link."""
    flags = os.O_RDONLY | opening.O_NOFOLLOW | opening.O_NONBLOCK | opening.O_CLOEXEC
    try:
        descriptor = open_(path, flags)
    except PermissionError:
        # An entry of ours that we may not read. Its mode is still ours to change.
        if not opening.O_PATH:
            raise
        descriptor = open_(path, opening.O_PATH | opening.O_NOFOLLOW | opening.O_CLOEXEC)
        target: int | str = opening.descriptor_path(descriptor)
    else:
        target = descriptor
    try:
        mode = os.fstat(descriptor).st_mode
        if not (stat.S_ISREG(mode) or stat.S_ISDIR(mode)):
            raise OSError(errno.EINVAL, "neither a file nor a directory", path)
        yield Handle(descriptor, target)
    finally:
        os.close(descriptor)


def set_metadata(entry: Handle, mode: int | None, mtime_ns: int | None, inode: int | None) -> Stat:
    """As `Disk.set_metadata`."""
    found = os.fstat(entry.descriptor)
    if inode is not None and found.st_ino != inode:
        raise FileNotFoundError(errno.ENOENT, "replaced by another")
    if mtime_ns is not None:
        # First: there are times that a disk refuses, and then a mode alone would pass for
        # somebody's change.
        try:
            os.utime(entry.target, ns=(found.st_atime_ns, mtime_ns))
        except OverflowError:  # where time_t has 32 bits
            raise OSError(errno.EOVERFLOW, "this system cannot tell its time") from None
    if mode is not None and (found.st_mode ^ mode) & MODE_BITS:
        # As with chmod(1) a directory keeps the bits that say whose group it is, and the like.
        kept = stat.S_IMODE(found.st_mode) & ~MODE_BITS if stat.S_ISDIR(found.st_mode) else 0
        try:
            os.chmod(entry.target, mode & MODE_BITS | kept)
        except OSError as error:
            if mtime_ns is None:
                raise
            # Not set back: that would hide what somebody writes in this instant.
            raise ModeRefusedError(error, as_stat(os.fstat(entry.descriptor))) from None
    return as_stat(os.fstat(entry.descriptor))


def read_attributes(entry: Handle) -> bytes:
    """As `Disk.read_attributes`."""
    return encode_attributes(_attributes(entry))


def set_attributes(entry: Handle, attributes: bytes) -> None:
    """As `Disk.set_attributes`."""
    wanted = decode_attributes(attributes)
    try:
        _exchange(entry, wanted)
    except PermissionError:
        # What a mode forbids to its owner, it forbids here too, unlike a change of the mode.
        mode = stat.S_IMODE(os.fstat(entry.descriptor).st_mode)
        if mode & 0o600 == 0o600:
            raise
        os.chmod(entry.target, mode | 0o600)
        try:
            _exchange(entry, wanted)
        finally:
            os.chmod(entry.target, mode)


def _attributes(entry: Handle) -> dict[bytes, bytes]:
    if not stat.S_ISREG(os.fstat(entry.descriptor).st_mode):
        raise OSError(errno.EINVAL, "not a regular file")
    try:
        return xattrs.user_attributes(entry.target, _LOOKED_AT_BYTES)
    except OSError as error:
        if error.errno == errno.E2BIG:
            raise AttributesError(
                f"has more than {_LOOKED_AT_BYTES >> 10} KiB of extended attributes: they are not"
                " synced, so what others have stays as it is"
            ) from None
        raise


def _exchange(entry: Handle, wanted: dict[bytes, bytes]) -> None:
    """What goes first: it may be what the rest has no room beside."""
    before = _attributes(entry)
    try:
        _turn(entry, before, wanted)
    except OSError:
        # They fitted a moment ago.
        with suppress(OSError):
            _turn(entry, _attributes(entry), before)
        raise


def _turn(entry: Handle, before: dict[bytes, bytes], after: dict[bytes, bytes]) -> None:
    for name in sorted(before.keys() - after.keys()):
        xattrs.set_user_attribute(entry.target, name, None)
    for name, value in sorted(after.items()):
        if before.get(name) != value:
            xattrs.set_user_attribute(entry.target, name, value)
