"""`flocksy pair` as people run it: two real processes, a code, and what goes wrong."""

from __future__ import annotations

import json
import os
import re
import socket
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import NoReturn

import pytest

from flocksy.cli.main import main
from flocksy.cli.pair import _address
from flocksy.config.load import load
from flocksy.config.settings import Options
from flocksy.config.state import claim, control_path
from flocksy.errors import ConfigError
from flocksy.keys.pairing import WRONG
from flocksy.keys.register import Trust, read_register
from flocksy.keys.words import WORDS
from flocksy.status.control import Answer, Arguments
from flocksy.system import locks
from tests.cli.people import serving
from tests.place import PLAIN, Place

BOUND_SECONDS = 30.0
CODE = re.compile(r"^    ([a-z]+(?:-[a-z]+){3})$")
WHERE = re.compile(r"^There:  flocksy pair (\S+)$")


@dataclass
class Person:
    """One person with a home that `flocksy init` has set up."""

    name: str
    home: Path
    endpoint: str
    hosting: list[subprocess.Popen[str]] = field(default_factory=list)

    @property
    def environment(self) -> dict[str, str]:
        kept = {key: value for key, value in os.environ.items() if not key.startswith("XDG_")}
        runtime = {"XDG_RUNTIME_DIR": str(self.home), "PYTHONUNBUFFERED": "1"}
        return kept | {"HOME": str(self.home)} | runtime

    def run(self, *words: str, code: str = "") -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "flocksy", *words],
            env=self.environment,
            input=code,
            capture_output=True,
            text=True,
            timeout=BOUND_SECONDS,
            check=False,
        )

    def host(self, *words: str, listen: str = "127.0.0.1:0") -> tuple[str, str]:
        """Start to wait with a code. Returns the code and where to come."""
        process = subprocess.Popen(
            [sys.executable, "-m", "flocksy", "pair", "--listen", listen, *words],
            env=self.environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        self.hosting.append(process)
        assert process.stdout is not None
        code = ""
        for line in process.stdout:
            found = CODE.match(line.rstrip("\n"))
            code = found[1] if found else code
            if where := WHERE.match(line.rstrip("\n")):
                return code, where[1]
        raise AssertionError("it shows no code")

    def hosted(self) -> tuple[int, str, str]:
        """Wait for the end of the waiting: exit status, what was said, and what was wrong."""
        out, err = self.hosting[-1].communicate(timeout=BOUND_SECONDS)
        return self.hosting[-1].returncode, out, err

    def keystore(self) -> dict[str, str]:
        found = json.loads((self.home / ".ssh" / "flocksy_keystore").read_text())
        assert isinstance(found, dict)
        return found

    def trust(self) -> dict[str, Trust]:
        register = read_register(str(self.home / ".ssh" / "flocksy_keystore"))
        return {entry.name: entry.trust for entry in register.entries}

    def nodes(self) -> str:
        text = (self.home / ".flocksy").read_text()
        return next(line for line in text.splitlines() if line.startswith("node = "))


def new_person(directory: Path, name: str, port: int, monkeypatch: pytest.MonkeyPatch) -> Person:
    home = directory / name
    home.mkdir()
    with monkeypatch.context() as patch:
        patch.setenv("HOME", str(home))
        patch.setenv("XDG_RUNTIME_DIR", str(home))
        endpoint = f"127.0.0.1:{port}"
        words = ("init", "--name", name, "--endpoint", endpoint, "--box", "~/shared")
        assert main(words) == 0
    return Person(name, home, f"tcp://{endpoint}")


@pytest.fixture
def people(
    short_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[tuple[Person, Person, Person]]:
    """Anna, Ben and Cleo, who know nobody yet."""
    anna, ben, cleo = (
        new_person(short_path, name, 5001 + number, monkeypatch)
        for number, name in enumerate(("anna", "ben", "cleo"))
    )
    yield anna, ben, cleo
    for process in anna.hosting:
        process.kill()
        process.communicate()


def test_two_meet(people: tuple[Person, Person, Person]) -> None:
    anna, ben, _ = people
    code, where = anna.host()
    done = ben.run("pair", where, code=f"{code.upper().replace('-', ' ')}\n")
    assert done.returncode == 0, done.stderr
    assert anna.hosted()[0] == 0
    assert anna.keystore() == ben.keystore() and len(anna.keystore()) == 2
    assert anna.trust() == {"ben": Trust.PAIRED} and ben.trust() == {"anna": Trust.PAIRED}
    assert "127.0.0.1:5002" in anna.nodes() and "127.0.0.1:5001" in ben.nodes()
    assert "anna: verified" in done.stdout


def test_a_port_alone_listens_at_every_address(people: tuple[Person, Person, Person]) -> None:
    anna, ben, _ = people
    code, where = anna.host(listen="0")
    assert re.fullmatch(r"127\.0\.0\.1:[0-9]+", where), "as its endpoint says"
    assert ben.run("pair", where, code=code).returncode == 0
    assert anna.hosted()[0] == 0


def test_three_meet_over_one_code_and_a_fourth_hears_of_all(
    people: tuple[Person, Person, Person], monkeypatch: pytest.MonkeyPatch
) -> None:
    anna, ben, cleo = people
    code, where = anna.host("--for", "2")
    waiting = subprocess.Popen(
        [sys.executable, "-m", "flocksy", "pair", where],
        env=ben.environment,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert waiting.stdin is not None
    waiting.stdin.write(f"{code}\n")
    waiting.stdin.flush()
    assert cleo.run("pair", where, code=code).returncode == 0
    waiting.communicate(timeout=BOUND_SECONDS)
    assert waiting.returncode == 0
    assert anna.hosted()[0] == 0
    assert anna.keystore() == ben.keystore() == cleo.keystore()
    assert ben.trust() == {"anna": Trust.PAIRED, "cleo": Trust.UNVERIFIED}
    dora = new_person(anna.home.parent, "dora", 5009, monkeypatch)
    code, where = anna.host()
    assert dora.run("pair", where, code=code).returncode == 0
    status, said, _ = anna.hosted()
    assert status == 0
    assert "ben, cleo: must still take in who is new" in said
    assert "\n    flocksy keys export dora\n" in said
    exported = anna.run("keys", "export", "dora").stdout
    assert ben.run("keys", "import", "--yes", code=exported).returncode == 0
    assert ben.keystore() == anna.keystore()
    assert dora.keystore() == anna.keystore() and len(dora.keystore()) == 4
    assert dora.trust() == {
        "anna": Trust.PAIRED,
        "ben": Trust.UNVERIFIED,
        "cleo": Trust.UNVERIFIED,
    }


def test_a_running_node_is_told_once_when_all_have_met(
    people: tuple[Person, Person, Person], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A node that joins anew is waited for: then no guest waits, and the key files are free."""
    anna, ben, cleo = people
    code, where = anna.host()
    assert ben.run("pair", where, code=code).returncode == 0
    assert anna.hosted()[0] == 0
    for name, value in anna.environment.items():
        monkeypatch.setenv(name, value)
    monkeypatch.delenv("XDG_STATE_HOME", raising=False)
    settings, lock = claim(load(Options()))
    keystore_lock = f"{settings.keystore_path}.lock"
    seen: list[tuple[int, bool]] = []

    def handle(command: str, _: Arguments) -> Answer:
        if command == "reload":
            free = locks.lock_file(keystore_lock)
            seen.append((len(anna.keystore()), free is not None))
            if free is not None:
                free.close()
        if command == "version":
            return {"options": {"config": settings.config_path}}
        return {"text": "members changed: the node joins the flock anew"}

    with lock, serving(control_path(settings.state_dir), handle):
        dora = new_person(anna.home.parent, "dora", 5009, monkeypatch)
        code, where = anna.host("--for", "2")
        waiting = [
            subprocess.Popen(
                [sys.executable, "-m", "flocksy", "pair", where],
                env=one.environment,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
            )
            for one in (cleo, dora)
        ]
        for process in waiting:
            assert process.stdin is not None
            process.stdin.write(f"{code}\n")
            process.stdin.flush()
        for process in waiting:
            process.communicate(timeout=BOUND_SECONDS)
        status, said, wrong = anna.hosted()
    assert (status, wrong) == (0, "")
    assert said.count("joins the flock anew") == 1
    assert seen == [(4, True)]


def test_a_wrong_code_looks_the_same_on_both_sides_and_is_burnt(
    people: tuple[Person, Person, Person],
) -> None:
    anna, ben, cleo = people
    before = anna.keystore(), ben.keystore(), cleo.keystore()
    code, where = anna.host("--for", "2")
    first, *rest = code.split("-")
    other = WORDS[(WORDS.index(first) + 1) % len(WORDS)]
    wrong = ben.run("pair", where, code="-".join([other, *rest]))
    assert (wrong.returncode, wrong.stderr) == (1, f"flocksy: {WRONG}\n")
    status, _, said = anna.hosted()
    assert (status, said) == (1, f"flocksy: {WRONG}\n")
    late = cleo.run("pair", where, code=code)
    assert late.returncode == 1 and "cannot connect" in late.stderr
    assert (anna.keystore(), ben.keystore(), cleo.keystore()) == before


def test_a_word_that_is_none_burns_nothing(people: tuple[Person, Person, Person]) -> None:
    anna, ben, _ = people
    code, where = anna.host()
    for typed, said in (
        ("qqq-acorn-acorn-acorn", "'qqq' is none of the words"),
        ("acorn", "a code has 4 words, not 1"),
        ("", "no code"),
    ):
        done = ben.run("pair", where, code=typed)
        assert done.returncode == 2 and said in done.stderr and done.stderr.count("\n") == 1
    assert ben.run("pair", where, code=code).returncode == 0
    assert anna.hosted()[0] == 0


def test_nobody_comes(people: tuple[Person, Person, Person]) -> None:
    anna, _, _ = people
    anna.host("--minutes", "0.005")
    status, _, said = anna.hosted()
    assert status == 3 and "1 of 1 did not come" in said and said.count("\n") == 1


def test_nobody_is_there(people: tuple[Person, Person, Person]) -> None:
    anna, ben, _ = people
    _, where = anna.host("--minutes", "0.005")
    anna.hosted()
    done = ben.run("pair", where, code="acorn acorn acorn acorn")
    assert done.returncode == 1
    assert "is the other machine waiting" in done.stderr and done.stderr.count("\n") == 1


def test_two_machines_with_one_endpoint_are_told(
    people: tuple[Person, Person, Person], monkeypatch: pytest.MonkeyPatch
) -> None:
    anna, _, _ = people
    double = new_person(anna.home.parent, "double", 5001, monkeypatch)
    before = anna.keystore()
    code, where = anna.host()
    done = double.run("pair", where, code=code)
    assert done.returncode != 0 and "wrong hostname" in done.stderr
    status, _, said = anna.hosted()
    assert status == 1 and "wrong hostname" in said
    assert anna.keystore() == before


def test_who_is_refused_is_handed_on_to_nobody(people: tuple[Person, Person, Person]) -> None:
    """Ben was revoked at Anna's and knows the code all the same; Cleo comes after him."""
    anna, ben, cleo = people
    code, where = anna.host()
    assert ben.run("pair", where, code=code).returncode == 0
    assert anna.hosted()[0] == 0
    assert anna.run("keys", "revoke", "ben", "--yes").returncode == 0
    code, where = anna.host("--for", "2")
    assert ben.run("pair", where, code=code).returncode == 1
    assert cleo.run("pair", where, code=code).returncode == 0
    status, out, said = anna.hosted()
    assert status == 1 and "ben was revoked here" in said and "did not" not in said
    assert "cleo: verified" in out
    assert set(cleo.trust()) == {"anna"}
    assert "cleo" not in ben.trust()


def hand(source: Person, target: Person, *more: str) -> None:
    """One takes the other's bundle in, without a code."""
    text = source.run("keys", "export").stdout
    done = target.run("keys", "import", "--yes", *more, code=text)
    assert done.returncode == 0, done.stderr


def move(person: Person, port: int) -> Person:
    """Its machine is at another port from now on, and keeps its key."""
    config = person.home / ".flocksy"
    endpoint = f"tcp://127.0.0.1:{port}"
    config.write_text(config.read_text().replace(person.endpoint, endpoint))
    assert person.run("--create-private-keys", "-p", person.endpoint).returncode == 0
    return Person(person.name, person.home, endpoint)


def test_who_is_handed_on_stays_as_known_here(people: tuple[Person, Person, Person]) -> None:
    """The host has Ben's bundle of before his move; a bundle says no day."""
    anna, ben, cleo = people
    hand(ben, anna)
    ben = move(ben, 6002)
    hand(ben, cleo, "--as", "benny")
    before = cleo.keystore()
    code, where = anna.host()
    done = cleo.run("pair", where, code=code)
    assert done.returncode == 0, done.stderr
    assert anna.hosted()[0] == 0
    assert f"benny: stays at {ben.endpoint}" in done.stdout
    assert "the other machine has it at tcp://127.0.0.1:5002" in done.stdout
    assert cleo.keystore() == before | {anna.endpoint: anna.keystore()[anna.endpoint]}
    assert cleo.trust() == {"anna": Trust.PAIRED, "benny": Trust.UNVERIFIED}
    assert "127.0.0.1:6002" in cleo.nodes() and "127.0.0.1:5002" not in cleo.nodes()


def test_who_is_handed_on_comes_into_the_flock_if_only_its_key_is_here(
    people: tuple[Person, Person, Person],
) -> None:
    """Of a command that broke off the keystore may be all there is."""
    anna, ben, cleo = people
    hand(ben, anna)
    config = (cleo.home / ".flocksy").read_text()
    hand(ben, cleo)
    (cleo.home / ".flocksy").write_text(config)
    code, where = anna.host()
    assert cleo.run("pair", where, code=code).returncode == 0
    assert anna.hosted()[0] == 0
    assert "127.0.0.1:5001" in cleo.nodes() and "127.0.0.1:5002" in cleo.nodes()


@pytest.mark.parametrize("side", ["host", "guest"])
def test_two_machines_of_one_name_are_paired_with(
    people: tuple[Person, Person, Person], monkeypatch: pytest.MonkeyPatch, side: str
) -> None:
    anna, ben, cleo = people
    (anna.home.parent / "elsewhere").mkdir()
    double = new_person(anna.home.parent / "elsewhere", "ben", 5009, monkeypatch)
    hand(ben, anna)
    hand(cleo, anna)
    host, guest = (anna, double) if side == "host" else (double, anna)
    try:
        for names in ([], ["--as", "ben-2"]):
            code, where = host.host(*(names if host is anna else []))
            done = guest.run("pair", where, *(names if guest is anna else []), code=code)
            status, said, wrong = host.hosted()
            if not names:
                assert "--as NAME, with flocksy pair" in wrong + done.stderr
                assert set(anna.trust()) == {"ben", "cleo"}
    finally:
        for process in host.hosting:
            process.kill()
            process.communicate()
    assert (status, done.returncode) == (0, 0), wrong + done.stderr
    assert "ben-2: verified" in (said if host is anna else done.stdout)
    assert anna.trust()["ben-2"] is Trust.PAIRED and anna.trust()["ben"] is Trust.UNVERIFIED
    assert double.keystore()[anna.endpoint] == anna.keystore()[anna.endpoint]
    if host is anna:
        assert "ben, cleo: must still take in who is new" in said
        assert "flocksy keys export    (on ben itself)" in said


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("pair", "ben.example", "--for", "2"), "for the machine with the code"),
        (("pair", "ben.example", "--announce"), "for the machine with the code"),
        (("pair", "ben.example", "--find"), "not both"),
        (("pair", "--for", "2", "--as", "ben"), "--as is for one machine"),
        (("pair", "ben.example", "--as", "two words"), "is no name for a member"),
        (("pair", "--for", "0"), "no number from 1"),
        (("pair", "--minutes", "nan"), "no number of minutes"),
        (("pair", "ben.example:port"), "is no address"),
        (("pair", ":80"), "is no address"),
        (("pair", "ben.example:0"), "is no address"),
        (("pair", "ben..example"), "is no address"),
        (("pair", "ben.example:" + "9" * 5000), "is no address"),
        (("pair", "--listen", "a..b:80"), "is no address"),
    ],
)
def test_wrong_command_lines(
    people: tuple[Person, Person, Person], words: tuple[str, ...], said: str
) -> None:
    done = people[0].run(*words, code="acorn acorn acorn acorn")
    assert done.returncode == 2
    assert said in done.stderr and done.stderr.count("\n") == 1 and done.stdout == ""


def test_no_address_is_asked_past_the_proxy(
    place: Place, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not even the name server: who watches would see who is to meet whom."""

    def seen(*_: object, **__: object) -> NoReturn:
        raise AssertionError("somebody was asked")

    for name in ("getaddrinfo", "create_connection"):
        monkeypatch.setattr(socket, name, seen)
    place.write(f"{PLAIN}socks = 127.0.0.1:9050\n")
    flags = ("-c", str(place.config), "--keystore", str(place.keystore))
    assert main(["pair", "ben.onion", *flags, "--privatekey", str(place.privatekey)]) == 2
    said = capsys.readouterr()
    assert "past the proxy (socks = 127.0.0.1:9050)" in said.err and said.out == ""
    assert "flocksy keys export" in said.err


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("ben.example", ("ben.example", 7)),
        ("ben.example:80", ("ben.example", 80)),
        ("tcp://ben.example:80", ("ben.example", 80)),
        (":80", ("", 80)),
        ("", ("", 7)),
        ("[2001:db8::1]:80", ("2001:db8::1", 80)),
        ("[2001:db8::1]", ("2001:db8::1", 7)),
        ("2001:db8::1", ("2001:db8::1", 7)),
        ("ben:99999", None),
        ("ben:-1", None),
        ("ben:", None),
        ("be\x1bn", None),
    ],
)
def test_addresses(text: str, found: tuple[str, int] | None) -> None:
    if found is None:
        with pytest.raises(ConfigError):
            _address(text, 7)
    else:
        assert _address(text, 7) == found
