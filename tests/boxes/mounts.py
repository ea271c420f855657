"""Real file systems for tests, where this machine and this user can have them; else a reason.

    with mounted("exfat", place) as folder: ...

    drive = Drive(image, "ext4")   # to be plugged in and out
    drive.make()
    drive.plug(folder)

Loop devices and FUSE want root and the tools of the file system (exfatprogs with exfat-fuse where
the kernel has no exFAT, dosfstools, with fusefat where it has no FAT, ntfs-3g, e2fsprogs, fuse3).
Where FLOCKSY_TESTS_MUST_MOUNT=1 is in the environment, what cannot be mounted is a failure: for
machines that have all of it, on which a test that is skipped would not be missed.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import NoReturn

import pytest

from flocksy.testing.rig import wait_until

MIB = 1 << 20
COMMAND_SECONDS = 30.0
MUST_MOUNT = "FLOCKSY_TESTS_MUST_MOUNT"

Undo = Sequence[tuple[str, ...]]
"""Commands that end it."""


def without(reason: str) -> NoReturn:
    """Here is no such file system: the test is skipped, or fails where it must be."""
    if os.environ.get(MUST_MOUNT, "0") not in ("", "0"):
        pytest.fail(f"{MUST_MOUNT}: {reason}")
    pytest.skip(reason)


def need_root() -> None:
    """Who is not root mounts nothing."""
    if not hasattr(os, "geteuid") or os.geteuid() != 0:
        without("only root can mount")


def run(*command: str) -> str:
    """Run a command; what goes wrong is the reason why the test cannot be."""
    if shutil.which(command[0]) is None:
        without(f"there is no {command[0]} on this machine")
    done = subprocess.run(
        command, capture_output=True, text=True, timeout=COMMAND_SECONDS, check=False
    )
    if done.returncode:
        said = (done.stderr or done.stdout).strip().splitlines()
        without(f"{' '.join(command)}: {said[-1] if said else done.returncode}")
    return done.stdout.strip()


def _kernel_has(kind: str) -> bool:
    try:
        known = Path("/proc/filesystems").read_text(encoding="ascii")
    except OSError:
        return False
    return kind in known.split()


def _tmpfs(_: Path, folder: Path, size: int) -> Undo:
    run("mount", "-t", "tmpfs", "-o", f"size={size},mode=0755", "tmpfs", str(folder))
    return [("umount", str(folder))]


def _ext4(image: Path, folder: Path, _: int) -> Undo:
    run("mkfs.ext4", "-q", "-m", "0", str(image))
    run("mount", "-o", "loop", str(image), str(folder))
    return [("umount", str(folder))]


def _old_ext4(image: Path, folder: Path, _: int) -> Undo:
    """With inodes that have no room for a time after 2038."""
    run("mkfs.ext4", "-q", "-m", "0", "-I", "128", str(image))
    run("mount", "-o", "loop", str(image), str(folder))
    return [("umount", str(folder))]


def _fat(image: Path, folder: Path, _: int) -> Undo:
    run("mkfs.vfat", str(image))
    if _kernel_has("vfat"):
        run("mount", "-t", "vfat", "-o", "loop,utf8", str(image), str(folder))
    else:
        run("fusefat", "-o", "rw+", str(image), str(folder))
    return [("umount", str(folder))]


def _exfat(image: Path, folder: Path, _: int) -> Undo:
    run("mkfs.exfat", str(image))
    if _kernel_has("exfat"):
        run("mount", "-t", "exfat", "-o", "loop", str(image), str(folder))
        return [("umount", str(folder))]
    if shutil.which("mount.exfat-fuse") is None:
        without("neither the kernel has exFAT nor is there exfat-fuse")
    device = run("losetup", "--find", "--show", str(image))
    run("mount.exfat-fuse", device, str(folder))
    return [("umount", str(folder)), ("losetup", "--detach", device)]


def _ntfs(image: Path, folder: Path, _: int) -> Undo:
    run("mkfs.ntfs", "-F", "-Q", "-q", str(image))
    run("ntfs-3g", "-o", "windows_names", str(image), str(folder))
    return [("umount", str(folder))]


def _like_a_mac(kind: str) -> Callable[[Path, Path, int], Undo]:
    def mount(image: Path, folder: Path, _: int) -> Undo:
        backing = image.with_suffix(".backing")
        backing.mkdir()
        disk = str(Path(__file__).with_name("mac_disk.py"))
        run(sys.executable, disk, kind, str(backing), str(folder))
        return [("umount", "--lazy", str(folder))]  # a scanner may still be about to go

    return mount


_KINDS: dict[str, Callable[[Path, Path, int], Undo]] = {
    "tmpfs": _tmpfs,
    "ext4": _ext4,
    "old-ext4": _old_ext4,
    "fat": _fat,
    "exfat": _exfat,
    "ntfs": _ntfs,
    "apfs-like": _like_a_mac("apfs"),
    "apfs-case-like": _like_a_mac("apfs-case"),
    "hfs-like": _like_a_mac("hfs"),
}


@contextmanager
def mounted(
    kind: str, place: Path, name: str = "mounted", *, size: int = 64 * MIB
) -> Iterator[Path]:
    """A fresh file system of this kind, mounted as `name` below `place`. Skips the test where there
    can be none."""
    need_root()
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


@contextmanager
def bound(file: Path) -> Iterator[None]:
    """`file` as a mount of its own: it can be read and written, not replaced or removed."""
    need_root()
    run("mount", "--bind", str(file), str(file))
    try:
        yield
    finally:
        subprocess.run(("umount", str(file)), check=False, timeout=COMMAND_SECONDS)


def remount(folder: Path, *, writable: bool) -> None:
    """Mount it anew, for reading only or for writing too."""
    run("mount", "-o", f"remount,{'rw' if writable else 'ro'}", str(folder))


class Drive:
    """One drive, as the image that it is: plugged in and out, copied."""

    def __init__(self, image: Path, kind: str, *, size: int = 48 * MIB) -> None:
        self.image = image
        self.kind = kind
        self.what = f"a mounted image with {kind}"
        self.at: Path | None = None
        self._size = size
        self._device = ""

    def make(self) -> None:
        """Make the image, with an empty file system in it."""
        with open(self.image, "wb") as file:
            file.truncate(self._size)
        run(*{"ext4": ("mkfs.ext4", "-q", "-m", "0"), "exfat": ("mkfs.exfat",)}.get(
            self.kind, ("mkfs.vfat",)
        ), str(self.image))  # fmt: skip

    def plug(self, point: Path) -> None:
        """Plug it in, once nobody has anything of it open since it was pulled out: mounted twice,
        it would lack what the kernel had not written yet."""
        wait_until(lambda: not self._in_use(), f"{self.image} is let go", COMMAND_SECONDS)
        point.mkdir(exist_ok=True)
        if self.kind == "fat" and not _kernel_has("vfat"):
            run("fusefat", "-o", "rw+", str(self.image), str(point))
        else:
            self._device = run("losetup", "--find", "--show", str(self.image))
            run(*self._mount(), self._device, str(point))
        self.at = point

    def _mount(self) -> tuple[str, ...]:
        if self.kind == "fat":
            return ("mount", "-t", "vfat", "-o", "utf8")
        if self.kind == "exfat" and not _kernel_has("exfat"):
            return ("mount.exfat-fuse",)
        return ("mount", "-t", self.kind)

    def _in_use(self) -> bool:
        """As a device; what FUSE opens by itself is not seen."""
        return bool(run("losetup", "--associated", str(self.image)))

    def unplug(self) -> None:
        """Pull it out, whoever uses it."""
        if self.at is not None:
            run("umount", "--lazy", str(self.at))
            self.at = None
        if self._device:
            subprocess.run(["losetup", "--detach", self._device], check=False)
            self._device = ""
