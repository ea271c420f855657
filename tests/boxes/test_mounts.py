"""What is mounted inside a box, by the numbers of file systems."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from flocksy.boxes import whereabouts
from flocksy.boxes.disk.mounts import MOUNTS, Mounts
from flocksy.index.store import BoxIndex
from flocksy.system import filesystems

NOW, FORMER, OTHER = 1, 2, 3


@pytest.mark.parametrize(("remembered", "is_detached"), [(NOW, 0), (FORMER, 0), (OTHER, 1)])
def test_the_number_that_an_earlier_flocksy_took_is_that_of_the_same_file_system(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, remembered: int, is_detached: int
) -> None:
    inside = tmp_path.resolve() / "box" / "inside"
    inside.mkdir(parents=True)
    mount = filesystems.Mount(str(inside), "ext4", "/dev/sdb1", 1)
    monkeypatch.setattr(filesystems, "mounts", lambda: [mount])
    monkeypatch.setattr(filesystems, "identity", lambda _: NOW)
    monkeypatch.setattr(filesystems, "former_identity", lambda _: FORMER)
    index = BoxIndex.open(tmp_path / "index.sqlite")
    index.remember(MOUNTS, json.dumps({"inside": remembered}).encode("ascii"))
    mounts = Mounts(index, str(inside.parent), adopting=False)
    assert mounts.is_detached("inside/file") == is_detached
    index.close()


@pytest.mark.parametrize(("kind", "source"), [("cifs", "//nas/share"), ("fuse.rclone", "nas:")])
def test_a_share_that_may_be_away_is_not_asked_for_the_marker(
    monkeypatch: pytest.MonkeyPatch, kind: str, source: str
) -> None:
    """Such a look waits for its network, and all boxes of the node with it."""
    drive = filesystems.Mount("/media/drive", "ext4", "/dev/sdb1", 1)
    share = filesystems.Mount("/mnt/nas", kind, source, 2)
    monkeypatch.setattr(filesystems, "mounts", lambda: [share, drive])
    assert list(whereabouts._candidates("/box", None)) == ["/box", "/media/drive"]
