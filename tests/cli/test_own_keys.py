"""`flocksy keys rotate`: this node gets another key, and stays who it is."""

from __future__ import annotations

import datetime
import json
import os
from pathlib import Path

import pytest

from flocksy.cli import own_keys
from flocksy.cli.main import main
from flocksy.config.load import load_state_dir
from flocksy.config.settings import Options
from flocksy.config.state import claim
from flocksy.errors import KeyFileError
from flocksy.keys.bundle import decode_bundle, encode_bundle, make_bundle
from flocksy.keys.files import generate_pair, read_keystore, read_private_keys
from flocksy.keys.fingerprint import fingerprint_words
from flocksy.keys.register import Trust, read_register, register_path
from flocksy.keys.rotation import decode_rotation, encode_rotation, make_rotation
from tests.boxes.mounts import bound
from tests.cli.people import Capture, Person, passed


def announcement(person: Person, capsys: Capture, folder: Path) -> Path:
    """What somebody says of a new key, as a file."""
    capsys.readouterr()
    assert person.keys("rotate") == 0
    path = folder / "announcement"
    path.write_text(capsys.readouterr().out)
    return path


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
    path = announcement(anna, capsys, tmp_path)
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


def test_what_is_said_after_a_cancelled_rotation_can_be_done(
    people: tuple[Person, Person, Person], capsys: Capture, tmp_path: Path
) -> None:
    anna, ben, _ = people
    ben.knows(anna, capsys)
    path = announcement(anna, capsys, tmp_path)
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


def moved(person: Person) -> None:
    """It has another address from now on, and keeps its key, as the documentation has it."""
    text = person.config.read_text()
    person.config.write_text(text.replace(f"{person.name}.example", f"{person.name}.elsewhere"))
    assert main(["--create-private-keys", "-p", person.endpoint, *person.flags()]) == 0


@pytest.mark.parametrize("end", ["--switch", "--cancel"])
def test_a_new_key_that_waits_moves_with_its_machine(
    people: tuple[Person, Person, Person], capsys: Capture, tmp_path: Path, end: str
) -> None:
    """Members have imported its announcement: without it the machine would be locked out."""
    anna, ben, cleo = people
    ben.knows(anna, capsys)
    path = announcement(anna, capsys, tmp_path)
    assert ben.keys("import", str(path), "--yes") == 0
    old = anna.public_key
    upcoming = read_keystore(str(ben.keystore))[anna.endpoint]
    moved(anna)
    for words in (["list"], ["number"], ["export"], ["show"]):
        assert anna.keys(*words) == 0
    assert anna.knows(cleo, capsys) == 0
    capsys.readouterr()
    assert anna.keys("rotate") == 0
    assert decode_rotation(capsys.readouterr().out).bundle.public_key == upcoming
    assert anna.keys("rotate", end) == 0
    pairs = read_private_keys(str(anna.privatekey))
    assert len(pairs) == 2
    kept = upcoming if end == "--switch" else old
    assert {pair.public_key for pair in pairs.values()} == {kept}
    assert not Path(f"{anna.privatekey}.next").exists()


def test_a_new_key_of_another_node_with_that_file_is_left_to_it(
    people: tuple[Person, Person, Person], capsys: Capture, tmp_path: Path
) -> None:
    anna, _, _ = people
    second = Person("second", tmp_path / "second")
    second.home.mkdir()
    second.config.write_text(
        f"hostname = {second.endpoint}\nkeystore = keystore\nprivatekey = {anna.privatekey}\n"
    )
    assert main(["--create-private-keys", *second.flags()]) == 0
    upcoming = decode_rotation(announcement(anna, capsys, tmp_path).read_text()).bundle.public_key
    assert second.keys("list") == 0
    assert "a new key waits" not in capsys.readouterr().out
    for words, said in (
        ([], "the new key of another node"),
        (["--switch"], "no new key waits"),
        (["--cancel"], "no new key waits"),
    ):
        assert second.keys("rotate", *words) == 2
        assert said in capsys.readouterr().err
    assert anna.keys("rotate", "--switch") == 0
    assert anna.public_key == upcoming
    assert read_private_keys(str(anna.privatekey))[second.endpoint].public_key != upcoming


def test_a_switch_that_broke_off_is_no_more_to_be_cancelled(
    people: tuple[Person, Person, Person], capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The new key is in use: who is told that it is gone has the members remove the right one."""
    anna, _, _ = people
    assert anna.keys("rotate") == 0

    def broken(*_: object) -> None:
        raise KeyFileError("the disk is full")

    with monkeypatch.context() as patched:
        patched.setattr(own_keys, "write_keystore", broken)
        assert anna.keys("rotate", "--switch") == 2
    capsys.readouterr()
    assert anna.keys("rotate", "--cancel") == 2
    assert "flocksy keys rotate --switch" in capsys.readouterr().err
    assert anna.keys("rotate", "--switch") == 0


@pytest.mark.parametrize("end", ["--switch", "--cancel"])
def test_a_new_key_that_cannot_be_removed_is_one_line(
    people: tuple[Person, Person, Person], capsys: Capture, end: str
) -> None:
    anna, _, _ = people
    assert anna.keys("rotate") == 0
    waiting = Path(f"{anna.privatekey}.next")
    capsys.readouterr()
    with bound(waiting):
        assert anna.keys("rotate", end) == 2
    said = capsys.readouterr()
    assert said.err.count("\n") == 1
    assert f"{waiting}: cannot be removed" in said.err and "command again" in said.err
    assert anna.keys("rotate", end) == 0
    assert not waiting.exists()
