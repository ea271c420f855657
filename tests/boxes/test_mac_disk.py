"""One of three nodes keeps its box on the disk of a Mac, to which several names are one entry: it
holds what it can and names the rest, and the others have everything as it was written.

The disk is `tests.boxes.mac_disk`; these tests need FUSE 3 and root.
"""

from __future__ import annotations

import dataclasses
import os
import shutil
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from flocksy.boxes.apply import probe
from flocksy.boxes.disk.filesystem import RealDisk
from flocksy.system import filesystems
from tests.boxes.flock_of_boxes import Flock, files, spool
from tests.boxes.mounts import mounted
from tests.boxes.test_names import NAMES

__all__ = ["spool"]

MAC, LINUX, OTHER_LINUX = range(3)

KINDS = ("apfs-like", "apfs-case-like", "hfs-like")
FOLDING = ("apfs-like", "hfs-like")

COMPOSED, DECOMPOSED = "\u00e9", "e\u0301"


class MacFlock(Flock):
    """It remembers all that was written, and looks at the whole flock at once."""

    def __init__(self, root: Path, spool: Path) -> None:
        self.written: set[bytes] = set()
        super().__init__(root, spool)

    def write(self, lane: int, name: str, content: str | bytes) -> Path:
        self.written.add(content.encode() if isinstance(content, str) else content)
        return super().write(lane, name, content)

    def rename(self, lane: int, old: str, new: str) -> None:
        os.rename(self.path(lane, old), self.path(lane, new))

    def versions(self) -> int:
        """How many versions of anything there ever were, as a Linux node knows it."""
        index = self.box(LINUX).index
        states = [index.flock(path) for path in index.known_paths(None, 1000)]
        return sum(len(state.heads) + len(state.superseded) for state in states if state)

    def is_at_rest(
        self, everything: dict[str, str], on_mac: Collection[str], *, versions: int
    ) -> None:
        """Settle, with just this in the boxes, and nobody making any more of it."""
        wanted = {name: content.encode() for name, content in everything.items()}
        self.settle()
        assert files(self.path(LINUX)) == files(self.path(OTHER_LINUX)) == wanted
        assert files(self.path(MAC)) == {name: wanted[name] for name in on_mac}
        held_back = wanted.keys() - set(on_mac)
        folders = {str(above) for name in held_back for above in Path(name).parents}
        named = self.box(MAC).problems.keys()
        assert held_back <= named <= held_back | folders
        assert not self.box(LINUX).problems and not self.box(OTHER_LINUX).problems
        assert self.versions() == versions, "somebody made a version that nobody wrote"
        self.stay_settled()
        assert self.versions() == versions
        assert files(self.path(LINUX)) == wanted
        had = {content for lane in range(3) for content in files(self.path(lane)).values()}
        had |= {one.read_bytes() for lane in range(3) for one in self.history(lane)}
        assert self.written <= had, "lost"

    def restart_mac(self) -> None:
        """With all that its disk shows looked at anew."""
        before = files(self.path(LINUX)), files(self.path(MAC)), self.versions()
        self.stop(MAC)
        self.restart(MAC)
        self.settle()
        assert (files(self.path(LINUX)), files(self.path(MAC)), self.versions()) == before


@pytest.fixture(autouse=True)
def as_a_drive(monkeypatch: pytest.MonkeyPatch) -> None:
    """Over FUSE no inode is trusted, nor that all changes are told. A Mac's disk does both, and so
    do these."""
    monkeypatch.setattr(filesystems, "_NO_LASTING_INODES", frozenset())
    monkeypatch.setattr(filesystems, "changes_elsewhere", lambda _: "")


@contextmanager
def flock_with(kind: str, root: Path, spool: Path) -> Iterator[MacFlock]:
    """A flock whose first node keeps its box on such a disk."""
    with mounted(kind, root, f"box{MAC}"), MacFlock(root, spool) as made:
        yield made


@pytest.fixture(params=KINDS)
def flock(request: pytest.FixtureRequest, tmp_path: Path, spool: Path) -> Iterator[MacFlock]:
    """With each of the disks."""
    with flock_with(request.param, tmp_path, spool) as made:
        yield made


@pytest.fixture(params=FOLDING)
def folding(request: pytest.FixtureRequest, tmp_path: Path, spool: Path) -> Iterator[MacFlock]:
    """With those to which large and small letters are one."""
    with flock_with(request.param, tmp_path, spool) as made:
        yield made


@pytest.fixture(params=("apfs-like", "apfs-case-like"))
def apfs(request: pytest.FixtureRequest, tmp_path: Path, spool: Path) -> Iterator[MacFlock]:
    """With those that keep names in both normal forms."""
    with flock_with(request.param, tmp_path, spool) as made:
        yield made


def other_form(name: str) -> str:
    return {COMPOSED: DECOMPOSED, DECOMPOSED: COMPOSED}[name]


