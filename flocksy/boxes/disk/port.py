"""The port to the disk: everything flocksy does inside a box goes through it.

A path is relative to the box, "/" between its components, undecodable bytes as surrogates. Every
call walks from a handle of the box's root and follows no symbolic link in any component, so no
path leads out of the box, whoever swaps a directory for a link meanwhile.

Errors are `OSError` as they come; `FileNotFoundError` also stands for a parent that is missing, is
no directory or is a link.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Protocol

from flocksy.sync.trees import DiskEntry
from flocksy.sync.version import LATEST_NS, Kind

PRIVATE = ".flocksy"
"""The one directory of ours in a box. It never syncs."""

MODE_BITS = 0o777
"""What a version can say of a mode; setuid, setgid and sticky bits are never set by us."""


PARKED = ".out"
"""Ends the name of what an exchange in two steps took from a path, beside its temporary. It may be
the only copy of somebody's content, so nobody but `Disk.settle` and who calls that removes it."""


@dataclass(frozen=True, slots=True)
class Stat:
    """What stands at a path. `kind` None: something no box holds (a FIFO, socket or device).

    `mode` is limited to `MODE_BITS`. `size` of a symlink is that of its text, of a directory 0.
    `names`: how many it has, of a file or symlink. `taken_bytes`: what it takes up on the disk, as
    far as that tells; holes do not count.
    """

    kind: Kind | None
    mode: int
    mtime_ns: int
    size: int
    inode: int
    ctime_ns: int
    device: int
    names: int = field(default=1, compare=False)
    taken_bytes: int = field(default=0, compare=False)

    def entry(self, root: bytes) -> DiskEntry:
        """As an entry of the local tree, with the content `root` that was found here."""
        assert self.kind is not None
        return DiskEntry(
            kind=self.kind,
            mode=self.mode,
            mtime_ns=self.mtime_ns,
            size=self.size,
            root=root,
            inode=self.inode,
            ctime_ns=self.ctime_ns,
            device=self.device,
        )


def is_one_file(first: Stat | None, second: Stat | None) -> bool:
    """Whether what stands at two paths, looked at one after the other, is two names of one file or
    symlink."""
    if first is None or second is None or first.kind not in (Kind.FILE, Kind.SYMLINK):
        return False
    # The number of names as well: not all disks number their files.
    return first.names > 1 and (first.device, first.inode) == (second.device, second.inode)


def as_stat(found: os.stat_result) -> Stat:
    """What `stat` of the system says, in our words; times beyond `LATEST_NS` are that time."""
    mode = found.st_mode
    kind = None
    size = found.st_size
    if stat.S_ISREG(mode):
        kind = Kind.FILE
    elif stat.S_ISDIR(mode):
        kind, size = Kind.DIRECTORY, 0
    elif stat.S_ISLNK(mode):
        kind = Kind.SYMLINK
    blocks = getattr(found, "st_blocks", None)  # of 512 bytes on any disk, or unknown
    return Stat(
        kind,
        mode & MODE_BITS,
        _clamped(found.st_mtime_ns),
        size,
        found.st_ino,
        _clamped(found.st_ctime_ns),
        found.st_dev,
        found.st_nlink,
        size if blocks is None else 512 * blocks,
    )


def _clamped(time_ns: int) -> int:
    return max(-LATEST_NS, min(time_ns, LATEST_NS))


class ModeRefusedError(OSError):
    """Of `Disk.set_metadata`: the time is set, and then the mode was refused. `shown` is what the
    entry shows now: unsaid, the next scan would take its time for somebody's change."""

    def __init__(self, error: OSError, shown: Stat) -> None:
        super().__init__(error.errno, error.strerror)
        self.shown = shown


