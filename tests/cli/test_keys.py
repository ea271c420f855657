"""`flocksy keys`: three people, each with their own files, exchange and compare their keys."""

from __future__ import annotations

import contextlib
import datetime
import json
import os
import select
import stat
import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

import pytest
import segno

from flocksy.cli import key_place, own_keys
from flocksy.cli.main import main
from flocksy.cli.picture import qr_lines
from flocksy.config.load import load, load_state_dir
from flocksy.config.settings import NodeSettings, Options
from flocksy.config.state import claim
from flocksy.errors import KeyFileError
from flocksy.keys import seal
from flocksy.keys.bundle import decode_bundle, encode_bundle, make_bundle
from flocksy.keys.files import generate_pair, read_keystore, read_private_keys
from flocksy.keys.fingerprint import fingerprint_words, safety_number, scannable
from flocksy.keys.register import Trust, read_register, register_path
from flocksy.keys.rotation import decode_rotation, encode_rotation, make_rotation
from flocksy.status.client import NotRunningError
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


def test_three_strangers_become_a_flock(
    people: tuple[Person, Person, Person], capsys: Capture
) -> None:
    for person in people:
        for other in people:
            if other is not person:
                assert person.knows(other, capsys) == 0
    numbers = set()
    for person in people:
        assert person.keys("number", "--json") == 0
        out = capsys.readouterr().out
        numbers.add(json.loads(out[out.index("{") :])["number"])
        assert "# " in person.config.read_text()
    assert numbers == {safety_number(person.public_key for person in people)}
    views = {person.settings().uids for person in people}
    assert len(views) == 1 and len(views.pop()) == 3


def test_the_keystore_stays_the_originals_json(
    people: tuple[Person, Person, Person], capsys: Capture
) -> None:
    anna, ben, _ = people
    anna.knows(ben, capsys)
    assert json.loads(anna.keystore.read_text()) == {
        anna.endpoint: anna.public_key,
        ben.endpoint: ben.public_key,
    }
    assert json.loads(anna.privatekey.read_text())[anna.endpoint]["public_key"] == anna.public_key


def test_what_is_made_is_closed_to_others(
    people: tuple[Person, Person, Person], capsys: Capture
) -> None:
    anna, ben, _ = people
    anna.knows(ben, capsys)
    modes = {
        path.name: stat.S_IMODE(path.stat().st_mode) for path in anna.keystore.parent.iterdir()
    }
    assert modes == {
        "private": 0o600,
        "keystore": 0o644,
        "keystore.register": 0o600,
        "keystore.lock": 0o600,
    }
    assert stat.S_IMODE(anna.keystore.parent.stat().st_mode) == 0o700


def test_show_gives_words_hex_and_a_code(
    people: tuple[Person, Person, Person], capsys: Capture
) -> None:
    anna, ben, _ = people
    anna.knows(ben, capsys)
    capsys.readouterr()
    assert anna.keys("show") == 0
    own = capsys.readouterr().out
    assert " ".join(own.split()).count(" ".join(fingerprint_words(anna.public_key))) == 1
    assert "\n".join(qr_lines(scannable(anna.public_key))) in own
    assert anna.keys("show", "ben", "--no-qr") == 0
    assert capsys.readouterr().out.startswith("ben  tcp://ben.example:5000  (unverified)")
    assert ben.keys("show", "--json") == 0
    shown = json.loads(capsys.readouterr().out)
    assert shown["words"] == " ".join(fingerprint_words(ben.public_key))
    assert shown["public_key"] == ben.public_key


@pytest.mark.parametrize("way", ["words", "number", "code"])
def test_comparing_makes_a_key_verified(
    people: tuple[Person, Person, Person], capsys: Capture, way: str
) -> None:
    anna, ben, _ = people
    anna.knows(ben, capsys)
    assert read_register(str(anna.keystore)).entries[0].trust is Trust.UNVERIFIED
    compared = {
        "words": list(fingerprint_words(ben.public_key)),
        "number": safety_number((anna.public_key, ben.public_key)).split(),
        "code": [scannable(ben.public_key)],
    }[way]
    assert anna.keys("verify", "ben", *compared) == 0
    assert read_register(str(anna.keystore)).entries[0].trust is Trust.COMPARED
    capsys.readouterr()
    assert anna.keys("list") == 0
    assert "ben  tcp://ben.example:5000  verified" in capsys.readouterr().out


