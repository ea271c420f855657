"""Real file systems for tests, where this machine and this user can have them; else a reason.

    with mounted("exfat", place) as folder: ...

Loop devices and FUSE want root and the tools of the file system (exfatprogs with exfat-fuse where
the kernel has no exFAT, dosfstools with fusefat, ntfs-3g, e2fsprogs).
"""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest

MIB = 1 << 20
COMMAND_SECONDS = 30.0

Undo = Sequence[tuple[str, ...]]
"""Commands that end it."""


def _run(*command: str) -> str:
    """Run a command; what goes wrong is the reason why the test cannot be."""
    if shutil.which(command[0]) is None:
        pytest.skip(f"there is no {command[0]} on this machine")
    done = subprocess.run(
        command, capture_output=True, text=True, timeout=COMMAND_SECONDS, check=False
    )
    if done.returncode:
        said = (done.stderr or done.stdout).strip().splitlines()
        pytest.skip(f"{' '.join(command)}: {said[-1] if said else done.returncode}")
    return done.stdout.strip()


def _kernel_has(kind: str) -> bool:
    try:
        known = Path("/proc/filesystems").read_text(encoding="ascii")
    except OSError:
        return False
    return kind in known.split()


def _tmpfs(_: Path, folder: Path, size: int) -> Undo:
    _run("mount", "-t", "tmpfs", "-o", f"size={size},mode=0755", "tmpfs", str(folder))
    return [("umount", str(folder))]


def _ext4(image: Path, folder: Path, _: int) -> Undo:
    _run("mkfs.ext4", "-q", "-m", "0", str(image))
    _run("mount", "-o", "loop", str(image), str(folder))
    return [("umount", str(folder))]


def _fat(image: Path, folder: Path, _: int) -> Undo:
    _run("mkfs.vfat", str(image))
    if _kernel_has("vfat"):
        _run("mount", "-t", "vfat", "-o", "loop,utf8", str(image), str(folder))
    else:
        _run("fusefat", "-o", "rw+", str(image), str(folder))
    return [("umount", str(folder))]


def _exfat(image: Path, folder: Path, _: int) -> Undo:
    _run("mkfs.exfat", str(image))
    if _kernel_has("exfat"):
        _run("mount", "-t", "exfat", "-o", "loop", str(image), str(folder))
        return [("umount", str(folder))]
    if shutil.which("mount.exfat-fuse") is None:
        pytest.skip("neither the kernel has exFAT nor is there exfat-fuse")
    device = _run("losetup", "--find", "--show", str(image))
    _run("mount.exfat-fuse", device, str(folder))
    return [("umount", str(folder)), ("losetup", "--detach", device)]


def _ntfs(image: Path, folder: Path, _: int) -> Undo:
    _run("mkfs.ntfs", "-F", "-Q", "-q", str(image))
    _run("ntfs-3g", "-o", "windows_names", str(image), str(folder))
    return [("umount", str(folder))]


_KINDS: dict[str, Callable[[Path, Path, int], Undo]] = {
    "tmpfs": _tmpfs,
    "ext4": _ext4,
    "fat": _fat,
    "exfat": _exfat,
    "ntfs": _ntfs,
}


@contextmanager
def mounted(
    kind: str, place: Path, name: str = "mounted", *, size: int = 64 * MIB
) -> Iterator[Path]:
    """A fresh file system of this kind, mounted as `name` below `place`. Skips the test where there
    can be none."""
    if not hasattr(os, "geteuid") or os.geteuid() != 0:
        pytest.skip("only root can mount")
    folder, image = place / name, place / f"{name}.image"
    folder.mkdir()
    if kind != "tmpfs":
        with open(image, "wb") as file:
            file.truncate(size)
    undo = _KINDS[kind](image, folder, size)
    try:
        yield folder
    finally:
        for command in undo:
            subprocess.run(command, check=False, timeout=COMMAND_SECONDS)
        image.unlink(missing_ok=True)


def remount(folder: Path, *, writable: bool) -> None:
    """Mount it anew, for reading only or for writing too."""
    _run("mount", "-o", f"remount,{'rw' if writable else 'ro'}", str(folder))
