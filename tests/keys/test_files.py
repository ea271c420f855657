"""Key files on a real disk: what is read, what is refused, what is never lost."""

from __future__ import annotations

import json
import os
import pickle
import stat
from collections.abc import Callable
from pathlib import Path

import pytest

from flocksy.errors import KeyFileError
from flocksy.keys.files import (
    create_private_keys,
    generate_pair,
    read_keystore,
    read_private_keys,
    write_keystore,
)
from flocksy.keys.identity import group_members, identity
from flocksy.keys.pair import KeyPair, uid_of
from tests.boxes.mounts import bound

ORIGINAL_KEYS = {
    "ipc:///tmp/node1.ipc": "hs&C:4)t7?7oTaBa}(cuZDU#4sYv[77+{Jj73Jzt",
    "ipc:///tmp/node2.ipc": "f:A+)dsWPEp+5rNbX3#oI*DMDJGta*Q(PPgv!MYa",
}


def private_file(path: Path, text: str) -> str:
    path.touch(mode=0o600)
    path.write_text(text)
    return str(path)


def test_reads_a_keystore_in_the_original_form(tmp_path: Path) -> None:
    path = tmp_path / "keystore"
    path.write_text("\n{\n" + json.dumps(ORIGINAL_KEYS)[1:])
    assert read_keystore(str(path)) == ORIGINAL_KEYS


def test_a_bare_endpoint_in_a_keystore_means_tcp(tmp_path: Path) -> None:
    path = tmp_path / "keystore"
    path.write_text(json.dumps({"anna:5000": ORIGINAL_KEYS["ipc:///tmp/node1.ipc"]}))
    assert list(read_keystore(str(path))) == ["tcp://anna:5000"]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("{\n\n oops}", ":3: is not JSON"),
        ('{"a:1": ' + "1" * 5000 + "}", "is not a keystore"),
        ("[]", "is a JSON object"),
        ('{\n"a:1": "short"}', ":2: 'a:1': a key has 40 characters"),
        ('{"a:1": 5}', "must be a text"),
        ('{"nothing": "x"}', "is no endpoint"),
        (
            json.dumps({"a:1": "0" * 40})[:-1] + ', "tcp://a:1": "' + "0" * 40 + '"}',
            "is there twice",
        ),
        ("[" * 100_000, "is not"),
        ("x" * 2_000_000, "larger than"),
    ],
)
def test_a_bad_keystore_is_one_clear_line(tmp_path: Path, text: str, said: str) -> None:
    path = tmp_path / "keystore"
    path.write_text(text)
    with pytest.raises(KeyFileError) as caught:
        read_keystore(str(path))
    assert said in str(caught.value)
    assert str(caught.value).startswith(str(path))
    assert "\n" not in str(caught.value)


def test_a_missing_file_and_a_directory_are_named(tmp_path: Path) -> None:
    with pytest.raises(KeyFileError, match="does not exist"):
        read_keystore(str(tmp_path / "nothing"))
    with pytest.raises(KeyFileError, match="cannot read"):
        read_keystore(str(tmp_path))


@pytest.mark.parametrize("mode", [0o644, 0o640, 0o604, 0o602])
def test_a_private_key_file_that_others_can_read_is_refused(tmp_path: Path, mode: int) -> None:
    path = private_file(tmp_path / "private keys", "{}")
    Path(path).chmod(mode)
    with pytest.raises(KeyFileError, match=r"chmod 600 '.*private keys'"):
        read_private_keys(path)


@pytest.mark.parametrize("mode", [0o777, 0o770, 0o707, 0o722])
def test_a_directory_that_others_can_write_in_is_refused(tmp_path: Path, mode: int) -> None:
    directory = tmp_path / "loose keys"
    directory.mkdir()
    path = private_file(directory / "keys", "{}")
    directory.chmod(mode)
    with pytest.raises(KeyFileError, match=r"chmod 700 '.*loose keys'"):
        read_private_keys(path)


@pytest.mark.parametrize("mode", [0o700, 0o755, 0o1777])
def test_a_directory_where_nobody_can_swap_the_file_will_do(tmp_path: Path, mode: int) -> None:
    directory = tmp_path / "keys"
    directory.mkdir()
    path = private_file(directory / "keys", "{}")
    directory.chmod(mode)
    assert read_private_keys(path) == {}


def test_the_directory_counts_that_the_file_lies_in(tmp_path: Path) -> None:
    (tmp_path / "loose").mkdir()
    path = private_file(tmp_path / "loose" / "keys", "{}")
    (tmp_path / "loose").chmod(0o777)
    (tmp_path / "link").symlink_to(path)
    with pytest.raises(KeyFileError, match="chmod 700"):
        read_private_keys(str(tmp_path / "link"))