def test_what_is_not_the_same_is_not_verified(
    people: tuple[Person, Person, Person], capsys: Capture
) -> None:
    anna, ben, cleo = people
    anna.knows(ben, capsys)
    assert anna.keys("verify", "ben", *fingerprint_words(cleo.public_key)) == 1
    assert "NOT the same" in capsys.readouterr().err
    assert anna.keys("verify", "ben", "acorn") == 2
    assert anna.keys("verify", "ben") == 2  # nobody there to ask
    assert anna.keys("verify", "nobody", "acorn") == 2
    assert read_register(str(anna.keystore)).entries[0].trust is Trust.UNVERIFIED


def test_a_person_is_asked(
    people: tuple[Person, Person, Person], capsys: Capture, typed: list[str]
) -> None:
    anna, ben, _ = people
    bundle = str(ben.bundle(capsys))
    typed[:] = ["no"]
    assert anna.keys("import", bundle) == 1
    assert "Nothing was changed" in capsys.readouterr().out
    assert not anna.keystore.exists()
    assert "node" not in anna.config.read_text()
    typed[:] = ["yes"]
    assert anna.keys("import", bundle) == 0
    assert "ADDS ben" in capsys.readouterr().out
    for answer, trust in (
        ("no", Trust.UNVERIFIED),
        ("y", Trust.UNVERIFIED),
        ("same", Trust.COMPARED),
    ):
        typed[:] = [answer]
        anna.keys("verify", "ben")
        assert read_register(str(anna.keystore)).entries[0].trust is trust
    shown = "".join(capsys.readouterr().out.split())
    assert safety_number((anna.public_key, ben.public_key)).replace(" ", "") in shown


def test_without_a_terminal_nothing_is_taken_for_a_yes(
    people: tuple[Person, Person, Person], capsys: Capture
) -> None:
    anna, ben, _ = people
    assert anna.keys("import", str(ben.bundle(capsys))) == 1
    assert "--yes" in capsys.readouterr().err
    assert not anna.keystore.exists()


def test_another_key_for_a_known_endpoint_needs_more_than_yes(
    people: tuple[Person, Person, Person], capsys: Capture, tmp_path: Path
) -> None:
    anna, ben, _ = people
    anna.knows(ben, capsys)
    anna.keys("verify", "ben", *fingerprint_words(ben.public_key))
    stranger = generate_pair()
    path = tmp_path / "swapped"
    path.write_text(encode_bundle(make_bundle(stranger, "ben", ben.endpoint)))
    capsys.readouterr()
    assert anna.keys("import", str(path), "--yes") == 2
    captured = capsys.readouterr()
    assert "REPLACES the key of ben (verified)" in captured.out
    assert "--replace" in captured.err
    assert read_keystore(str(anna.keystore))[ben.endpoint] == ben.public_key
    assert anna.keys("import", str(path), "--yes", "--replace") == 0
    assert read_keystore(str(anna.keystore))[ben.endpoint] == stranger.public_key
    (entry,) = read_register(str(anna.keystore)).entries
    assert (entry.public_key, entry.trust) == (stranger.public_key, Trust.UNVERIFIED)


def test_one_friends_key_is_not_mistaken_for_anothers(
    people: tuple[Person, Person, Person], capsys: Capture, tmp_path: Path
) -> None:
    anna, ben, _ = people
    anna.knows(ben, capsys)
    path = tmp_path / "namesake"
    path.write_text(encode_bundle(make_bundle(generate_pair(), "ben", "ben.elsewhere:5000")))
    assert anna.keys("import", str(path), "--yes") == 2
    assert "--as NAME" in capsys.readouterr().err
    assert anna.keys("import", str(path), "--yes", "--as", "ben-2") == 0
    assert {entry.name for entry in read_register(str(anna.keystore)).entries} == {"ben", "ben-2"}


