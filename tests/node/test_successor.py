"""Between two nodes of one process: what the next one has, and what is left of the one before."""

from __future__ import annotations

import dataclasses
import os
import re
import signal
import socket
from collections.abc import Iterator
from contextlib import ExitStack
from types import SimpleNamespace
from typing import ClassVar, cast
from unittest.mock import Mock

import pytest

from flocksy.cli.main import main
from flocksy.config.load import load, reload
from flocksy.config.settings import NodeSettings
from flocksy.errors import FlocksyError, RevokedError
from flocksy.node import _run, _succeeding
from flocksy.node.node import Node
from flocksy.node.processes import shared_bytes
from tests.place import NODES, PLAIN, Place


def switch(place: Place) -> None:
    flags = ("-c", str(place.config), "--keystore", str(place.keystore))
    for words in (("rotate",), ("rotate", "--switch")):
        assert main(["keys", *words, *flags, "--privatekey", str(place.privatekey)]) == 0


def test_the_key_before_is_wiped_when_another_follows(place: Place) -> None:
    before = load(place.write(PLAIN))
    old = before.key_pair.private_key
    switch(place)
    successor = reload(before, shared_bytes)
    passing = successor.key_pair.private_key
    switch(place)  # once more, while the node was leaving
    settings = _succeeding(before, successor)
    assert set(old) == set(passing) == {"\0"}
    assert settings.uid == before.uid
    assert settings.key_pair == load(place.options()).key_pair


def test_a_key_that_stays_is_not_wiped(place: Place) -> None:
    before = load(place.write(PLAIN))
    place.write(PLAIN + "profile = fast\n")
    settings = _succeeding(before, reload(before, shared_bytes))
    assert settings.profile == "fast"
    assert settings.key_pair == place.pair == before.key_pair


@pytest.mark.parametrize(
    ("line", "why"),
    [
        ("idle_cell = 300", "too small for 3 members"),
        ("idle_cell = 4096\nburst_cell = 4096", "must be larger than idle_cell"),
    ],
)
def test_cells_that_do_not_fit_change_nothing(place: Place, line: str, why: str) -> None:
    """A node that left to join anew with these would not start again."""
    before = load(place.write(PLAIN))
    place.write(f"{PLAIN}{line}\n")
    with pytest.raises(FlocksyError, match=why):
        reload(before, shared_bytes)
    assert _succeeding(before, before) == before


def test_who_was_revoked_while_the_node_was_leaving_is_not_met_again(place: Place) -> None:
    """The files say so already, and are none to start with: then nobody starts."""
    place.write("hostname = anna.example:5000\nnode = ben.example:5000\n")
    before = load(place.options())
    flags = ("-c", str(place.config), "--keystore", str(place.keystore))
    more = ("--yes", "--privatekey", str(place.privatekey))
    assert main(["keys", "revoke", "tcp://ben.example:5000", *flags, *more]) == 0
    with pytest.raises(RevokedError, match=r"no node.* a member was revoked"):
        _succeeding(before, before)


@pytest.mark.parametrize(
    ("number", "goes_on"), [("SIGTERM", False), ("SIGINT", False), ("SIGHUP", True)]
)
def test_what_comes_while_all_is_closed_counts(place: Place, number: str, *, goes_on: bool) -> None:
    which = getattr(signal, number)
    node = Node.__new__(Node)
    node._started = ExitStack()
    node._start_loop()
    node.successor = load(place.write(PLAIN))
    node._started.callback(os.kill, os.getpid(), which)  # as the boxes are closed
    before = signal.getsignal(which)
    node.close()
    assert signal.getsignal(which) is not before, "it is given back"
    assert (node.successor is not None) == goes_on


@pytest.mark.parametrize(
    ("error", "problems"),
    [
        (RevokedError("a member was revoked"), []),
        (FlocksyError("no key"), ["no key; former keys are accepted until that is mended"]),
    ],
)
def test_the_day_on_which_it_leaves_it_accepts_no_former_keys(
    error: FlocksyError, problems: list[str]
) -> None:
    said: list[str] = []
    member = SimpleNamespace(other_keys=("former",))
    node = SimpleNamespace(
        _day=None,
        _configured=SimpleNamespace(settings=SimpleNamespace(members=(member,))),
        read_anew=Mock(side_effect=error),
        _problem=said.append,
    )
    Node._look_at_former_keys(cast(Node, node))
    assert said == problems


