"""Members' endpoints come and go in a configuration; everything else in it stays."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

from flocksy.config.edit_nodes import change_nodes
from flocksy.config.load import load_words
from flocksy.config.settings import Options
from flocksy.errors import ConfigError
from tests.place import Place

DORA = "tcp://dora.example:5000"
BEN = "tcp://ben.example:5000"

PLAIN = """# my flock
hostname = anna.example:5000   # here
node = ben.example:5000
node = cleo.example:5000  # a friend
box = shared@/home/anna/shared

[other]
{
    "base_path" : "/home/anna/other"
}
"""

TOML = """# my flock
hostname = "anna.example:5000"
node = ["ben.example:5000", "cleo.example:5000"]  # friends

[box.shared]
base_path = "/home/anna/shared"
"""

FORMS = {
    "plain lines": PLAIN,
    "plain lines below [program]": "[program]\n" + PLAIN,
    "plain lines below [ program ]": "[ program ]  # us\n" + PLAIN,
    "TOML": TOML,
    "TOML, a list over lines": TOML.replace('["', '[\n    "').replace('"]', '",\n]'),
    "TOML with [program]": TOML.replace("hostname", "[program]\nhostname"),
}


@pytest.mark.parametrize("text", FORMS.values(), ids=FORMS)
def test_a_member_comes_and_another_goes(place: Place, text: str) -> None:
    options = place.write(text)
    before = load_words(options)
    assert change_nodes(options, [DORA], [BEN]) == ()
    after = load_words(options)
    assert set(after.nodes) == {*before.nodes, DORA} - {BEN}
    assert after.hostnames == before.hostnames
    assert [box for box, _ in after.boxes] == [box for box, _ in before.boxes]
    written = place.config.read_text()
    assert "# my flock" in written
    assert "friend" in written


@pytest.mark.parametrize("text", FORMS.values(), ids=FORMS)
def test_a_member_with_an_address_of_six_comes_and_goes(place: Place, text: str) -> None:
    options = place.write(text)
    six = ("tcp://[fd00::2]:5000", "tcp://[fe80::1%eth0]:6000")
    change_nodes(options, six, [])
    assert set(six) < set(load_words(options).nodes)
    change_nodes(options, [], six)
    assert place.config.read_text() == text


@pytest.mark.parametrize("text", FORMS.values(), ids=FORMS)
def test_adding_and_removing_again_keeps_every_byte(place: Place, text: str) -> None:
    options = place.write(text)
    change_nodes(options, [DORA], [])
    assert place.config.read_text() != text
    change_nodes(options, [], [DORA])
    assert place.config.read_text() == text


@pytest.mark.parametrize(
    "text",
    [
        "hostname = anna.example:5000\n",
        'hostname = "anna.example:5000"\n',
        'hostname = "anna.example:5000"\n[box.a]\nbase_path = "/a"\n',
        '[program]\nhostname = "anna.example:5000"\n[box.a]\nbase_path = "/a"\n',
        'hostname = "anna.example:5000"\nnode = "ben.example:5000"\n',
        '[box.a]\nbase_path = "/a"\n',
        "",
        "# nothing yet\n",
    ],
)
def test_the_first_members_of_a_configuration(place: Place, text: str) -> None:
    options = place.write(text)
    options = dataclasses.replace(options, hostnames=("anna.example:5000",))
    change_nodes(options, [DORA], [])
    change_nodes(options, [BEN], [])
    words = load_words(options)
    assert set(words.nodes) == {DORA, BEN}
    assert len(words.boxes) == text.count("base_path")


def test_what_is_there_already_is_not_written_again(place: Place) -> None:
    options = place.write(PLAIN)
    change_nodes(options, [BEN], ["tcp://nobody.example:1"])
    assert place.config.read_text() == PLAIN


def test_a_node_of_the_command_line_cannot_be_taken_out(place: Place) -> None:
    options = dataclasses.replace(place.write(PLAIN), nodes=("dora.example:5000",))
    (said,) = change_nodes(options, [], [DORA])
    assert "command line" in said
    change_nodes(options, [DORA], [])
    assert place.config.read_text() == PLAIN


def test_a_broken_configuration_stays_as_it_was(place: Place) -> None:
    options = place.write("hostname = \n= x")
    with pytest.raises(ConfigError):
        change_nodes(options, [DORA], [])
    assert place.config.read_text() == "hostname = \n= x"


def test_a_name_is_a_word_of_the_configuration(place: Place) -> None:
    assert load_words(place.write("name = anna\n" + PLAIN)).program.name == "anna"
    with pytest.raises(ConfigError, match=r":1: name: is no name"):
        load_words(place.write("name = an na\n" + PLAIN))


def test_where_all_is_said_on_the_command_line_no_file_is_wanted(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """A member can be turned away all the same."""
    monkeypatch.setenv("HOME", str(tmp_path))
    options = Options(hostnames=("anna.example:5000",), nodes=("ben.example:5000",))
    assert change_nodes(options, [DORA], [BEN]) == (
        f"{DORA} is no node yet: start with --node dora.example:5000",
        f"{BEN} is a node on the command line: start without it",
    )
    assert change_nodes(options, [BEN], [DORA]) == ()
    assert not list(tmp_path.iterdir())
