"""The folder of a box makes way for a copy of itself, or is filled from one: a snapshot, a backup.

What the copy lacks, and what is old in it, is nobody's work of now: nothing of it may go to others
as an edit.
"""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from dataclasses import replace
from pathlib import Path

import pytest

from flocksy.boxes.activation import still_ours
from flocksy.boxes.disk import marker
from flocksy.boxes.disk.filesystem import RealDisk
from flocksy.boxes.keeper import LOOK_SECONDS, RENEW_AGAIN_SECONDS, RENEW_SECONDS
from flocksy.boxes.setup import BoxSetup, Mode
from tests.boxes.flock_of_boxes import Flock, files, flock, spool
from tests.boxes.mounts import mounted

__all__ = ["flock", "spool"]

NAMES = [f"doc{number}" for number in range(5)]


class Elsewhere(Flock):
    """The box of node 0 is a folder of some file system."""

    def setup(self, lane: int) -> BoxSetup:
        setup = super().setup(lane)
        return setup if lane else replace(setup, path=str(self.path(0)))

    def path(self, lane: int, name: str = "") -> Path:
        return super().path(lane, name) if lane else self.root / "disk/box" / name


@pytest.fixture(params=["here", "exfat", "ntfs"])  # fusefat empties a folder that is renamed
def elsewhere(request: pytest.FixtureRequest, tmp_path: Path, spool: Path) -> Iterator[Elsewhere]:
    with ExitStack() as stack:
        if request.param == "here":
            (tmp_path / "disk").mkdir()
        else:
            stack.enter_context(mounted(request.param, tmp_path, "disk"))
        (tmp_path / "disk/box").mkdir()
        made = stack.enter_context(Elsewhere(tmp_path, spool))
        fill(made)
        yield made


def fill(flock: Flock) -> None:
    for name in NAMES:
        flock.write(0, name, f"first, of {name}")
    flock.settle()


def copied(flock: Flock, name: str = "copy") -> Path:
    """A copy of node 0's folder, marker and all."""
    copy = flock.path(0).parent / name
    copy_all(flock.path(0), copy)
    return copy


def copy_all(source: Path, target: Path) -> None:
    """With times, as far as the disk takes any."""
    subprocess.run(["cp", "-r", "-T", str(source), str(target)], check=True)
    for one in source.rglob("*"):
        with suppress(OSError):
            shutil.copystat(one, target / one.relative_to(source))


def put_back(flock: Flock, copy: Path) -> None:
    """Fill the folder of node 0 from the copy, as a backup is put back: the folder stays."""
    box = flock.path(0)
    for one in box.iterdir():
        shutil.rmtree(one) if one.is_dir() else one.unlink()
    copy_all(copy, box)


def work(flock: Flock) -> None:
    """What the others do after the copy was made."""
    for name in NAMES:
        flock.write(1, name, f"a week of work on {name}")
    flock.write(2, "new", "made since")
    flock.settle()
    assert flock.path(0, "new").exists()


def check_kept(flock: Flock, *but: str) -> None:
    flock.settle()
    for lane in range(3):
        found = files(flock.path(lane))
        assert found["new"] == b"made since"
        for name in set(NAMES).difference(but):
            assert found[name] == f"a week of work on {name}".encode()
    assert not flock.box(0).guard.waiting


def pass_time(flock: Flock, seconds: float) -> None:
    flock.now += seconds
    for _ in range(3):
        flock.step()


def test_a_copy_of_the_last_run_is_put_back_after_its_end(flock: Flock) -> None:
    fill(flock)
    copy = copied(flock)
    work(flock)
    flock.stop(0)
    put_back(flock, copy)
    flock.restart(0)
    assert flock.box(0).adopting
    check_kept(flock)


def test_a_copy_older_than_an_hour_is_put_back_after_a_kill(flock: Flock) -> None:
    fill(flock)
    copy = copied(flock)
    pass_time(flock, RENEW_SECONDS + LOOK_SECONDS)
    work(flock)
    flock.kill(0)
    put_back(flock, copy)
    flock.restart(0)
    assert flock.box(0).adopting
    check_kept(flock)


def test_a_copy_older_than_an_hour_is_put_back_while_the_node_runs(flock: Flock) -> None:
    fill(flock)
    copy = copied(flock)
    pass_time(flock, RENEW_SECONDS + LOOK_SECONDS)
    work(flock)
    # The marker first, as most programs do: by name. What comes before the look is another matter.
    shutil.copy(copy / marker.MARKER, flock.path(0, marker.MARKER))
    flock.run_until(lambda: flock.kept(0).box is None)
    assert "an older copy" in flock.kept(0).reason
    put_back(flock, copy)
    check_kept(flock)


def nonce(flock: Flock) -> bytes:
    return marker.decode(flock.path(0, marker.MARKER).read_bytes(), "").nonce


