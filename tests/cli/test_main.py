"""The command line: flags, exit statuses, one line for every error, with and without a node."""

from __future__ import annotations

import dataclasses
import errno
import json
import os
import select
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from flocksy import __version__
from flocksy.cli.arguments import build_parser, options_of
from flocksy.cli.main import main
from flocksy.config.load import load
from flocksy.config.settings import Options
from flocksy.config.state import claim, control_path, lock_path, tell_control_path
from flocksy.keys.files import create_private_keys, read_private_keys
from flocksy.status.control import Answer, Arguments, ControlServer, Pending
from flocksy.status.wording import EXIT_TIMEOUT
from tests.place import PLAIN, Place

BOUND_SECONDS = 20.0


def flags(place: Place) -> list[str]:
    return [
        *("-c", str(place.config), "--keystore", str(place.keystore)),
        *("--privatekey", str(place.privatekey)),
    ]


def run(*words: str) -> int:
    """The exit status, however it comes."""
    try:
        return main(list(words))
    except SystemExit as end:
        assert isinstance(end.code, int)
        return end.code


def refused(capsys: pytest.CaptureFixture[str], status: int, said: str, *words: str) -> None:
    """The command ends with `status` and one line on standard error that holds `said`."""
    assert run(*words) == status
    captured = capsys.readouterr()
    assert captured.out == ""
    assert said in captured.err
    assert captured.err.startswith("flocksy: ")
    assert captured.err.count("\n") == 1


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("--version") == 0
    assert capsys.readouterr().out == f"flocksy {__version__}\n"


def test_the_flags_may_stand_before_and_after_a_command() -> None:
    parsed = build_parser().parse_args(
        [
            "-c",
            "one",
            "-n",
            "a:1",
            "-b",
            "x@/x",
            "status",
            "-n",
            "b:1",
            "--keystore",
            "k",
            "-p",
            "h:1",
        ]
    )
    assert options_of(parsed) == Options(
        config="one", hostnames=("h:1",), nodes=("a:1", "b:1"), boxes=("x@/x",), keystore="k"
    )
    parsed = build_parser().parse_args(["-c", "one", "box", "list", "-c", "two"])
    assert options_of(parsed).config == "two"


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--colour"], "unrecognized arguments: --colour"),
        (["fly"], "invalid choice: 'fly'"),
        (["wait", "--timeout", "soon"], "is no number of seconds"),
        (["box"], "required"),
        (["box", "add"], "required"),
        (["--conf=x"], "unrecognized"),
    ],
)
def test_a_wrong_command_line_is_one_line(
    capsys: pytest.CaptureFixture[str], words: list[str], said: str
) -> None:
    refused(capsys, 2, said, *words)


def test_a_wrong_configuration_ends_with_2(
    place: Place, capsys: pytest.CaptureFixture[str]
) -> None:
    place.write(f"{PLAIN}colour = blue\n")
    refused(capsys, 2, ":5: unknown setting 'colour'", *flags(place))
    place.write(f"{PLAIN}box = one@/nowhere/at/all\n")
    refused(capsys, 2, "does not exist", *flags(place))
    place.write(PLAIN)
    place.privatekey.chmod(0o644)
    refused(capsys, 2, "chmod 600", *flags(place))
    refused(capsys, 2, "does not exist", "-c", str(place.root / "nothing"), "status")


def test_names_in_errors_are_printable(place: Place, capsys: pytest.CaptureFixture[str]) -> None:
    place.write(f"{PLAIN}node = \x1b[2J\n")
    refused(capsys, 2, "\\x1b", *flags(place))


@pytest.mark.parametrize(
    "flag", ["--create-private-keys", "--create-private-key", "--create-new-keypair"]
)
def test_create_private_keys(place: Place, capsys: pytest.CaptureFixture[str], flag: str) -> None:
    new = place.root / "new keys"
    words = ("-p", "dora.example:1", "--privatekey", str(new), flag)
    assert run(*words) == 0
    shown = capsys.readouterr().out
    pair = read_private_keys(str(new))["tcp://dora.example:1"]
    assert f'"tcp://dora.example:1" : "{pair.public_key}"' in shown
    assert pair.private_key not in shown
    assert run(*words) == 0
    assert capsys.readouterr().out == shown
    place.write("node = a:1\n")
    refused(capsys, 2, "no hostname to make a key for", "-c", str(place.config), flag)


