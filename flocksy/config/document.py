"""A configuration file as it stands: which words, with which values, on which lines.

Both formats become a `Document`; what the words mean is decided in `flocksy.config.model`.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from typing import Literal

from flocksy.errors import ConfigError

MAX_CONFIG_BYTES = 1024 * 1024
"""Hundreds of nodes and boxes fit ten times over; a wrong file (a video) is refused early."""

_PRIVATE = (b'"private_key"', b'"private_key_sealed"')
"""What only a file of private keys holds."""

Format = Literal["original", "toml"]


@dataclass(frozen=True, slots=True)
class Entry:
    """One word with its value, and where it was said ("config1:5", "command line: --node")."""

    key: str
    value: object
    where: str


@dataclass(slots=True)
class BoxBlock:
    """One box with entries of its own."""

    where: str
    entries: list[Entry] = field(default_factory=list)


@dataclass(slots=True)
class Document:
    """One file: the program's words in order (lists spread out), and the boxes by name."""

    path: str
    format: Format
    program: list[Entry] = field(default_factory=list)
    boxes: dict[str, BoxBlock] = field(default_factory=dict)


def read_text(path: str) -> str:
    """The text of the file at `path`; bytes that are no UTF-8 become surrogates, as in paths."""
    try:
        with open(path, "rb") as file:
            data = file.read(MAX_CONFIG_BYTES + 1)
    except FileNotFoundError:
        raise ConfigError(
            f"{path}: does not exist; make one with flocksy init, or name another with -c"
        ) from None
    except OSError as error:
        raise ConfigError(
            f"{path}: cannot be read ({error.strerror}); name a file that this user can read (-c)"
        ) from None
    if len(data) > MAX_CONFIG_BYTES:
        raise ConfigError(f"{path}: larger than {MAX_CONFIG_BYTES} bytes, this is no config file")
    if any(word in data for word in _PRIVATE):
        # What is wrong with a line is said with the line, and nobody is to read these.
        raise ConfigError(
            f"{path}: holds private keys, this is no config file; name them with --privatekey"
        )
    if b"\0" in data:
        raise ConfigError(f"{path}: holds bytes that are no text, this is no config file")
    return data.decode("utf-8-sig", "surrogateescape")


def replace_text(path: str, text: str, before: str | None) -> None:
    """Replace the file at `path`, which held `before`, by `text` in one step, flushed, and keep its
    mode. `before` is None: there was none, and the new one is its owner's alone. Raises
    `ConfigError`, also where somebody else has changed it since."""
    path = os.path.realpath(path)
    new = f"{path}.new"
    try:
        mode = 0o600 if before is None else os.stat(path).st_mode & 0o777
        handle = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
        try:
            os.chmod(new, mode)  # what the umask has taken from it
            with open(handle, "wb") as file:
                file.write(text.encode("utf-8", "surrogateescape"))
                file.flush()
                os.fsync(file.fileno())
            # The new file's fixed name keeps other commands out; who was quicker shows here.
            if (read_text(path) if os.path.lexists(path) else None) != before:
                raise ConfigError(f"{path}: has changed meanwhile; try again")
            os.replace(new, path)
        except BaseException:
            os.unlink(new)
            raise
    except FileExistsError:
        raise ConfigError(
            f"{new}: is in the way of a new {path}; look at it and remove it"
        ) from None
    except OSError as error:
        raise ConfigError(f"{path}: cannot be written: {error.strerror}") from error
