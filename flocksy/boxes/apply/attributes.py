"""Extended attributes on their way to the disk, and never over what somebody has set meanwhile.

A disk may refuse them: it has none, or no room for so many (ext4 has one block for all of a file).
Then the content gets its place without them, what was there stays, and the path is blocked: shown,
and tried again now and then. Nothing is concluded from what is missing (`flocksy.sync.carried`).
"""

from __future__ import annotations

import errno
import os
from contextlib import suppress

from flocksy.boxes.apply.placing import INCOMING, OWN_PREFIX, BlockedError, ChangedError, Placer
from flocksy.boxes.disk.port import Disk
from flocksy.sync.attributes import AttributesError, is_between

ATTRIBUTES = "attributes"
"""Name under which the index remembers that this disk is asked for extended attributes."""

NO_ATTRIBUTES = (
    "this disk or system holds no extended attributes (xattrs): those of the others are kept for"
    " them, and do not come here"
)
"""One line for people."""

_TRIAL = f"{INCOMING}/{OWN_PREFIX}attributes"
"""A file to try them on."""

_REFUSALS = frozenset(
    {errno.ENOTSUP, errno.ENOSYS, errno.EINVAL, errno.ENOSPC, errno.EDQUOT, errno.E2BIG}
    | {errno.ERANGE, errno.EPERM, errno.EACCES}
)
"""What a disk says that does not take them, and may take everything else."""


def bring_fresh(disk: Disk, temporary: str, wanted: bytes) -> bool:
    """Have a file of our own show these. False: the disk refuses."""
    try:
        disk.set_attributes(temporary, wanted)
    except AttributesError:
        return False
    except OSError as error:
        if error.errno in _REFUSALS:
            return False
        raise
    return True


def bring(placer: Placer, path: str, before: bytes, wanted: bytes) -> None:
    """Have the file at `path`, which showed `before`, show `wanted`.

    Raises `ChangedError` where it shows something else by now, which is then left as it is, and
    `BlockedError` where the disk refuses.
    """
    disk = placer.disk
    try:
        found = placer.insist(path, lambda: disk.read_attributes(path))
        if found == wanted:
            return
        if not is_between(found, before, wanted):
            raise ChangedError
        # On another file first: to try it here and to take it back would look like an edit.
        _try(disk, wanted)
        placer.insist(path, lambda: disk.set_attributes(path, wanted))
    except (FileNotFoundError, AttributesError):
        raise ChangedError from None
    except OSError as error:
        if error.errno in _REFUSALS:
            raise BlockedError(_refused(wanted, error)) from None
        raise


def _try(disk: Disk, wanted: bytes) -> None:
    with suppress(FileNotFoundError):
        disk.remove_file(_TRIAL)  # left from a crash
    os.close(disk.create(_TRIAL))
    try:
        disk.set_attributes(_TRIAL, wanted)
    finally:
        with suppress(OSError):
            disk.remove_file(_TRIAL)


def _refused(wanted: bytes, error: OSError) -> str:
    why = error.strerror or error
    if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.E2BIG, errno.ERANGE):
        why = "it has no room for them"
    return (
        f"this disk does not take its extended attributes ({len(wanted)} bytes): {why}; the rest of"
        " the file is synced"
    )
