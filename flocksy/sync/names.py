"""Paths inside a box: what a peer may name, and what a conflict copy is called."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import UTC, datetime

from flocksy.errors import HostileInput
from flocksy.sync.version import Buffer

MAX_PATH_BYTES = 4096  # PATH_MAX
MAX_NAME_BYTES = 255  # NAME_MAX of every file system in use
MAX_DEPTH = 128  # components; the applier opens one directory after the other
PRIVATE_DIRECTORY = ".flocksy"  # ours at the top of every box; never travels
MAX_STEP = 13  # conflict names that one version can step through: the bytes of its id after three

# Where a stray file is a branch, a tag or a lock: no conflict copies, the history has them.
_REPOSITORIES = frozenset((".git", ".hg", ".svn"))

# An extension is what programs go by; a longer tail is part of the name.
_EXTENSION = re.compile(r"(?<=[^/.])(\.[A-Za-z0-9]{1,12})\Z")
_COPY = re.compile(
    r"(?P<stem>.+)\.conflict-\d{8}-[0-9a-f]{6}(?:-(?:[0-9a-f]{2}){1,13})?"
    r"(?P<extension>\.[A-Za-z0-9]{1,12})?\Z",
    re.DOTALL,
)


def encode_path(path: str) -> bytes:
    """A path as it travels and as the file system has it."""
    return path.encode("utf-8", "surrogateescape")


def decode_path(data: Buffer) -> str:
    """The path in bytes from a peer, checked. Raises `HostileInput`."""
    raw = bytes(data)
    if len(raw) > MAX_PATH_BYTES:
        raise HostileInput("path too long")
    path = raw.decode("utf-8", "surrogateescape")
    check_path(path)
    return path


def check_path(path: str) -> None:
    """Refuse what cannot be a path inside a box, with `HostileInput`."""
    if len(encode_path(path)) > MAX_PATH_BYTES:
        raise HostileInput("path too long")
    if "\0" in path:
        raise HostileInput("path with a NUL")
    names = path.split("/")
    if len(names) > MAX_DEPTH:
        raise HostileInput("path too deep")
    for name in names:
        if name in ("", ".", ".."):
            raise HostileInput("path with an empty, '.' or '..' component")
        if len(encode_path(name)) > MAX_NAME_BYTES:
            raise HostileInput("path with too long a component")
    # Whatever the case: on a disk that folds cases it would be our directory.
    if names[0].casefold() == PRIVATE_DIRECTORY:
        raise HostileInput("path inside the private directory")


def parent_of(path: str) -> str:
    """The directory that `path` is in; "" is the box."""
    return path.rpartition("/")[0]


def ancestors(path: str) -> Iterator[str]:
    """All directories above `path`, nearest first, without the box itself."""
    while path := parent_of(path):
        yield path


def in_repository(path: str) -> bool:
    """Whether `path` is inside a repository of git, Mercurial or Subversion."""
    return not _REPOSITORIES.isdisjoint(path.split("/")[:-1])


def conflict_name(path: str, version_id: bytes, mtime_ns: int, step: int = 0) -> str:
    """Where the losing version of `path` is shown: the same on every node.

    `name.conflict-<date>-<6 hex>.ext`, beside `path`; the date is the loser's mtime in UTC. With
    `step` > 0 (a real path has that name) `-<2 hex>` more per step.
    """
    assert 0 <= step <= MAX_STEP
    directory, slash, name = path.rpartition("/")
    match = _EXTENSION.search(name)
    extension = match.group() if match else ""
    stem = name[: len(name) - len(extension)]
    digits = version_id[:3].hex() + (f"-{version_id[3 : 3 + step].hex()}" if step else "")
    tail = f".conflict-{_date(mtime_ns)}-{digits}{extension}"
    room = MAX_NAME_BYTES - len(tail)  # the tail is ASCII
    return f"{directory}{slash}{_cut(stem, room)}{tail}"


def owner_of_copy(path: str) -> tuple[str, bool] | None:
    """The path whose conflict copy `path` would be by its name, and whether that is sure.

    Not sure: the owner's name may have been cut, so it only *begins* with the last component.
    None: `path` is not named like a conflict copy.
    """
    directory, slash, name = path.rpartition("/")
    match = _COPY.match(name)
    if match is None:
        return None
    extension = match["extension"] or ""
    # A character has at most four bytes, so a cut name lacks at most three; of bytes that are no
    # characters `_cut` takes up to four away.
    cut = len(encode_path(name)) > MAX_NAME_BYTES - 5
    return f"{directory}{slash}{match['stem']}{extension}", not cut


def _date(mtime_ns: int) -> str:
    """YYYYMMDD in UTC, kept inside the years that a date can have."""
    seconds = max(0, min(mtime_ns // 1_000_000_000, 253_402_300_799))
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y%m%d")


def _cut(text: str, limit_bytes: int) -> str:
    """As much of `text` as fits, ending between two characters."""
    data = encode_path(text)
    if len(data) <= limit_bytes:
        return text
    # Continuation bytes are 10xxxxxx: never cut in front of one. Bytes that are no UTF-8 at all
    # may be cut anywhere, so stop after the longest character.
    end = limit_bytes
    while end > limit_bytes - 4 and data[end] & 0xC0 == 0x80:
        end -= 1
    return data[:end].decode("utf-8", "surrogateescape")
