"""`flocksy keys remove` and `revoke`: who goes, and what the node that runs makes of it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from flocksy.cli import key_place
from flocksy.cli.main import main
from flocksy.config.load import reload
from flocksy.config.state import claim
from flocksy.keys.bundle import encode_bundle, make_bundle
from flocksy.keys.files import read_private_keys
from flocksy.keys.register import read_register
from tests.cli.people import Capture, Person, running


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


@pytest.mark.parametrize("word", ["remove", "revoke"])
def test_a_member_goes_where_all_is_said_on_the_command_line(
    people: tuple[Person, Person, Person], capsys: Capture, word: str
) -> None:
    anna, ben, cleo = people
    anna.knows(ben, capsys)
    anna.knows(cleo, capsys)
    anna.config.unlink()
    said = ["-p", anna.endpoint, "-n", ben.endpoint, "-n", cleo.endpoint]
    said += ["--keystore", str(anna.keystore), "--privatekey", str(anna.privatekey)]
    assert main(["keys", word, "ben", "--yes", *said]) == 0
    assert "start without it" in capsys.readouterr().out
    assert ben.public_key not in anna.keystore.read_text()
    assert cleo.public_key in anna.keystore.read_text()


@pytest.mark.parametrize("words", [["remove"], ["revoke"]])
def test_a_node_that_does_not_take_it_up_makes_it_no_success(
    people: tuple[Person, Person, Person], capsys: Capture, words: list[str]
) -> None:
    """In a flock of two nobody would be left, so what is in the files now is no flock."""
    anna, ben, _ = people
    anna.knows(ben, capsys)
    capsys.readouterr()
    with running(anna, lambda settings: str(reload(settings, could_run=id).uid)) as asked:
        assert anna.keys(*words, "ben", "--yes") == 1
    assert asked == ["reload"]
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    assert "no node, the endpoint of another member" in said
    assert "If it still runs, stop it now" in said
    assert ("leaves" in said) is (words == ["revoke"])
    assert ben.public_key not in anna.keystore.read_text()


def test_a_node_that_does_not_answer_makes_it_no_success(
    people: tuple[Person, Person, Person], capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    anna, ben, cleo = people
    anna.knows(ben, capsys)
    anna.knows(cleo, capsys)
    monkeypatch.setattr(key_place, "JOINING_SECONDS", 0)
    _, lock = claim(anna.settings())
    with lock:
        assert anna.keys("revoke", "ben", "--yes") == 1
    assert "If it still runs, stop it now" in capsys.readouterr().err


STEPS = ("config.new", "ssh/keystore.register.new", "ssh/keystore.new")
"""What is in the way of each file that is written, in order."""


@pytest.mark.parametrize("step", STEPS)
@pytest.mark.parametrize("word", ["remove", "revoke"])
def test_a_removal_that_broke_off_is_done_again(
    people: tuple[Person, Person, Person], capsys: Capture, word: str, step: str
) -> None:
    anna, ben, cleo = people
    anna.knows(ben, capsys)
    anna.knows(cleo, capsys)
    in_the_way = anna.home / step
    in_the_way.touch()
    assert anna.keys(word, "ben", "--yes") == 2
    in_the_way.unlink()
    name = "ben" if (word, step) != ("remove", STEPS[2]) else ben.endpoint
    assert anna.keys(word, name, "--yes") == 0
    assert "ben" not in anna.config.read_text()
    assert ben.public_key not in anna.keystore.read_text()
    assert len(anna.settings().members) == 2
    revoked = read_register(str(anna.keystore)).revoked
    assert [one.name for one in revoked] == (["ben"] if word == "revoke" else [])


def test_a_move_that_broke_off_is_done_again(
    people: tuple[Person, Person, Person], capsys: Capture, tmp_path: Path
) -> None:
    anna, ben, _ = people
    anna.knows(ben, capsys)
    pair = read_private_keys(str(ben.privatekey))[ben.endpoint]
    path = tmp_path / "moved"
    path.write_text(encode_bundle(make_bundle(pair, "ben", "new.example:6000")))
    for step in STEPS[:2]:
        in_the_way = anna.home / step
        in_the_way.touch()
        assert anna.keys("import", str(path), "--yes") == 2
        in_the_way.unlink()
    assert anna.keys("import", str(path), "--yes") == 0
    assert len(anna.settings().members) == 2
    assert "ben.example" not in anna.config.read_text() + anna.keystore.read_text()
