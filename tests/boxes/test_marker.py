"""Is this directory the one the index speaks of?"""

from __future__ import annotations

import errno
import itertools
import json
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from flocksy.boxes.disk.filesystem import RealDisk
from flocksy.boxes.disk.marker import MARKER, Finding, MarkerState, activate, check_place, look
from flocksy.errors import BoxError
from flocksy.index.database import Database
from flocksy.index.store import BoxIndex
from flocksy.system import files, renames

BOX_ID = bytes(range(64))


class Moving(RealDisk):
    """A disk that can be on another file system, and whose program can die."""

    elsewhere = False
    dies_before: str = ""

    def identity(self) -> int:
        return super().identity() ^ self.elsewhere

    def former_identity(self) -> int:
        return self.identity() ^ 2

    def create(self, path: str) -> int:
        if self.dies_before == "write":
            raise KeyboardInterrupt
        return super().create(path)

    def flush_directory(self, path: str) -> None:
        super().flush_directory(path)
        if self.dies_before == "end":
            raise KeyboardInterrupt


class Place:
    def __init__(self, root: Path) -> None:
        self.root = root / "box"
        self.root.mkdir()
        self.disk = Moving(str(self.root))
        self.index = BoxIndex.open(root / "index.sqlite")

    def look(self, *, removable: bool = False, box_id: bytes = BOX_ID) -> Finding:
        return look(self.disk, "photos", "/mnt/photos", box_id, self.index, removable=removable)

    def activate(self, *, adopt: bool = False) -> None:
        activate(self.disk, BOX_ID, self.index, adopt=adopt)

    @property
    def marker(self) -> Path:
        return self.root / MARKER


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    place = Place(tmp_path)
    yield place
    place.disk.close()
    place.index.close()


def test_a_new_box_is_made_without_asking(place: Place) -> None:
    finding = place.look()
    assert finding == Finding(MarkerState.FRESH)
    assert finding.adopts and not finding.pauses
    place.activate()
    assert place.look() == Finding(MarkerState.OURS)


def test_a_removable_one_is_not(place: Place) -> None:
    finding = place.look(removable=True)
    assert finding.state is MarkerState.MISSING and finding.pauses
    assert "flocksy box adopt photos" in finding.message
    place.activate(adopt=True)
    assert place.look(removable=True).state is MarkerState.OURS


def test_each_activation_renews_the_nonce(place: Place) -> None:
    place.activate()
    first = json.loads(place.marker.read_text())
    place.activate()
    second = json.loads(place.marker.read_text())
    assert first["nonce"] != second["nonce"]
    assert first["secret"] == second["secret"]
    assert place.look().state is MarkerState.OURS
    assert place.marker.stat().st_mode & 0o777 == 0o600


def test_an_empty_mount_point_pauses(place: Place) -> None:
    place.activate()
    shutil.rmtree(place.root / ".flocksy")
    finding = place.look()
    assert finding.state is MarkerState.MISSING and finding.pauses
    for words in ("photos", "/mnt/photos", "flocksy box adopt photos"):
        assert words in finding.message


def test_it_resumes_by_itself(place: Place) -> None:
    place.activate()
    place.marker.rename(place.root / "x")
    assert place.look().pauses
    (place.root / "x").rename(place.marker)
    assert place.look().state is MarkerState.OURS


def test_a_clone_or_a_backup_is_adopted_aloud(place: Place) -> None:
    place.activate()
    old = place.marker.read_bytes()
    place.activate()
    place.marker.write_bytes(old)
    finding = place.look()
    assert finding.state is MarkerState.STALE
    assert finding.adopts and not finding.pauses
    assert "adopted" in finding.message
    place.activate()
    assert place.look().state is MarkerState.OURS


def test_the_number_that_an_earlier_flocksy_took_is_that_of_the_same_file_system(
    place: Place,
) -> None:
    place.activate()
    taken = place.index.remembered("device")
    place.index.remember("device", place.disk.former_identity().to_bytes(8, "big"))
    assert place.look().state is MarkerState.OURS
    place.activate()
    assert place.index.remembered("device") == taken
    place.index.remember("device", (place.disk.identity() ^ 4).to_bytes(8, "big"))
    assert place.look().state is MarkerState.MOVED


