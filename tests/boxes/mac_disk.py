"""A disk with the names of a Mac, for tests: FUSE over a directory of this machine.

    python -m tests.boxes.mac_disk apfs|apfs-case|hfs BACKING MOUNTPOINT

It goes on in the background once it is mounted, and ends with `umount`.

*apfs* keeps a name as it was given and finds it under every other spelling: composed or decomposed,
large or small. *apfs-case* (Apple's "case-sensitive") tells large from small. *hfs* is as apfs, but
what it keeps is the decomposed name, and it knows no rename with flags. None of them takes a name
that is not UTF-8. (HFS+ decomposes by a table of its own, which leaves a few blocks as they are.)

Operations come one at a time, so each is one step to whoever looks from outside.
"""

from __future__ import annotations

import argparse
import errno
import os
import sys
import time
import unicodedata
from collections.abc import Callable, Iterator
from dataclasses import dataclass

# libfuse 2, which would be taken first, knows no rename with flags.
os.environ["FUSE_LIBRARY_NAME"] = "fuse3"

import mfusepy  # type: ignore[import-untyped]

_NOREPLACE, _EXCHANGE = 1, 2
"""Flags of renameat2(2)."""

_OPEN_BUT_DELETED = ".fuse_hidden"
"""libfuse renames to this what is deleted while somebody has it open."""

_NOW, _AS_IT_IS = (1 << 30) - 1, (1 << 30) - 2
"""UTIME_NOW and UTIME_OMIT of utimensat(2), as they come through."""


@dataclass(frozen=True)
class Spelling:
    """Which names are one entry to a disk, and which of them it keeps."""

    folds_case: bool = True
    decomposes: bool = False
    renames_with_flags: bool = True

    def key(self, name: str) -> str:
        """The same for all names of one entry."""
        plain = unicodedata.normalize("NFD", name)
        return unicodedata.normalize("NFD", plain.casefold()) if self.folds_case else plain

    def kept(self, name: str) -> str:
        """The name that an entry gets which is made under this one."""
        return unicodedata.normalize("NFD", name) if self.decomposes else name


SPELLINGS = {
    "apfs": Spelling(),
    "apfs-case": Spelling(folds_case=False),
    "hfs": Spelling(decomposes=True, renames_with_flags=False),
}