def test_a_member_that_moved_keeps_its_trust(
    people: tuple[Person, Person, Person], capsys: Capture, tmp_path: Path
) -> None:
    anna, ben, _ = people
    anna.knows(ben, capsys)
    anna.keys("verify", "ben", *fingerprint_words(ben.public_key))
    pair = read_private_keys(str(ben.privatekey))[ben.endpoint]
    path = tmp_path / "moved"
    path.write_text(encode_bundle(make_bundle(pair, "ben", "new.example:6000")))
    assert anna.keys("import", str(path), "--yes") == 0
    assert read_keystore(str(anna.keystore)) == {
        anna.endpoint: anna.public_key,
        "tcp://new.example:6000": ben.public_key,
    }
    (entry,) = read_register(str(anna.keystore)).entries
    assert entry.trust is Trust.COMPARED
    assert "node = new.example:6000" in anna.config.read_text()
    assert "ben.example" not in anna.config.read_text()


def test_own_bundles_and_own_endpoints_are_refused(
    people: tuple[Person, Person, Person], capsys: Capture, tmp_path: Path
) -> None:
    anna, _, _ = people
    assert anna.knows(anna, capsys) == 2
    assert "this node's own" in capsys.readouterr().err
    path = tmp_path / "impostor"
    path.write_text(encode_bundle(make_bundle(generate_pair(), "eve", anna.endpoint)))
    assert anna.keys("import", str(path), "--yes") == 2
    assert "this node's endpoint" in capsys.readouterr().err


@pytest.mark.parametrize("words", [["remove"], ["revoke"]])
def test_a_member_goes(
    people: tuple[Person, Person, Person], capsys: Capture, words: list[str]
) -> None:
    anna, ben, cleo = people
    anna.knows(ben, capsys)
    anna.knows(cleo, capsys)
    assert anna.keys(*words, "ben", "--yes") == 0
    assert ben.public_key not in anna.keystore.read_text()
    assert "ben" not in anna.config.read_text()
    assert [
        member.public_key for member in anna.settings().members if member.uid != anna.settings().uid
    ] == [cleo.public_key]
    again = anna.knows(ben, capsys)
    if words == ["remove"]:
        assert again == 0
    else:
        assert again == 2
        assert "was revoked" in capsys.readouterr().err
        assert anna.keys("revoke", "--undo", "ben") == 0
        assert anna.knows(ben, capsys) == 0


def test_a_revoked_key_put_back_by_hand_stops_the_node(
    people: tuple[Person, Person, Person], capsys: Capture
) -> None:
    anna, ben, cleo = people
    anna.knows(ben, capsys)
    anna.knows(cleo, capsys)
    anna.keys("revoke", "ben", "--yes")
    keystore = json.loads(anna.keystore.read_text())
    anna.keystore.write_text(json.dumps(keystore | {ben.endpoint: ben.public_key}))
    anna.config.write_text(anna.config.read_text() + "node = ben.example:5000\n")
    with pytest.raises(Exception, match=r"revoked on .* take its node line out"):
        anna.settings()


def test_a_rotation_keeps_uid_trust_and_state(
    people: tuple[Person, Person, Person], capsys: Capture, tmp_path: Path
) -> None:
    anna, ben, cleo = people
    for one, other in ((anna, ben), (anna, cleo), (ben, anna), (ben, cleo)):
        one.knows(other, capsys)
    ben.keys("verify", "anna", *fingerprint_words(anna.public_key))
    old, uid = anna.public_key, anna.settings().uid
    capsys.readouterr()
    assert anna.keys("rotate", "--days", "3") == 0
    text = capsys.readouterr().out
    rotation = decode_rotation(text)
    assert anna.public_key == old, "the old key stays in use until --switch"
    path = tmp_path / "announcement"
    path.write_text(f"Hello,\n\n{text}\nAnna")
    assert ben.keys("import", str(path), "--yes") == 0
    assert "ROTATES the key of anna (verified)" in capsys.readouterr().out
    member = next(member for member in ben.settings().members if member.uid == uid)
    assert (member.public_key, member.other_keys) == (rotation.bundle.public_key, (old,))
    for person in (anna, ben):  # who compares now compares the new key
        assert person.keys("number", "--json") == 0
    first, second = capsys.readouterr().out.split("}\n")[:2]
    assert json.loads(first + "}")["number"] == json.loads(second + "}")["number"]
    assert anna.keys("rotate", "--switch") == 0
    assert anna.public_key == rotation.bundle.public_key != old
    assert anna.settings().uid == uid
    assert anna.settings().uids == ben.settings().uids
    assert not Path(f"{anna.privatekey}.next").exists()
    entry = read_register(str(ben.keystore)).entry(anna.public_key)
    assert entry is not None and entry.trust is Trust.COMPARED
    assert ben.keys("import", str(path), "--yes") == 0  # once more changes nothing
    assert "known already" in capsys.readouterr().out
    # A newcomer gets the uid with the bundle, and again nobody's bundle may claim it.
    assert cleo.knows(anna, capsys) == 0
    assert read_register(str(cleo.keystore)).uid(anna.public_key) == uid


