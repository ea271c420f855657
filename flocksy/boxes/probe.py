"""What the disk under a box can hold, found out by trying (at each activation).

What a disk cannot hold is not a change: exFAT rounds mtimes to 10 ms and shows one mode for all
files, and without knowing that every file there would seem edited.
"""

from __future__ import annotations

import os
from contextlib import suppress

from flocksy.boxes.disk import PRIVATE, Disk
from flocksy.boxes.placing import make_folders
from flocksy.sync.capabilities import Capabilities
from flocksy.sync.version import Kind

_FOLDER = f"{PRIVATE}/probe"

_MODES = (0o640, 0o751)
"""Two that differ for everybody and that no mount option shows by chance."""

_GRAINS_NS = (1, 100, 1_000, 1_000_000, 10_000_000, 1_000_000_000, 2_000_000_000)
"""Grains of mtime that file systems have: most; NTFS; some over FUSE or the network; again such;
exFAT; old ones; FAT."""

_MTIME_NS = 1_500_000_001_987_654_321
"""An odd second and a fraction that every grain above rounds to something else."""

_UNSTABLE = frozenset({"vfat", "msdos", "exfat", "fuseblk", "fuse", "9p", "cifs", "smb3", "smbfs"})
"""Types that number their files anew at each mount, or may. A probe cannot see that."""


def probe(disk: Disk) -> Capabilities:
    """Try out the disk of a box, inside its own directory. Raises `OSError` when not even an
    ordinary file can be made there (full, read-only, no permission)."""
    make_folders(disk)
    _clear(disk)
    disk.make_directory(_FOLDER, 0o700)
    try:
        _touch(disk, "plain")
        return Capabilities(
            mode_bits=_holds_modes(disk),
            symlinks=_holds_symlinks(disk),
            mtime_grain_ns=_mtime_grain_ns(disk),
            case_folding=_is_one(disk, "case", "CASE"),
            normalising=_is_one(disk, "n\u00e9", "ne\u0301"),
            stable_inodes=disk.type_name().partition(".")[0] not in _UNSTABLE,
        )
    finally:
        _clear(disk)


def _touch(disk: Disk, name: str) -> None:
    os.close(disk.create(f"{_FOLDER}/{name}"))


def _holds_modes(disk: Disk) -> bool:
    try:
        return all(disk.set_metadata(f"{_FOLDER}/plain", m, None).mode == m for m in _MODES)
    except OSError:
        return False


def _holds_symlinks(disk: Disk) -> bool:
    text = "no where"
    try:
        disk.make_symlink(f"{_FOLDER}/link", text)
        return disk.read_link(f"{_FOLDER}/link") == text
    except OSError:
        return False


def _mtime_grain_ns(disk: Disk) -> int:
    shown = disk.set_metadata(f"{_FOLDER}/plain", None, _MTIME_NS).mtime_ns
    for grain_ns in _GRAINS_NS:
        # Some round down and some to the nearest.
        if abs(shown - _MTIME_NS) < grain_ns and shown % grain_ns == 0:
            return grain_ns
    return _GRAINS_NS[-1]


def _is_one(disk: Disk, name: str, other: str) -> bool:
    """Whether the two names are one entry to this disk."""
    try:
        _touch(disk, name)
    except OSError:
        return False  # a name that it cannot hold at all is no second name of anything
    return disk.stat(f"{_FOLDER}/{other}") is not None


def _clear(disk: Disk) -> None:
    with suppress(FileNotFoundError):
        for name, found in disk.scan(_FOLDER):
            if found.kind is not Kind.DIRECTORY:
                disk.remove_file(f"{_FOLDER}/{name}")
        disk.remove_directory(_FOLDER)
