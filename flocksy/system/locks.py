"""Locks on files, which end with their process."""

from __future__ import annotations

import os
import sys
import time
from types import TracebackType

from flocksy.system.opening import O_CLOEXEC

LOOK_SECONDS = 0.05
"""Between two looks at a lock that is waited for."""


class FileLock:
    """A lock held until `close`, or until the process ends in whatever way."""

    def __init__(self, path: str, descriptor: int) -> None:
        self.path = path
        self._descriptor = descriptor

    def close(self) -> None:
        """Let others have the lock. The file stays: to unlink it would let two hold it."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1

    def __enter__(self) -> FileLock:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


def lock_file(path: str, patience_s: float = 0.0) -> FileLock | None:
    """Lock `path` for this process alone; make the file (0600) where there is none.

    Returns None when another process (or another handle of this one) holds the lock, and has not
    given it back within `patience_s`. Raises `OSError` when the file cannot be opened.
    """
    until = time.monotonic() + patience_s
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | O_CLOEXEC, 0o600)
    try:
        while not _lock_descriptor(descriptor):
            if time.monotonic() >= until:
                os.close(descriptor)
                return None
            time.sleep(LOOK_SECONDS)
    except BaseException:
        os.close(descriptor)
        raise
    return FileLock(path, descriptor)


def _lock_descriptor(descriptor: int) -> bool:
    if sys.platform == "win32":
        import msvcrt

        try:
            msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)
        except OSError:
            return False
        return True
    import fcntl

    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