def test_an_index_from_a_backup_is_noticed(place: Place) -> None:
    place.activate()
    nonce = place.index.remembered("nonce")
    place.activate()
    place.index.remember("nonce", nonce)
    assert place.look().state is MarkerState.STALE


def test_another_file_system_pauses(place: Place) -> None:
    place.activate()
    place.disk.elsewhere = True
    finding = place.look()
    assert finding.state is MarkerState.MOVED and finding.pauses
    place.disk.elsewhere = False
    assert place.look().state is MarkerState.OURS
    place.disk.elsewhere = True
    place.activate(adopt=True)
    assert place.look().state is MarkerState.OURS


def test_an_old_copy_on_another_file_system_is_not_adopted(place: Place) -> None:
    place.activate()
    old = place.marker.read_bytes()
    place.activate()
    place.marker.write_bytes(old)
    place.disk.elsewhere = True
    finding = place.look()
    assert finding.state is MarkerState.MOVED and finding.pauses and not finding.adopts
    assert "flocksy box adopt photos" in finding.message
    place.disk.elsewhere = False
    assert place.look().state is MarkerState.STALE


@pytest.mark.parametrize(
    "change",
    [{"secret": "00" * 16}, {"box": "00" * 64}],
    ids=["another node's", "another box's"],
)
def test_not_ours(place: Place, change: dict[str, str]) -> None:
    place.activate()
    place.marker.write_text(json.dumps(json.loads(place.marker.read_text()) | change))
    finding = place.look()
    assert finding.state is MarkerState.FOREIGN and finding.pauses
    place.activate(adopt=True)
    assert place.look().state is MarkerState.OURS


def test_a_lost_index_does_not_take_a_kept_directory(place: Place, tmp_path: Path) -> None:
    place.activate()
    other = BoxIndex.open(tmp_path / "other.sqlite")
    assert look(place.disk, "n", "p", BOX_ID, other).state is MarkerState.FOREIGN
    other.close()


@pytest.mark.parametrize("text", ["", "{", "[]", '{"flocksy": 1}', "{}", "\x00" * 300, "[" * 4000])
def test_a_marker_that_is_none(place: Place, text: str) -> None:
    place.activate()
    place.marker.write_text(text)
    assert place.look().state is MarkerState.FOREIGN


def test_a_newer_marker_is_an_error(place: Place) -> None:
    place.activate()
    place.marker.write_text('{"flocksy": 2}')
    with pytest.raises(BoxError, match="newer"):
        place.look()


@pytest.mark.parametrize("first", [True, False], ids=["first activation", "later one"])
@pytest.mark.parametrize("when", ["write", "end"])
def test_death_between_index_and_marker(place: Place, first: bool, when: str) -> None:
    if not first:
        place.activate()
    place.disk.dies_before = when
    with suppress(KeyboardInterrupt):
        place.activate()
    place.disk.dies_before = ""
    state = place.look().state
    assert state is (MarkerState.FRESH if first and when == "write" else MarkerState.OURS)
    place.activate()
    assert place.look().state is MarkerState.OURS


def test_death_at_one_place_after_the_other(place: Place) -> None:
    """As on a disk that fills up: the marker is written, and the index is not told; and the next
    try does not get as far as the marker."""
    place.activate()
    for when in ("end", "write", "write", "end", "write"):
        place.disk.dies_before = when
        with suppress(KeyboardInterrupt):
            place.activate()
        assert place.look().state is MarkerState.OURS


class Cut(BaseException):
    """Passes through everything, as a kill does."""


