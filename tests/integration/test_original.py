"""The original's three configurations and keys, unchanged, with default settings."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from flocksy.system import locks
from flocksy.testing.cells import cells_since, check_cells, count_cells
from flocksy.testing.rig import Rig
from flocksy.testing.trees import snapshot
from tests.integration.flock import MIB, ORIGINAL, command, flying, random_bytes

BOXES = tuple(Path(f"/tmp/testdir{number}") for number in (1, 2, 3))
"""As the files say. Whatever lies there is moved aside meanwhile."""

SOCKETS = tuple(Path(f"/tmp/node{number}.ipc") for number in (1, 2, 3))
LOCK = "/tmp/flocksy-original-test.lock"
NAMES = ("a name with spaces", "äöü ßÄÖÜ é", "🐑🐑🐑 emoji", "e\u0301 in two characters", "日本語")
MANY = 1000


@pytest.fixture
def rig() -> Iterator[Rig]:
    lock = locks.lock_file(LOCK)
    assert lock is not None, "this test runs already; its paths are fixed, it can only run once"
    aside = [path.with_name(f"{path.name}.aside-{os.getpid()}") for path in BOXES]
    with lock:
        for box, other in zip(BOXES, aside, strict=True):
            if box.exists():
                box.rename(other)
            box.mkdir()
        rig = Rig([ORIGINAL / f"config{number}" for number in (1, 2, 3)], ORIGINAL)
        for node, box in zip(rig.nodes, BOXES, strict=True):
            node.box = box
            node.key_files = (
                *("--keystore", str(rig.keys / "flocksy_keystore")),
                *("--privatekey", str(rig.keys / "flocksy_privatekeys")),
            )
        try:
            yield rig
        finally:
            rig.close()
            for box, other in zip(BOXES, aside, strict=True):
                shutil.rmtree(box)
                if other.exists():
                    other.rename(box)
            for socket in SOCKETS:
                socket.unlink(missing_ok=True)


@pytest.mark.timeout(300)
def test_all_kinds_of_things_become_equal(rig: Rig) -> None:
    keys = rig.keys / "flocksy_privatekeys"
    keys.chmod(0o644)
    said = command(rig.nodes[0], status=2)
    assert f"chmod 600 {keys}" in said
    keys.chmod(0o600)
    one, two, three = BOXES
    with flying(rig):
        before = count_cells(rig)
        _fill(one)
        rig.wait_equal()
        assert len(snapshot(three)) > MANY

        (two / "1 MiB").rename(two / "renamed")
        (two / "1 KiB").chmod(0o640)
        (three / NAMES[2]).unlink()
        shutil.rmtree(three / "many")
        with (one / "20 MiB").open("r+b") as file:
            file.seek(10 * MIB)
            file.write(b"in the middle")
        rig.wait_equal()
        for box in BOXES:
            assert not (box / "many").exists()
            assert not (box / NAMES[2]).exists()
            assert not (box / "1 MiB").exists()
            assert (box / "renamed").stat().st_size == MIB
            assert (box / "1 KiB").stat().st_mode & 0o777 == 0o640
            assert int((box / "1 KiB").stat().st_mtime) == 1_500_000_000
        check_cells(cells_since(before, count_cells(rig)), 6)


def _fill(box: Path) -> None:
    for number, (name, size) in enumerate((("1 KiB", 1024), ("1 MiB", MIB), ("20 MiB", 20 * MIB))):
        (box / name).write_bytes(random_bytes(size, number))
    os.utime(box / "1 KiB", (1_500_000_000, 1_500_000_000))
    (box / "empty file").touch()
    (box / "empty directory").mkdir()
    for name in NAMES:
        (box / name).write_text(f"{name}\n")
        (box / f"directory {name}").mkdir()
        (box / f"directory {name}" / name).write_text(name)
    for number in range(MANY):
        folder = box / "many" / f"{number % 10}" / f"{number % 7}" / "deep"
        folder.mkdir(parents=True, exist_ok=True)
        (folder / f"file {number}").write_bytes(random_bytes(number % 900, number))