class MacDisk(mfusepy.Operations):  # type: ignore[misc]
    """See the head of this module. Paths come in as they were asked for."""

    use_ns = True

    def __init__(self, spelling: Spelling, backing: str) -> None:
        self._spelling = spelling
        self._backing = backing

    def _at(self, path: str) -> str:
        """Where `path` is, or would be, in the backing directory."""
        here = self._backing
        for name in path.strip("/").split("/"):
            if name:
                here = os.path.join(here, self._entry(here, name))
        return here

    def _entry(self, folder: str, name: str) -> str:
        """The entry that `name` finds in a folder, or the one that it would make."""
        kept = self._kept(name)
        if os.path.lexists(os.path.join(folder, kept)) or not os.path.isdir(folder):
            return kept
        key = self._spelling.key(name)
        return next((one for one in os.listdir(folder) if self._spelling.key(one) == key), kept)

    def _kept(self, name: str) -> str:
        if any("\udc80" <= character <= "\udcff" for character in name):
            raise OSError(errno.EILSEQ, os.strerror(errno.EILSEQ))
        return self._spelling.kept(name)

    # ── entries ──────────────────────────────────────────────────────────────────────────────

    def getattr(self, path: str, fh: int | None = None) -> dict[str, int]:
        found = os.lstat(self._at(path)) if fh is None else os.fstat(fh)
        shown = ("st_mode", "st_ino", "st_nlink", "st_uid", "st_gid", "st_size", "st_blocks")
        times = ("st_atime", "st_mtime", "st_ctime")
        return {
            **{name: getattr(found, name) for name in shown},
            **{name: getattr(found, f"{name}_ns") for name in times},
        }

    def readdir(self, path: str, fh: int) -> Iterator[tuple[str, dict[str, int], int]]:
        del fh
        with os.scandir(self._at(path)) as entries:
            for entry in entries:
                if not entry.name.startswith(_OPEN_BUT_DELETED):
                    # The C library leaves out what has no number.
                    found = entry.stat(follow_symlinks=False)
                    yield entry.name, {"st_ino": found.st_ino, "st_mode": found.st_mode}, 0

    def readlink(self, path: str) -> str:
        return os.readlink(self._at(path))

    def mkdir(self, path: str, mode: int) -> int:
        os.mkdir(self._at(path), mode)
        return 0

    def symlink(self, target: str, source: str) -> int:
        os.symlink(source, self._at(target))
        return 0

    def link(self, target: str, source: str) -> int:
        os.link(self._at(source), self._at(target), follow_symlinks=False)
        return 0

    def unlink(self, path: str) -> int:
        os.unlink(self._at(path))
        return 0

    def rmdir(self, path: str) -> int:
        os.rmdir(self._at(path))
        return 0

    def rename(self, old: str, new: str, flags: int = 0) -> int:
        if flags and not self._spelling.renames_with_flags:
            raise OSError(errno.EINVAL, os.strerror(errno.EINVAL))
        source, there = self._at(old), self._at(new)
        if flags & _NOREPLACE and os.path.lexists(there):
            raise OSError(errno.EEXIST, os.strerror(errno.EEXIST))
        if flags & _EXCHANGE:
            aside = os.path.join(self._backing, f"{_OPEN_BUT_DELETED} aside")
            os.rename(there, aside)
            os.rename(source, there)
            os.rename(aside, source)
            return 0
        if source != there:
            os.rename(source, there)
        # Only a rename gives an entry another spelling.
        os.rename(there, os.path.join(os.path.dirname(there), self._kept(os.path.basename(new))))
        return 0

    # ── what an entry has ────────────────────────────────────────────────────────────────────

    def chmod(self, path: str, mode: int) -> int:
        os.chmod(self._at(path), mode)
        return 0

    def chown(self, path: str, uid: int, gid: int) -> int:
        os.chown(self._at(path), uid, gid, follow_symlinks=False)
        return 0

    def utimens(self, path: str, times: tuple[int, int] | None = None) -> int:
        at, now = self._at(path), time.time_ns()
        found = os.lstat(at)
        atime, mtime = (
            {_NOW: now, _AS_IT_IS: before}.get(wanted, wanted)
            for wanted, before in zip(
                times or (_NOW, _NOW), (found.st_atime_ns, found.st_mtime_ns), strict=True
            )
        )
        os.utime(at, ns=(atime, mtime), follow_symlinks=False)
        return 0

    def statfs(self, path: str) -> dict[str, int]:
        found = os.statvfs(self._at(path))
        names = [name for name in dir(found) if name.startswith("f_") and name != "f_fsid"]
        return {name: getattr(found, name) for name in names}

    # ── contents ─────────────────────────────────────────────────────────────────────────────

    def create(self, path: str, mode: int, flags: int) -> int:
        return os.open(self._at(path), flags | os.O_CREAT | os.O_NOFOLLOW, mode)

    def open(self, path: str, flags: int) -> int:
        return os.open(self._at(path), flags | os.O_NOFOLLOW)

    def read(self, path: str, size: int, offset: int, fh: int) -> bytes:
        del path
        return os.pread(fh, size, offset)

    def write(self, path: str, data: bytes, offset: int, fh: int) -> int:
        del path
        return os.pwrite(fh, data, offset)

    def truncate(self, path: str, length: int, fh: int | None = None) -> int:
        os.truncate(self._at(path) if fh is None else fh, length)
        return 0

    def fsync(self, path: str, datasync: int, fh: int) -> int:
        del path, datasync
        os.fsync(fh)
        return 0

    def release(self, path: str, fh: int) -> int:
        del path
        os.close(fh)
        return 0


class _Fuse(mfusepy.FUSE):  # type: ignore[misc]
    """mfusepy drops the flags of a rename: one that must not replace would replace."""

    def rename_fuse_3(self, old: bytes, new: bytes, flags: int) -> int:
        renamed: Callable[[str, str, int], int] = self.operations.rename
        return renamed(os.fsdecode(old), os.fsdecode(new), flags)


def main() -> None:
    """Mount one. Says why not, and ends with 1, where that cannot be."""
    parser = argparse.ArgumentParser(prog="python -m tests.boxes.mac_disk")
    parser.add_argument("kind", choices=SPELLINGS)
    parser.add_argument("backing")
    parser.add_argument("mountpoint")
    chosen = parser.parse_args()
    try:
        # The kernel must remember nothing: what it knows under one name it knows not under another.
        _Fuse(
            MacDisk(SPELLINGS[chosen.kind], os.path.abspath(chosen.backing)),
            os.path.abspath(chosen.mountpoint),
            nothreads=True,
            fsname=f"{chosen.kind}-like",
            subtype="mac",
            default_permissions=True,
            use_ino=True,
            entry_timeout=0,
            attr_timeout=0,
            negative_timeout=0,
        )
    except RuntimeError as error:
        sys.exit(f"libfuse could not mount it ({error})")


if __name__ == "__main__":
    main()
