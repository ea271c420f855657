"""What people do with a running node: commands, stops, restarts, changes made meanwhile."""

from __future__ import annotations

import json
import shutil
import signal
from dataclasses import replace
from pathlib import Path

import pytest

from flocksy.status import local_socket
from flocksy.status.wording import CONTROL_VERSION, EXIT_TIMEOUT, EXIT_USAGE
from flocksy.testing.rig import Rig, RigError, wait_until
from tests.integration.flock import KIB, box_status, command, random_bytes, wait_for_files

SOON = 30.0


def test_changes_made_while_a_node_was_away(rig: Rig) -> None:
    one, two, three = rig.nodes
    for name in ("edited", "deleted", "renamed", "touched"):
        (one.box / name).write_text(name)
    (one.box / "tree").mkdir()
    (one.box / "tree" / "leaf").write_bytes(random_bytes(100 * KIB, 1))
    rig.wait_equal()
    assert rig.stop(three) == 0
    assert "stopped" in three.log.read_text()

    (three.box / "edited").write_text("while the node was not running")
    (three.box / "deleted").unlink()
    (three.box / "renamed").rename(three.box / "has a new name")
    (three.box / "touched").chmod(0o600)
    (three.box / "new").write_bytes(random_bytes(50 * KIB, 2))
    shutil.rmtree(three.box / "tree")
    (one.box / "made by the others").write_text("meanwhile")
    (two.box / "edited by the others").write_text("meanwhile")
    wait_for_files([one, two], ["made by the others", "edited by the others"], SOON)
    rig.start(three)
    rig.wait_for_view()
    # Nobody saw the deletions happen, so a person is asked.
    wait_until(lambda: box_status(three)["state"] == "waits for your word", "it asks", SOON)
    assert "3 deletions approved" in command(three, "approve")
    rig.wait_equal()
    for node in rig.nodes:
        assert (node.box / "edited").read_text() == "while the node was not running"
        assert not (node.box / "deleted").exists()
        assert not (node.box / "renamed").exists()
        assert not (node.box / "tree").exists()
        assert (node.box / "has a new name").read_text() == "renamed"
        assert (node.box / "touched").stat().st_mode & 0o777 == 0o600
        assert (node.box / "new").exists()
        assert (node.box / "made by the others").exists()


def test_terminated_in_the_middle_it_goes_on_later(rig: Rig) -> None:
    one, two, _ = rig.nodes
    (one.box / "half sent").write_bytes(random_bytes(8 * 1024 * KIB, 3))
    wait_until(lambda: one.status()["burst"] is not None, "a burst is agreed", SOON)
    assert rig.stop(one, signal.SIGTERM) == 0
    assert rig.stop(two, signal.SIGINT) == 0
    rig.start(one)
    rig.start(two)
    rig.wait_for_view()
    rig.wait_equal()
    assert all((node.box / "half sent").exists() for node in rig.nodes)


def test_its_processes_go_with_the_node(rig: Rig) -> None:
    three = rig.nodes[2]
    rig.kill(three, alone=True)
    (three.box / "after the kill").write_text("text")
    rig.start(three)
    rig.wait_for_view()
    rig.wait_equal()
    assert (rig.nodes[0].box / "after the kill").exists()


def test_pause_and_resume(rig: Rig) -> None:
    one, two, _ = rig.nodes
    command(one, "box", "pause", "shared")
    assert box_status(one)["state"] == "paused"
    (one.box / "written in the pause").write_text("here")
    (two.box / "from elsewhere").write_text("there")
    wait_for_files(rig.nodes[1:], ["from elsewhere"], SOON)
    assert not (one.box / "from elsewhere").exists()
    assert not (two.box / "written in the pause").exists()
    command(one, "box", "resume", "shared")
    rig.wait_equal()
    assert (two.box / "written in the pause").exists()
    assert (one.box / "from elsewhere").exists()


def test_a_box_comes_and_goes_at_run_time(rig: Rig) -> None:
    folders = []
    for number, node in enumerate(rig.nodes):
        folder = rig.root / f"second{number}"
        folder.mkdir()
        folders.append(folder)
        command(node, "box", "add", f"second@{folder}")
        assert f"second@{folder}" in node.config.read_text()
        assert "# Node" in node.config.read_text()
    (folders[0] / "in the second").write_text("box")
    wait_until(lambda: all((folder / "in the second").exists() for folder in folders), "it", SOON)
    rig.wait_in_sync()
    listed = json.loads(command(rig.nodes[0], "box", "list", "--json"))
    assert {box["name"]: box["state"] for box in listed} == {
        "shared": "in sync",
        "second": "in sync",
    }
    for node in rig.nodes:
        command(node, "box", "remove", "second")
        assert "second@" not in node.config.read_text()
    (folders[0] / "not shared any more").write_text("text")
    (rig.nodes[0].box / "still shared").write_text("text")
    rig.wait_equal()
    assert all((folder / "in the second").exists() for folder in folders)
    assert not (folders[1] / "not shared any more").exists()
    for words in (("box", "remove", "second"), ("box", "pause", "second"), ("rescan", "second")):
        assert "this node has no such box" in command(rig.nodes[0], *words, status=1)


