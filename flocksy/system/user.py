"""The user that this process runs as, and the place for its sockets."""

from __future__ import annotations

import contextlib
import os
import stat
import sys
import tempfile

from flocksy.errors import FlocksyError


def user_id() -> int:
    """The number of this process's user; -1 where users have none."""
    if sys.platform == "win32":
        return -1
    return os.getuid()


def is_own(path: str) -> bool:
    """Whether something is at `path` that belongs to this user, and is no link."""
    try:
        found = os.lstat(path)
    except (OSError, ValueError):  # ValueError: no path at all
        return False
    return not stat.S_ISLNK(found.st_mode) and user_id() in (found.st_uid, -1)


def runtime_dir() -> str:
    """An existing directory for sockets, for this user only: `$XDG_RUNTIME_DIR`, or a directory of
    our own among the temporary ones where there is none (a cron job, a container, macOS).

    Raises `FlocksyError` when somebody else owns the latter, or when it cannot be made.
    """
    given = os.environ.get("XDG_RUNTIME_DIR", "")
    if os.path.isabs(given) and os.path.isdir(given) and os.access(given, os.W_OK):
        return given
    try:
        return _own_temporary_dir()
    except OSError as error:
        where = f"{error.filename}: " if error.filename else ""
        raise FlocksyError(
            f"{where}there is no directory for the control socket ({error.strerror or error}); "
            "make room for temporary files, or set XDG_RUNTIME_DIR to a directory of yours"
        ) from error


def _own_temporary_dir() -> str:
    if sys.platform == "win32":
        return tempfile.gettempdir()
    path = os.path.join(tempfile.gettempdir(), f"flocksy-{os.getuid()}")
    with contextlib.suppress(FileExistsError):
        os.mkdir(path, 0o700)
    found = os.lstat(path)
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.getuid() or found.st_mode & 0o077:
        raise FlocksyError(
            f"{path} is not a directory of yours alone; remove it, or set XDG_RUNTIME_DIR"
        )
    return path
