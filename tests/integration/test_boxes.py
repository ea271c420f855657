"""Several boxes of real nodes: added, removed, paused and used differently while they run."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from flocksy.testing.rig import Rig, RigNode, wait_until
from tests.boxes.mounts import Drive, need_root
from tests.boxes.test_attributes import RED, set_tags, skip_without, tags
from tests.integration.flock import command, flying, rig_of_three, wait_for_files

SOON = 60.0
ONCE_SECONDS = 90.0


@pytest.fixture(scope="module")
def rig() -> Iterator[Rig]:
    with flying(rig_of_three()) as started:
        yield started


def box_of(node: RigNode, name: str) -> dict[str, object]:
    boxes = node.status()["boxes"]
    assert isinstance(boxes, list)
    return next(box for box in boxes if box["name"] == name)


def is_in_sync(node: RigNode, name: str) -> bool:
    return box_of(node, name)["state"] == "in sync"


def test_a_second_box_at_different_places(rig: Rig) -> None:
    folders: list[Path] = []
    for number, node in enumerate(rig.nodes):
        folder = rig.root / f"place{number}" / f"music of {number}"
        folder.mkdir(parents=True)
        folders.append(folder)
        command(node, "box", "add", f"music@{folder}")
    (folders[0] / "song").write_text("la")
    wait_until(lambda: all((one / "song").exists() for one in folders), "it is everywhere", SOON)
    # Not in the other box, and the other box goes on while this one is paused.
    one, two, three = rig.nodes
    command(two, "box", "pause", "music")
    assert box_of(two, "music")["state"] == "paused"
    (folders[0] / "song").write_text("lala")
    (one.box / "first box").write_text("x")
    wait_for_files([two, three], ["first box"], SOON)
    wait_until(lambda: (folders[2] / "song").read_text() == "lala", "the third has it", SOON)
    assert (folders[1] / "song").read_text() == "la"
    # A pause lasts over a stop.
    assert rig.stop(two) == 0
    rig.start(two)
    rig.wait_for_view()
    assert box_of(two, "music")["state"] == "paused"
    command(two, "box", "resume", "music")
    wait_until(lambda: (folders[1] / "song").read_text() == "lala", "it caught up", SOON)
    # Removed, emptied, added again: nothing of that is a deletion.
    command(three, "box", "remove", "music")
    (folders[2] / "song").unlink()
    command(three, "box", "add", f"music@{folders[2]}")
    wait_until(lambda: is_in_sync(three, "music"), "it is in sync", SOON)
    assert all((one / "song").read_text() == "lala" for one in folders)
    command(three, "box", "remove", "music")
    assert "music" in command(one, "box", "list")


def test_modes_folders_and_what_is_ignored(rig: Rig) -> None:
    one, two, three = rig.nodes
    (one.box / ".flockignore").write_text("*.o\n")
    (one.box / "photos").mkdir()
    (one.box / "photos" / "a").write_text("a")
    (one.box / "x.o").write_text("object")
    wait_for_files([two, three], [".flockignore", "photos/a"], SOON)
    name = "shared"
    told = json.loads(command(one, "ignored", "--json", str(one.box / "x.o")))
    assert told["ignored"] and "line 1" in told["reason"]
    assert not (two.box / "x.o").exists()

    assert "add --yes" in _refused(two, "box", "mode", name, "receive-only")
    command(two, "box", "mode", name, "receive-only", "--yes")
    wait_until(lambda: is_in_sync(two, name), "it is in sync", SOON)
    (two.box / "photos" / "a").write_text("mine")
    (one.box / "b").write_text("b")
    wait_for_files([two, three], ["b"], SOON)
    wait_until(lambda: bool(box_of(two, name)["set_aside"]), "it is shown", SOON)
    assert "set aside: photos/a (changed here)" in command(two, "status")
    command(two, "box", "revert", name, str(two.box / "photos"))
    wait_until(lambda: (two.box / "photos/a").read_text() == "a", "it is reverted", SOON)
    command(two, "box", "mode", name, "sync", "--yes")
    wait_until(lambda: is_in_sync(two, name), "it is in sync", SOON)

    assert "stays, and is not" in command(three, "box", "folders", name, "photos")
    (three.box / "b").unlink()
    (one.box / "photos" / "c").write_text("c")
    wait_for_files([three], ["photos/c"], SOON)
    assert (one.box / "b").exists()
    assert "only photos" in command(three, "status")
    assert command(three, "box", "folders", name, "--all") == "shared: all of it is held here\n"
    wait_for_files([three], ["b"], SOON)
    rig_is_equal(rig)


def test_extended_attributes_where_they_are_wanted(rig: Rig) -> None:
    one, two, three = rig.nodes
    skip_without(rig.root)
    (one.box / "tagged").write_text("x")
    set_tags(one.box / "tagged", RED)
    wait_for_files([two, three], ["tagged"], SOON)
    for node in (one, two):
        said = command(node, "box", "xattrs", "shared", "on")
        assert said.startswith("shared: extended attributes are synced"), said
    wait_until(lambda: tags(two.box / "tagged") == RED, "the tag is there", SOON)
    (three.box / "tagged").write_text("edited where nobody wants it")
    wanted = (three.box / "tagged").read_text()
    wait_until(lambda: (one.box / "tagged").read_text() == wanted, "the edit is there", SOON)
    assert tags(one.box / "tagged") == RED
    assert not tags(three.box / "tagged")
    wait_until(lambda: (two.box / "tagged").read_text() == wanted, "everywhere", SOON)
    assert tags(two.box / "tagged") == RED
    assert "synced no more" in command(two, "box", "xattrs", "shared", "off")
    wait_until(lambda: is_in_sync(two, "shared"), "it is in sync", SOON)
    assert tags(two.box / "tagged") == RED, "what is there stays"


def test_once_runs_until_all_is_equal(rig: Rig) -> None:
    one, two, three = rig.nodes
    assert rig.stop(three) == 0
    (one.box / "while it lay in the drawer").write_text("x")
    wait_for_files([two], ["while it lay in the drawer"], SOON)
    (three.box / "made in the drawer").write_text("y")
    done = three.run("--once", timeout_seconds=ONCE_SECONDS)
    assert done.returncode == 0, done.stderr
    assert "equal with 2 other members" in done.stderr + done.stdout
    assert (three.box / "while it lay in the drawer").read_text() == "x"
    wait_for_files([one, two], ["made in the drawer"], SOON)
    # Its disk is missing: it says so, and does not wait for ever.
    marker = three.box / ".flocksy"
    marker.rename(three.box.parent / "marker away")
    try:
        done = three.run("--once", timeout_seconds=ONCE_SECONDS)
        assert done.returncode == 1
        assert "not equal" in done.stderr + done.stdout
    finally:
        (three.box.parent / "marker away").rename(marker)
    rig.start(three)
    rig.wait_for_view()
    rig.wait_in_sync()


def test_once_for_a_drive_out_of_the_drawer(rig: Rig) -> None:
    """It is found where it is mounted now; and without it, nothing is called equal."""
    need_root()
    three = rig.nodes[2]
    drive = Drive(rig.root / "drive.image", "ext4")
    drive.make()
    drive.plug(rig.root / "plugged")
    try:
        folders = [rig.root / "stick0", rig.root / "stick1", rig.root / "plugged" / "backup"]
        for node, folder in zip(rig.nodes, folders, strict=True):
            folder.mkdir()
            removable = ("--removable",) if node is three else ()
            command(node, "box", "add", f"stick@{folder}", *removable)
        command(three, "box", "adopt", "stick")
        (folders[0] / "letter").write_text("old")
        wait_until(lambda: (folders[2] / "letter").exists(), "the drive has it", SOON)
        wait_until(lambda: is_in_sync(three, "stick"), "it is in sync", SOON)
        assert rig.stop(three) == 0
        drive.unplug()
        (folders[0] / "letter").write_text("new")
        done = three.run("--once", timeout_seconds=ONCE_SECONDS)
        assert done.returncode == 1, "its drive is in the drawer"
        assert not any((rig.root / "plugged").iterdir()), "nothing is written to its mount point"
        now = rig.root / "plugged elsewhere"
        drive.plug(now)
        (now / "backup" / "mine").write_text("made on another machine")
        done = three.run("--once", timeout_seconds=ONCE_SECONDS)
        assert done.returncode == 0, done.stderr
        assert (now / "backup" / "letter").read_text() == "new"
        wait_until(lambda: (folders[1] / "mine").exists(), "the others have its file", SOON)
    finally:
        drive.unplug()
    rig.start(three)
    rig.wait_for_view()
    for node in rig.nodes:
        command(node, "box", "remove", "stick")
    rig.wait_in_sync()


def rig_is_equal(rig: Rig) -> None:
    """But for what is ignored."""
    (rig.nodes[0].box / "x.o").unlink()
    rig.wait_equal()


def _refused(node: RigNode, *words: str) -> str:
    done = node.run(*words, timeout_seconds=SOON)
    assert done.returncode == 1, (done.stdout, done.stderr)
    return done.stderr