# -- the disk ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("kind", "folds", "form"),
    [("apfs-like", True, ""), ("apfs-case-like", False, ""), ("hfs-like", True, "NFD")],
)
def test_the_disk_is_like_a_macs(kind: str, folds: bool, form: str, tmp_path: Path) -> None:
    with mounted(kind, tmp_path) as at:
        with RealDisk(str(at)) as disk:
            found = probe.probe(disk)
        assert (found.case_folding, found.normalising, found.names.form) == (folds, True, form)
        assert found.mode_bits and found.symlinks and found.mtime_grain_ns == 1
        assert not found.names.undecodable and not found.names.characters
        (at / COMPOSED).write_text("x")
        assert (at / DECOMPOSED).read_text() == "x"
        kept = DECOMPOSED if form else COMPOSED
        assert kept in os.listdir(at)
        (at / "file").write_text("y")
        (at / "file").rename(at / "FILE")
        assert "FILE" in os.listdir(at) and (at / "file").exists() == folds
        with (at / "FILE").open("r+") as file:
            (at / "FILE").unlink()
            file.write("z")
            assert os.fstat(file.fileno()).st_size == 1
            assert sorted(os.listdir(at)) == sorted([".flocksy", kept])


# -- names that are one to the disk -----------------------------------------------------------


def test_all_names(flock: MacFlock) -> None:
    """Nobody is right about which of two names comes first."""
    for name in NAMES:
        flock.write(LINUX, name, name.encode(errors="surrogateescape"))
    flock.settle()
    wanted = {name: name.encode(errors="surrogateescape") for name in NAMES}
    assert files(flock.path(LINUX)) == files(flock.path(OTHER_LINUX)) == wanted
    here = files(flock.path(MAC))
    assert here.items() <= wanted.items()
    held_back = wanted.keys() - here.keys()
    assert held_back == flock.box(MAC).problems.keys()
    with RealDisk(str(flock.path(MAC))) as disk:
        capabilities = probe.probe(disk)
    assert len(held_back & {"Case", "case"}) == capabilities.case_folding
    expected = {os.fsdecode(b"undecodable \xff\xfe")}
    if capabilities.names.form:
        expected.add("\u00fcber (composed)")
    assert held_back - {"Case", "case"} == expected
    flock.stay_settled()


def test_two_forms_of_one_name(flock: MacFlock) -> None:
    for name in (COMPOSED, DECOMPOSED):
        flock.write(LINUX, name, name)
    flock.settle()
    (there,) = files(flock.path(MAC))
    away = other_form(there)
    flock.is_at_rest({there: there, away: away}, {there}, versions=2)

    # Whatever name somebody uses on the Mac, it is the one entry that is there.
    flock.write(MAC, there, "edited on the Mac")
    flock.is_at_rest({there: "edited on the Mac", away: away}, {there}, versions=3)
    flock.write(MAC, away, "edited there by its other name")
    flock.write(OTHER_LINUX, away, "edited where both are")
    everything = {there: "edited there by its other name", away: "edited where both are"}
    flock.is_at_rest(everything, {there}, versions=5)
    flock.restart_mac()

    # What was held back comes when the other goes, if it is a name of this disk at all.
    can_come = "normal form" not in flock.box(MAC).problems[away]
    flock.path(MAC, away).unlink()
    left = {away: "edited where both are"}
    flock.is_at_rest(left, left.keys() if can_come else (), versions=6)


def test_two_cases_of_one_name(folding: MacFlock) -> None:
    flock = folding
    for name in ("Case", "case"):
        flock.write(LINUX, name, name)
    flock.settle()
    (there,) = files(flock.path(MAC))
    away = ({"Case", "case"} - {there}).pop()
    assert "rename either" in flock.box(MAC).problems[away]
    flock.write(MAC, away, "edited by its other name")
    flock.is_at_rest({there: "edited by its other name", away: away}, {there}, versions=3)
    flock.restart_mac()
    flock.path(OTHER_LINUX, there).unlink()
    flock.is_at_rest({away: away}, {away}, versions=4)


@pytest.mark.parametrize("lane", [MAC, LINUX])
def test_a_file_gets_another_case(folding: MacFlock, lane: int) -> None:
    flock = folding
    flock.write(OTHER_LINUX, "readme", "text")
    flock.settle_equal()
    flock.rename(lane, "readme", "README")
    flock.is_at_rest({"README": "text"}, {"README"}, versions=3)
    flock.restart_mac()


@pytest.mark.parametrize("lane", [MAC, LINUX])
def test_a_file_gets_another_form(apfs: MacFlock, lane: int) -> None:
    flock = apfs
    flock.write(OTHER_LINUX, COMPOSED, "text")
    flock.settle_equal()
    flock.rename(lane, COMPOSED, DECOMPOSED)
    flock.is_at_rest({DECOMPOSED: "text"}, {DECOMPOSED}, versions=3)
    flock.restart_mac()
    flock.rename(lane, DECOMPOSED, COMPOSED)
    flock.is_at_rest({COMPOSED: "text"}, {COMPOSED}, versions=5)


