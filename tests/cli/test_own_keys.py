"""`flocksy keys rotate` and `passphrase`: this node's own private key."""

from __future__ import annotations

import datetime
import json
import os
import stat
import sys
from pathlib import Path
from types import ModuleType

import pytest

from flocksy.cli import own_keys
from flocksy.config.load import load_state_dir
from flocksy.config.settings import Options
from flocksy.config.state import claim
from flocksy.errors import KeyFileError
from flocksy.keys.bundle import decode_bundle, encode_bundle, make_bundle
from flocksy.keys.files import generate_pair, read_keystore, read_private_keys
from flocksy.keys.fingerprint import fingerprint_words
from flocksy.keys.register import Trust, read_register, register_path
from flocksy.keys.rotation import decode_rotation, encode_rotation, make_rotation
from tests.cli.people import Capture, Person, passed


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


def test_an_announcement_whose_import_broke_off_is_imported_again(
    people: tuple[Person, Person, Person], capsys: Capture, tmp_path: Path
) -> None:
    anna, ben, _ = people
    ben.knows(anna, capsys)
    capsys.readouterr()
    assert anna.keys("rotate") == 0
    path = tmp_path / "announcement"
    path.write_text(capsys.readouterr().out)
    in_the_way = Path(f"{ben.keystore}.new")
    in_the_way.touch()
    assert ben.keys("import", str(path), "--yes") == 2
    in_the_way.unlink()
    assert ben.keys("import", str(path), "--yes") == 0
    assert "ROTATES the key of anna" in capsys.readouterr().out
    assert anna.keys("rotate", "--switch") == 0
    assert read_keystore(str(ben.keystore))[anna.endpoint] == anna.public_key


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


@pytest.mark.usefixtures("cheap")
@pytest.mark.parametrize("more", [[], ["--keyring"], ["--remove"]])
def test_a_passphrase_stays_as_it_is_while_a_new_key_waits(
    people: tuple[Person, Person, Person], capsys: Capture, more: list[str]
) -> None:
    """The new key lies in a file of its own, which would stay as it is."""
    anna, _, _ = people
    assert anna.keys("rotate") == 0
    before = anna.privatekey.read_text()
    with passed(b"words") as new:
        assert anna.keys("passphrase", "--new-fd", str(new), *more) == 2
    assert "a new key waits" in capsys.readouterr().err
    assert anna.privatekey.read_text() == before


@pytest.mark.usefixtures("cheap")
@pytest.mark.parametrize("held", [True, False])
def test_the_keyring_keeps_what_opens_the_file(
    people: tuple[Person, Person, Person],
    keyring: Keyring,
    monkeypatch: pytest.MonkeyPatch,
    held: bool,
) -> None:
    anna, _, _ = people

    def full(*_: object) -> None:
        raise KeyFileError("the disk is full")

    if held:
        with passed(b"one") as new:
            assert anna.keys("passphrase", "--keyring", "--new-fd", str(new)) == 0
    with monkeypatch.context() as patched, passed(b"two") as new:
        patched.setattr(own_keys, "write_private_keys", full)
        assert anna.keys("passphrase", "--keyring", "--new-fd", str(new)) == 2
    assert list(keyring.held.values()) == (["one"] if held else [])
    assert anna.keys("export") == 0


def test_what_is_said_after_a_cancelled_rotation_can_be_done(
    people: tuple[Person, Person, Person], capsys: Capture, tmp_path: Path
) -> None:
    anna, ben, _ = people
    ben.knows(anna, capsys)
    capsys.readouterr()
    assert anna.keys("rotate") == 0
    path = tmp_path / "announcement"
    path.write_text(capsys.readouterr().out)
    assert ben.keys("import", str(path), "--yes") == 0
    assert anna.keys("rotate", "--cancel") == 0
    assert "flocksy keys remove anna" in capsys.readouterr().out
    assert ben.knows(anna, capsys) == 2
    assert "flocksy keys remove anna" in capsys.readouterr().err
    assert ben.keys("remove", "anna", "--yes") == 0
    assert ben.knows(anna, capsys) == 0


def test_the_old_key_is_gone_wherever_it_stood(people: tuple[Person, Person, Person]) -> None:
    """Under the endpoint of before a move, for one."""
    anna, _, _ = people
    former = "tcp://former.example:5000"
    pairs = json.loads(anna.privatekey.read_text())
    anna.privatekey.write_text(json.dumps(pairs | {former: pairs[anna.endpoint]}))
    anna.keystore.write_text(json.dumps({former: anna.public_key}))
    secret = read_private_keys(str(anna.privatekey))[former].private_key
    assert anna.keys("rotate") == 0
    assert anna.keys("rotate", "--switch") == 0
    assert secret not in anna.privatekey.read_text()
    assert read_keystore(str(anna.keystore)) == {
        former: anna.public_key,
        anna.endpoint: anna.public_key,
    }


@pytest.mark.usefixtures("cheap")
@pytest.mark.parametrize("error", [EOFError(), UnicodeDecodeError("utf-8", b"\xe4", 0, 1, "")])
@pytest.mark.parametrize("words", [["passphrase"], ["export"]])
def test_no_passphrase_is_typed(
    people: tuple[Person, Person, Person],
    capsys: Capture,
    monkeypatch: pytest.MonkeyPatch,
    words: list[str],
    error: Exception,
) -> None:
    """Ctrl-D, or what the terminal cannot have meant."""
    anna, _, _ = people
    if words == ["export"]:
        with passed(b"words") as new:
            assert anna.keys("passphrase", "--new-fd", str(new)) == 0

    def nothing(_: str) -> str:
        raise error

    monkeypatch.setattr("sys.stdin.isatty", lambda: True, raising=False)
    monkeypatch.setattr("getpass.getpass", nothing)
    before = anna.privatekey.read_text()
    assert anna.keys(*words) == 1
    assert "no passphrase came" in capsys.readouterr().err
    assert anna.privatekey.read_text() == before