def test_halves_that_do_not_belong_together_are_refused(tmp_path: Path) -> None:
    ours, theirs = generate_pair(), generate_pair()
    text = json.dumps({"a:1": {"private_key": ours.private_key, "public_key": theirs.public_key}})
    with pytest.raises(KeyFileError, match="do not belong together") as caught:
        read_private_keys(private_file(tmp_path / "keys", text))
    assert ours.private_key not in str(caught.value)


def test_a_key_in_the_place_of_its_endpoint_is_not_shown(tmp_path: Path) -> None:
    pair = generate_pair()
    text = json.dumps({"b:1": {}, pair.private_key: {"endpoint": "a:1"}}, indent=1)
    text = text.replace(
        "{}", json.dumps({"private_key": pair.private_key, "public_key": pair.public_key})
    )
    with pytest.raises(KeyFileError, match=r"keys:3: an endpoint there: ") as caught:
        read_private_keys(private_file(tmp_path / "keys", text))
    assert pair.private_key not in str(caught.value)


def test_a_pair_shows_no_secret_and_travels_to_a_spawned_process() -> None:
    pair = generate_pair()
    assert pair.private_key not in repr(pair)
    assert pickle.loads(pickle.dumps(pair)) == pair
    assert pair.uid == uid_of(pair.public_key)
    assert len(pair.uid) == 128


def test_created_keys_are_for_the_owner_only_and_can_be_read(tmp_path: Path) -> None:
    path = tmp_path / "new" / "keys"
    pair = create_private_keys(str(path), ("tcp://a:1", "tcp://b:1"))
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert read_private_keys(str(path)) == {"tcp://a:1": pair, "tcp://b:1": pair}


def test_creating_again_changes_no_key_and_adds_missing_endpoints(tmp_path: Path) -> None:
    path = tmp_path / "keys"
    first = create_private_keys(str(path), ("tcp://a:1",))
    before = path.read_bytes()
    assert create_private_keys(str(path), ("tcp://a:1",)) == first
    assert path.read_bytes() == before
    other = create_private_keys(str(path), ("tcp://z:1",))
    assert other != first
    assert create_private_keys(str(path), ("tcp://b:1", "tcp://a:1")) == first
    assert read_private_keys(str(path)) == {
        "tcp://a:1": first,
        "tcp://z:1": other,
        "tcp://b:1": first,
    }
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert [entry.name for entry in tmp_path.iterdir()] == ["keys"]


def test_a_left_over_of_a_stopped_command_is_named_and_kept(tmp_path: Path) -> None:
    path = tmp_path / "keys"
    create_private_keys(str(path), ("tcp://a:1",))
    before = path.read_bytes()
    (tmp_path / "keys.new").write_text("precious")
    with pytest.raises(KeyFileError, match="exists, left by a command"):
        create_private_keys(str(path), ("tcp://b:1",))
    assert path.read_bytes() == before
    assert (tmp_path / "keys.new").read_text() == "precious"


@pytest.mark.parametrize("umask", [0o022, 0o077])
@pytest.mark.parametrize("mode", [0o600, 0o640, 0o644, 0o444])
def test_a_keystore_keeps_its_mode(tmp_path: Path, mode: int, umask: int) -> None:
    """It has the addresses of all members: who has closed it wants it closed."""
    path = tmp_path / "keystore"
    path.write_text("{}")
    path.chmod(mode)
    before = os.umask(umask)
    try:
        write_keystore(str(path), ORIGINAL_KEYS)
    finally:
        os.umask(before)
    assert read_keystore(str(path)) == ORIGINAL_KEYS
    assert stat.S_IMODE(path.stat().st_mode) == mode
    assert list(tmp_path.iterdir()) == [path]


def test_what_cannot_be_replaced_leaves_nothing_behind(tmp_path: Path) -> None:
    """A new file beside it, perhaps with private keys, would be in the way of every later try."""
    path = tmp_path / "keys"
    pair = create_private_keys(str(path), ("tcp://a:1",))
    with bound(path):
        with pytest.raises(KeyFileError, match=r"cannot be written.*mount its folder") as caught:
            create_private_keys(str(path), ("tcp://a:1", "tcp://b:1"))
        assert "\n" not in str(caught.value)
        assert list(tmp_path.iterdir()) == [path]
    assert create_private_keys(str(path), ("tcp://a:1", "tcp://b:1")) == pair


