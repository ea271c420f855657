"""What counts as equal, and what does not."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from flocksy.testing.trees import MAX_DIFFERENCES, differences, snapshot


def fill(root: Path) -> Path:
    (root / "folder" / "empty").mkdir(parents=True)
    (root / "folder" / "file").write_text("text")
    (root / "link").symlink_to("folder/file")
    os.utime(root / "folder" / "file", (1000, 1000.25))
    return root


def test_equal_is_equal_whatever_flocksy_keeps_inside(tmp_path: Path) -> None:
    one, two = fill(tmp_path / "one"), fill(tmp_path / "two")
    (one / ".flocksy").mkdir()
    (one / ".flocksy" / "marker").touch()
    os.utime(two / "folder" / "file", (1000, 1000.75))
    assert set(snapshot(one)) == {"folder", "folder/empty", "folder/file", "link"}
    assert differences(snapshot(one), snapshot(two)) == []


@pytest.mark.parametrize(
    "change",
    [
        lambda root: (root / "folder" / "file").write_text("TEXT"),
        lambda root: (root / "folder" / "file").chmod(0o600),
        lambda root: os.utime(root / "folder" / "file", (1001, 1001)),
        lambda root: (root / "folder" / "empty").rmdir(),
        lambda root: (root / "new").mkdir(),
        lambda root: (root / "folder").chmod(0o700),
        lambda root: (root / "link").rename(root / "renamed"),
    ],
    ids=["content", "mode", "mtime", "empty directory", "new", "directory mode", "rename"],
)
def test_every_difference_is_seen(tmp_path: Path, change: Callable[[Path], object]) -> None:
    one, two = fill(tmp_path / "one"), fill(tmp_path / "two")
    (one / "folder").chmod(0o755)
    (two / "folder").chmod(0o755)
    change(two)
    assert differences(snapshot(one), snapshot(two))


def test_a_long_list_is_cut(tmp_path: Path) -> None:
    (tmp_path / "one").mkdir()
    (tmp_path / "two").mkdir()
    for number in range(MAX_DIFFERENCES + 3):
        (tmp_path / "two" / str(number)).touch()
    found = differences(snapshot(tmp_path / "one"), snapshot(tmp_path / "two"))
    assert len(found) == MAX_DIFFERENCES + 1
    assert found[-1] == "and 3 more"
