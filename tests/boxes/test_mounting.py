"""The file systems that other tests mount: what is said where there can be none."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.boxes import mounts
from tests.boxes.mounts import MUST_MOUNT, Drive, run

REASON = "there is no mkfs.of-nobody on this machine"


def test_what_cannot_be_mounted_is_skipped(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(MUST_MOUNT, raising=False)
    with pytest.raises(pytest.skip.Exception, match=REASON):
        run("mkfs.of-nobody")


def test_where_it_must_be_it_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(MUST_MOUNT, "1")
    with pytest.raises(pytest.fail.Exception, match=f"{MUST_MOUNT}: {REASON}"):
        run("mkfs.of-nobody")


@pytest.mark.parametrize(
    ("kind", "kernel", "last"),
    [
        ("fat", {"vfat"}, "mount -t vfat -o utf8 /dev/loop7"),
        ("fat", set(), "fusefat -o rw+ drive.image"),
        ("exfat", {"exfat"}, "mount -t exfat /dev/loop7"),
        ("exfat", set(), "mount.exfat-fuse /dev/loop7"),
        ("ext4", {"ext4"}, "mount -t ext4 /dev/loop7"),
    ],
)
def test_a_drive_is_the_kernels_where_it_has_the_file_system(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, kind: str, kernel: set[str], last: str
) -> None:
    commands: list[str] = []

    def noted(*command: str) -> str:
        commands.append(" ".join(command))
        return "" if "--associated" in command else "/dev/loop7"

    monkeypatch.setattr(mounts, "run", noted)
    monkeypatch.setattr(mounts, "_kernel_has", kernel.__contains__)
    Drive(Path("drive.image"), kind).plug(tmp_path / "here")
    assert commands[-1] == f"{last} {tmp_path / 'here'}"