@pytest.mark.parametrize(("leaving", "has_left"), [(False, True), (False, False), (True, True)])
def test_a_wire_that_has_left_by_itself_is_followed_by_another(
    *, leaving: bool, has_left: bool
) -> None:
    """Somebody stopped this process for long. Not where it was told to end."""
    wire = Mock(alive=False)
    wire.has_left.return_value = has_left
    wire.failure.return_value = FlocksyError("ended unexpectedly")
    node = SimpleNamespace(
        _wire=wire,
        _leave_by=1.0 if leaving else None,
        successor=None,
        _configured=SimpleNamespace(settings="as before"),
    )
    if not has_left:
        with pytest.raises(FlocksyError, match="ended unexpectedly"):
            Node._done(cast(Node, node))
    else:
        assert Node._done(cast(Node, node))
    assert node.successor == ("as before" if has_left and not leaving else None)


class Made:
    """In place of a node: notes what it is to run with, and ends at once."""

    found: ClassVar[list[NodeSettings]] = []
    successor = None

    def __init__(self, settings: NodeSettings, *, once: bool) -> None:  # noqa: ARG002
        self.found.append(settings)

    def run(self) -> int:
        return 0

    def close(self) -> None:
        pass


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[NodeSettings]]:
    """What a node is started with."""
    monkeypatch.setattr("flocksy.node.node.Node", Made)
    monkeypatch.setattr("flocksy.system.memory.forbid_core_dumps", lambda: None)
    monkeypatch.setattr("flocksy.system.memory.wipe", lambda _: None)
    Made.found.clear()
    before = signal.getsignal(signal.SIGHUP)
    yield Made.found
    signal.signal(signal.SIGHUP, before)


def revoke(place: Place, name: str) -> None:
    flags = ("-c", str(place.config), "--keystore", str(place.keystore))
    more = ("--yes", "--privatekey", str(place.privatekey))
    assert main(["keys", "revoke", name, *flags, *more]) == 0


def test_who_was_revoked_before_the_lock_was_taken_is_not_let_in(
    place: Place, started: list[NodeSettings]
) -> None:
    """The command has found no node, and said that all is done; a passphrase was typed then."""
    read = load(place.write(PLAIN))
    opened = dataclasses.replace(read, key_pair=dataclasses.replace(read.key_pair, sealed="opened"))
    revoke(place, NODES[1])
    assert _run(opened, once=False) == 0
    (settings,) = started
    assert {member.endpoints[0] for member in settings.members} == {NODES[0], NODES[2]}
    assert settings.key_pair is opened.key_pair, "which has been opened"


def test_a_node_does_not_start_with_what_the_files_say_no_more(
    place: Place, started: list[NodeSettings]
) -> None:
    read = load(place.write(f"hostname = {NODES[0]}\nnode = {NODES[1]}\n"))
    revoke(place, NODES[1])
    with pytest.raises(RevokedError, match=r"no node.* a member was revoked"):
        _run(read, once=False)
    assert started == []


def test_a_configuration_out_of_a_pipe_is_read_once(
    place: Place, started: list[NodeSettings]
) -> None:
    reader, writer = os.pipe()
    os.write(writer, PLAIN.encode())
    os.close(writer)
    try:
        read = load(place.options(config=f"/dev/fd/{reader}"))
        assert _run(read, once=False) == 0
    finally:
        os.close(reader)
    assert started == [read]


def reading_anew(before: NodeSettings) -> Node:
    """As much of a running node as reading anew takes."""
    configured = SimpleNamespace(settings=before, apply=Mock(side_effect=AssertionError))
    made = SimpleNamespace(_configured=configured, successor=None, _leave_by=None, _leave=Mock())
    return cast(Node, made)


def test_an_own_endpoint_that_is_none_changes_nothing(place: Place) -> None:
    """A node that left to join anew with it would be gone for good."""
    node = reading_anew(load(place.write(PLAIN)))
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        for hostname, why in (
            (f"127.0.0.1:{port}", "another program listens there; end it"),
            ("192.0.2.1:5000", "does not have that address; take"),
            ("ipc:///nowhere/at/all/node.ipc", "its directory does not exist; mkdir"),
        ):
            place.write(f"{PLAIN}hostname = {hostname}\n")
            with pytest.raises(FlocksyError, match=rf"hostname = .*{re.escape(why)}") as caught:
                Node.read_anew(node)
            assert "\n" not in str(caught.value)
            assert node.successor is None
    place.write(f"{PLAIN}hostname = 127.0.0.1:{port}\n")
    assert Node.read_anew(node).startswith("hostnames, ")
    assert node.successor is not None


def test_an_own_endpoint_is_not_in_its_own_way(place: Place) -> None:
    """The port is taken by the node itself, which leaves it before it listens there anew."""
    with socket.create_server(("127.0.0.1", 0)) as own:
        here = f"127.0.0.1:{own.getsockname()[1]}"
        node = reading_anew(load(place.write(f"{PLAIN}hostname = {here}\n")))
        place.write(f"{PLAIN}hostname = {here.replace('127.0.0.1', '*')}\n")
        assert Node.read_anew(node).startswith("hostnames, ")
