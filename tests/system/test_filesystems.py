"""File systems, and where they are mounted."""

from __future__ import annotations

import errno
import os
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from flocksy.system import filesystems
from flocksy.system.filesystems import Mount


def test_the_table_of_mounts_names_where_we_are() -> None:
    found = filesystems.mounts()
    if not found:
        pytest.skip("this system tells no mounts")
    assert any(one.point == "/" for one in found)
    with open("/proc/self/mountinfo", encoding="utf-8") as table:
        assert len(found) == sum(1 for _ in table)
    assert filesystems._plain("/media/a\\040b\\134c") == "/media/a b\\c"


def test_a_file_system_has_one_number(tmp_path: Path) -> None:
    numbers = set()
    for path in (tmp_path, tmp_path.parent, tmp_path):
        handle = os.open(path, os.O_RDONLY)
        numbers.add(filesystems.identity(handle))
        os.close(handle)
    assert len(numbers) == 1
    assert 0 <= numbers.pop() < 1 << 63


UUID = "c9a7b8e0-1234-4321-8765-0123456789ab"


def numbers(path: Path) -> tuple[int, int]:
    handle = os.open(path, os.O_RDONLY)
    try:
        return filesystems.identity(handle), filesystems.former_identity(handle)
    finally:
        os.close(handle)


@pytest.mark.parametrize("name", [UUID, "ABCD-1234", "01D5A1B2C3D4E5F6"])
def test_a_file_system_has_one_number_whoever_tells_its_uuid(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    """Kernels from 6.9 on tell the 16 bytes; before, udev's links with dashes in their names do."""
    if not filesystems.mounts():
        pytest.skip("this system tells no mounts")

    def kernel(_: int, __: int, answer: bytearray) -> None:
        answer[:] = b"\x10" + bytes.fromhex(UUID.replace("-", ""))

    def none(*_: object) -> None:
        raise OSError(errno.ENOTTY, "older than 6.9")

    monkeypatch.setattr("fcntl.ioctl", kernel)
    told_by_kernel = numbers(tmp_path)
    device, real = tmp_path.stat().st_dev, os.stat

    def stat(path: Any, *rest: Any, **more: Any) -> Any:
        found = real(path, *rest, **more)
        return SimpleNamespace(st_rdev=device) if str(path).endswith(name) else found

    (tmp_path / name).touch()
    monkeypatch.setattr(filesystems, "_BY_UUID", str(tmp_path))
    monkeypatch.setattr(filesystems, "mounts", list)
    monkeypatch.setattr("fcntl.ioctl", none)
    monkeypatch.setattr(os, "stat", stat)
    told_by_udev = numbers(tmp_path)
    former = filesystems._number(f"uuid {name}")
    assert told_by_udev[1] == former, "an index may hold it"
    if name == UUID:
        assert told_by_udev == told_by_kernel
    else:
        assert told_by_udev[0] == former, "FAT and NTFS have none of 16 bytes"


@pytest.mark.skipif(sys.platform != "linux", reason="the table of mounts is Linux's")
def test_the_type_is_known_where_devices_have_numbers_of_their_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As subvolumes of btrfs, which no line of the table shows."""
    folder = tmp_path / "a" / "b"
    folder.mkdir(parents=True)
    table = [
        Mount("/", "ext4", "/dev/sda1", 1),
        Mount(str(tmp_path / "a"), "autofs", "systemd-1", 4),
        Mount(str(tmp_path / "a"), "btrfs", "/dev/sdb1", 2),
        Mount(str(tmp_path / "a" / "b and more"), "vfat", "/dev/sdc1", 3),
    ]
    monkeypatch.setattr(filesystems, "mounts", lambda: table)
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        assert filesystems.kind(descriptor) == "btrfs"
        table.clear()
        assert filesystems.kind(descriptor) == ""
    finally:
        os.close(descriptor)
