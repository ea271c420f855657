"""Whom the key files say we and the others are; sample keys never leave the machine."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from flocksy.errors import KeyFileError
from flocksy.keys.files import generate_pair, read_private_keys
from flocksy.keys.identity import group_members, waiting_pair
from flocksy.keys.pair import KeyPair
from flocksy.keys.samples import SAMPLE_PUBLIC_KEYS

EXAMPLE = Path(__file__).resolve().parents[2] / "keys-example"


def members(own: str, pair: KeyPair, other: str, key: str, *, proxied: bool = False) -> int:
    keystore = {other: key}
    return len(
        group_members((own,), pair, (other,), keystore, keystore_path="keystore", proxied=proxied)
    )


def sample_pair(tmp_path: Path) -> KeyPair:
    copy = tmp_path / "keys"
    copy.touch(mode=0o600)
    copy.write_text((EXAMPLE / "flocksy_privatekeys").read_text())
    return next(iter(read_private_keys(str(copy)).values()))


def test_all_keys_that_we_hand_out_are_known_as_samples() -> None:
    published = set(json.loads((EXAMPLE / "flocksy_keystore").read_text()).values())
    for name in (Path(__file__).parents[1] / "integration" / "original").rglob("*keystore*"):
        published |= set(json.loads(name.read_text()).values())
    assert published <= SAMPLE_PUBLIC_KEYS


@pytest.mark.parametrize(
    ("endpoint", "allowed"),
    [
        ("ipc:///tmp/a", True),
        ("tcp://127.0.0.1:5000", True),
        ("tcp://127.8.9.10:5000", True),
        ("tcp://[::1]:5000", True),
        ("tcp://localhost:5000", True),
        ("tcp://anna.example:5000", False),
        ("tcp://192.168.1.2:5000", False),
        ("tcp://*:5000", False),
        ("tcp://0.0.0.0:5000", False),
        ("tcp://[::]:5000", False),
        ("tcp://localhost.example:5000", False),
    ],
)
def test_sample_keys_stay_on_the_machine(tmp_path: Path, endpoint: str, allowed: bool) -> None:
    sample, fresh = sample_pair(tmp_path), generate_pair()
    local = "tcp://127.0.0.1:4000"
    for arguments in (
        (endpoint, sample, local, fresh.public_key),  # it is ours
        (local, fresh, endpoint, sample.public_key),  # it is another member's
    ):
        if allowed:
            assert members(*arguments) == 2
        else:
            with pytest.raises(KeyFileError, match="has a sample key"):
                members(*arguments)
        with pytest.raises(KeyFileError, match="has a sample key"):
            members(*arguments, proxied=True)


NEW, OLD, OTHER = "tcp://new.example:1", "tcp://old.example:1", "tcp://other.example:1"
PAIR, NEXT, STRANGE = generate_pair(), generate_pair(), generate_pair()


@pytest.mark.parametrize(
    ("private_keys", "waiting", "found"),
    [
        ({NEW: PAIR}, {NEW: NEXT, OTHER: STRANGE}, NEXT),
        ({OLD: PAIR, NEW: PAIR}, {OLD: NEXT}, NEXT),  # it has moved since
        ({NEW: PAIR}, {OLD: NEXT}, NEXT),  # and somebody has taken the old line out
        ({OLD: NEXT, NEW: NEXT}, {OLD: NEXT}, NEXT),  # a switch that broke off
        ({NEW: PAIR, OTHER: STRANGE}, {OTHER: NEXT}, None),  # another node of one key file
        ({OLD: PAIR, NEW: PAIR, OTHER: STRANGE}, {OTHER: STRANGE, OLD: NEXT}, NEXT),
        ({NEW: PAIR}, {}, None),
    ],
)
def test_the_key_that_waits_for_a_node(
    private_keys: dict[str, KeyPair], waiting: dict[str, KeyPair], found: KeyPair | None
) -> None:
    now = private_keys[NEW]
    assert waiting_pair(NEW, now, private_keys, waiting, waiting_path="keys.next") == found


def test_of_two_keys_that_wait_none_is_guessed() -> None:
    waiting = {OLD: NEXT, OTHER: STRANGE}
    with pytest.raises(KeyFileError, match=r"keys\.next: has different keys") as caught:
        waiting_pair(NEW, PAIR, {NEW: PAIR}, waiting, waiting_path="keys.next")
    assert "remove" not in str(caught.value)


def test_a_new_key_of_a_node_that_the_file_does_not_name_is_nobodys() -> None:
    """Its endpoint was changed there by hand: another node of that file must not take it."""
    private = {NEW: PAIR, OTHER: STRANGE}
    for own, pair in ((NEW, PAIR), (OTHER, STRANGE)):
        with pytest.raises(KeyFileError, match=rf"has a new key for {OLD}, which"):
            waiting_pair(own, pair, private, {OLD: NEXT}, waiting_path="keys.next")
