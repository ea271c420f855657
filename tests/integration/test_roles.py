"""Nothing that stays on a machine, or that a node tells, says who a change came from."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from flocksy.testing.rig import Rig, RigNode
from tests.integration.flock import MIB, flying, random_bytes, rig_of_three

CANARY = "canary-7f3a"
MEMBERS_FILES = ("crowd.json",)
"""Name members whatever is changed: those this node has told in front of, itself included."""


@pytest.fixture
def rig() -> Iterator[Rig]:
    with flying(rig_of_three()) as made:
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
    uid, endpoint = str(status["uid"]), source.config.read_text().split()[2]
    assert len(uid) == 128 and endpoint
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
