"""How key files are written: whole or not at all, and closed from the first instant."""

from __future__ import annotations

import contextlib
import errno
import os
import stat

from flocksy.errors import KeyFileError
from flocksy.system import files, opening

PRIVATE_MODE = 0o600
PUBLIC_MODE = 0o644


def write_new(path: str, text: str, mode: int = PRIVATE_MODE) -> None:
    """Write a file that must not exist yet, closed from its first instant, flushed with its name.

    Directories on the way are made for their owner only. Raises `OSError`.
    """
    directory = os.path.dirname(path)
    os.makedirs(directory, mode=0o700, exist_ok=True)
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | opening.O_CLOEXEC, mode)
    try:
        with open(handle, "w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        flush_name(path)
    except BaseException:
        os.unlink(path)  # half of it would be in the way of the next try
        raise


def replace(path: str, text: str, mode: int = PRIVATE_MODE, *, keep_mode: bool = False) -> None:
    """Replace the file at `path`, which may not exist, by `text` in one step. `KeyFileError`.

    With `keep_mode` a file that is there keeps its mode, and `mode` is for one that is not.
    """
    path = os.path.realpath(path)
    # The new file's fixed name is also the lock against a second one doing the same.
    new = f"{path}.new"
    try:
        kept = stat.S_IMODE(os.stat(path).st_mode) if keep_mode and os.path.exists(path) else None
        try:
            write_new(new, text, mode if kept is None else kept)
        except FileExistsError:
            raise KeyFileError(
                f"{new}: exists, left by a command that was stopped or is running; "
                "look whether it holds a key you need, else remove it"
            ) from None
        try:
            if kept is not None:
                os.chmod(new, kept)  # what the umask has taken from it
            os.replace(new, path)
        except BaseException:
            with contextlib.suppress(FileNotFoundError):  # Ctrl-C may come after the last step
                os.unlink(new)  # in the way of the next try, and perhaps with private keys
            raise
        flush_name(path)
    except OSError as error:
        raise KeyFileError(f"{path}: cannot be written: {_reason(error)}") from error


def _reason(error: OSError) -> str:
    if error.errno == errno.EBUSY:
        return f"{error.strerror}; where it is a mount of its own, mount its folder instead"
    return str(error.strerror)


def flush_name(path: str) -> None:
    """Make a new name at `path` durable. Raises `OSError`."""
    if not opening.HAS_DIRECTORY_HANDLES:
        return
    descriptor = os.open(os.path.dirname(path), os.O_RDONLY | opening.O_DIRECTORY)
    try:
        files.flush_directory(descriptor)
    finally:
        os.close(descriptor)
