"""Looking into the past and changing it back, by command, with real nodes."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator

import pytest

from flocksy.testing.rig import Rig, wait_until
from tests.integration.flock import (
    KIB,
    box_status,
    command,
    flying,
    random_bytes,
    rig_of_three,
    wait_for_files,
)

SOON = 30.0


@pytest.fixture(scope="module")
def rig() -> Iterator[Rig]:
    with flying(rig_of_three()) as started:
        yield started


def test_a_deleted_file_comes_back_where_it_was_deleted(rig: Rig) -> None:
    one, two, _ = rig.nodes
    content = random_bytes(200 * KIB, 1)
    path = one.box / "report.bin"
    path.write_bytes(content)
    rig.wait_equal()
    path.unlink()
    rig.wait_equal()
    (found,) = json.loads(command(one, "deleted", "--json", "--limit", "1"))
    assert (found["box"], found["path"]) == ("shared", "report.bin")
    assert found["version"]["size"] == len(content)
    assert "report.bin" in command(two, "deleted", str(two.box))
    told = command(one, "restore", str(path))
    assert "report.bin: restored (v" in told
    rig.wait_equal()
    assert (two.box / "report.bin").read_bytes() == content


def test_an_edited_file_goes_back_to_any_version(rig: Rig) -> None:
    one, two, _ = rig.nodes
    path = one.box / "notes.txt"
    for text in ("first", "second", "third"):
        path.write_text(text)
        rig.wait_equal()
    told = json.loads(command(two, "history", str(two.box / "notes.txt"), "--json"))
    versions = told["versions"]
    assert [one["until"] is None for one in versions] == [True, False, False]
    assert versions[2]["where"] == "here"
    shown = command(two, "history", str(two.box / "notes.txt"))
    assert versions[2]["id"] in shown
    command(two, "restore", str(two.box / "notes.txt"), "--at", versions[2]["id"])
    rig.wait_equal()
    assert path.read_text() == "first"
    again = json.loads(command(one, "restore", str(path), "--json"))
    assert again["restored"] == ["notes.txt"]
    rig.wait_equal()
    assert (two.box / "notes.txt").read_text() == "third"


def test_a_deleted_folder_comes_back_whole(rig: Rig) -> None:
    one, two, _ = rig.nodes
    for number in range(20):
        (one.box / "album" / f"{number % 3}").mkdir(parents=True, exist_ok=True)
        (one.box / "album" / f"{number % 3}" / f"{number}").write_bytes(random_bytes(9_000, number))
    rig.wait_equal()
    shutil.rmtree(two.box / "album")
    rig.wait_equal()
    assert "paths restored" in command(two, "restore", str(two.box / "album"))
    rig.wait_equal()
    assert len(list((one.box / "album").rglob("*"))) == 23
    assert (one.box / "album/1/4").read_bytes() == random_bytes(9_000, 4)


def test_conflicts_are_listed_and_decided(rig: Rig) -> None:
    one, two, _ = rig.nodes
    (one.box / "both.txt").write_text("before")
    rig.wait_equal()
    for node in (one, two):
        (node.box / "both.txt").write_text(f"by {node.name}")
    wait_until(lambda: len(list(one.box.glob("both*"))) == 2, "a copy shows", SOON)
    rig.wait_equal()
    (found,) = json.loads(command(one, "conflicts", "--json"))
    assert found["path"] == "both.txt"
    copy = found["sides"][1]["path"]
    assert copy in command(two, "conflicts", "list", str(two.box))
    text = (one.box / copy).read_text()
    assert "resolve" in command(one, "conflicts", "show", str(one.box / copy))
    command(one, "conflicts", "resolve", str(one.box / copy))
    wait_until(lambda: not (two.box / copy).exists(), "the copy goes", SOON)
    rig.wait_equal()
    assert (two.box / "both.txt").read_text() == text
    assert "no conflicts" in command(two, "conflicts")


def test_deletions_of_a_stopped_node_wait_for_a_word(rig: Rig) -> None:
    one, two, three = rig.nodes
    for name in ("away 1", "away 2", "away 3", "kept"):
        (one.box / name).write_text(name)
    rig.wait_equal()
    for answer in ("reject", "approve"):
        assert rig.stop(three) == 0
        for number in (1, 2, 3):
            (three.box / f"away {number}").unlink()
        (three.box / f"new before {answer}").write_text("not held up")
        rig.start(three)
        rig.wait_for_view()
        wait_until(lambda: box_status(three)["state"] == "waits for your word", "it asks", SOON)
        wait_for_files([one, two], [f"new before {answer}", "away 1"], SOON)
        asks = str(box_status(three)["asks"])
        assert "3 deletions (away 1, away 2, away 3)" in asks
        assert "away 1" not in three.log.read_text(), "a log stays, and would say where"
        assert asks in command(three, "box", "list")
        assert asks in command(three, "status")
        assert "away 1" in str(box_status(three)["waiting"])
        assert "flocksy approve shared" in command(three, "wait", status=1)
        assert "nothing waits" in command(one, answer)
        assert "3 deletions" in command(three, answer, "shared")
        rig.wait_equal()
        assert (one.box / "away 1").exists() is (answer == "reject")
        assert box_status(three)["asks"] == ""
    assert (two.box / "kept").exists()


def test_bad_questions_get_one_line(rig: Rig) -> None:
    one = rig.nodes[0]
    there = str(one.box / "there")
    (one.box / "there").write_text("x")
    rig.wait_equal()
    for words, said in (
        (("history", str(one.box / "never")), "nothing is known"),
        (("history", "/nowhere"), "no box of this node"),
        (("history", str(one.box)), "a whole box"),
        (("restore", there), "nothing else is known"),
        (("restore", there, "--at", "soon"), "--at soon: should be"),
        (("restore", there, "--at", "v00000000"), "no version begins with v00000000"),
        (("restore", there, "--at", "5m"), "as of then"),
        (("conflicts", "show", there), "no conflict copies"),
        (("approve", "nobox"), "no such box"),
    ):
        assert said in command(one, *words, status=1), words
    assert "no number" in command(one, "deleted", "--limit", "0", status=2)


def test_with_no_node_running(rig: Rig) -> None:
    one, two, three = rig.nodes
    path = three.box / "offline.txt"
    for text in ("first", "second", "third"):
        # By another node: what it replaces on the third one goes to the history there.
        (one.box / "offline.txt").write_text(text)
        rig.wait_equal()
    (one.box / "gone.bin").write_bytes(random_bytes(50 * KIB, 7))
    rig.wait_equal()
    (one.box / "gone.bin").unlink()
    rig.wait_equal()
    (three.box / "only there").write_text("deleted by three itself")
    rig.wait_equal()
    (three.box / "only there").unlink()
    rig.wait_equal()
    assert rig.stop(three) == 0
    told = json.loads(command(three, "history", str(path), "--json"))
    assert "does not run" in told["note"]
    assert len(told["versions"]) == 3
    assert "does not run" in command(three, "deleted")
    listed = command(three, "conflicts")
    assert "no conflicts" in listed
    assert "does not run" in listed
    assert "not on this disk" in command(three, "restore", str(three.box / "only there"), status=1)
    assert "nothing waited" in command(three, "approve")
    before = os.stat(one.box / "offline.txt").st_mode
    for words in ((str(three.box / "gone.bin"),), (str(path), "--at", told["versions"][2]["id"])):
        said = command(three, "restore", *words)
        assert "does not run: the others get it when it does" in said
    assert path.read_text() == "first"
    assert (three.box / "gone.bin").read_bytes() == random_bytes(50 * KIB, 7)
    rig.start(three)
    rig.wait_for_view()
    rig.wait_equal()
    assert (one.box / "offline.txt").read_text() == "first"
    assert (one.box / "offline.txt").stat().st_mode == before
    assert (two.box / "gone.bin").read_bytes() == random_bytes(50 * KIB, 7)


def test_what_waited_is_answered_with_no_node_running(rig: Rig) -> None:
    one, _, three = rig.nodes
    for name in ("drawer 1", "drawer 2"):
        (one.box / name).write_text(name)
    rig.wait_equal()
    for number, answer in ((1, "approve"), (2, "reject")):
        assert rig.stop(three) == 0
        (three.box / f"drawer {number}").unlink()
        rig.start(three)
        rig.wait_for_view()
        wait_until(lambda: box_status(three)["state"] == "waits for your word", "it asks", SOON)
        assert rig.stop(three) == 0
        assert "1 deletion" in command(three, answer)
        rig.start(three)
        rig.wait_for_view()
        rig.wait_equal()
    assert not (one.box / "drawer 1").exists()
    assert (three.box / "drawer 2").exists()


def test_only_what_is_missing_is_dismissed(rig: Rig) -> None:
    """What nobody can show takes a maker that dies: `tests/boxes/test_dismissing.py`."""
    one, _, _ = rig.nodes
    path = one.box / "whole.txt"
    path.write_text("here")
    rig.wait_equal()
    for said in (str(path), str(one.box)):
        assert "no content is missing there" in command(one, "dismiss", said, status=1)
    rig.wait_equal()
    assert path.read_text() == "here"
