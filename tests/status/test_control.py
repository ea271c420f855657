"""The control socket, both ends real: answers now and later, and whatever else is sent to it."""

from __future__ import annotations

import json
import os
import select
import socket
import stat
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from flocksy.errors import BoxError, ConfigError, FlocksyError
from flocksy.status.client import CommandFailedError, NotRunningError, request, result_of
from flocksy.status.control import Answer, Arguments, ControlServer, Pending
from flocksy.status.wording import (
    CONTROL_VERSION,
    EXIT_FAULT,
    EXIT_TIMEOUT,
    EXIT_USAGE,
    MAX_CLIENTS,
    MAX_REQUEST_BYTES,
)

BOUND_SECONDS = 20.0


class Node:
    """A server driven by a loop like the node's, in a thread so that the client can block."""

    def __init__(self, path: Path) -> None:
        self.path = str(path)
        self.pending: list[Pending] = []
        self.seen: list[tuple[str, Arguments]] = []
        self.asked = threading.Event()
        self.server = ControlServer(self.path, self.handle)
        self._stop_reader, self._stop_writer = socket.socketpair()
        self._thread = threading.Thread(target=self._loop)
        self._thread.start()

    def handle(self, command: str, arguments: Arguments) -> Answer | Pending:
        self.seen.append((command, arguments))
        if command == "wait":
            later = Pending()
            if arguments["box"] == "now":
                later.answer({"text": "early"})
            self.pending.append(later)
            self.asked.set()
            return later
        if command == "box_add":
            raise ConfigError("line 5: not this one")
        if command == "rescan":
            raise BoxError("the box is paused")
        return {"text": "ok", "name": "\udcff ü"}

    def answer_all(self) -> None:
        """What the node does on its own loop when a wait ends."""
        self._stop_writer.send(b"a")

    def close(self) -> None:
        self._stop_writer.send(b"x")
        self._thread.join(BOUND_SECONDS)
        assert not self._thread.is_alive()
        self.server.close()
        self._stop_reader.close()
        self._stop_writer.close()

    def _loop(self) -> None:
        server, stop = self.server.fileno(), self._stop_reader.fileno()
        while True:
            ready, _, _ = select.select([server, stop], [], [], BOUND_SECONDS)
            if server in ready:
                self.server.on_readable()
            if stop in ready:
                if self._stop_reader.recv(1) == b"x":
                    return
                for later in self.pending:
                    later.answer({"text": "late"})


@pytest.fixture
def node(short_path: Path) -> Iterator[Node]:
    made = Node(short_path / "run" / "flocksy" / "0123456789abcdef.sock")
    yield made
    made.close()


