"""`flocksy keys passphrase`: the private key under one, and where it comes from then."""

from __future__ import annotations

import stat
import sys
from types import ModuleType

import pytest

from flocksy.cli import own_keys
from flocksy.errors import KeyFileError
from flocksy.keys.bundle import decode_bundle
from flocksy.keys.files import read_private_keys
from tests.cli.people import Capture, Person, passed


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
