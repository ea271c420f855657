"""Names that not every disk can hold: each receiver holds back and shows what its disk cannot, the
others sync it, and nothing is ever mangled."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from flocksy.boxes.apply.probe import probe
from flocksy.boxes.disk.filesystem import RealDisk
from flocksy.sync.names import MAX_DEPTH
from flocksy.system import filesystems
from tests.boxes.flock_of_boxes import Flock, files, flock, spool
from tests.boxes.mounts import mounted

__all__ = ["flock", "spool"]

POOR = ("fat", "exfat", "ntfs")

NAMES = (
    "plain.txt",
    ".hidden",
    ".hidden folder/.within",
    "a:b",
    "what?",
    'a "quoted" * <name> | and \\',
    "CON",
    "aux.txt",
    "ends.",
    "ends ",
    " begins",
    "tab\tand\nline",
    "bird 🐦",
    "\u00fcber (composed)",
    "u\u0308ber (decomposed)",
    "folder: with a colon/inside",
    "Case",
    "case",
    "n" * 255,
    "\u20ac" * 85,
    os.fsdecode(b"undecodable \xff\xfe"),
    "~$lock.docx",
    "LONGNA~1.TXT",
    "longname with spaces.txt",
)
"""Each of them can stand on an ordinary Linux disk."""


def test_they_all_sync_between_disks_that_hold_them(flock: Flock) -> None:
    for name in NAMES:
        flock.write(0, name, name.encode(errors="surrogateescape"))
    flock.settle_equal()
    assert set(files(flock.path(2))) == set(NAMES)


@pytest.fixture(params=POOR)
def poor(
    request: pytest.FixtureRequest, tmp_path: Path, spool: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Flock]:
    """A flock whose first node keeps its box on a file system that holds few names: one of the
    kernel's, as a rule, for which FUSE stands in here."""
    monkeypatch.setattr(filesystems, "changes_elsewhere", lambda _: "")
    with mounted(request.param, tmp_path, "box0"), Flock(tmp_path, spool) as made:
        yield made


def test_a_poor_disk_holds_back_and_shows(poor: Flock) -> None:
    flock = poor
    wanted = {name: name.encode(errors="surrogateescape") for name in NAMES}
    for name, content in wanted.items():
        flock.write(1, name, content)
    flock.settle()
    assert files(flock.path(1)) == files(flock.path(2)) == wanted
    here, problems = files(flock.path(0)), flock.box(0).problems
    assert here.items() <= wanted.items(), "what is there is what it should be"
    held_back = wanted.keys() - here.keys()
    assert {"a:b", "what?", "folder: with a colon/inside"} <= held_back
    assert {"plain.txt", ".hidden", "n" * 255, "LONGNA~1.TXT"} <= here.keys()
    assert held_back <= problems.keys()
    assert "“:” in a name" in problems["a:b"]
    with RealDisk(str(flock.path(0))) as disk:
        capabilities = probe(disk)
    if capabilities.case_folding:
        assert len({"Case", "case"} & held_back) == 1

    # A whole look and a restart change nothing.
    flock.settle()
    flock.stop(0)
    flock.restart(0)
    flock.settle()
    assert files(flock.path(1)) == files(flock.path(2)) == wanted
    assert files(flock.path(0)) == here


def test_what_was_held_back_comes_when_it_can(poor: Flock) -> None:
    flock = poor
    for name in ("a:b", "plain"):
        flock.write(1, name, name)
    flock.settle()
    (flock.path(1, "a:b")).rename(flock.path(1, "a-b"))
    flock.write(0, "plain", "edited here")
    flock.settle()
    wanted = {"a-b": b"a:b", "plain": b"edited here"}
    assert [files(flock.path(lane)) for lane in range(3)] == [wanted] * 3
    assert not flock.box(0).problems


def test_of_two_cases_the_other_comes_when_one_goes(tmp_path: Path, spool: Path) -> None:
    """On exFAT alone: fusefat gives what it renames another time, which reads as an edit."""
    with mounted("exfat", tmp_path, "box0"), Flock(tmp_path, spool) as flock:
        for name in ("Case", "case"):
            flock.write(1, name, name)
        flock.settle()
        (held_back,) = {"Case", "case"} - files(flock.path(0)).keys()
        assert "rename either" in flock.box(0).problems[held_back]
        (there,) = {"Case", "case"} - {held_back}
        flock.path(2, there).rename(flock.path(2, "another case"))
        flock.settle()
        wanted = {"another case": there.encode(), held_back: held_back.encode()}
        assert [files(flock.path(lane)) for lane in range(3)] == [wanted] * 3
        assert not flock.box(0).problems


@pytest.mark.parametrize("lane", [0, 1])
def test_a_directory_gets_another_case(tmp_path: Path, spool: Path, lane: int) -> None:
    with mounted("exfat", tmp_path, "box0"), Flock(tmp_path, spool) as flock:
        for name in ("dir/file", "dir/sub/deep"):
            flock.write(2, name, name)
        flock.settle()
        flock.path(lane, "dir").rename(flock.path(lane, "DIR"))
        flock.settle()
        flock.stay_settled()
        wanted = {"DIR", "DIR/file", "DIR/sub", "DIR/sub/deep"}
        assert [flock.tree(lane) for lane in range(3)] == [wanted] * 3


def test_a_poor_disk_deletes_nothing_that_it_holds_back(poor: Flock) -> None:
    flock = poor
    for name in ("folder/a:b", "folder/fine"):
        flock.write(1, name, name)
    flock.settle()
    flock.path(0, "folder/fine").unlink()
    flock.path(0, "folder").rmdir()
    flock.settle()
    assert files(flock.path(1)) == files(flock.path(2)) == {"folder/a:b": b"folder/a:b"}


def test_as_deep_as_a_box_goes_and_deeper(flock: Flock) -> None:
    deep = "/".join(["d"] * (MAX_DEPTH - 1) + ["file"])
    flock.write(0, deep, "deep")
    flock.write(0, "/".join(["e"] * MAX_DEPTH + ["file"]), "too deep")
    flock.settle()
    assert flock.path(1, deep).read_text() == "deep"
    (problem,) = flock.box(0).problems.items()
    assert problem[0].startswith("e/e/") and "too deep" in problem[1]
    assert not flock.path(1, problem[0]).exists()


def test_as_long_as_a_path_can_be(flock: Flock) -> None:
    """4,096 bytes: more than one call of the system takes."""
    folders = "/".join(["x" * 240] * 16)
    name = "y" * (4096 - len(folders) - 1)
    here = os.open(flock.path(0), os.O_RDONLY)
    for folder in folders.split("/"):
        os.mkdir(folder, dir_fd=here)
        below = os.open(folder, os.O_RDONLY, dir_fd=here)
        os.close(here)
        here = below
    for last in (name, name + "z"):
        os.close(os.open(last, os.O_CREAT | os.O_WRONLY, dir_fd=here))
    os.close(here)
    flock.settle()
    there = os.open(flock.path(1), os.O_RDONLY)
    for folder in folders.split("/"):
        below = os.open(folder, os.O_RDONLY, dir_fd=there)
        os.close(there)
        there = below
    assert os.listdir(there) == [name]
    os.close(there)
    assert ["path too long" in reason for reason in flock.box(0).problems.values()] == [True]
