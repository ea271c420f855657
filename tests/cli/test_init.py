"""`flocksy init`: from an empty home to a configuration that loads, and nothing overwritten."""

from __future__ import annotations

import errno
import os
import stat
import subprocess
import sys
from pathlib import Path
from typing import NoReturn

import pytest

from flocksy.cli.init import Plan, config_text
from flocksy.cli.main import main
from flocksy.cli.service import unit_text
from flocksy.config.load import load, load_words
from flocksy.config.settings import Options
from flocksy.keys.files import create_private_keys, generate_pair, read_keystore, read_private_keys

FLAGS = ("init", "--name", "anna", "--endpoint", "127.0.0.1:5000", "--box", "photos@~/pictures")
ENDPOINT = "tcp://127.0.0.1:5000"
BOUND_SECONDS = 30.0


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty home, and nobody at the keyboard."""
    path = tmp_path / "home"
    path.mkdir()
    monkeypatch.setenv("HOME", str(path))
    for name in ("XDG_STATE_HOME", "XDG_CONFIG_HOME"):
        monkeypatch.delenv(name, raising=False)
    return path


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def contents(home: Path) -> dict[str, bytes]:
    return {
        path.relative_to(home).as_posix(): path.read_bytes() if path.is_file() else b""
        for path in home.rglob("*")
    }


def test_flags_for_scripts(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(FLAGS) == 0
    said = capsys.readouterr().out
    words = load_words(Options())
    assert words.program.name == "anna"
    assert words.hostnames == (ENDPOINT,) and words.nodes == ()
    (box, _) = words.boxes[0]
    assert (box.name, box.path) == ("photos", str(home / "pictures"))
    private = home / ".ssh" / "flocksy_privatekeys"
    pair = read_private_keys(str(private))[ENDPOINT]
    assert read_keystore(str(home / ".ssh" / "flocksy_keystore")) == {ENDPOINT: pair.public_key}
    assert mode(private) == 0o600 and mode(home / ".ssh") == 0o700
    assert mode(home / ".flocksy") == 0o600
    assert (home / "pictures").is_dir()
    assert "flocksy pair" in said and "127.0.0.1" in said
    assert "reached from this machine only" in said
    assert pair.private_key not in said + (home / ".flocksy").read_text()


def test_it_loads_as_soon_as_there_is_another_member(home: Path) -> None:
    assert main(FLAGS) == 0
    config = home / ".flocksy"
    config.write_text(config.read_text().replace("node = []", 'node = ["127.0.0.2:5000"]'))
    keystore = home / ".ssh" / "flocksy_keystore"
    key = generate_pair().public_key
    keystore.write_text(keystore.read_text().replace("{", f'{{"127.0.0.2:5000": "{key}",', 1))
    settings = load(Options())
    assert settings.identity == ENDPOINT and len(settings.members) == 2
    assert [box.name for box in settings.boxes] == ["photos"]


def test_a_second_time_changes_nothing(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(FLAGS) == 0
    before = contents(home)
    capsys.readouterr()
    assert main([*FLAGS, "--name", "ben"]) == 2
    assert "is there already" in capsys.readouterr().err
    assert contents(home) == before


def test_keys_and_folders_that_are_there_stay(home: Path) -> None:
    other = create_private_keys(str(home / ".ssh" / "flocksy_privatekeys"), ("tcp://old:1",))
    keystore = home / ".ssh" / "flocksy_keystore"
    keystore.write_text("{}")
    (home / "pictures").mkdir(mode=0o755)
    (home / "pictures" / "one").write_text("a picture")
    assert main(FLAGS) == 0
    pairs = read_private_keys(str(home / ".ssh" / "flocksy_privatekeys"))
    assert pairs["tcp://old:1"] == other and pairs[ENDPOINT] != other
    assert keystore.read_text() == "{}"
    assert (home / "pictures" / "one").read_text() == "a picture"


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (("--name", "two words"), "--name"),
        (("--endpoint", "nowhere:0"), "a port is a number"),
        (("--endpoint", "*:5000"), "no place that others could reach"),
        (("--box", "~"), "home"),
        (("--box", "x@~/.ssh"), "holds the"),
        (("--box", "@/tmp/d"), "init: --box"),
        (("-p", "one:1"), "one endpoint"),
        (("--box", "other@/tmp/other"), "one box"),
    ],
)
def test_wrong_answers_make_nothing(
    home: Path, capsys: pytest.CaptureFixture[str], change: tuple[str, str], said: str
) -> None:
    words = list(FLAGS)
    if change[0] in words and said != "one box":
        words[words.index(change[0]) + 1] = change[1]
    else:
        words += change
    assert main(words) == 2
    captured = capsys.readouterr()
    assert said in captured.err and captured.err.count("\n") == 1
    assert contents(home) == {}


@pytest.mark.parametrize("flag", ["--name", "--endpoint", "--box"])
def test_nobody_to_ask(home: Path, flag: str) -> None:
    words = list(FLAGS)
    at = words.index(flag)
    del words[at : at + 2]
    with open(os.devnull) as nothing:
        done = subprocess.run(
            [sys.executable, "-m", "flocksy", *words],
            stdin=nothing,
            capture_output=True,
            text=True,
            timeout=BOUND_SECONDS,
            check=False,
        )
    assert done.returncode == 2
    assert done.stderr == f"flocksy: init: nobody is here to ask; say {flag}\n"
    assert contents(home) == {}


def test_a_person_is_asked(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    answers = iter(["no good name", "ben", "127.0.0.1", ""])
    asked: list[str] = []

    def answer(question: str) -> str:
        asked.append(question)
        return next(answers)

    monkeypatch.setattr("builtins.input", answer)
    monkeypatch.setattr("sys.stdin.isatty", lambda: True)
    assert main(["init"]) == 0
    assert len(asked) == 4 and "called" in asked[0] and asked[1] == asked[0]
    words = load_words(Options())
    assert words.program.name == "ben" and words.hostnames == (ENDPOINT,)
    assert words.boxes[0][0].path == str(home / "shared")


def test_who_gives_up_has_nothing_made(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def end(_: str) -> str:
        raise EOFError

    monkeypatch.setattr("builtins.input", end)
    monkeypatch.setattr("sys.stdin.isatty", lambda: True)
    assert main(["init"]) == 2
    assert contents(home) == {}


@pytest.mark.parametrize("name", ["flocksy_privatekeys", "flocksy_keystore"])
def test_keys_on_a_disk_that_is_away_are_not_made_anew(
    home: Path, capsys: pytest.CaptureFixture[str], name: str
) -> None:
    (home / ".ssh").mkdir(mode=0o700)
    (home / ".ssh" / name).symlink_to(home / "stick" / name)
    assert main(FLAGS) == 2
    said = capsys.readouterr()
    assert "is its disk mounted?" in said.err and said.err.count("\n") == 1 and said.out == ""
    assert set(contents(home)) == {".ssh", f".ssh/{name}"}


@pytest.mark.skipif(sys.platform != "linux", reason="systemd")
def test_a_service(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*FLAGS, "--service"]) == 0
    unit = home / ".config" / "systemd" / "user" / "flocksy.service"
    text = unit.read_text()
    assert f'ExecStart="{sys.executable}" "-m" "flocksy" "-c" "{home}/.flocksy"' in text
    assert "systemctl --user" in capsys.readouterr().out
    assert main(["init", "--service"]) == 1, "never overwritten"
    assert unit.read_text() == text
    unit.unlink()
    before = contents(home)
    assert main(["init", "--service"]) == 0, "a service for what is there"
    assert contents(home) == before | {unit.relative_to(home).as_posix(): text.encode()}


@pytest.mark.skipif(sys.platform != "linux", reason="systemd")
def test_a_service_of_another_configuration_has_another_name(home: Path) -> None:
    config = home / "my node.toml"
    assert main([*FLAGS, "-c", str(config), "--service"]) == 0
    unit = home / ".config" / "systemd" / "user" / "flocksy-my-node-toml.service"
    assert f'"-c" "{config}"' in unit.read_text()


def test_odd_paths_are_quoted_for_systemd() -> None:
    text = unit_text("/home/a%b", ["/opt/py thon", '/home/a%b$HOME"\\x'])
    assert 'ExecStart="/opt/py thon" "/home/a%%b$$HOME\\"\\\\x"\n' in text
    assert "Runs the flocksy node of /home/a%%b." in text


def test_odd_names_are_quoted_for_toml() -> None:
    plan = Plan("anna", ENDPOINT, 'a "box" \\ ö.x', '/home/anna/a "folder" \\ #ö')
    words = load_words(Options(), config_text(plan, Options()))
    assert [(box.name, box.path) for box, _ in words.boxes] == [(plan.box, plan.folder)]


def test_where_no_socket_can_be_had_no_address_is_suggested(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(*_: object) -> NoReturn:
        raise OSError(errno.EAFNOSUPPORT, "Address family not supported by protocol")

    monkeypatch.setattr("socket.socket", refused)
    assert main(FLAGS) == 0
    assert (home / ".flocksy").exists()