def test_a_file_gets_the_form_that_the_disk_keeps(tmp_path: Path, spool: Path) -> None:
    with flock_with("hfs-like", tmp_path, spool) as flock:
        flock.write(LINUX, COMPOSED, "text")
        flock.is_at_rest({COMPOSED: "text"}, (), versions=1)
        flock.rename(LINUX, COMPOSED, DECOMPOSED)
        flock.is_at_rest({DECOMPOSED: "text"}, {DECOMPOSED}, versions=3)
        flock.rename(LINUX, DECOMPOSED, COMPOSED)
        flock.is_at_rest({COMPOSED: "text"}, (), versions=5)
        # Somebody makes it there too: by the name that the disk gives it, it is another file.
        flock.write(MAC, COMPOSED, "made on the Mac")
        everything = {COMPOSED: "text", DECOMPOSED: "made on the Mac"}
        flock.is_at_rest(everything, {DECOMPOSED}, versions=6)
        flock.restart_mac()


def test_another_form_is_noticed_without_a_look_at_everything(tmp_path: Path, spool: Path) -> None:
    """Where cases are two and forms are one, too."""
    with flock_with("apfs-case-like", tmp_path, spool) as flock:
        flock.write(LINUX, COMPOSED, "text")
        flock.settle_equal()
        flock.rename(MAC, COMPOSED, DECOMPOSED)
        flock.run_until(lambda: files(flock.path(LINUX)) == {DECOMPOSED: b"text"})


# -- directories that are one to the disk -----------------------------------------------------


def test_two_directories_stay_apart(folding: MacFlock) -> None:
    flock = folding
    everything = {name: name for name in ("Dir/a", "dir/a", "dir/b", "dir/sub/c")}
    for name in everything:
        flock.write(LINUX, name, name)
    flock.settle()
    on_mac = files(flock.path(MAC)).keys()
    (there,) = {name.partition("/")[0] for name in on_mac}
    assert on_mac == {name for name in everything if name.startswith(f"{there}/")}
    flock.is_at_rest(everything, on_mac, versions=7)
    away = ({"Dir", "dir"} - {there}).pop()
    assert f"the name of {away} " in flock.box(MAC).problems[f"{away}/a"]
    flock.restart_mac()

    # What is written there by the other name is written into the one that is there.
    flock.write(MAC, f"{away}/own", "of the Mac")
    everything[f"{there}/own"] = "of the Mac"
    flock.is_at_rest(everything, {*on_mac, f"{there}/own"}, versions=8)

    # The other comes when there is room for its name.
    flock.rename(OTHER_LINUX, there, "moved")
    everything = {name.replace(f"{there}/", "moved/"): text for name, text in everything.items()}
    flock.settle_equal()
    assert files(flock.path(MAC)) == {name: text.encode() for name, text in everything.items()}


@pytest.mark.parametrize("lane", [MAC, LINUX])
def test_a_directory_gets_another_case(folding: MacFlock, lane: int) -> None:
    flock = folding
    flock.write(OTHER_LINUX, "dir/file", "file")
    flock.write(OTHER_LINUX, "dir/sub/deep", "deep")
    flock.settle_equal()
    flock.rename(lane, "dir", "DIR")
    everything = {"DIR/file": "file", "DIR/sub/deep": "deep"}
    flock.is_at_rest(everything, everything, versions=4 + 8)
    flock.settle_equal()
    flock.restart_mac()


@pytest.mark.parametrize("lane", [MAC, LINUX])
def test_a_directory_gets_another_form(apfs: MacFlock, lane: int) -> None:
    flock = apfs
    flock.write(OTHER_LINUX, f"{COMPOSED}/file", "file")
    flock.settle_equal()
    flock.rename(lane, COMPOSED, DECOMPOSED)
    everything = {f"{DECOMPOSED}/file": "file"}
    flock.is_at_rest(everything, everything, versions=2 + 4)
    flock.settle_equal()
    flock.restart_mac()


def test_a_link_that_is_ignored_stands_where_a_directory_was(tmp_path: Path, spool: Path) -> None:
    """What is in the way of what was there is said, and not waited for."""
    with flock_with("apfs-like", tmp_path, spool) as flock:
        flock.settle_equal()
        setup = flock.box(MAC).setup
        flock.nodes[MAC].keeper.remove("box")
        flock.nodes[MAC].keeper.add(dataclasses.replace(setup, ignore_symlinks=True), flock.now)
        for name in ("dir/deep/file", "dir/gone"):
            flock.write(LINUX, name, "old")
        flock.settle_equal()
        shutil.move(flock.path(MAC, "dir"), tmp_path / "elsewhere")
        flock.path(MAC, "dir").symlink_to("elsewhere")
        flock.settle()
        flock.write(LINUX, "dir/deep/file", "new, and longer")
        flock.path(LINUX, "dir/gone").unlink()
        flock.settle()
        problems = flock.box(MAC).problems
        assert all("stands here" in problems[name] for name in ("dir/deep/file", "dir/gone"))
        assert flock.path(OTHER_LINUX, "dir/deep/file").read_text() == "new, and longer"
