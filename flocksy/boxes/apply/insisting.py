"""Doing what the mode of a synced directory forbids to its owner, who is ourselves.

A directory that the flock has may well be read-only, or closed altogether. What is in it still has
to follow the flock, and to be flushed, and looked at after a crash. So it is opened for that
instant. Who dies in it leaves it open: `recovery.close_again`, which asks the journal where, and
`openings`, by which the journal knows.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from typing import TypeVar

from flocksy.boxes.apply.remedies import describe
from flocksy.boxes.disk.port import Disk
from flocksy.errors import FlocksyError
from flocksy.sync.names import ancestors
from flocksy.sync.trees import DiskEntry
from flocksy.sync.version import Kind

OPEN = 0o700
"""What its owner needs for everything in a directory."""

_Value = TypeVar("_Value")


def is_closed(entry: DiskEntry | None) -> bool:
    """Whether this is a directory that its owner may not use as it stands."""
    return entry is not None and entry.kind is Kind.DIRECTORY and entry.mode & OPEN != OPEN


def insist(
    disk: Disk,
    path: str,
    do: Callable[[], _Value],
    before_opening: Callable[[str, int], None] | None,
) -> _Value:
    """Do something to what is at `path`, and once more, with the directories above it open, where
    the disk denied it. `do` must be fit to be begun anew. `before_opening` is called before each of
    them is, with the mode that it was found with; None is for what is no batch's alone: whoever
    dies while one is open leaves it open for good where nothing was noted.

    Raises what `do` raises, and `PermissionError` where no mode of those directories is why; and
    `FlocksyError` where one of them cannot be closed again, so that the batch has to stay open.
    """
    try:
        return do()
    except PermissionError:
        with ExitStack() as closing:
            was_opened = False
            for above in reversed(list(ancestors(path))):
                found = disk.stat(above)
                if found is None or found.kind is not Kind.DIRECTORY:
                    break  # somebody's, in its place: there is nothing to open, nor below it
                if found.mode & OPEN != OPEN:
                    if before_opening is not None:
                        before_opening(above, found.mode)
                    # First: a call that reports an error may have taken effect all the same.
                    closing.callback(close, disk, above, found.mode, before_opening)
                    disk.set_metadata(above, found.mode | OPEN, None)
                    was_opened = True
            if not was_opened:
                raise
            return do()


def close(
    disk: Disk,
    path: str,
    mode: int,
    before_opening: Callable[[str, int], None] | None,
    inode: int | None = None,
) -> None:
    """Give its mode back to a directory that was opened for an instant, and to nothing else where
    its `inode` is known. Raises `FlocksyError` where the disk does not let us."""
    try:
        insist(disk, path, lambda: disk.set_metadata(path, mode, None, inode), before_opening)
    except (FileNotFoundError, NotADirectoryError, PermissionError):
        # Somebody has moved it away since, or it is another's by now. That undoes nothing of what
        # was done: the caller has to go on from there.
        pass
    except OSError as error:
        # Not the problem of one path: forgotten, it would be told to all as it stands open here.
        raise FlocksyError(
            f"{path}: it was opened for an instant and has to stay open for now: {describe(error)}"
        ) from error