@pytest.mark.usefixtures("cheap")
def test_a_rotated_node_stays_the_same_member_without_its_register(
    people: tuple[Person, Person, Person], capsys: Capture
) -> None:
    """The private key file says the first key as well, sealed or not, over a second rotation."""
    anna, ben, _ = people
    anna.knows(ben, capsys)
    settings, lock = claim(anna.settings())
    lock.close()
    for _ in range(2):
        assert anna.keys("rotate") == 0
        assert anna.keys("rotate", "--switch") == 0
        os.unlink(register_path(str(anna.keystore)))
        again = anna.settings()
        assert (again.uid, again.state_dir) == (settings.uid, settings.state_dir)
        assert again.uid in again.uids
        assert load_state_dir(Options(config=str(anna.config))) == settings.state_dir
    assert decode_bundle(anna.bundle(capsys).read_text()).uid == settings.uid
    with passed(b"summer") as new:
        assert anna.keys("passphrase", "--new-fd", str(new)) == 0
    assert anna.settings().uid == settings.uid


def test_a_second_rotation_follows_the_first(
    people: tuple[Person, Person, Person], capsys: Capture, tmp_path: Path
) -> None:
    anna, ben, cleo = people
    for one, other in ((anna, ben), (anna, cleo), (ben, anna), (ben, cleo)):
        one.knows(other, capsys)
    uid = anna.settings().uid
    for number in range(2):
        capsys.readouterr()
        assert anna.keys("rotate") == 0
        path = tmp_path / f"announcement{number}"
        path.write_text(capsys.readouterr().out)
        assert anna.keys("rotate", "--switch") == 0
        assert ben.keys("import", str(path), "--yes") == 0
    assert anna.settings().uid == uid
    member = next(member for member in ben.settings().members if member.uid == uid)
    assert (member.public_key, len(member.other_keys)) == (anna.public_key, 2)


@pytest.mark.parametrize("step", ["write_register", "write_private_keys", "write_keystore"])
def test_a_switch_that_broke_off_is_done_again(
    people: tuple[Person, Person, Person],
    capsys: Capture,
    monkeypatch: pytest.MonkeyPatch,
    step: str,
) -> None:
    """Whatever was written last: the new key is never lost, and the uid never another."""
    anna, ben, _ = people
    anna.knows(ben, capsys)
    uid = anna.settings().uid
    # The second one: by now only the register says whose uid the key in use has.
    assert anna.keys("rotate") == 0
    assert anna.keys("rotate", "--switch") == 0
    capsys.readouterr()
    assert anna.keys("rotate") == 0
    upcoming = decode_rotation(capsys.readouterr().out).bundle.public_key

    def broken(*_: object) -> None:
        raise KeyFileError("the disk is full")

    with monkeypatch.context() as patched:
        patched.setattr(own_keys, step, broken)
        assert anna.keys("rotate", "--switch") == 2
    if step != "write_keystore":  # which then names another key, and the node says so
        assert anna.settings().uid == uid
    assert anna.keys("rotate", "--switch") == 0
    assert anna.public_key == upcoming
    assert anna.settings().uid == uid
    assert [entry.name for entry in read_register(str(anna.keystore)).entries].count("anna") == 1


def test_a_rotation_that_was_begun_can_be_cancelled(
    people: tuple[Person, Person, Person], capsys: Capture
) -> None:
    anna, _, _ = people
    assert anna.keys("rotate", "--switch") == 2
    assert anna.keys("rotate", "--cancel") == 2
    assert anna.keys("rotate") == 0
    assert anna.keys("rotate", "--cancel") == 0
    assert anna.keys("rotate", "--switch") == 2
    assert "no new key waits" in capsys.readouterr().err


