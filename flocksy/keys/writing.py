"""How key files are written: whole or not at all, and closed from the first instant."""

from __future__ import annotations

import os

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


def replace(path: str, text: str, mode: int = PRIVATE_MODE) -> None:
    """Replace the file at `path`, which may not exist, by `text` in one step. `KeyFileError`."""
    path = os.path.realpath(path)
    # The new file's fixed name is also the lock against a second one doing the same.
    new = f"{path}.new"
    try:
        write_new(new, text, mode)
        os.replace(new, path)
        flush_name(path)
    except FileExistsError:
        raise KeyFileError(
            f"{new}: exists, left by a command that was stopped or is running; "
            "look whether it holds a key you need, else remove it"
        ) from None
    except OSError as error:
        raise KeyFileError(f"{path}: cannot be written: {error.strerror}") from error


def flush_name(path: str) -> None:
    """Make a new name at `path` durable. Raises `OSError`."""
    if not opening.HAS_DIRECTORY_HANDLES:
        return
    descriptor = os.open(os.path.dirname(path), os.O_RDONLY | opening.O_DIRECTORY)
    try:
        files.flush_directory(descriptor)
    finally:
        os.close(descriptor)