def raw(node: Node, data: bytes) -> bytes:
    """Send bytes, say that no more come, and read whatever comes back."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as sock:
        sock.settimeout(BOUND_SECONDS)
        sock.connect(node.path)
        received = b""
        try:
            sock.sendall(data)
            sock.shutdown(socket.SHUT_WR)
            while more := sock.recv(65536):
                received += more
        except (BrokenPipeError, ConnectionResetError):
            pass  # refused while we still sent
    return received


def test_a_question_is_answered(node: Node) -> None:
    assert request(node.path, "status") == {"text": "ok", "name": "\udcff ü"}
    assert node.seen == [("status", {})]


def test_only_the_owner_can_connect(node: Node) -> None:
    assert stat.S_IMODE(os.stat(node.path).st_mode) == 0o600
    assert stat.S_IMODE(os.stat(os.path.dirname(node.path)).st_mode) == 0o700


def test_arguments_are_filled_in_and_checked(node: Node) -> None:
    assert request(node.path, "wait", {"box": "now"}) == {"text": "early"}
    assert node.seen == [("wait", {"box": "now", "timeout": None})]
    for command, arguments in (
        ("wait", {"box": 5}),
        ("wait", {"timeout": -1}),
        ("box_add", {"name": "x"}),
        ("box_pause", {"name": ""}),
        ("status", {"more": 1}),
        ("format_disk", {}),
    ):
        with pytest.raises(CommandFailedError) as caught:
            request(node.path, command, dict(arguments))
        assert caught.value.exit_status == EXIT_USAGE
    assert len(node.seen) == 1


def test_a_path_that_is_no_text_is_understood(node: Node) -> None:
    request(node.path, "history", {"path": "/box/\udcff"})
    request(node.path, "box_revert", {"name": "box", "paths": ["/box/\udcff"]})
    assert node.seen == [
        ("history", {"path": "/box/\udcff"}),
        ("box_revert", {"name": "box", "paths": ["/box/\udcff"]}),
    ]


@pytest.mark.parametrize("path", ["", "/a\0/b", "relative", "/\ud800", "/" + "x" * 5000])
@pytest.mark.parametrize("command", ["history", "box_add", "box_revert", "deleted"])
def test_what_can_be_no_path_is_refused(node: Node, command: str, path: str) -> None:
    arguments: dict[str, object] = {"path": path}
    if command == "box_add":
        arguments["name"] = "box"
    elif command == "box_revert":
        arguments = {"name": "box", "paths": ["/fine", path]}
    with pytest.raises(CommandFailedError) as refused:
        request(node.path, command, arguments)
    assert "path" in str(refused.value) and "\n" not in str(refused.value)
    assert refused.value.exit_status == EXIT_USAGE
    assert node.seen == []


@pytest.mark.parametrize("name", ["a\0b", "\udcff", ""])
def test_what_can_be_no_name_of_a_folder_is_refused(node: Node, name: str) -> None:
    with pytest.raises(CommandFailedError, match="folders"):
        request(node.path, "box_folders", {"name": "box", "folders": ["fine", name]})
    assert node.seen == []


def test_errors_keep_their_words_and_their_exit_status(node: Node) -> None:
    with pytest.raises(CommandFailedError, match="line 5: not this one") as usage:
        request(node.path, "box_add", {"name": "x", "path": "/x"})
    assert usage.value.exit_status == EXIT_USAGE
    with pytest.raises(CommandFailedError, match="the box is paused") as fault:
        request(node.path, "rescan")
    assert fault.value.exit_status == EXIT_FAULT


def test_a_wait_is_answered_later_and_others_meanwhile(node: Node) -> None:
    answers: list[dict[str, object]] = []
    waiting = threading.Thread(
        target=lambda: answers.append(request(node.path, "wait", timeout_seconds=BOUND_SECONDS))
    )
    waiting.start()
    assert node.asked.wait(BOUND_SECONDS)
    assert request(node.path, "status")["text"] == "ok"
    assert not answers
    node.answer_all()
    waiting.join(BOUND_SECONDS)
    assert answers == [{"text": "late"}]


def test_a_client_that_gives_up_leaves_nothing_behind(node: Node) -> None:
    with pytest.raises(CommandFailedError, match="did not answer within") as caught:
        request(node.path, "wait", timeout_seconds=0.2)
    assert caught.value.exit_status == EXIT_TIMEOUT
    request(node.path, "status")  # the loop has seen the first one go
    assert node.pending[0].gone
    node.answer_all()
    assert request(node.path, "status")["text"] == "ok"


def test_nobody_there_is_told_apart(short_path: Path) -> None:
    with pytest.raises(NotRunningError):
        request(str(short_path / "nothing.sock"), "status")
    left_over = short_path / "left.sock"
    with socket.socket(socket.AF_UNIX) as sock:
        sock.bind(str(left_over))
    with pytest.raises(NotRunningError):
        request(str(left_over), "status")


def test_a_left_over_socket_is_replaced_and_a_file_is_not(short_path: Path) -> None:
    path = short_path / "here.sock"
    with socket.socket(socket.AF_UNIX) as sock:
        sock.bind(str(path))
    server = ControlServer(str(path), lambda _command, _arguments: {})
    server.close()
    assert not path.exists()
    path.write_text("precious")
    with pytest.raises(FlocksyError, match="is not a socket"):
        ControlServer(str(path), lambda _command, _arguments: {})
    assert path.read_text() == "precious"
    with pytest.raises(FlocksyError, match="a shorter --state-dir"):
        ControlServer(str(short_path / ("x" * 200)), lambda _command, _arguments: {})


def test_another_version_is_named(node: Node) -> None:
    line = json.dumps({"v": CONTROL_VERSION + 1, "id": 3, "command": "status"}).encode() + b"\n"
    answer = json.loads(raw(node, line))
    assert not answer["ok"]
    assert f"speaks version {CONTROL_VERSION}" in answer["error"]


def test_several_questions_on_one_connection(node: Node) -> None:
    lines = b"".join(
        json.dumps({"v": CONTROL_VERSION, "id": number, "command": "status"}).encode() + b"\n"
        for number in range(5)
    )
    # The last newline only after all: lines may come in any pieces.
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as sock:
        sock.settimeout(BOUND_SECONDS)
        sock.connect(node.path)
        for start in range(0, len(lines), 7):
            sock.sendall(lines[start : start + 7])
        with sock.makefile("rb") as file:
            assert [json.loads(file.readline())["id"] for _ in range(5)] == [0, 1, 2, 3, 4]


@settings(
    max_examples=50, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(st.binary(max_size=300) | st.text().map(lambda text: text.encode("utf-8", "replace")))
def test_any_bytes_end_in_a_refusal_at_most(node: Node, data: bytes) -> None:
    received = raw(node, data + b"\n")
    for line in received.splitlines():
        assert json.loads(line)["ok"] is False
    assert request(node.path, "status")["text"] == "ok"


@pytest.mark.parametrize(
    "data", [b"x" * (3 * MAX_REQUEST_BYTES), b"[" * 60_000 + b"\n", b'{"v":1,"id":' + b"9" * 5000]
)
def test_too_much_is_refused(node: Node, data: bytes) -> None:
    raw(node, data)
    assert request(node.path, "status")["text"] == "ok"
    assert not [command for command, _ in node.seen if command != "status"]


@pytest.mark.parametrize("exit_status", ["1e999", "NaN", '"x"', "null", "[" * 9999])
def test_an_answer_that_makes_no_sense_is_refused_in_words(exit_status: str) -> None:
    line = f'{{"v": 1, "ok": false, "error": "no", "exit": {exit_status}}}\n'
    with pytest.raises(CommandFailedError, match="not understood"):
        result_of(line.encode())


def test_a_command_of_another_version_is_told_so_whatever_else_it_says(
    node: Node, monkeypatch: pytest.MonkeyPatch
) -> None:
    lines = (
        b'{"v": 7, "command": "status"}',
        b'{"v": 7, "ask": ["status"], "new": 1}',
        b'{"v": 0}',
    )
    for line in lines:
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as sock:
            sock.settimeout(BOUND_SECONDS)
            sock.connect(node.path)
            sock.sendall(line + b"\n")
            answer = json.loads(sock.makefile("rb").readline())
        assert "speaks version 1 of the control protocol" in answer["error"]
        assert answer["exit"] == EXIT_USAGE
    monkeypatch.setattr("flocksy.status.client.CONTROL_VERSION", 2)
    with pytest.raises(CommandFailedError, match=r"version 1 .* the command version 2") as caught:
        request(node.path, "status")
    assert caught.value.exit_status == EXIT_USAGE and "\n" not in str(caught.value)


def test_a_node_of_another_version_is_not_misread() -> None:
    with pytest.raises(CommandFailedError, match=r"node speaks version 2 .* this command 1"):
        result_of(b'{"v": 2, "id": 1, "ok": true, "result": {"status": {}}}\n')
    with pytest.raises(CommandFailedError, match="in its own words") as caught:
        result_of(b'{"v": 2, "ok": false, "error": "in its own words", "exit": 2}\n')
    assert caught.value.exit_status == 2


def test_a_command_waits_while_the_backlog_is_full(short_path: Path) -> None:
    server = ControlServer(str(short_path / "s"), lambda command, _: {"text": command})
    waiting = []
    while True:
        sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        sock.setblocking(False)
        waiting.append(sock)
        try:
            sock.connect(str(short_path / "s"))
        except BlockingIOError:
            break
    with pytest.raises(FlocksyError, match="cannot connect"):
        request(str(short_path / "s"), "status", timeout_seconds=0.0)
    found: list[Answer] = []
    asking = threading.Thread(target=lambda: found.append(request(str(short_path / "s"), "status")))
    asking.start()
    while asking.is_alive():
        select.select([server], [], [], 0.05)
        server.on_readable()
    assert found == [{"text": "status"}]
    for sock in waiting:
        sock.close()
    server.close()


def test_many_idle_connections_do_not_lock_us_out(node: Node) -> None:
    idle = []
    for _ in range(MAX_CLIENTS + 5):
        sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        sock.connect(node.path)
        idle.append(sock)
    assert request(node.path, "status")["text"] == "ok"
    for sock in idle:
        sock.close()