def test_nobody_else_can_rotate_a_members_key(
    people: tuple[Person, Person, Person], capsys: Capture, tmp_path: Path
) -> None:
    anna, ben, cleo = people
    for other in (anna, cleo):
        ben.knows(other, capsys)
    # Cleo claims Anna's uid, in a bundle of her own and in an announcement by her own key.
    pair = read_private_keys(str(cleo.privatekey))[cleo.endpoint]
    stolen = tmp_path / "stolen"
    bundle = make_bundle(generate_pair(), "dora", "dora.example:1", first_key=anna.public_key)
    stolen.write_text(encode_bundle(bundle))
    assert ben.keys("import", str(stolen), "--yes") == 2
    assert "another key here" in capsys.readouterr().err
    until = datetime.date(2100, 1, 1)
    forged = make_rotation(pair, generate_pair(), anna.public_key, "anna", anna.endpoint, until)
    stolen.write_text(encode_rotation(forged))
    assert ben.keys("import", str(stolen), "--yes") == 2
    assert anna.public_key in read_keystore(str(ben.keystore)).values()


@pytest.mark.usefixtures("cheap")
def test_a_passphrase_is_asked_for_and_only_where_it_must_be(
    people: tuple[Person, Person, Person], capsys: Capture, typed: list[str]
) -> None:
    anna, ben, _ = people
    secret = read_private_keys(str(anna.privatekey))[anna.endpoint].private_key
    typed[:] = ["correct horse", "correct horse"]
    assert anna.keys("passphrase") == 0
    assert secret not in anna.privatekey.read_text()
    assert stat.S_IMODE(anna.privatekey.stat().st_mode) == 0o600
    assert anna.keys("show", "--no-qr") == 0
    assert anna.knows(ben, capsys) == 0
    assert anna.keys("list") == 0
    assert not typed
    typed[:] = ["wrong", "correct horse"]
    assert anna.keys("export") == 0
    captured = capsys.readouterr()
    assert "not the passphrase" in captured.err
    assert decode_bundle(captured.out[captured.out.index("[flocksy") :]).name == "anna"
    typed[:] = ["no"] * 3
    assert anna.keys("export") == 2
    typed[:] = ["correct horse"]
    assert anna.keys("passphrase", "--remove") == 0
    assert read_private_keys(str(anna.privatekey))[anna.endpoint].private_key == secret


@pytest.mark.usefixtures("cheap")
def test_a_passphrase_from_a_descriptor(
    people: tuple[Person, Person, Person], capsys: Capture
) -> None:
    anna, _, _ = people
    with passed(b"secret of a script\n") as descriptor:
        assert anna.keys("passphrase", "--new-fd", str(descriptor)) == 0
    assert anna.keys("export") == 2
    assert "--passphrase-fd" in capsys.readouterr().err
    with passed(b"secret of a script") as descriptor:
        assert anna.keys("export", "--passphrase-fd", str(descriptor)) == 0
    with passed(b"another") as descriptor:
        assert anna.keys("export", "--passphrase-fd", str(descriptor)) == 2
    for nonsense in (b"", b"x" * 2000):
        with passed(nonsense) as descriptor:
            assert anna.keys("export", "--passphrase-fd", str(descriptor)) == 2
    assert anna.keys("export", "--passphrase-fd", "999999") == 2
    assert "secret of a script" not in capsys.readouterr().err


@pytest.mark.usefixtures("cheap")
def test_a_sealed_key_rotates_to_a_sealed_one(
    people: tuple[Person, Person, Person], typed: list[str]
) -> None:
    anna, _, _ = people
    typed[:] = ["old words", "old words"]
    anna.keys("passphrase")
    typed[:] = ["old words", "new words", "new words"]
    assert anna.keys("rotate") == 0
    assert anna.keys("rotate", "--switch") == 0
    assert "private_key_sealed" in anna.privatekey.read_text()
    typed[:] = ["new words"]
    assert anna.keys("export") == 0


