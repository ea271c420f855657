"""The control socket of a running node: made anew where it is gone, and found from anywhere."""

from __future__ import annotations

import json
import select
import shutil
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from flocksy.config.load import load
from flocksy.config.state import claim, control_path, control_paths
from flocksy.node.control import LOOK_SECONDS, Control
from flocksy.status import local_socket
from flocksy.status.client import request
from flocksy.status.control import Answer, Arguments
from tests.place import PLAIN, Place

BOUND_SECONDS = 20.0


class Running:
    """The state and the control socket of a node, and nothing else of it."""

    def __init__(self, place: Place) -> None:
        settings, self.lock = claim(load(place.write(PLAIN)))
        self.state_dir = settings.state_dir
        self.problems: list[str] = []
        self.control = Control(self.state_dir, self.handle, self.problems.append)
        self.now = 0.0

    def handle(self, command: str, _: Arguments) -> Answer:
        return {"text": f"here is {command}"}

    def turn(self) -> None:
        self.now += LOOK_SECONDS
        self.control.turn(self.now)

    def asked(self, path: str) -> object:
        """What a command gets that asks at `path`."""
        found: list[object] = []
        asking = threading.Thread(target=lambda: found.append(request(path, "status")["text"]))
        asking.start()
        while asking.is_alive():
            if select.select([self.control.server.fileno()], [], [], 0.05)[0]:
                self.control.server.on_readable()
        asking.join(BOUND_SECONDS)
        return found[0] if found else None

    def close(self) -> None:
        self.control.server.close()
        self.lock.close()


@pytest.fixture
def running(place: Place) -> Iterator[Running]:
    made = Running(place)
    yield made
    made.close()


def test_it_is_made_anew_elsewhere_when_its_directory_is_gone(
    running: Running, short_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The last session of the user has ended."""
    before = Path(control_path(running.state_dir))
    assert before.is_relative_to(short_path)
    assert running.asked(str(before)) == "here is status"
    client = local_socket.connect(str(before), BOUND_SECONDS)
    running.control.server.on_readable()
    with client:
        shutil.rmtree(before.parent)
        elsewhere = short_path / "t"
        elsewhere.mkdir()
        monkeypatch.setenv("XDG_RUNTIME_DIR", str(short_path / "gone"))
        monkeypatch.setattr("tempfile.tempdir", str(elsewhere))
        running.turn()
        after = control_path(running.state_dir)
        assert Path(after).is_relative_to(elsewhere)
        # A later session has its directory again, and finds the node all the same.
        monkeypatch.setenv("XDG_RUNTIME_DIR", str(short_path))
        assert control_path(running.state_dir) == after
        assert running.asked(after) == "here is status"
        # Who was connected waits on.
        client.sendall(json.dumps({"v": 1, "id": 1, "command": "status"}).encode() + b"\n")
        running.control.server.on_readable()
        assert b"here is status" in client.recv(4096)
    assert running.problems == []


def test_as_long_as_it_cannot_be_made_it_is_tried_again(
    running: Running, short_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = Path(control_path(running.state_dir))
    path.unlink()
    nowhere = str(short_path / "nowhere")
    monkeypatch.setenv("XDG_RUNTIME_DIR", nowhere)
    monkeypatch.setattr("tempfile.tempdir", nowhere)
    running.turn()
    (said,) = running.problems
    assert "set XDG_RUNTIME_DIR" in said and "commands do not reach this node" in said
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(short_path))
    running.turn()
    assert running.asked(str(path)) == "here is status"


def test_it_is_found_with_another_runtime_directory(
    running: Running, short_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = control_path(running.state_dir)
    monkeypatch.delenv("XDG_RUNTIME_DIR")
    other = short_path / "tmp"
    other.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(other))
    assert control_path(running.state_dir) == path
    assert control_paths() == (path,)
    assert running.asked(control_path(running.state_dir)) == "here is status"


def test_what_is_not_ours_or_not_there_is_not_believed(running: Running, short_path: Path) -> None:
    right, told = control_path(running.state_dir), Path(running.state_dir, "socket")
    link = short_path / "link.sock"
    link.symlink_to(right)
    for wrong in (str(link), str(short_path / "gone.sock"), "relative.sock", "", "/a\0b"):
        told.write_text(f"{wrong}\n")
        assert control_path(running.state_dir) == right
    told.write_bytes(b"\xff\xfe")
    assert control_path(running.state_dir) == right


def test_a_node_goes_on_where_it_cannot_say_where_it_listens(running: Running) -> None:
    told = Path(running.state_dir, "socket")
    told.unlink()
    Path(f"{told}.new").mkdir()  # in the way of what is written
    Path(control_path(running.state_dir)).unlink()
    running.turn()
    (said,) = running.problems
    assert running.state_dir in said and "another XDG_RUNTIME_DIR" in said
    assert running.asked(control_path(running.state_dir)) == "here is status"