def test_it_is_renewed_hourly_and_in_no_burst(flock: Flock) -> None:
    """In the time since the box was opened, whatever anybody did."""
    flock.settle_equal()
    keeper, first = flock.nodes[0].keeper, nonce(flock)
    flock.now += RENEW_SECONDS - 2 * LOOK_SECONDS
    keeper.turn(flock.now, quiet=True)
    assert nonce(flock) == first
    flock.now += 3 * LOOK_SECONDS
    keeper.turn(flock.now, quiet=False)
    assert nonce(flock) == first
    flock.now += LOOK_SECONDS
    keeper.turn(flock.now, quiet=True)
    second = nonce(flock)
    assert second != first
    flock.now += RENEW_SECONDS - LOOK_SECONDS
    keeper.turn(flock.now, quiet=True)
    assert nonce(flock) == second
    flock.now += 2 * LOOK_SECONDS
    keeper.turn(flock.now, quiet=True)
    assert nonce(flock) != second
    flock.settle_equal()


def test_where_it_cannot_be_renewed_the_box_goes_on(
    flock: Flock, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill(flock)
    first, tries = nonce(flock), 0

    def full(disk: RealDisk, path: str) -> int:
        nonlocal tries
        if path.startswith(marker.MARKER):
            tries += 1
            raise OSError(28, "No space left on device", path)
        return real(disk, path)

    real = RealDisk.create
    with monkeypatch.context() as patched:
        patched.setattr(RealDisk, "create", full)
        pass_time(flock, RENEW_SECONDS + LOOK_SECONDS)
        assert (tries, flock.kept(0).reason, nonce(flock)) == (3, "", first), "one on each node"
        flock.write(1, "new", "made since")
        flock.settle_equal()
        tries = 0
        pass_time(flock, RENEW_AGAIN_SECONDS)
        assert tries == 3
        flock.stop(0)
        flock.restart(0)
        assert "No space left" in flock.kept(0).reason, "it is the right one, and has to wait"
    flock.run_until(lambda: flock.kept(0).box is not None)
    assert not flock.box(0).adopting
    flock.settle_equal()
    assert nonce(flock) != first


def swap(flock: Flock) -> Path:
    """Between two looks a copy takes the place of node 0's folder. Where that is now."""
    old = flock.path(0).with_name("old")
    flock.path(0).rename(old)
    copy_all(old, flock.path(0))
    return old


def test_a_copy_takes_the_place_of_the_folder(elsewhere: Elsewhere) -> None:
    old = swap(elsewhere)
    assert (elsewhere.path(0) / marker.MARKER).read_bytes() == (old / marker.MARKER).read_bytes()
    elsewhere.path(0, "doc0").write_text("edited where people see it")
    elsewhere.write(1, "doc1", "two, of another member")
    elsewhere.write(2, "new", "made since")
    elsewhere.run_until(lambda: elsewhere.kept(0).box is None)
    assert "another" in elsewhere.kept(0).reason
    elsewhere.settle()
    for lane in range(3):
        found = files(elsewhere.path(lane))
        assert b"edited where people see it" in found.values()
        assert (found["doc1"], found["new"]) == (b"two, of another member", b"made since")
        found = {name: content for name, content in found.items() if "conflict" not in name}
        assert found.keys() == {*NAMES, "new"}
    before = files(elsewhere.path(1))
    (old / "doc2").unlink()
    (old / "doc3").write_text("written into what was put aside")
    elsewhere.settle()
    assert files(elsewhere.path(1)) == before


def test_an_older_copy_takes_the_place_of_the_folder(elsewhere: Elsewhere) -> None:
    """As with a snapshot: before the hour is over its marker is the same."""
    copy = copied(elsewhere)
    work(elsewhere)
    elsewhere.path(0).rename(elsewhere.path(0).with_name("bad"))
    copy.rename(elsewhere.path(0))
    elsewhere.run_until(lambda: elsewhere.kept(0).box is None)
    check_kept(elsewhere)


def test_what_was_noticed_before_anybody_looked_is_remembered(elsewhere: Elsewhere) -> None:
    """The node is killed after that, and where inodes are numbered anew nothing else tells."""
    copy = copied(elsewhere)
    work(elsewhere)
    elsewhere.path(0).rename(elsewhere.path(0).with_name("bad"))
    copy.rename(elsewhere.path(0))
    box = elsewhere.box(0)
    assert still_ours(box.disk, box.setup, box.index) is not None
    elsewhere.kill(0)
    elsewhere.restart(0)
    assert elsewhere.box(0).adopting
    check_kept(elsewhere)


def test_a_copy_takes_its_place_after_a_kill(flock: Flock) -> None:
    """Where inodes keep their numbers."""
    fill(flock)
    copy = copied(flock)
    work(flock)
    flock.kill(0)
    flock.path(0).rename(flock.root / "bad")
    copy.rename(flock.path(0))
    flock.restart(0)
    assert flock.box(0).adopting
    check_kept(flock)


@pytest.mark.parametrize("mode", list(Mode))
def test_in_no_mode_a_copy_is_an_edit(tmp_path: Path, spool: Path, mode: Mode) -> None:
    class Modes(Flock):
        def setup(self, lane: int) -> BoxSetup:
            return replace(super().setup(lane), mode=mode if lane == 0 else Mode.SYNC)

    with Modes(tmp_path, spool) as flock:
        for name in NAMES:
            flock.write(1, name, f"first, of {name}")
        flock.settle()
        for name in NAMES:
            flock.write(1, name, f"second, of {name}")
        flock.settle()
        swap(flock)
        flock.run_until(lambda: flock.kept(0).box is None)
        flock.settle()
        for lane in (1, 2):
            assert files(flock.path(lane)) == {
                name: f"second, of {name}".encode() for name in NAMES
            }
