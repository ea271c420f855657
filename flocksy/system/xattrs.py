"""Extended attributes of files: those that are the user's own."""

from __future__ import annotations

import errno
import os
import sys

_USER = "user."


def user_attributes(handle: int | str, limit_bytes: int) -> dict[bytes, bytes]:
    """The extended attributes of a file that are its user's own, by their names without "user.".
    `handle`: a descriptor, or a path.

    Raises `OSError`: E2BIG when names and values take more than the limit, so that nobody fills our
    memory with them; one for which `is_unsupported` holds where the file system, or this system,
    has none.
    """
    if sys.platform != "linux":
        raise OSError(errno.ENOTSUP, os.strerror(errno.ENOTSUP))
    found: dict[bytes, bytes] = {}
    total = 0
    for name in os.listxattr(handle):
        if not name.startswith(_USER):
            continue
        try:
            value = os.getxattr(handle, name)
        except OSError as error:
            if error.errno == errno.ENODATA:
                continue  # gone since it was listed
            raise
        own_name = os.fsencode(name)[len(_USER) :]
        total += len(own_name) + len(value)
        if total > limit_bytes:
            raise OSError(errno.E2BIG, os.strerror(errno.E2BIG))
        found[own_name] = value
    return found


def set_user_attribute(handle: int | str, name: bytes, value: bytes | None) -> None:
    """Set one of these, or (None) remove it. Raises `OSError` as `user_attributes` does, and for
    want of room or of the right to write."""
    if sys.platform != "linux":
        raise OSError(errno.ENOTSUP, os.strerror(errno.ENOTSUP))
    if value is not None:
        os.setxattr(handle, os.fsencode(_USER) + name, value)
        return
    try:
        os.removexattr(handle, os.fsencode(_USER) + name)
    except OSError as error:
        if error.errno != errno.ENODATA:
            raise