def test_boxes_without_a_node(place: Place, capsys: pytest.CaptureFixture[str]) -> None:
    place.write(PLAIN)
    folder = place.box("a folder")
    assert run("box", "add", str(folder), *flags(place), "--symlinks", "1") == 0
    assert load(place.options()).boxes[0].symlinks == 1
    capsys.readouterr()
    assert run("box", "list", "--json", *flags(place)) == 0
    assert json.loads(capsys.readouterr().out) == {
        "running": False,
        "config": str(place.config),
        "boxes": [{"name": "a folder", "path": str(folder)}],
    }
    assert run("status", *flags(place)) == 0
    assert "not running" in capsys.readouterr().out
    assert run("box", "remove", "a folder", *flags(place)) == 0
    assert load(place.options()).boxes == ()
    capsys.readouterr()
    refused(capsys, 2, "there is no box 'a folder'", "box", "remove", "a folder", *flags(place))
    refused(capsys, 2, "has no path", "box", "add", "name", *flags(place))
    for words in (
        ["wait"],
        ["rescan"],
        ["reload"],
        ["box", "revert", "x", "--all"],
        ["box", "adopt", "x"],
    ):
        refused(capsys, 1, "the node does not run", *words, *flags(place))


def test_what_a_box_is_used_for_without_a_node(
    place: Place, capsys: pytest.CaptureFixture[str]
) -> None:
    place.write(PLAIN)
    folder = place.box("one")
    assert run("box", "add", f"one@{folder}", *flags(place)) == 0
    assert run("box", "mode", "one", "archive", "--yes", *flags(place)) == 0
    assert "flocksy box adopt one" in capsys.readouterr().out
    assert run("box", "folders", "one", "photos/", "mail", *flags(place)) == 0
    assert run("box", "pause", "one", *flags(place)) == 0
    (box,) = load(place.options()).boxes
    assert (box.mode, box.folders, box.paused) == ("archive", ("photos", "mail"), True)
    assert run("box", "resume", "one", *flags(place)) == 0
    assert not load(place.options()).boxes[0].paused
    (folder / ".flockignore").write_text("*.o\n")
    capsys.readouterr()
    assert run("ignored", str(folder / "mail" / "a.o"), "--json", *flags(place)) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["ignored"] and "line 1 of .flockignore: *.o" in told["reason"]
    assert run("ignored", str(folder / "music"), *flags(place)) == 0
    assert "outside the chosen folders" in capsys.readouterr().out
    assert run("ignored", str(folder / "mail" / "a"), *flags(place)) == 0
    assert "is synchronised" in capsys.readouterr().out
    (place.root / "link").symlink_to(folder)
    assert run("ignored", str(place.root / "link" / "mail" / "a"), *flags(place)) == 0
    assert "is synchronised" in capsys.readouterr().out
    refused(capsys, 1, "lies in no box", "ignored", "/elsewhere", *flags(place))
    refused(
        capsys,
        1,
        "nobody is there to answer: add --yes",
        "box",
        "mode",
        "one",
        "sync",
        *flags(place),
    )
    refused(capsys, 2, "inside the box", "box", "folders", "one", "../x", *flags(place))
    refused(capsys, 2, "name the paths", "box", "revert", "one", *flags(place))


def test_a_name_is_printed_as_the_shell_wants_it(
    place: Place, capsys: pytest.CaptureFixture[str]
) -> None:
    place.write(PLAIN)
    assert run("box", "add", f"a folder@{place.box('one')}", *flags(place)) == 0
    assert run("box", "mode", "a folder", "archive", "--yes", *flags(place)) == 0
    assert "a folder: is archive" in (told := capsys.readouterr().out)
    assert told.endswith("flocksy box adopt 'a folder'\n")


