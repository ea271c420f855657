"""What a running node says of itself to commands that have to find its files."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import pytest

from flocksy.boxes.lanes.exchange import Exchange
from flocksy.cli import running
from flocksy.config.load import load, load_words
from flocksy.config.settings import Options
from flocksy.node.commands import Commands
from flocksy.node.configured import Configured
from flocksy.node.reports import Reporter
from tests.place import NODES, PLAIN, Place


def told(options: Options) -> Options:
    """What a command takes from the answer of a node that was started with `options`."""
    configured = SimpleNamespace(settings=load(options), keeper=None, now=lambda: 0.0)
    nothing = SimpleNamespace()
    commands = Commands(
        cast(Configured, configured), cast(Exchange, nothing), cast(Reporter, nothing), lambda: ""
    )
    answer = commands.handle("version", {})
    assert isinstance(answer, dict)
    found = running._options(json.loads(json.dumps(answer["options"])))
    assert found is not None
    return found


def test_a_command_finds_the_files_of_the_node(
    place: Place, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    found = told(place.write(PLAIN))
    monkeypatch.chdir(tmp_path)
    assert load_words(found).config_path == str(place.config)


def test_a_command_needs_no_file_where_the_node_has_none(place: Place) -> None:
    found = told(place.options(config=None, hostnames=NODES[:1], nodes=NODES[1:]))
    words = load_words(found)
    assert (words.hostnames, words.nodes) == (NODES[:1], NODES[1:])
    assert words.keystore_path == str(place.keystore)
