"""What to say of a disk that refuses, and what follows from it."""

from __future__ import annotations

import errno
from collections.abc import Iterator
from contextlib import contextmanager

from flocksy.errors import FlocksyError


def describe(error: OSError) -> str:
    """One clear line about an operation that failed: what is wrong and what to do."""
    text = _REMEDIES.get(error.errno or 0)
    return text or f"cannot be written: {error.strerror or error}"


def is_full(error: OSError) -> bool:
    """Whether there is no room: then everything that needs room has to wait."""
    return error.errno in (errno.ENOSPC, errno.EDQUOT)


@contextmanager
def unfinished(path: str, at: str) -> Iterator[None]:
    """While what stood at `path` is at `at`, a place from which it may be cleared away: where the
    disk refuses, the batch has to stay open, so that the next recovery deals with it.

    Raises `FlocksyError` for every `OSError`.
    """
    try:
        yield
    except OSError as error:
        raise FlocksyError(
            f"{path}: what stood there is at {at} in the box and has to stay there for now:"
            f" {describe(error)}"
        ) from error


UNFIT = frozenset((errno.ENAMETOOLONG, errno.EILSEQ, errno.EXDEV))
"""What the disk says of what it will not take tomorrow either: of a name, or across a mount."""

_REMEDIES = {
    errno.ENOSPC: "the disk is full: make room, flocksy goes on by itself",
    errno.EDQUOT: "the quota is used up: make room, flocksy goes on by itself",
    errno.EACCES: "permission denied: let the user that runs flocksy write here",
    errno.EPERM: "not permitted: it belongs to another user or is immutable",
    errno.EROFS: "the file system is mounted read-only: mount it for writing",
    errno.ENAMETOOLONG: "the name is too long for this file system",
    errno.EILSEQ: "this file system cannot hold the name",
    errno.EINVAL: "this file system cannot hold the name or the type",
    errno.EXDEV: "it lies on another file system than the box: mounts in a box cannot be synced",
    errno.ENOTEMPTY: "the directory is not empty, so it was left",
    errno.EEXIST: "the directory is not empty, so it was left",
    errno.EBUSY: "it is in use as a mount point",
}
