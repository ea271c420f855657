"""What people get wrong, and what the world does: one clear line each, and nothing is lost."""

from __future__ import annotations

import json
import os
import socket
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from flocksy.status.wording import EXIT_FAULT, EXIT_USAGE
from flocksy.testing.rig import Rig, RigNode
from tests.integration.flock import COMMAND_SECONDS, command, flying, rig_of_three


@pytest.fixture
def rig() -> Iterator[Rig]:
    """Three nodes that do not run."""
    with rig_of_three() as made:
        yield made
        assert made.complaints() == []


def unknown_key(rig: Rig) -> None:
    add_line(rig.nodes[0], "colour = blue")


def missing_path(rig: Rig) -> None:
    rig.nodes[0].box.rmdir()


def path_is_a_file(rig: Rig) -> None:
    missing_path(rig)
    rig.nodes[0].box.write_text("not a directory")


def member_without_key(rig: Rig) -> None:
    change_json(rig.keys / "flocksy_keystore", lambda keys: keys.pop(endpoint(rig, 2)))


def malformed_key(rig: Rig) -> None:
    change_json(
        rig.keys / "flocksy_keystore", lambda keys: keys.update({endpoint(rig, 2): "too short"})
    )


def malformed_json(rig: Rig) -> None:
    (rig.keys / "flocksy_keystore").write_text("{ this is no JSON")


def no_private_key(rig: Rig) -> None:
    change_json(rig.keys / "flocksy_privatekeys", lambda keys: keys.pop(endpoint(rig, 1)))


def private_keys_for_all_to_read(rig: Rig) -> None:
    (rig.keys / "flocksy_privatekeys").chmod(0o644)


def endpoint(rig: Rig, number: int) -> str:
    return f"ipc://{rig.root}/node{number}.ipc"


def add_line(node: RigNode, line: str) -> None:
    with node.config.open("a") as file:
        file.write(f"{line}\n")


def change_json(path: Path, change: Callable[[dict[str, object]], object]) -> None:
    content = json.loads(path.read_text())
    change(content)
    path.write_text(json.dumps(content))


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (unknown_key, "unknown setting 'colour'"),
        (missing_path, "does not exist; make it with mkdir"),
        (path_is_a_file, "is not a directory"),
        (member_without_key, "no public key for the node ipc://"),
        (malformed_key, "node2.ipc"),
        (malformed_json, "flocksy_keystore"),
        (no_private_key, "no private key for ipc://"),
        (private_keys_for_all_to_read, "chmod 600"),
    ],
)
def test_a_node_that_cannot_start_says_why(
    rig: Rig, spoil: Callable[[Rig], None], said: str
) -> None:
    spoil(rig)
    assert said in command(rig.nodes[0], status=EXIT_USAGE)


@pytest.mark.parametrize("kind", ["tcp", "ipc"])
def test_an_endpoint_in_use(rig: Rig, kind: str) -> None:
    node = rig.nodes[0]
    with socket.socket(socket.AF_INET if kind == "tcp" else socket.AF_UNIX) as server:
        if kind == "tcp":
            server.bind(("127.0.0.1", 0))
            taken = f"tcp://127.0.0.1:{server.getsockname()[1]}"
        else:
            server.bind(str(rig.root / "taken.ipc"))
            taken = f"ipc://{rig.root}/taken.ipc"
        server.listen()
        add_line(node, f"hostname = {taken}")
        done = node.run(timeout_seconds=COMMAND_SECONDS)
    *log, said = done.stderr.splitlines()
    assert done.returncode == EXIT_FAULT
    assert said.startswith(f"flocksy: hostname = {taken}: ")
    assert said.endswith("is this node running already?")
    log = [line for line in log if "sample key in use" not in line]
    assert not [line for line in log if "error" in line or "warning" in line]


def test_a_second_node_on_the_same_state(rig: Rig) -> None:
    with flying(rig):
        said = command(rig.nodes[0], status=EXIT_FAULT)
        assert "runs already" in said
        (rig.nodes[0].box / "still flying").write_text("text")
        rig.wait_equal()


def test_a_state_directory_that_cannot_be(rig: Rig) -> None:
    node = rig.nodes[0]
    Path(node.environment["XDG_STATE_HOME"]).write_text("a file where a directory should be")
    assert "cannot be used for the node's state" in command(node, status=EXIT_FAULT)


def test_things_that_no_box_can_hold_are_named(rig: Rig) -> None:
    box = rig.nodes[0].box
    os.mkfifo(box / "a pipe")
    (box / "an ordinary file").write_text("text")
    with flying(rig):
        assert "a pipe" in command(rig.nodes[0], "status")
        assert (rig.nodes[1].box / "an ordinary file").exists()