@pytest.mark.usefixtures("cheap")
def test_an_announcement_is_made_again_with_both_passphrases(
    people: tuple[Person, Person, Person], capsys: Capture
) -> None:
    anna, _, _ = people
    with passed(b"old words") as old:
        assert anna.keys("passphrase", "--new-fd", str(old)) == 0
    announced = []
    for _ in range(2):
        capsys.readouterr()
        with passed(b"old words") as old, passed(b"new words") as new:
            assert anna.keys("rotate", "--passphrase-fd", str(old), "--new-fd", str(new)) == 0
        announced.append(decode_rotation(capsys.readouterr().out).bundle.public_key)
    assert announced[0] == announced[1]


class Keyring(ModuleType):
    """Stands for the `keyring` package: no test can count on a session with one."""

    def __init__(self) -> None:
        super().__init__("keyring")
        self.held: dict[tuple[str, str], str] = {}
        self.broken: Exception | None = None

    def get_password(self, service: str, user: str) -> str | None:
        if self.broken is not None:
            raise self.broken
        return self.held.get((service, user))

    def set_password(self, service: str, user: str, password: str) -> None:
        if self.broken is not None:
            raise self.broken
        self.held[service, user] = password

    def delete_password(self, service: str, user: str) -> None:
        del self.held[service, user]


@pytest.fixture
def keyring(monkeypatch: pytest.MonkeyPatch) -> Keyring:
    """The system's keyring."""
    stand_in = Keyring()
    monkeypatch.setitem(sys.modules, "keyring", stand_in)
    return stand_in


@pytest.mark.usefixtures("cheap")
def test_the_keyring_keeps_a_passphrase_for_the_start(
    people: tuple[Person, Person, Person], keyring: Keyring, capsys: Capture
) -> None:
    anna, _, _ = people
    with passed(b"one") as new:
        assert anna.keys("passphrase", "--keyring", "--new-fd", str(new)) == 0
    assert list(keyring.held.values()) == ["one"]
    assert list(keyring.held) == [("flocksy", anna.public_key)]
    assert anna.keys("export") == 0, "nobody is asked"
    keyring.held["flocksy", anna.public_key] = "of somebody else"
    with passed(b"one") as given:
        assert anna.keys("export", "--passphrase-fd", str(given)) == 0
    assert anna.keys("export") == 2
    said = capsys.readouterr().err
    assert "keyring holds another" in said and "--passphrase-fd" in said
    with passed(b"one") as given:
        assert anna.keys("passphrase", "--remove", "--passphrase-fd", str(given)) == 0
    assert not keyring.held, "nothing is left behind"


@pytest.mark.usefixtures("cheap")
def test_a_passphrase_that_changes_leaves_no_old_one_in_the_keyring(
    people: tuple[Person, Person, Person], keyring: Keyring
) -> None:
    anna, _, _ = people
    for passphrase, more, held in ((b"one", ["--keyring"], ["one"]), (b"two", [], [])):
        with passed(passphrase) as new:
            assert anna.keys("passphrase", "--new-fd", str(new), *more) == 0
        assert list(keyring.held.values()) == held
    with passed(b"two") as given, passed(b"three") as new:
        words = ("--passphrase-fd", str(given), "--new-fd", str(new))
        assert anna.keys("passphrase", "--keyring", *words) == 0
    with passed(b"four") as new:
        assert anna.keys("rotate", "--new-fd", str(new)) == 0
    assert anna.keys("rotate", "--switch") == 0
    assert not keyring.held, "the old key is gone"


@pytest.mark.usefixtures("cheap")
@pytest.mark.parametrize(
    "broken", [RuntimeError("no session\nand more"), ImportError("no backend")]
)
def test_a_keyring_that_fails_is_as_good_as_none(
    people: tuple[Person, Person, Person],
    keyring: Keyring,
    capsys: Capture,
    typed: list[str],
    broken: Exception,
) -> None:
    anna, _, _ = people
    keyring.broken = broken
    before = anna.privatekey.read_text()
    with passed(b"one") as new:
        assert anna.keys("passphrase", "--keyring", "--new-fd", str(new)) == 1
    said = capsys.readouterr().err
    assert "keyring does not take it" in said and said.count("\n") == 1
    assert anna.privatekey.read_text() == before
    with passed(b"one") as new:
        assert anna.keys("passphrase", "--new-fd", str(new)) == 0
    typed[:] = ["one"]
    assert anna.keys("export") == 0
    assert not typed


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


