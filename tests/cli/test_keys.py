"""`flocksy keys`: three people, each with their own files, exchange and compare their keys."""

from __future__ import annotations

import json
import stat
from pathlib import Path

import pytest
import segno

from flocksy.cli import key_place
from flocksy.cli.main import main
from flocksy.cli.picture import qr_lines
from flocksy.config.state import claim
from flocksy.keys.bundle import decode_bundle, encode_bundle, make_bundle
from flocksy.keys.files import generate_pair, read_keystore, read_private_keys
from flocksy.keys.fingerprint import fingerprint_words, safety_number, scannable
from flocksy.keys.register import Trust, read_register, register_path
from flocksy.status.client import NotRunningError
from flocksy.status.control import Answer
from tests.cli.people import Capture, Person, running


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


@pytest.mark.parametrize("words", [("export",), ("rotate",)])
def test_an_endpoint_that_leads_nowhere_is_told_to_nobody(
    people: tuple[Person, Person, Person], capsys: Capture, words: tuple[str, ...]
) -> None:
    anna = people[0]
    anna.config.write_text(anna.config.read_text().replace("anna.example", "*"))
    assert main(["--create-private-keys", *anna.flags()]) == 0
    capsys.readouterr()
    assert anna.keys(*words) == 2
    said = capsys.readouterr()
    assert "hostname = tcp://*:5000: is no place that others could reach" in said.err
    assert said.out == "" and not list(anna.privatekey.parent.glob("*.next"))


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


def test_the_number_of_the_flock_speaks_of_everybody_in_it(
    people: tuple[Person, Person, Person], capsys: Capture
) -> None:
    """Read aloud once, it compares all keys: typed in, it is no alarm."""
    anna, ben, cleo = people
    anna.knows(ben, capsys)
    anna.knows(cleo, capsys)
    digits = safety_number(one.public_key for one in people).split()
    assert anna.keys("verify", "ben", *digits[:-1], f"{(int(digits[-1]) + 1) % 10**5:05}") == 1
    assert "all know the same members" in capsys.readouterr().err
    assert anna.keys("verify", "ben", *digits) == 0
    entries = read_register(str(anna.keystore)).entries
    trust = {entry.bundle.name: entry.trust for entry in entries if entry.bundle is not None}
    assert trust == {"ben": Trust.COMPARED, "cleo": Trust.UNVERIFIED}


def test_who_is_in_no_flock_is_not_compared_by_its_number(
    people: tuple[Person, Person, Person], capsys: Capture
) -> None:
    """Cleo's key is in the keystore and in no number: to have compared one says nothing of it."""
    anna, ben, cleo = people
    anna.knows(ben, capsys)
    anna.knows(cleo, capsys)
    text = anna.config.read_text()
    anna.config.write_text(text.replace(f"node = {cleo.endpoint}", ""))
    assert "cleo" in text and cleo.endpoint not in anna.config.read_text()
    digits = safety_number((anna.public_key, ben.public_key)).split()
    assert anna.keys("verify", "cleo", *digits) == 1
    assert anna.keys("verify", "ben", *digits) == 0


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


def test_a_running_node_is_told(people: tuple[Person, Person, Person], capsys: Capture) -> None:
    anna, ben, cleo = people
    anna.knows(ben, capsys)
    with running(anna, lambda _: "members changed: the node joins the flock anew") as asked:
        assert anna.knows(cleo, capsys) == 0
    assert "joins the flock anew" in capsys.readouterr().out
    assert asked == ["reload"]


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
