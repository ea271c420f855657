"""Three people, each with their own files, and what they type."""

from __future__ import annotations

import contextlib
import os
import select
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from flocksy.cli.main import main
from flocksy.config.load import load
from flocksy.config.settings import NodeSettings, Options
from flocksy.config.state import claim, control_path
from flocksy.keys import seal
from flocksy.keys.files import read_private_keys
from flocksy.status.control import Answer, Arguments, ControlServer

Capture = pytest.CaptureFixture[str]


@dataclass(frozen=True)
class Person:
    """One person with one machine's files, and no keystore yet."""

    name: str
    home: Path

    @property
    def endpoint(self) -> str:
        return f"tcp://{self.name}.example:5000"

    @property
    def config(self) -> Path:
        return self.home / "config"

    @property
    def keystore(self) -> Path:
        return self.home / "ssh" / "keystore"

    @property
    def privatekey(self) -> Path:
        return self.home / "ssh" / "private"

    @property
    def public_key(self) -> str:
        return read_private_keys(str(self.privatekey))[self.endpoint].public_key

    def flags(self) -> list[str]:
        return ["-c", str(self.config)]

    def keys(self, *words: str) -> int:
        """`flocksy keys WORDS` on this machine."""
        try:
            return main(["keys", *words, *self.flags()])
        except SystemExit as end:
            assert isinstance(end.code, int)
            return end.code

    def bundle(self, capsys: Capture) -> Path:
        """Its bundle in a file."""
        capsys.readouterr()
        assert self.keys("export") == 0
        path = self.home / "bundle.txt"
        path.write_text(capsys.readouterr().out)
        return path

    def knows(self, other: Person, capsys: Capture, *more: str) -> int:
        """Takes the other's bundle in."""
        return self.keys("import", str(other.bundle(capsys)), "--yes", *more)

    def settings(self) -> NodeSettings:
        return load(Options(config=str(self.config)))


@pytest.fixture
def people(
    tmp_path: Path, short_path: Path, monkeypatch: pytest.MonkeyPatch
) -> tuple[Person, Person, Person]:
    """Anna, Ben and Cleo: configured and with keys of their own, strangers to each other."""
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(short_path))
    monkeypatch.setattr("sys.stdin.isatty", lambda: False, raising=False)
    found = []
    for name in ("anna", "ben", "cleo"):
        person = Person(name, tmp_path / name)
        person.home.mkdir()
        person.config.write_text(
            f"# {name}'s\nhostname = {name}.example:5000\nkeystore = ssh/keystore\n"
            "privatekey = ssh/private\n"
        )
        assert main(["--create-private-keys", *person.flags()]) == 0
        found.append(person)
    anna, ben, cleo = found
    return anna, ben, cleo


@pytest.fixture
def typed(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What a person at a terminal types next, line by line."""
    lines: list[str] = []
    monkeypatch.setattr("sys.stdin.isatty", lambda: True, raising=False)
    monkeypatch.setattr("builtins.input", lambda _="": lines.pop(0))
    monkeypatch.setattr("getpass.getpass", lambda _="": lines.pop(0))
    return lines


@pytest.fixture
def cheap(monkeypatch: pytest.MonkeyPatch) -> None:
    """Passphrases that cost a test no second."""
    monkeypatch.setattr(seal.seal, "__kwdefaults__", {"operations": 1, "memory_bytes": 8192})


@contextlib.contextmanager
def passed(data: bytes) -> Iterator[int]:
    """A descriptor that `data` can be read from."""
    reader, writer = os.pipe()
    os.write(writer, data)
    os.close(writer)
    try:
        yield reader
    finally:
        os.close(reader)


@contextlib.contextmanager
def running(person: Person, answer: Callable[[NodeSettings], str]) -> Iterator[list[str]]:
    """A node that has this person's state and socket, and answers whatever it is asked with what
    `answer` makes of the settings that it began with. Gives what it was asked."""
    settings, lock = claim(person.settings())
    asked: list[str] = []

    def handle(command: str, _: Arguments) -> Answer:
        asked.append(command)
        return {"text": answer(settings)}

    try:
        with serving(control_path(settings.state_dir), handle):
            yield asked
    finally:
        lock.close()


@contextlib.contextmanager
def serving(path: str, handle: Callable[[str, Arguments], Answer]) -> Iterator[None]:
    """Somebody who listens at the socket of a node and answers with what `handle` says."""
    server = ControlServer(path, handle)
    stop = threading.Event()

    def serve() -> None:
        while not stop.is_set():
            if select.select([server.fileno()], [], [], 0.05)[0]:
                server.on_readable()

    thread = threading.Thread(target=serve)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()
        server.close()
