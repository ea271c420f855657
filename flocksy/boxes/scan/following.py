"""A box in which links that were made on this disk show what they lead to (`symlinks = 0`).

`FollowingDisk` is the port to such a box. Looking at a path below a followed link looks at the real
directory, from the root of the file system and again without following any link. Changing anything
at or below a followed link is refused, whoever asks: what lies there is only sent.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Iterator
from typing import Protocol

from flocksy.boxes.disk.filesystem import RealDisk
from flocksy.boxes.disk.port import Disk, Stat
from flocksy.sync.names import parent_of

SEND_ONLY = "below a symbolic link that is followed here: this node only sends it"
"""Why nothing that others change there is applied."""


class Follows(Protocol):
    """Which links are followed, and where they lead."""

    def link_above(self, path: str) -> str | None:
        """The followed link at `path`, or else the nearest above it."""
        ...

    def real(self, link: str) -> str:
        """The absolute path, free of links, of what the followed `link` shows.

        Raises `FileNotFoundError` when it must not be followed now.
        """
        ...


def place_of(follows: Follows, root: str, path: str) -> str:
    """The absolute path of the entry `path` of the box at `root`; a link is the link itself."""
    parent = parent_of(path)
    name = path[len(parent) + 1 :] if parent else path
    return os.path.join(real_path(follows, parent) or os.path.join(root, parent), name)


def real_path(follows: Follows, path: str) -> str | None:
    """The absolute path that shows at `path`, if that is at or below a followed link."""
    link = follows.link_above(path)
    return None if link is None else follows.real(link) + path[len(link) :]


def stat_shown(disk: Disk, path: str) -> Stat | None:
    """As `disk.stat`, but of a followed link what it leads to: what scans say stands there."""
    return disk.stat_shown(path) if isinstance(disk, FollowingDisk) else disk.stat(path)


class FollowingDisk:
    """See the head of this module. Implements `flocksy.boxes.disk.port.Disk`."""

    def __init__(self, box: RealDisk, follows: Follows) -> None:
        self._box = box
        self._follows = follows
        self._everything: RealDisk | None = None

    def close(self) -> None:
        self._box.close()
        if self._everything is not None:
            self._everything.close()
            self._everything = None

    # ── looking ──────────────────────────────────────────────────────────────────────────────

    def stat(self, path: str) -> Stat | None:
        disk, there = self._entry(path)
        return disk.stat(there)

    def scan(self, path: str) -> list[tuple[str, Stat]]:
        disk, there = self._shown(path)
        return disk.scan(there)

    def open_read(self, path: str) -> int:
        disk, there = self._shown(path)
        return disk.open_read(there)

    def read_link(self, path: str) -> str:
        disk, there = self._entry(path)
        return disk.read_link(there)

    def read_attributes(self, path: str) -> bytes:
        disk, there = self._shown(path)
        return disk.read_attributes(there)

    def stat_shown(self, path: str) -> Stat | None:
        """As `stat`, but of a followed link what it leads to."""
        disk, there = self._shown(path)
        return disk.stat(there)

    def _entry(self, path: str) -> tuple[RealDisk, str]:
        """Where the entry itself lies; a followed link is the link."""
        parent = parent_of(path)
        real = real_path(self._follows, parent) if parent else None
        return (self._box, path) if real is None else self._at(real + path[len(parent) :])

    def _shown(self, path: str) -> tuple[RealDisk, str]:
        """Where that lies which shows at the path."""
        real = real_path(self._follows, path)
        return (self._box, path) if real is None else self._at(real)

    def _at(self, real: str) -> tuple[RealDisk, str]:
        if self._everything is None:
            self._everything = RealDisk("/")
        return self._everything, real.removeprefix("/")

    # ── changing, except through links ───────────────────────────────────────────────────────

    def create(self, path: str) -> int:
        self._refuse(path)
        return self._box.create(path)

    def make_directory(self, path: str, mode: int) -> None:
        self._refuse(path)
        self._box.make_directory(path, mode)

    def make_symlink(self, path: str, text: str) -> None:
        self._refuse(path)
        self._box.make_symlink(path, text)

    def link(self, source: str, target: str) -> bool:
        self._refuse(source, target)
        return self._box.link(source, target)

    def copy(self, source: str, target: str) -> Iterator[None]:
        self._refuse(source, target)
        return self._box.copy(source, target)

    def move(self, source: str, target: str) -> None:
        self._refuse(source, target)
        self._box.move(source, target)

    def replace(self, source: str, target: str) -> None:
        self._refuse(source, target)
        self._box.replace(source, target)

    def exchange(self, temporary: str, path: str) -> None:
        self._refuse(temporary, path)
        self._box.exchange(temporary, path)

    def settle(self, temporary: str, path: str) -> str | None:
        self._refuse(temporary, path)
        return self._box.settle(temporary, path)

    def remove_file(self, path: str) -> None:
        self._refuse(path)
        self._box.remove_file(path)

    def remove_directory(self, path: str) -> None:
        self._refuse(path)
        self._box.remove_directory(path)

    def set_metadata(
        self, path: str, mode: int | None, mtime_ns: int | None, inode: int | None = None
    ) -> Stat:
        self._refuse(path)
        return self._box.set_metadata(path, mode, mtime_ns, inode)

    def set_attributes(self, path: str, attributes: bytes) -> None:
        self._refuse(path)
        self._box.set_attributes(path, attributes)

    def _refuse(self, *paths: str) -> None:
        for path in paths:
            if self._follows.link_above(path) is not None:
                # An error that nobody takes for "not there" or "try otherwise".
                raise OSError(errno.ELOOP, SEND_ONLY, path)

    # ── flushing, also through links: it changes nothing ─────────────────────────────────────

    def flush_file(self, path: str) -> None:
        disk, there = self._shown(path)
        disk.flush_file(there)

    def flush_directory(self, path: str) -> None:
        disk, there = self._shown(path)
        disk.flush_directory(there)

    def flush_later(self, path: str) -> Callable[[], None]:
        disk, there = self._shown(path)
        return disk.flush_later(there)

    def flush_around(self, path: str) -> bool:
        disk, there = self._shown(path)
        return disk.flush_around(there)

    # ── the box as a whole ───────────────────────────────────────────────────────────────────

    def flush_all(self) -> bool:
        return self._box.flush_all()

    def space(self) -> tuple[int, int]:
        return self._box.space()

    def identity(self) -> int:
        return self._box.identity()

    def former_identity(self) -> int:
        return self._box.former_identity()

    def type_name(self) -> str:
        return self._box.type_name()
