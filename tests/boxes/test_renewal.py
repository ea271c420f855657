"""A damaged index makes way for a new one, and is cut off at any step of it."""

from __future__ import annotations

import itertools
import os
import re
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from flocksy.boxes.activation import BoxPausedError, Opened, open_box
from flocksy.boxes.disk import marker
from flocksy.boxes.setup import BoxSetup, Mode
from flocksy.errors import FlocksyError, IndexDamaged
from flocksy.index.database import Database, damage_note
from flocksy.index.known import KnownTree
from flocksy.index.renewal import renew
from flocksy.index.store import BoxIndex
from flocksy.sync.trees import DiskEntry
from flocksy.sync.version import Kind
from tests.boxes.test_damaged_index import spoil_kinds, zero_pages

BOX_ID = b"b" * 64

STEPS: list[tuple[type, str]] = [
    (Database, "execute"),
    (Path, "rename"),
    (Path, "replace"),
    (Path, "touch"),
    (Path, "unlink"),
]
"""What changes anything about an index."""


def opened(setup: BoxSetup) -> Opened:
    return open_box(setup, lambda: 0, lambda: None)


@pytest.fixture
def setup(tmp_path: Path) -> BoxSetup:
    """A box that a node has kept, and whose index is damaged now."""
    (tmp_path / "box").mkdir()
    (tmp_path / "box/file").write_text("file")
    index = tmp_path / "state/box.sqlite"
    made = BoxSetup("box", str(tmp_path / "box"), BOX_ID, str(index), mode=Mode.RECEIVE_ONLY)
    first = opened(made)
    first.adopted()
    first.close()
    damage(made)
    return made


def damage(setup: BoxSetup) -> None:
    Path(setup.index_path).write_bytes(b"this was one once" * 1000)


def cut_after(patched: pytest.MonkeyPatch, count: int) -> None:
    """After so many steps nothing is done any more."""
    left = itertools.count(count, -1)

    def counted(real: Callable[..., object]) -> Callable[..., object]:
        def step(*args: Any, **more: Any) -> object:
            if next(left) <= 0:
                raise FlocksyError("cut off")
            return real(*args, **more)

        return step

    for owner, name in STEPS:
        patched.setattr(owner, name, counted(getattr(owner, name)))
    patched.setattr(marker, "_write", counted(marker._write))


def test_cut_off_at_any_step_the_disk_is_adopted_all_the_same(
    setup: BoxSetup, tmp_path: Path
) -> None:
    damaged = tmp_path / "damaged"
    shutil.copytree(tmp_path / "state", damaged)
    for count in itertools.count():
        with pytest.MonkeyPatch.context() as patched:
            cut_after(patched, count)
            try:
                opened(setup).close()
                break
            except FlocksyError as error:
                assert "cut off" in str(error)
        again = opened(setup)
        assert again.adopting, count
        again.close()
        shutil.rmtree(tmp_path / "state")
        shutil.copytree(damaged, tmp_path / "state")
    assert count > 20
    assert list((tmp_path / "state").glob("*.damaged-*")), "it is set aside"


@pytest.mark.parametrize("removable", [False, True])
def test_another_disk_in_its_place_afterwards_is_not_adopted(
    setup: BoxSetup, tmp_path: Path, *, removable: bool
) -> None:
    setup = replace(setup, removable=removable)
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(marker, "_write", lambda *_: os.close(-1))
        with pytest.raises(BoxPausedError):
            opened(setup)
    (tmp_path / "box").rename(tmp_path / "away")
    (tmp_path / "box").mkdir()
    other = replace(setup, index_path=str(tmp_path / "other.sqlite"), removable=False)
    opened(other).close()
    for _ in range(2):
        with pytest.raises(BoxPausedError, match="kept by another node"):
            opened(setup)
    shutil.rmtree(tmp_path / "box")
    (tmp_path / "away").rename(tmp_path / "box")
    again = opened(setup)
    assert again.adopting
    again.close()


def test_a_disk_with_another_box_is_not_adopted(setup: BoxSetup, tmp_path: Path) -> None:
    shutil.rmtree(tmp_path / "box")
    (tmp_path / "box").mkdir()
    index = str(tmp_path / "other.sqlite")
    opened(BoxSetup("other", setup.path, b"o" * 64, index)).close()
    for _ in range(2):
        with pytest.raises(BoxPausedError, match="holds another box"):
            opened(setup)


@pytest.mark.parametrize("removable", [False, True])
def test_an_empty_mount_point_is_not_made_the_box(
    setup: BoxSetup, tmp_path: Path, *, removable: bool
) -> None:
    """A power cut can do both at once: tear the index, and have the disk not mounted."""
    setup = replace(setup, removable=removable)
    (tmp_path / "box").rename(tmp_path / "away")
    (tmp_path / "box").mkdir()
    for _ in range(2):
        with pytest.raises(BoxPausedError, match="lost its marker"):
            opened(setup)
    assert not list((tmp_path / "box").iterdir())
    (tmp_path / "box").rmdir()
    (tmp_path / "away").rename(tmp_path / "box")
    with pytest.raises(BoxPausedError, match="flocksy box adopt"):
        opened(setup)  # nobody knows any more whether it is the one
    adopted = open_box(setup, lambda: 0, lambda: None, adopt=True)
    assert adopted.adopting
    adopted.close()
    opened(setup).close()


@pytest.mark.parametrize("renewed", [True, False])
@pytest.mark.parametrize("harm", [zero_pages, spoil_kinds])
def test_a_look_that_began_before_says_nothing_of_the_new_one(
    tmp_path: Path, harm: Callable[[Path], None], *, renewed: bool
) -> None:
    path = tmp_path / "box.sqlite"
    index = BoxIndex.open(path)
    with index.transaction():
        for number in range(1_000):
            index.set_local(f"folder/{number}", DiskEntry(Kind.FILE, 0o644, 1, 1, b"r" * 32))
    index.close()
    known = KnownTree(path)
    assert known.entry("folder/none") is None
    harm(path)
    if renewed:
        renew(path, "20261129T000000", {})
    with pytest.raises(IndexDamaged):
        known.children("folder")
    known.close()
    assert damage_note(path).exists() is not renewed


def in_a_file(setup: BoxSetup) -> BoxSetup:
    return replace(setup, index_path=f"{setup.path}/file/box.sqlite")


def in_the_way(setup: BoxSetup) -> BoxSetup:
    """Of the new one, before it takes its place."""
    Path(f"{setup.index_path}.new").mkdir()
    return setup


@pytest.mark.parametrize("spoil", [in_a_file, in_the_way])
def test_a_disk_that_takes_no_index_is_not_taken_for_that_of_the_box(
    setup: BoxSetup, spoil: Callable[[BoxSetup], BoxSetup]
) -> None:
    spoilt = spoil(setup)
    words = f"box box: its index {spoilt.index_path} cannot be used: "
    with pytest.raises(BoxPausedError, match=re.escape(words)):
        opened(spoilt)