def test_a_running_node_is_told(people: tuple[Person, Person, Person], capsys: Capture) -> None:
    anna, ben, cleo = people
    anna.knows(ben, capsys)
    told: list[str] = []

    def handle(command: str, _: Arguments) -> Answer:
        told.append(command)
        return {"text": "members changed: the node joins the flock anew"}

    settings, lock = claim(anna.settings())
    server = ControlServer(settings.control_path, handle)
    stop = threading.Event()

    def serve() -> None:
        while not stop.is_set():
            if select.select([server.fileno()], [], [], 0.05)[0]:
                server.on_readable()

    thread = threading.Thread(target=serve)
    thread.start()
    try:
        assert anna.knows(cleo, capsys) == 0
        assert "joins the flock anew" in capsys.readouterr().out
    finally:
        stop.set()
        thread.join()
        server.close()
        lock.close()
    assert told == ["reload"]


@pytest.mark.parametrize("joining", [True, False])
def test_a_node_that_joins_anew_is_waited_for(
    people: tuple[Person, Person, Person],
    capsys: Capture,
    monkeypatch: pytest.MonkeyPatch,
    joining: bool,
) -> None:
    """It may have read the keys before they were changed once more."""
    anna, ben, cleo = people
    anna.knows(ben, capsys)
    _, lock = claim(anna.settings())
    if not joining:
        lock.close()
    asked: list[str] = []

    def request(_: str, command: str) -> Answer:
        asked.append(command)
        if len(asked) < 3:
            raise NotRunningError("nobody listens")
        return {"text": "there again"}

    monkeypatch.setattr(key_place, "request", request)
    monkeypatch.setattr(key_place, "LOOK_SECONDS", 0)
    capsys.readouterr()
    assert anna.knows(cleo, capsys) == 0
    assert len(asked) == (3 if joining else 1)
    assert ("there again" in capsys.readouterr().out) is joining
    lock.close()


def test_a_broken_register_is_one_line(
    people: tuple[Person, Person, Person], capsys: Capture
) -> None:
    anna, ben, _ = people
    anna.knows(ben, capsys)
    path = Path(register_path(str(anna.keystore)))
    path.write_text(path.read_text().replace('"unverified"', '"best friend"'))
    capsys.readouterr()
    assert anna.keys("list") == 2
    captured = capsys.readouterr()
    assert captured.err.count("\n") == 1
    assert str(path) in captured.err and "restore it" in captured.err


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("hello", "holds no bundle"),
        ("[flocksy bundle 1]\n", "has no end"),
        ("[flocksy rotation 1]\n", "has no end"),
        ("\0" * 300_000, "larger than"),
    ],
    ids=["none", "half", "half an announcement", "too long"],
)
def test_a_file_without_a_bundle_is_one_line(
    people: tuple[Person, Person, Person], capsys: Capture, tmp_path: Path, text: str, said: str
) -> None:
    path = tmp_path / "file"
    path.write_text(text)
    assert people[0].keys("import", str(path), "--yes") != 0
    captured = capsys.readouterr()
    assert said in captured.err
    assert captured.err.count("\n") == 1
    assert people[0].keys("import", str(tmp_path / "nothing"), "--yes") == 1


def test_export_writes_no_file_over(
    people: tuple[Person, Person, Person], tmp_path: Path, capsys: Capture
) -> None:
    path = tmp_path / "out"
    assert people[0].keys("export", "-o", str(path)) == 0
    assert decode_bundle(path.read_text()).endpoint == people[0].endpoint
    assert people[0].keys("export", "-o", str(path)) == 1
    assert "exists already" in capsys.readouterr().err


def test_a_code_is_drawn_module_by_module() -> None:
    text = scannable(generate_pair().public_key)
    lines = qr_lines(text)
    matrix = [list(row) for row in segno.make_qr(text, error="m").matrix]
    rows = []
    for line in lines:
        top = [character in " ▄" for character in line]
        bottom = [character in " ▀" for character in line]
        rows += [top, bottom]
    inner = [row[2 : 2 + len(matrix)] for row in rows[2 : 2 + len(matrix)]]
    assert [[int(module) for module in row] for row in inner] == matrix