def cut_after(patched: pytest.MonkeyPatch, count: int, *, exchanges: bool) -> None:
    """After so many steps that change something on disk or in the index the program dies, also in
    the middle of writing; `exchanges`: whether the disk can rename in ways of its own."""
    left = itertools.count(count, -1)

    def step() -> None:
        if next(left) <= 0:
            raise Cut

    def counted(real: Callable[..., object]) -> Callable[..., object]:
        def whole(*args: object, **more: object) -> object:
            step()
            return real(*args, **more)

        return whole

    def torn(descriptor: int, data: bytes, offset: int) -> None:
        step()
        os.pwrite(descriptor, data[:10], offset)
        step()
        os.pwrite(descriptor, data, offset)

    def cannot(*_: object) -> None:
        raise OSError(errno.EINVAL, os.strerror(errno.EINVAL))

    patched.setattr(files, "write_at", torn)
    for owner, name in [
        *((RealDisk, name) for name in ("create", "remove_file", "flush_directory")),
        *((os, name) for name in ("rename", "replace", "link", "unlink")),
        (Database, "execute"),
    ]:
        patched.setattr(owner, name, counted(getattr(owner, name)))
    for name in ("rename_noreplace", "rename_exchange"):
        real = getattr(renames, name)
        patched.setattr(renames, name, counted(real) if exchanges else cannot)


@pytest.mark.parametrize("exchanges", [True, False], ids=["exchanges", "FAT, over FUSE"])
def test_death_between_any_two_steps_of_a_renewal(place: Place, *, exchanges: bool) -> None:
    """The right drive is never taken for another one, nor for an older copy, which of a removable
    one is the same; and the next renewal is as good as any."""
    place.activate()
    for count in itertools.count():
        place.disk._exchange = place.disk._noreplace = True
        with pytest.MonkeyPatch.context() as patched:
            cut_after(patched, count, exchanges=exchanges)
            try:
                place.activate()
                break
            except Cut:
                pass
        for removable in (False, True):
            assert place.look(removable=removable).state is MarkerState.OURS, count
    assert count > 8
    old = place.marker.read_bytes()
    place.activate()
    place.marker.write_bytes(old)
    assert place.look().state is MarkerState.STALE, "nothing of it is left"


def test_a_folder_that_is_moved_is_the_same_and_a_copy_is_not(place: Place) -> None:
    place.activate()
    moved, copy = place.root.with_name("moved"), place.root.with_name("copy")
    shutil.copytree(place.root, copy)
    place.root.rename(moved)
    found = {}
    for at in (moved, copy):
        for removable in (False, True):
            with RealDisk(str(at)) as disk:
                finding = look(disk, "n", "p", BOX_ID, place.index, removable=removable)
                found[at.name, removable] = finding.state
    assert found == {
        ("moved", False): MarkerState.OURS,
        ("moved", True): MarkerState.OURS,
        ("copy", False): MarkerState.STALE,
        ("copy", True): MarkerState.FOREIGN,
    }


@pytest.mark.parametrize(
    "kind", ["vfat", "exfat", "fuseblk", "fuse.sshfs", "9p", "vboxsf", "overlay", ""]
)
def test_where_inodes_are_numbered_anew_none_is_remembered(
    place: Place, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    place.activate()
    assert place.index.remembered("root") is not None
    monkeypatch.setattr(RealDisk, "type_name", lambda _: kind)
    place.activate()
    assert place.index.remembered("root") is None


def test_an_index_of_an_earlier_flocksy_knows_none(place: Place) -> None:
    place.activate()
    place.index.remember("root", None)
    assert place.look().state is MarkerState.OURS
    assert place.look(removable=True).state is MarkerState.OURS


def test_boxes_are_not_nested(tmp_path: Path) -> None:
    outer, inner, beside = tmp_path / "a", tmp_path / "a/b", tmp_path / "ab"
    inner.mkdir(parents=True)
    beside.mkdir()
    (tmp_path / "link").symlink_to(inner)
    check_place("n", str(beside), [str(outer)])
    for path, other in ((inner, outer), (outer, inner), (tmp_path / "link", outer)):
        with pytest.raises(BoxError, match="nested"):
            check_place("n", str(path), [str(other)])
    with pytest.raises(BoxError, match="already"):
        check_place("n", str(inner), [str(tmp_path / "link")])
    (outer / ".flocksy").mkdir()
    (outer / MARKER).write_text("{}")
    with pytest.raises(BoxError, match="lies inside the box"):
        check_place("n", str(inner), [])
