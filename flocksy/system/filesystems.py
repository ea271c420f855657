"""File systems: which one a handle is on, how full it is, what is mounted where."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
import re
import sys
from typing import NamedTuple

_63_BITS = 0x7FFF_FFFF_FFFF_FFFF
_NUMBERED_ANEW = frozenset({"vfat", "msdos", "exfat", "fuseblk", "fuse", "ntfs", "ntfs3"})
REMOTE = frozenset(
    {"9p", "afs", "beegfs", "ceph", "cifs", "coda", "gfs2", "glusterfs", "gpfs", "lustre", "ncpfs"}
    | {"nfs", "nfs4", "ocfs2", "orangefs", "prl_fs", "pvfs2", "smb3", "smbfs", "vboxsf", "virtiofs"}
    | {"vmhgfs"}
)
"""Types whose files other machines have as well, over a network or as host of a virtual one."""

_NO_LASTING_INODES = frozenset(
    {"vfat", "msdos", "exfat", "fuseblk", "fuse", "9p", "cifs", "smb3", "smbfs"}
    | {"aufs", "prl_fs", "vboxsf", "vmhgfs"}
)
_FS_IOC_GETFSUUID = 0x80111500
_BY_UUID = "/dev/disk/by-uuid"
_OF_16_BYTES = re.compile(
    "([0-9a-f]{8})-?([0-9a-f]{4})-?([0-9a-f]{4})-?([0-9a-f]{4})-?([0-9a-f]{12})"
)
"""A UUID as the kernel tells it and, with dashes, as udev does; FAT and NTFS have others."""


class Mount(NamedTuple):
    """One line of the table of mounts."""

    point: str
    kind: str  # as in mount(8)
    source: str
    device: int


def mounts() -> list[Mount]:
    """What is mounted where, as this process sees it; of two at one point the later one counts.
    Empty where the system does not tell."""
    found: list[Mount] = []
    if sys.platform != "linux":
        return found
    with (
        contextlib.suppress(OSError),
        open("/proc/self/mountinfo", encoding="utf-8", errors="surrogateescape") as table,
    ):
        for line in table:
            fields = line.split(" ")
            dash = fields.index("-", 6)
            major, _, minor = fields[2].partition(":")
            found.append(
                Mount(
                    _plain(fields[4]),
                    fields[dash + 1],
                    _plain(fields[dash + 2].rstrip("\n")),
                    os.makedev(int(major), int(minor)),
                )
            )
    return found


def kind(descriptor: int) -> str:
    """The type of the file system that a handle is on, as in mount(8); "" where nobody knows."""
    device, table = os.fstat(descriptor).st_dev, mounts()
    found = [one for one in table if one.device == device]
    if table and not found:
        # btrfs has a number for each subvolume, of which the table shows none: the name tells.
        name = os.readlink(f"/proc/self/fd/{descriptor}")
        above = (one for one in table if f"{name}/".startswith(os.path.join(one.point, "")))
        found = sorted(above, key=lambda one: len(one.point))[-1:]
    return found[0].kind if found else ""


def keeps_inodes(type_: str) -> bool:
    """Whether what a file system of this type holds keeps its inode number over a mount. The others
    number it anew, or may."""
    return type_.partition(".")[0] not in _NO_LASTING_INODES


def keeps_folders(type_: str) -> bool:
    """Whether a folder keeps its number over a mount, for certain. Of a type that nobody knows that
    is not so, nor of layers: they number files as the layer does, but not always folders."""
    return type_ not in ("", "overlay") and keeps_inodes(type_)


def changes_elsewhere(folder: str) -> str:
    """The type of a file system at or below the folder on which others can change something that
    this kernel tells nobody of; "" where there is none, or nobody knows.

    Of a program's (FUSE) nobody knows where it has its files from, but for one that has a drive.
    """
    try:
        device, below = os.stat(folder).st_dev, os.path.join(os.path.realpath(folder), "")
    except OSError:
        return ""
    here = (one for one in mounts() if one.device == device or one.point.startswith(below))
    remote = {"fuse", *REMOTE}
    return next((one.kind for one in here if one.kind.partition(".")[0] in remote), "")


def space(descriptor: int) -> tuple[int, int]:
    """(bytes free for this user, bytes in all) of the file system that a handle is on."""
    if sys.platform == "win32":
        raise OSError(errno.ENOSYS, os.strerror(errno.ENOSYS))
    found = os.fstatvfs(descriptor)
    return found.f_bavail * found.f_frsize, found.f_blocks * found.f_frsize


def identity(descriptor: int) -> int:
    """A number for the file system that a handle is on, below 2**63, the same after a reboot and
    when a drive is plugged in again.

    It follows from the file system's UUID, which new kernels tell (ext4, xfs, btrfs) and udev's
    links in /dev/disk/by-uuid for others (FAT, exFAT, NTFS). Where neither does, f_fsid has to do;
    it follows from the UUID on ext4 and btrfs, and is zero or a device number on types that number
    drives as they come: of those only type and size are known to stay.
    """
    if sys.platform == "win32":
        return os.fstat(descriptor).st_dev & _63_BITS
    found = os.fstatvfs(descriptor)
    uuid = _uuid(descriptor)
    type_ = kind(descriptor)
    if uuid:
        text = f"uuid {uuid}"
    elif type_.partition(".")[0] in _NUMBERED_ANEW:
        text = f"size {type_} {found.f_blocks * found.f_frsize}"
    else:
        return (found.f_fsid or os.fstat(descriptor).st_dev) & _63_BITS
    return _number(text)


def former_identity(descriptor: int) -> int:
    """The number that `identity` took before it was the same whoever tells the UUID: that of the
    one with dashes, which is what udev tells where the kernel is older than 6.9."""
    uuid = "" if sys.platform == "win32" else _uuid(descriptor)
    parts = _OF_16_BYTES.fullmatch(uuid)
    return _number(f"uuid {'-'.join(parts.groups())}") if parts else identity(descriptor)


def _number(text: str) -> int:
    digest = hashlib.blake2b(text.encode("utf-8", "surrogateescape"), digest_size=8).digest()
    return int.from_bytes(digest) & _63_BITS


def _uuid(descriptor: int) -> str:
    """The UUID of the file system that a handle is on, as far as anybody tells; else empty.
    The same whoever tells it."""
    if sys.platform != "linux":
        return ""
    import fcntl

    answer = bytearray(17)  # one byte of length, sixteen of UUID
    with contextlib.suppress(OSError):
        fcntl.ioctl(descriptor, _FS_IOC_GETFSUUID, answer)
        if any(answer[1:]):
            return answer[1 : 1 + answer[0]].hex()
    device = os.fstat(descriptor).st_dev
    source = next((one.source for one in mounts() if one.device == device), "")
    with contextlib.suppress(OSError):
        number = os.stat(source).st_rdev if source.startswith("/") else device
        for name in os.listdir(_BY_UUID):
            with contextlib.suppress(OSError):
                if os.stat(os.path.join(_BY_UUID, name)).st_rdev == number:
                    return name.replace("-", "") if _OF_16_BYTES.fullmatch(name) else name
    return ""


def _plain(field: str) -> str:
    """A field of the table of mounts, with its \\040 and the like as the characters they are."""
    return re.sub(r"\\([0-7]{3})", lambda octal: chr(int(octal[1], 8)), field)
