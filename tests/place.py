"""A flock of three on a temporary disk: keys, folders and a home of its own."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from flocksy.config.settings import Options
from flocksy.keys.files import create_private_keys, generate_pair
from flocksy.keys.pair import KeyPair

NODES = ("tcp://anna.example:5000", "tcp://ben.example:5000", "tcp://cleo.example:5000")


@dataclass(frozen=True)
class Place:
    """Where the files of the test's node are. It is the first of `NODES`."""

    root: Path
    config: Path
    keystore: Path
    privatekey: Path
    pair: KeyPair

    def write(self, text: str) -> Options:
        """Write the configuration; returns the options that name it."""
        self.config.write_text(text)
        return self.options()

    def options(self, **more: object) -> Options:
        given: dict[str, object] = {
            "config": str(self.config),
            "keystore": str(self.keystore),
            "privatekey": str(self.privatekey),
        }
        return Options(**(given | more))  # type: ignore[arg-type]  # keywords of the test's own

    def box(self, name: str) -> Path:
        """A new folder to share."""
        path = self.root / "boxes" / name
        path.mkdir(parents=True)
        return path


@pytest.fixture
def short_path() -> Iterator[Path]:
    """A fresh directory for sockets: the paths of pytest's own can be too long for them."""
    with tempfile.TemporaryDirectory(prefix="flocksy-") as made:
        yield Path(made)


@pytest.fixture
def place(tmp_path: Path, short_path: Path, monkeypatch: pytest.MonkeyPatch) -> Place:
    """The node's files in a fresh home."""
    home = tmp_path / "home"
    home.mkdir()
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setenv("XDG_STATE_HOME", str(home / "state"))
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(short_path))
    keys = home / "keys"
    pair = create_private_keys(str(keys / "private"), NODES[:1])
    public = {NODES[0]: pair.public_key} | {node: generate_pair().public_key for node in NODES[1:]}
    (keys / "public").write_text(json.dumps(public))
    return Place(tmp_path, home / "config", keys / "public", keys / "private", pair)


PLAIN = """\
# who we are
hostname = anna.example:5000
node = ben.example:5000   # a friend
node = tcp://cleo.example:5000
"""

TOML = """\
# who we are
hostname = "anna.example:5000"
node = ["ben.example:5000", "tcp://cleo.example:5000"]  # friends
"""