def test_a_box_that_cannot_be_changes_nothing(rig: Rig) -> None:
    one = rig.nodes[0]
    before = one.config.read_text()
    (one.box / "nested").mkdir()
    for what, said in (
        (f"second@{rig.root}/nowhere", "does not exist"),
        (f"second@{one.box}/nested", "lie in each other"),
        (f"second@{rig.root}", "is or holds the home directory"),
        (f"second@{rig.root}/configs", "must not be shared"),
        (f"shared@{rig.nodes[1].box}", "is there already"),
        ("second", "has no path"),
    ):
        assert said in command(one, "box", "add", what, status=EXIT_USAGE)
    assert one.config.read_text() == before
    (one.box / "nested").rmdir()
    rig.wait_equal()


def test_waiting_has_an_end(rig: Rig) -> None:
    one, two, three = rig.nodes
    assert rig.stop(two) == 0
    assert rig.stop(three) == 0
    (one.box / "nobody to take it").write_text("text")
    said = command(one, "wait", "--timeout", "1", status=EXIT_TIMEOUT)
    assert "shared: waiting for the flock" in said
    with pytest.raises(RigError, match="not in sync in time"):
        rig.wait_in_sync(0.5)
    assert "nothing real leaves now" in command(one, "status")
    rig.start(two)
    rig.start(three)
    rig.wait_for_view()
    rig.wait_equal()
    assert "in sync" in command(one, "wait", "shared", "--timeout", "30")
    assert "rescanning shared" in command(one, "rescan")


@pytest.mark.parametrize(
    ("last", "words"),
    [
        ("reload", "the node joins the flock anew: ask again in a moment"),
        ("version", "the node stops"),
    ],
)
def test_who_waits_is_told_what_becomes_of_the_node(rig: Rig, last: str, words: str) -> None:
    node = rig.nodes[2]
    config = node.config.read_text()
    marker = node.box / ".flocksy/marker"
    away = marker.rename(marker.with_name("away"))
    wait_until(lambda: box_status(node)["state"] == "paused", "it is waited for", SOON)
    if last == "reload":
        node.config.write_text(f"{config}\nannounce_delay = 0.3\n")
    with (
        local_socket.connect(node.control_socket(), SOON) as client,
        client.makefile("rw") as lines,
    ):
        for number, asked in enumerate(("wait", last)):
            line = {"v": CONTROL_VERSION, "id": number, "command": asked, "arguments": {}}
            lines.write(json.dumps(line) + "\n")
        lines.flush()
        taken = json.loads(lines.readline())
        assert taken["id"] == 1 and "error" not in taken, taken
        if last != "reload":
            assert rig.stop(node) == 0
        told = json.loads(lines.readline())
    assert (told["id"], told["error"]) == (0, words)
    away.rename(marker)
    node.config.write_text(config)
    if last != "reload":
        rig.start(node)
    rig.wait_for_view()
    rig.wait_in_sync()


def test_a_node_whose_socket_was_removed_is_reached_again(rig: Rig) -> None:
    """With the last session of the user the directory goes; and cron knows of none."""
    one = rig.nodes[0]
    shutil.rmtree(Path(one.control_socket()).parent)

    def answers() -> bool:
        return one.run("status", timeout_seconds=SOON).returncode == 0

    wait_until(answers, "the socket is made anew", SOON)
    elsewhere = {"XDG_RUNTIME_DIR": str(rig.root / "nowhere"), "TMPDIR": str(rig.root)}
    cron = replace(one, environment=one.environment | elsewhere)
    assert "shared" in command(cron, "box", "list")


def test_a_missing_marker_pauses_the_box(rig: Rig) -> None:
    one, two, _ = rig.nodes
    (one.box / "kept").write_text("text")
    rig.wait_equal()
    away = rig.root / "the disk is away"
    one.box.rename(away)
    one.box.mkdir()
    wait_until(lambda: box_status(one)["state"] == "paused", "the box pauses", SOON)
    reason = str(box_status(one)["reason"])
    assert "marker" in reason
    assert "flocksy box adopt shared" in reason
    (two.box / "written meanwhile").write_text("text")
    wait_for_files(rig.nodes[1:], ["written meanwhile"], SOON)
    assert list(one.box.iterdir()) == []
    one.box.rmdir()
    wait_until(lambda: "no such directory" in str(box_status(one)["reason"]), "it is gone", SOON)
    away.rename(one.box)
    rig.wait_equal()
    assert (two.box / "kept").exists()
    assert (one.box / "written meanwhile").exists()


def test_a_changed_configuration_is_read_on_hangup(rig: Rig) -> None:
    one = rig.nodes[0]
    assert one.process is not None
    text = one.config.read_text()
    one.config.write_text(text + "\nboxx = wrong@/nowhere\n")
    one.process.send_signal(signal.SIGHUP)
    wait_until(lambda: "did you mean box?" in one.log.read_text(), "it is refused", SOON)
    assert "nothing was changed" in one.log.read_text()
    assert "did you mean box?" in command(one, "reload", status=2)
    one.config.write_text(text)
    assert command(one, "reload") == "read anew\n"
    one.process.send_signal(signal.SIGHUP)
    wait_until(lambda: "read anew" in one.log.read_text(), "it is read", SOON)
    rig.wait_in_sync()