def test_a_directory_in_the_place_of_a_file_leaves_nothing_behind(tmp_path: Path) -> None:
    """As above, on every system and for everybody."""
    (tmp_path / "keystore").mkdir()
    with pytest.raises(KeyFileError, match="cannot be written"):
        write_keystore(str(tmp_path / "keystore"), {})
    assert list(tmp_path.iterdir()) == [tmp_path / "keystore"]


@pytest.mark.parametrize("link", ["file", "folder"])
def test_nothing_is_made_where_a_link_leads_to_a_disk_that_is_away(
    tmp_path: Path, link: str
) -> None:
    """The keys are on it: a new one would be another member's."""
    stick = tmp_path / "stick"
    stick.mkdir()
    home = tmp_path / "home"
    if link == "file":
        home.mkdir()
        (home / "keys").symlink_to(stick / "ssh" / "keys")
    else:
        home.symlink_to(stick / "ssh")
    path = str(home / "keys")

    def make(at: str) -> object:
        return create_private_keys(at, ("tcp://a:1",))

    ways: tuple[Callable[[str], object], ...] = (read_private_keys, read_keystore, make)
    for do in ways:
        with pytest.raises(KeyFileError, match=rf"leads to {stick}/ssh.* is its disk mounted\?"):
            do(path)
    assert list(stick.iterdir()) == []
    (stick / "ssh").mkdir()
    pair = create_private_keys(str(stick / "ssh" / "keys"), ("tcp://a:1",))
    assert read_private_keys(path) == {"tcp://a:1": pair}


def test_a_file_that_is_no_key_file_is_never_overwritten(tmp_path: Path) -> None:
    path = private_file(tmp_path / "keys", "my diary")
    with pytest.raises(KeyFileError, match="is not JSON"):
        create_private_keys(path, ("tcp://a:1",))
    assert Path(path).read_text() == "my diary"


def who(
    hostnames: tuple[str, ...], private: dict[str, KeyPair], public: dict[str, str]
) -> tuple[str, KeyPair]:
    return identity(hostnames, private, public, privatekey_path="private", keystore_path="public")


def test_the_identity_is_the_first_endpoint_with_a_private_key() -> None:
    pair = generate_pair()
    assert who(("a", "b"), {"b": pair}, {}) == ("b", pair)


def test_an_identity_needs_a_key_and_one_key_only() -> None:
    ours, theirs = generate_pair(), generate_pair()
    with pytest.raises(KeyFileError, match="private: no private key for a or b"):
        who(("a", "b"), {}, {})
    with pytest.raises(KeyFileError, match="public: the key of b, which is this node"):
        who(("a", "b"), {"a": ours}, {"b": theirs.public_key})
    with pytest.raises(KeyFileError, match="different keys"):
        who(("a", "b"), {"a": ours, "b": theirs}, {})


def test_nodes_with_one_key_are_one_member() -> None:
    ours, theirs = generate_pair(), generate_pair()
    keystore = {"a": ours.public_key, "x": theirs.public_key, "y": theirs.public_key}
    local = {name: f"ipc:///{name}" for name in "axyb"}
    grouped = group_members(
        (local["a"], local["b"]),
        ours,
        (local["x"], local["y"], local["x"], local["a"], local["b"]),
        {local[name]: key for name, key in keystore.items()},
        keystore_path="public",
    )
    assert grouped == {
        ours.public_key: (local["a"], local["b"]),
        theirs.public_key: (local["x"], local["y"]),
    }


def test_a_node_without_a_key_is_named() -> None:
    with pytest.raises(KeyFileError, match="public: no public key for the node tcp://x:1"):
        group_members(("tcp://a:1",), generate_pair(), ("tcp://x:1",), {}, keystore_path="public")


@pytest.mark.parametrize(
    ("endpoint", "refused"),
    [("tcp://10.0.0.1:1", True), ("tcp://127.0.0.1:1", False), ("ipc:///tmp/a", False)],
)
def test_sample_keys_are_refused_beyond_this_machine(endpoint: str, refused: bool) -> None:
    def group() -> object:
        return group_members(
            ("ipc:///tmp/own",),
            generate_pair(),
            (endpoint,),
            {endpoint: ORIGINAL_KEYS["ipc:///tmp/node1.ipc"]},
            keystore_path="public",
        )

    if refused:
        with pytest.raises(KeyFileError, match="sample key"):
            group()
    else:
        assert group()


def test_the_sample_keys_in_the_repository_are_all_known_as_such() -> None:
    from flocksy.keys.samples import SAMPLE_PUBLIC_KEYS

    path = Path(__file__).parents[2] / "keys-example" / "flocksy_keystore"
    keys = read_keystore(str(path))
    assert len(keys) == 3
    assert set(keys.values()) < SAMPLE_PUBLIC_KEYS
