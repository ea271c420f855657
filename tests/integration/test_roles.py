"""Nothing that stays on a machine, or that a node tells, says who a change came from."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from flocksy.testing.rig import Rig, RigNode, wait_until
from tests.integration.flock import (
    MIB,
    box_status,
    command,
    flying,
    random_bytes,
    rig_of_three,
    wait_for_files,
)

CANARY = "canary-7f3a"
MEMBERS_FILES = ("crowd.json",)
"""Name members whatever is changed: those this node has told in front of, itself included."""

MANY = 24
"""Deletions that the guard takes for too many at a time, beyond ten, also if it sees some earlier
than the others."""

OF_LINES = ("ipc:", "waiting for the flock")
"""In what is said of who hears whom: that hangs on what the machine has to do, and on no change."""

SOON = 30.0


@pytest.fixture
def rig() -> Iterator[Rig]:
    with flying(rig_of_three(['[shared]\n{ "guard" : 1 }'])) as made:
        yield made


def kept_by(node: RigNode) -> Iterator[tuple[Path, bytes]]:
    """What is in the files of a node: its state directory, its boxes' hidden ones, its log."""
    state = Path(node.environment["XDG_STATE_HOME"])
    for top in (state, node.box / ".flocksy"):
        for path in sorted(top.rglob("*")):
            if path.is_file() and path.name not in MEMBERS_FILES:
                yield path, path.read_bytes()
    yield node.log, node.log.read_bytes()


def test_no_file_log_or_status_names_a_source(rig: Rig) -> None:
    source, *receivers = rig.nodes
    status = source.status()
    uid = str(status["uid"])
    endpoint = re.findall(r"hostname = (\S+)", source.config.read_text())[0]
    assert len(uid) == 128 and endpoint.startswith("ipc://")
    (source.box / f"{CANARY} large").write_bytes(random_bytes(2 * MIB, 1))
    (source.box / f"{CANARY} small").write_text("little")
    rig.wait_equal()
    (source.box / f"{CANARY} large").unlink()
    (source.box / f"{CANARY} small").write_text("edited")
    rig.wait_equal()
    names = {
        "uid": uid.encode(),
        "uid, raw": bytes.fromhex(uid),
        "endpoint": endpoint.encode(),
        "home": source.environment["HOME"].encode(),
        "box": bytes(source.box),
    }
    # What is looked for is found where it may be.
    own = b"".join(content for _, content in kept_by(source))
    assert names["uid"] in own and CANARY.encode() in own
    for node in rig.nodes:
        told = json.dumps(node.status())
        assert CANARY not in told
        for path, content in kept_by(node):
            if path == node.log:
                # A log may say who is a member; what was changed by whom it may not.
                assert CANARY.encode() not in content, path
            elif node in receivers:
                found = [what for what, text in names.items() if text in content]
                assert not found, f"{path.name} of {node.name} names the source: {found}"


def test_all_logs_say_the_same(rig: Rig) -> None:
    """Of a change, of one that is undone, and of one that waits for a word."""
    source = rig.nodes[1]
    names = [f"{CANARY} {number}" for number in range(MANY)]
    before = {node.name: node.log.stat().st_size for node in rig.nodes}
    for number, name in enumerate(names):
        (source.box / name).write_bytes(random_bytes(MIB // 8, number))
    rig.wait_equal()
    (source.box / names[0]).unlink()
    rig.wait_equal()
    assert "restored" in command(source, "restore", str(source.box / names[0]))
    wait_for_files(rig.nodes, names, SOON)
    rig.wait_equal()
    for name in names:
        (source.box / name).unlink()
    wait_until(lambda: box_status(source)["state"] == "waits for your word", "it asks", SOON)
    assert "undone" in command(source, "reject")
    rig.wait_equal()
    said = {
        node.name: {
            re.sub(r"\d+(\.\d+)?", "N", line)
            for line in node.log.read_bytes()[before[node.name] :].decode().splitlines()
            if not any(text in line for text in OF_LINES)
        }
        for node in rig.nodes
    }
    assert any("burst" in line for line in said[source.name])
    assert all(lines == said[source.name] for lines in said.values()), said