def test_the_lock_keeps_commands_from_a_node_that_just_starts(
    place: Place, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    place.write(PLAIN)
    settings, lock = claim(load(place.options()))
    held, socket_path = lock_path(settings.state_dir), control_path(settings.state_dir)
    answers = f"{held}: is held, but no node answers at {socket_path}"
    with lock:
        folder = str(place.box("one"))
        for words in (["box", "add", folder], ["status"], ["wait"]):
            refused(capsys, 1, answers, *words, *flags(place))
        monkeypatch.setattr("flocksy.config.state.PATIENCE_SECONDS", 0.0)
        refused(capsys, 1, f"runs already, or a command works on its state ({held} ", *flags(place))


def test_without_any_node_or_configuration(
    place: Place, capsys: pytest.CaptureFixture[str]
) -> None:
    assert not place.config.exists()
    refused(capsys, 2, ".flocksy: does not exist", "status")


class FakeNode:
    """A control socket where the node of the configuration would have it."""

    def __init__(self, path: str, state_dir: str = "") -> None:
        self.path, self.state_dir = path, state_dir
        self.seen: list[tuple[str, Arguments]] = []
        self.ends = False
        """Once it has said who it is, nobody finds it any more."""
        self.options: dict[str, object] = {}
        """What it says that it was started with."""
        self.server = ControlServer(path, self.handle)
        self._stop_reader, self._stop_writer = socket.socketpair()
        self._thread = threading.Thread(target=self._loop)
        self._thread.start()

    def handle(self, command: str, arguments: Arguments) -> Answer | Pending:
        self.seen.append((command, arguments))
        if command == "wait":
            later = Pending()
            later.fail("not in sync after 1 s", EXIT_TIMEOUT)
            return later
        if command == "version":
            if self.ends:
                os.rename(self.path, f"{self.path}.gone")
            said = {"version": "1", "config": "/etc/one", "endpoint": "tcp://anna:1"}
            return said | ({"options": self.options} if self.options else {})
        return {"text": f"{command} \x1b[1m", "status": {"view": []}, "boxes": []}

    def close(self) -> None:
        self._stop_writer.send(b"x")
        self._thread.join(BOUND_SECONDS)
        self.server.close()
        self._stop_reader.close()
        self._stop_writer.close()

    def _loop(self) -> None:
        server, stop = self.server.fileno(), self._stop_reader.fileno()
        while True:
            ready, _, _ = select.select([server, stop], [], [], BOUND_SECONDS)
            if stop in ready:
                return
            self.server.on_readable()


@pytest.fixture
def node(place: Place) -> Iterator[FakeNode]:
    place.write(PLAIN)
    settings, lock = claim(load(place.options()))
    made = FakeNode(control_path(settings.state_dir), settings.state_dir)
    yield made
    made.close()
    lock.close()


def test_commands_reach_the_node(
    node: FakeNode, place: Place, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = place.box("one")
    for words in (
        ["status"],
        ["rescan", "one"],
        ["reload"],
        ["box", "list"],
        ["box", "add", f"name@{folder}", "--removable"],
        ["box", "remove", "name"],
        ["box", "pause", "name"],
        ["box", "resume", "name"],
        ["box", "adopt", "name"],
        ["box", "xattrs", "name", "on"],
    ):
        assert run(*words, *flags(place)) == 0
    assert node.seen == [
        ("status", {}),
        ("rescan", {"box": "one"}),
        ("reload", {}),
        ("box_list", {}),
        (
            "box_add",
            {
                "name": "name",
                "path": str(folder),
                "symlinks": 2,
                "removable": True,
                "xattrs": False,
            },
        ),
        ("box_remove", {"name": "name"}),
        ("box_pause", {"name": "name"}),
        ("box_resume", {"name": "name"}),
        ("box_adopt", {"name": "name"}),
        ("box_xattrs", {"name": "name", "wanted": True}),
    ]
    assert "status \\x1b[1m" in capsys.readouterr().out
    assert run("status", "--json", *flags(place)) == 0
    assert json.loads(capsys.readouterr().out) == {"view": []}
    refused(capsys, 3, "not in sync after 1 s", "wait", "one", "--timeout", "1", *flags(place))
    assert node.seen[-1] == ("wait", {"box": "one", "timeout": 1.0})


def test_a_node_is_found_from_an_environment_that_is_not_its_own(
    node: FakeNode,
    place: Place,
    short_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Of cron, or of su: there is no XDG_RUNTIME_DIR."""
    tell_control_path(node.state_dir, node.path)
    monkeypatch.delenv("XDG_RUNTIME_DIR")
    monkeypatch.setattr("tempfile.tempdir", str(short_path))
    for more in (flags(place), []):
        assert run("status", *more) == 0
        assert "status" in capsys.readouterr().out
    assert run("wait", "--timeout", "1", *flags(place)) == EXIT_TIMEOUT


def test_a_broken_configuration_does_not_hide_a_running_node(
    node: FakeNode, place: Place, capsys: pytest.CaptureFixture[str]
) -> None:
    place.write(f"{PLAIN}box = one@/nowhere/at/all\n")
    assert run("status", *flags(place)) == 0
    assert node.seen == [("status", {})]
    assert capsys.readouterr().err == ""


def test_the_only_running_node_needs_no_name(
    node: FakeNode, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("status") == 0
    assert [command for command, _ in node.seen] == ["version", "status"]
    capsys.readouterr()
    run_home = Path(os.environ["XDG_RUNTIME_DIR"]) / "flocksy"
    second = FakeNode(str(run_home / "fedcba9876543210.sock"))
    try:
        refused(capsys, 2, "choose one with -c: /etc/one (tcp://anna:1), /etc/one", "status")
    finally:
        second.close()


def another_node(place: Place) -> Path:
    """The configuration that a command without flags falls back on: not the one that runs."""
    private = place.root / "home" / "other"
    create_private_keys(str(private), ("tcp://dora.example:5000",))
    path = place.root / "home" / ".flocksy"
    path.write_text(
        f"hostname = dora.example:5000\nnode = ben.example:5000\n"
        f"keystore = {place.keystore}\nprivatekey = {private}\n"
    )
    return path


def test_keys_of_a_node_that_does_not_say_which_files_are_its_own(
    node: FakeNode, place: Place, capsys: pytest.CaptureFixture[str]
) -> None:
    """It is busy, or of another version: those of ~/.flocksy can be another node's."""
    default = another_node(place)
    text, keystore = default.read_text(), place.keystore.read_text()
    for words in (["keys", "revoke", "ben.example:5000", "--yes"], ["keys", "list"], ["pair"]):
        refused(capsys, 2, "the node that runs, /etc/one (tcp://anna:1), does not say", *words)
    assert (default.read_text(), place.keystore.read_text()) == (text, keystore)
    assert {command for command, _ in node.seen} == {"version"}
    assert run("keys", "list", *flags(place)) == 0


def test_a_node_that_ends_in_between_is_not_taken_for_another(
    node: FakeNode, place: Place, capsys: pytest.CaptureFixture[str]
) -> None:
    """Found without flags, it is not the one whose files ~/.flocksy names."""
    default = another_node(place)
    text = default.read_text()
    folder = str(place.box("one"))
    node.ends = True
    for words in (["box", "add", folder], ["box", "pause", "x"], ["status"], ["history", folder]):
        refused(capsys, 1, "the node that ran, /etc/one (tcp://anna:1), has just ended", *words)
        os.rename(f"{node.path}.gone", node.path)
    assert default.read_text() == text
    assert [command for command, _ in node.seen] == ["version"] * 4


def test_what_is_answered_goes_to_the_node_that_was_asked_about(
    node: FakeNode,
    place: Place,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A person takes time: the node ends, and another one is the only one that runs."""
    node.options = dataclasses.asdict(place.options())
    later: list[FakeNode] = []

    def answer(_: str) -> str:
        os.rename(node.path, f"{node.path}.gone")
        later.append(FakeNode(str(Path(node.path).with_name("fedcba9876543210.sock"))))
        return "y"

    monkeypatch.setattr("sys.stdin.isatty", lambda: True)
    monkeypatch.setattr("builtins.input", answer)
    try:
        assert run("box", "mode", "docs", "archive") == 1
    finally:
        for one in later:
            one.close()
    assert "box_mode" not in [command for command, _ in later[0].seen]


def test_a_command_starts_without_what_only_a_node_needs(place: Place) -> None:
    place.write(PLAIN)
    code = (
        "import sys; from flocksy.cli.main import main; "
        "status = main(sys.argv[1:]); "
        "print([name for name in ('zmq', 'transitions', 'watchdog', 'sqlite3', 'flocksy.node') "
        "if name in sys.modules]); sys.exit(status)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, "status", *flags(place)],
        capture_output=True,
        text=True,
        timeout=BOUND_SECONDS,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == "[]"


def as_a_process(place: Place, shell: str, *words: str, typed: bytes = b"") -> tuple[int, str]:
    """A real `flocksy` that the shell starts as `shell` says: exit status, and its one line."""
    done = subprocess.run(
        ["sh", "-c", shell, sys.executable, "-m", "flocksy", *words, *flags(place)],
        input=typed,
        capture_output=True,
        timeout=BOUND_SECONDS,
        cwd=place.root,
        env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)},
        check=False,
    )
    said = done.stderr.decode()
    assert said.count("\n") == 1 and said.startswith("flocksy: "), said
    return done.returncode, said


@pytest.mark.skipif(os.name != "posix", reason="a shell that can do without standard streams")
def test_what_a_shell_can_leave_out_is_no_traceback(place: Place) -> None:
    place.write(PLAIN)
    gone = 'mkdir gone; cd gone; rmdir "$PWD"; exec "$0" "$@"'
    assert as_a_process(place, gone, "keys", "verify", "ben.example:5000")[0] == 2
    status, said = as_a_process(place, gone, "box", "add", "new@here")
    assert status == 2 and "the folder you are in was removed" in said
    status, said = as_a_process(place, gone, "restore", "report.txt")
    assert status == 2 and "the folder you are in was removed" in said
    status, said = as_a_process(place, 'exec "$0" "$@" <&-', "keys", "import")
    assert status == 2 and "holds no bundle" in said
    words = ("keys", "verify", "ben.example:5000")
    status, said = as_a_process(place, 'exec "$0" "$@" <&- >&-', *words)
    assert status == 2 and "give the words" in said
    words = ("pair", "127.0.0.1:1")
    status, said = as_a_process(place, 'exec "$0" "$@"', *words, typed=b"pencil-\xe4\xf6-a-b\n")
    assert status == 2 and "the code is still good" in said


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="a disk that is always full")
def test_output_that_cannot_be_written_is_one_line(place: Place) -> None:
    place.write(PLAIN)
    for words in (("keys", "show"), ("status",)):
        status, said = as_a_process(place, 'exec "$0" "$@" > /dev/full', *words)
        assert status == 1 and "No space left on device" in said
        assert "give the command again" in said


def test_output_that_nobody_reads_is_no_error_of_ours(place: Place) -> None:
    place.write(PLAIN)
    reader, writer = os.pipe()
    os.close(reader)
    done = subprocess.run(
        [sys.executable, "-m", "flocksy", "keys", "show", *flags(place)],
        stdout=writer,
        stderr=subprocess.PIPE,
        timeout=BOUND_SECONDS,
        env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)},
        check=False,
    )
    os.close(writer)
    assert (done.returncode, done.stderr) == (1, b"")


def test_a_disk_that_fails_a_command_is_one_line(
    place: Place, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def failing(*_: object) -> int:
        raise OSError(errno.EIO, "Input/output error", "/a/path")

    place.write(PLAIN)
    monkeypatch.setattr("flocksy.cli.commands.status", failing)
    refused(capsys, 1, "/a/path: Input/output error; not all was done", "status", *flags(place))


MOVED = PLAIN.replace("anna.example", "anna.elsewhere")


def test_a_machine_that_has_moved_keeps_its_key(
    place: Place, capsys: pytest.CaptureFixture[str]
) -> None:
    before, kept = load(place.write(PLAIN)), place.privatekey.read_bytes()
    place.write(MOVED)
    how = "flocksy --create-private-keys -p tcp://anna.example:5000"
    refused(capsys, 2, how, *flags(place))
    refused(capsys, 2, how, "--create-private-keys", *flags(place))
    assert place.privatekey.read_bytes() == kept
    assert run("check", *flags(place)) == 2
    assert how in capsys.readouterr().out
    assert run("--create-private-keys", "-p", "tcp://anna.example:5000", *flags(place)) == 0
    after = load(place.options())
    assert after.identity == "tcp://anna.elsewhere:5000"
    assert after.uid == before.uid


@pytest.mark.parametrize("nodes", ["", "node = anna.example:5000\n"])
def test_another_node_with_the_same_key_file_gets_a_key_of_its_own(
    place: Place, nodes: str
) -> None:
    """One that is no flock's yet, and one whose flock the first is in."""
    place.write(f"hostname = dora.example:5000\n{nodes}")
    assert run("--create-private-keys", *flags(place)) == 0
    pairs = read_private_keys(str(place.privatekey))
    assert pairs["tcp://dora.example:5000"] != pairs["tcp://anna.example:5000"] == place.pair


def test_no_key_is_made_in_place_of_one_on_a_disk_that_is_away(
    place: Place, capsys: pytest.CaptureFixture[str]
) -> None:
    place.write(PLAIN)
    away = place.root / "stick" / "private"
    place.privatekey.unlink()
    place.privatekey.symlink_to(away)
    for words in ([], ["--create-private-keys"], ["keys", "list"]):
        refused(capsys, 2, f"leads to {away}, which is not there", *words, *flags(place))
    assert not away.parent.exists()
