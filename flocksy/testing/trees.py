"""Comparing folders as a person would: what is in them, and what it is like."""

from __future__ import annotations

import hashlib
import os
import stat
from dataclasses import dataclass
from pathlib import Path

OWN_DIRECTORY = ".flocksy"
"""What flocksy keeps inside a box; it never travels."""

MAX_DIFFERENCES = 20
"""Differences that are listed: the first ones tell what went wrong."""


@dataclass(frozen=True, slots=True)
class Entry:
    """What must be equal of one path on all members."""

    kind: str  # "file", "directory", "symlink", "other"
    mode: int  # 0777 only, 0 for symlinks
    mtime_s: int  # files only
    size: int  # files only
    content: str  # digest of a file, text of a symlink


def snapshot(root: Path, *, contents: bool = True) -> dict[str, Entry]:
    """Every path below `root` but flocksy's own, with what it is now.

    Without `contents` no file is read: what is unequal then is unequal.

    Raises `OSError` where the tree changes while it is read: take another one.
    """
    found: dict[str, Entry] = {}
    pending = [root]
    while pending:
        for item in os.scandir(pending.pop()):
            name = os.path.relpath(item.path, root)
            if name != OWN_DIRECTORY:
                found[name] = _entry(Path(item.path), contents)
                if found[name].kind == "directory":
                    pending.append(Path(item.path))
    return found


def differences(ours: dict[str, Entry], theirs: dict[str, Entry]) -> list[str]:
    """What differs between two snapshots, in words; at most `MAX_DIFFERENCES` of them."""
    lines: list[str] = []
    for name in sorted(ours.keys() | theirs.keys()):
        left, right = ours.get(name), theirs.get(name)
        if left != right:
            lines.append(f"{name!r}: {_words(left)} / {_words(right)}")
    more = len(lines) - MAX_DIFFERENCES
    return lines if more <= 0 else [*lines[:MAX_DIFFERENCES], f"and {more} more"]


def _words(entry: Entry | None) -> str:
    if entry is None:
        return "missing"
    return (
        f"{entry.kind} mode {entry.mode:04o} mtime {entry.mtime_s} size {entry.size} "
        f"content {entry.content[:12]}"
    )


def _entry(path: Path, contents: bool) -> Entry:
    seen = os.lstat(path)
    mode = stat.S_IMODE(seen.st_mode) & 0o777
    if stat.S_ISDIR(seen.st_mode):
        return Entry("directory", mode, 0, 0, "")
    if stat.S_ISLNK(seen.st_mode):
        return Entry("symlink", 0, 0, 0, os.readlink(path))
    if not stat.S_ISREG(seen.st_mode):
        return Entry("other", mode, 0, 0, "")
    digest = ""
    if contents:
        with path.open("rb") as file:
            digest = hashlib.file_digest(file, "blake2b").hexdigest()
    return Entry("file", mode, int(seen.st_mtime), seen.st_size, digest)