class Disk(Protocol):
    """What the parts of `boxes` may do to a box."""

    def stat(self, path: str) -> Stat | None:
        """What stands at `path` ("" is the box itself), or None. Links are not followed."""
        ...

    def scan(self, path: str) -> list[tuple[str, Stat]]:
        """The names in a directory with what stands there, in no order."""
        ...

    def open_read(self, path: str) -> int:
        """A descriptor of a regular file, for reading. The caller closes it."""
        ...

    def read_link(self, path: str) -> str:
        """The text of a symlink."""
        ...

    def create(self, path: str) -> int:
        """A descriptor of a new empty file (mode 0600), for reading and writing."""
        ...

    def make_directory(self, path: str, mode: int) -> None:
        """A new directory. Raises `FileExistsError`."""
        ...

    def make_symlink(self, path: str, text: str) -> None:
        """A new symlink. The text is never interpreted."""
        ...

    def link(self, source: str, target: str) -> bool:
        """A second name for a file. False where the file system has no such thing."""
        ...

    def copy(self, source: str, target: str) -> Iterator[None]:
        """Copy a file's content to a new file, a bounded step per item."""
        ...

    def move(self, source: str, target: str) -> None:
        """Rename, only when nothing stands at `target`: raises `FileExistsError`. Some disks do it
        in two steps: who dies between them leaves a file with both names."""
        ...

    def replace(self, source: str, target: str) -> None:
        """Rename a file, also when one stands at `target`, which is gone then: for files of ours
        alone. In one step wherever there is a file system, so that `target` is never missing."""
        ...

    def exchange(self, temporary: str, path: str) -> None:
        """Afterwards each holds what stood at the other. Both must exist.

        Raises also `BoxError` when it was cut in its middle and not undone: `settle` is next, and
        until then `temporary` is not to be touched.
        """
        ...

    def settle(self, temporary: str, path: str) -> str | None:
        """End an exchange that failed or was cut in its middle, by undoing it. Returns where what
        stood at the path is parked when it cannot go back, since something stands there again."""
        ...

    def remove_file(self, path: str) -> None:
        """Unlink a file or symlink."""
        ...

    def remove_directory(self, path: str) -> None:
        """Remove an empty directory."""
        ...

    def set_metadata(
        self, path: str, mode: int | None, mtime_ns: int | None, inode: int | None = None
    ) -> Stat:
        """Set mode (`MODE_BITS` only; a file whose mode changes loses the others) and mtime of a
        file or directory through one handle; None leaves it as it is. Returns what it shows
        afterwards. With `inode`, what has another one does not count as there.

        Raises `ModeRefusedError` where only the time could be set; any other `OSError` has set
        nothing."""
        ...

    def read_attributes(self, path: str) -> bytes:
        """The extended attributes of a file, in the encoding of `flocksy.sync.attributes`.

        Raises `AttributesError` when they are more than that holds.
        """
        ...

    def set_attributes(self, path: str, attributes: bytes) -> None:
        """Have a file show these and no others (of the `user.` namespace), whatever its mode. An
        `OSError` leaves, or puts back, those it had. Raises also `AttributesError` when those were
        too many."""
        ...

    def flush_file(self, path: str) -> None:
        """Make a file's content and metadata durable."""
        ...

    def flush_directory(self, path: str) -> None:
        """Make the names in a directory, and its mode, durable."""
        ...

    def flush_later(self, path: str) -> Callable[[], None]:
        """Open a file or directory; what is returned flushes it, whatever closes it meanwhile, and
        closes the handle. To be called once."""
        ...

    def flush_all(self) -> bool:
        """Make everything in the box durable; False where there is no such call."""
        ...

    def flush_around(self, path: str) -> bool:
        """Likewise everything on the file system of this file or directory, which may be another
        one than the box's."""
        ...

    def space(self) -> tuple[int, int]:
        """(bytes free for us, bytes of the whole file system)."""
        ...

    def identity(self) -> int:
        """A number that tells this file system from others, also after a reboot, where the system
        knows one; below 2**63."""
        ...

    def former_identity(self) -> int:
        """The number that an earlier flocksy may have remembered for this file system."""
        ...

    def type_name(self) -> str:
        """The type of the file system as in mount(8); empty where nobody knows."""
        ...
