"""Keys that do not fit, between real nodes: each case has its own sentence in log and status."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from flocksy.errors import FlocksyError
from flocksy.keys.files import generate_pair
from flocksy.status.links import ADVICE, SAMPLE
from flocksy.testing.rig import CONFIGURED_ROOT, START_SECONDS, Rig, RigNode, wait_until
from tests.integration.flock import command, rig_of_three


def place(number: int, root: object = CONFIGURED_ROOT) -> str:
    return f"ipc://{root}/node{number}.ipc"


@pytest.fixture
def rig() -> Iterator[Rig]:
    """Three nodes with sample keys that do not run."""
    with rig_of_three() as made:
        yield made
        assert made.complaints() == []


def keystore_of_its_own(rig: Rig, node: RigNode, keys: dict[str, str]) -> None:
    """Give one node another keystore than the others have."""
    path = rig.root / f"keystore-{node.name}"
    path.write_text(json.dumps(keys))
    text = node.config.read_text()
    assert "keystore = " in text
    lines = [line for line in text.splitlines() if not line.startswith("keystore = ")]
    node.config.write_text("\n".join([f"keystore = {path}", *lines, ""]))


def link_of(node: RigNode, endpoint: str) -> dict[str, object]:
    try:
        links = node.status()["links"]
    except FlocksyError:
        return {"text": "", "advice": ""}
    assert isinstance(links, list)
    return next(link for link in links if link["endpoint"] == endpoint)


def wait_for_words(node: RigNode, endpoint: str, words: str) -> None:
    """Until status and log have these words and their sentence."""
    wait_until(
        lambda: link_of(node, endpoint)["text"] == words,
        f"{node.name} says {words!r} of {endpoint}",
        START_SECONDS,
    )
    sentence = ADVICE[words]
    assert link_of(node, endpoint)["advice"] == sentence
    assert sentence in command(node, "status")
    wait_until(
        lambda: f"{endpoint}: {words}: {sentence}" in node.log.read_text(),
        f"the log of {node.name} says {words!r}",
        START_SECONDS,
    )


def test_down_refusing_refused_and_sample_keys(rig: Rig) -> None:
    first, second, third = rig.nodes
    known = json.loads((rig.keys / "flocksy_keystore").read_text())
    keystore_of_its_own(rig, first, known | {place(3, rig.root): generate_pair().public_key})
    rig.start_all()
    wait_for_words(first, place(3, rig.root), "we refuse its key")
    wait_for_words(third, place(1, rig.root), "refuses our key")
    # Between the second and the third all is well, but for the keys that everybody has.
    wait_until(
        lambda: link_of(second, place(3, rig.root))["text"] == "live", "a link", START_SECONDS
    )
    said = f"{SAMPLE}: {ADVICE[SAMPLE]}"
    assert link_of(second, place(3, rig.root))["advice"] == said
    assert f"{place(3, rig.root)}: {said}" in second.log.read_text()
    rig.stop(second)
    wait_for_words(third, place(2, rig.root), "down")


def test_two_keys_mixed_up(rig: Rig) -> None:
    first = rig.nodes[0]
    known = json.loads((rig.keys / "flocksy_keystore").read_text())
    two, three = place(2, rig.root), place(3, rig.root)
    keystore_of_its_own(rig, first, known | {two: known[three], three: known[two]})
    rig.start_all()
    wait_for_words(first, two, "wrong key for that endpoint")
    wait_for_words(first, three, "wrong key for that endpoint")


def flock_with_a_twin(directory: Path, heard: int) -> Sequence[Path]:
    """Node 4 has the key of node 1; nodes 2 and 3 were told that its owner is at node `heard`."""
    pairs = [generate_pair() for _ in range(3)]
    owners = {place(1): pairs[0], place(2): pairs[1], place(3): pairs[2], place(4): pairs[0]}
    public = {endpoint: pair.public_key for endpoint, pair in owners.items()}
    (directory / "flocksy_keystore").write_text(json.dumps(public))
    private = {
        endpoint: {"private_key": pair.private_key, "public_key": pair.public_key}
        for endpoint, pair in owners.items()
    }
    (directory / "flocksy_privatekeys").write_text(json.dumps(private))
    configs = []
    for number, others in ((1, (2, 3)), (2, (heard, 3)), (3, (heard, 2)), (4, (2, 3))):
        lines = [
            f"hostname = {place(number)}",
            *(f"node = {place(other)}" for other in others),
            "profile = fast",
            f"box = shared@{CONFIGURED_ROOT}/box{number}",
            f"keystore = {CONFIGURED_ROOT}/keys-example/flocksy_keystore",
            f"privatekey = {CONFIGURED_ROOT}/keys-example/flocksy_privatekeys",
        ]
        configs.append(directory / f"node{number}")
        configs[-1].write_text("\n".join([*lines, ""]))
    return configs


@pytest.mark.parametrize("heard", [1, 4])
def test_somebody_else_live_under_our_key(tmp_path: Path, heard: int) -> None:
    with Rig(flock_with_a_twin(tmp_path, heard), tmp_path) as rig:
        rig.start_all()
        for number in (1, 4):
            words = "somebody else is live under our key"
            said_by = rig.nodes[number - 1]
            wait_for_words(said_by, place(number, rig.root), words)
        assert rig.complaints() == []
