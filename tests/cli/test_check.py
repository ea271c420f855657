"""`flocksy check`: each thing that could be wrong is found, with what to do about it."""

from __future__ import annotations

import dataclasses
import datetime
import errno
import json
import os
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from flocksy.cli import check, machine
from flocksy.cli.findings import Finding
from flocksy.cli.main import main
from flocksy.config.load import load
from flocksy.config.settings import Options
from flocksy.config.state import claim
from flocksy.keys.bundle import make_bundle
from flocksy.keys.files import generate_pair
from flocksy.keys.register import Entry, Register, Trust, write_register
from flocksy.keys.samples import SAMPLE_PUBLIC_KEYS
from flocksy.system import clocks, filesystems
from tests.place import Place

OTHERS = ("tcp://127.0.0.1:2", "tcp://127.0.0.1:3")


@pytest.fixture(autouse=True)
def kept_clock(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(clocks, "clock_is_kept", lambda: True)


@pytest.fixture
def ready(place: Place, capsys: pytest.CaptureFixture[str]) -> Iterator[Place]:
    """A configuration that could run."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        own = f"127.0.0.1:{taken.getsockname()[1]}"
    place.write(f"hostname = {own}\n")
    assert main(["--create-private-keys", *files(place)]) == 0
    keys = json.loads(place.keystore.read_text())
    named = dict(zip(OTHERS, list(keys.values())[1:], strict=True))
    place.keystore.write_text(json.dumps(named))
    box = place.box("shared")
    nodes = "".join(f"node = {node}\n" for node in OTHERS)
    place.write(f"hostname = {own}\n{nodes}box = shared@{box}\n")
    capsys.readouterr()
    yield place
    assert "Traceback" not in capsys.readouterr().err


def files(place: Place) -> list[str]:
    return [
        *("-c", str(place.config), "--keystore", str(place.keystore)),
        *("--privatekey", str(place.privatekey)),
    ]


def found(
    place: Place, capsys: pytest.CaptureFixture[str], status: int, level: str | None = None
) -> str:
    """What the command says of that level, a line each; it must end with `status`."""
    capsys.readouterr()
    assert main(["check", "--json", *files(place)]) == status
    answer = json.loads(capsys.readouterr().out)
    assert answer["could_run"] == (status == 0)
    for one in answer["findings"]:
        assert one["text"]
        assert (one["level"] == "ok") or one["remedy"], one
    return "\n".join(
        f"{one['what']}: {one['text']} -> {one['remedy']}"
        for one in answer["findings"]
        if level in (None, one["level"])
    )


def test_all_is_well(ready: Place, capsys: pytest.CaptureFixture[str]) -> None:
    everything = found(ready, capsys, 0)
    for what in (
        "configuration",
        "private keys",
        "members",
        "box shared",
        "port",
        "state",
        "clock",
    ):
        assert f"{what}: " in everything
    assert found(ready, capsys, 0, "problem") == ""
    assert main(["check", *files(ready)]) == 0
    assert "\nit could run" in capsys.readouterr().out


def test_a_note_is_no_warning(
    ready: Place, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    note = Finding("note", "processor", "is shared", "do not share it")
    monkeypatch.setattr(check, "processor_findings", lambda: iter([note]))
    assert found(ready, capsys, 0, "note") == "processor: is shared -> do not share it"
    warnings = found(ready, capsys, 0, "warning").count("\n") + 1
    assert main(["check", *files(ready)]) == 0
    said = capsys.readouterr().out
    assert "note     processor: is shared\n         -> do not share it\n" in said
    assert f"it could run, {warnings} warning" in said


def test_no_configuration(place: Place, capsys: pytest.CaptureFixture[str]) -> None:
    assert "does not exist -> make one with flocksy init" in found(place, capsys, 2, "problem")


def test_every_member_without_a_key_is_named(
    ready: Place, capsys: pytest.CaptureFixture[str]
) -> None:
    ready.keystore.write_text("{}")
    problems = found(ready, capsys, 2, "problem")
    for node in OTHERS:
        assert f"members: {node}: has no public key" in problems
    assert problems.count("\n") == 1, "and nothing is said twice"


def test_keys_that_nobody_has_compared_are_named(
    ready: Place, capsys: pytest.CaptureFixture[str]
) -> None:
    bundle = make_bundle(generate_pair(), "ben", OTHERS[0])
    entry = Entry(
        bundle.public_key, "ben", bundle.endpoint, Trust.UNVERIFIED, datetime.date(2026, 1, 2)
    )
    keys = json.loads(ready.keystore.read_text()) | {OTHERS[0]: bundle.public_key}
    ready.keystore.write_text(json.dumps(keys))
    write_register(str(ready.keystore), Register((entry,)))
    assert f"compared the keys of ben, {OTHERS[1]}" in found(ready, capsys, 0, "warning")
    paired = dataclasses.replace(entry, trust=Trust.PAIRED)
    write_register(str(ready.keystore), Register((paired,)))
    assert f"compared the keys of {OTHERS[1]}" in found(ready, capsys, 0, "warning")
    Path(f"{ready.keystore}.register").write_text("{}")
    assert "register: " in found(ready, capsys, 2, "problem")


def test_no_members_yet(ready: Place, capsys: pytest.CaptureFixture[str]) -> None:
    lines = ready.config.read_text().splitlines()
    ready.config.write_text("\n".join(line for line in lines if "node" not in line))
    problems = found(ready, capsys, 2, "problem")
    assert "no other member yet -> meet them with flocksy pair" in problems
    assert "\n" not in problems


def test_private_keys_that_others_can_read(
    ready: Place, capsys: pytest.CaptureFixture[str]
) -> None:
    ready.privatekey.chmod(0o640)
    assert f"chmod 600 {ready.privatekey}" in found(ready, capsys, 2, "problem")


@pytest.mark.parametrize("name", ["config", "keystore"])
def test_files_that_others_can_write(
    ready: Place, capsys: pytest.CaptureFixture[str], name: str
) -> None:
    path = getattr(ready, name)
    path.chmod(0o666)
    assert f"chmod go-w {path}" in found(ready, capsys, 1, "problem")


def test_directories_that_others_can_write_or_look_into(
    ready: Place, capsys: pytest.CaptureFixture[str]
) -> None:
    directory = ready.privatekey.parent
    directory.chmod(0o755)
    assert f"chmod 700 {directory}" in found(ready, capsys, 0, "warning")
    directory.chmod(0o777)
    assert f"chmod 700 {directory}" in found(ready, capsys, 2, "problem")


def test_a_missing_private_key(ready: Place, capsys: pytest.CaptureFixture[str]) -> None:
    ready.privatekey.unlink()
    assert "private keys: " in found(ready, capsys, 2, "problem")


@pytest.mark.parametrize("local", [True, False])
def test_sample_keys(ready: Place, capsys: pytest.CaptureFixture[str], local: bool) -> None:
    sample = sorted(SAMPLE_PUBLIC_KEYS)[0]
    keys = json.loads(ready.keystore.read_text())
    endpoint = OTHERS[0] if local else "tcp://192.0.2.7:5000"
    ready.config.write_text(ready.config.read_text().replace(OTHERS[0], endpoint))
    ready.keystore.write_text(json.dumps(keys | {endpoint: sample}))
    status, level = (0, "warning") if local else (2, "problem")
    assert f"{endpoint}: has a sample key" in found(ready, capsys, status, level)


def test_a_folder_that_is_not_there(ready: Place, capsys: pytest.CaptureFixture[str]) -> None:
    (ready.root / "boxes" / "shared").rmdir()
    assert "does not exist -> make it with mkdir" in found(ready, capsys, 2, "problem")


@pytest.mark.skipif(os.geteuid() == 0, reason="the superuser may do all")
def test_a_folder_that_is_not_ours(ready: Place, capsys: pytest.CaptureFixture[str]) -> None:
    box = ready.root / "boxes" / "shared"
    box.chmod(0o500)
    try:
        assert f"chmod u+rwx {box}" in found(ready, capsys, 1, "problem")
    finally:
        box.chmod(0o700)


def test_full_disks(
    ready: Place, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(filesystems, "space", lambda _: (1 << 20, 1 << 40))
    everything = found(ready, capsys, 1)
    for what in ("box shared", "state", "memory"):
        assert f"{what}: " in everything and "1.0 MiB free" in everything
    assert "state: " in found(ready, capsys, 1, "problem")
    assert "box shared: " in found(ready, capsys, 1, "warning")


def test_disks_that_do_not_say_how_full_they_are(
    ready: Place, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def failing(_: int) -> tuple[int, int]:
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(filesystems, "space", failing)
    problems = found(ready, capsys, 1, "problem")
    for what in ("box shared", "state", "memory"):
        assert f"{what}: " in problems
    assert problems.count("does not say how much room there is (Input/output error)") == 3


def test_no_place_for_the_control_socket(
    ready: Place, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(ready.root / "none"))
    monkeypatch.setattr("tempfile.tempdir", str(ready.root / "none"))
    said = found(ready, capsys, 1, "problem")
    assert "control socket: " in said and "set XDG_RUNTIME_DIR" in said


def test_a_port_in_use_and_an_address_of_somebody_else(
    ready: Place, capsys: pytest.CaptureFixture[str]
) -> None:
    own = load(options(ready)).identity.rpartition(":")[2]
    with socket.create_server(("127.0.0.1", int(own))):
        assert "another program listens there -> end it" in found(ready, capsys, 1, "problem")
    text = ready.config.read_text().replace("hostname = 127.0.0.1", "hostname = 192.0.2.1")
    ready.config.write_text(text)
    keys = json.loads(ready.privatekey.read_text())
    keys = {f"192.0.2.1:{own}": pair for name, pair in keys.items() if name.endswith(own)}
    ready.privatekey.write_text(json.dumps(keys))
    said = found(ready, capsys, 1, "problem")
    assert "does not have that address" in said
    assert f"flocksy --create-private-keys -p tcp://192.0.2.1:{own}" in said


def test_sockets_in_the_file_system(
    ready: Place, short_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pair = next(iter(json.loads(ready.privatekey.read_text()).values()))
    own = f"ipc://{short_path}/none/node.ipc"
    ready.privatekey.write_text(json.dumps({own: pair}))
    lines = [line for line in ready.config.read_text().splitlines() if "hostname" not in line]
    ready.config.write_text("\n".join([f"hostname = {own}", *lines]))
    assert "its directory does not exist -> mkdir -p" in found(ready, capsys, 1, "problem")
    (short_path / "none").mkdir()
    assert "left-over" not in found(ready, capsys, 0)
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(f"{short_path}/none/node.ipc")
        server.listen()
        assert "another program has it" in found(ready, capsys, 1, "problem")
    assert "left-over" in found(ready, capsys, 0)


def options(place: Place) -> Options:
    return place.options()


def test_a_node_that_runs_has_its_ports(ready: Place, capsys: pytest.CaptureFixture[str]) -> None:
    settings, lock = claim(load(options(ready)))
    own = settings.identity.rpartition(":")[2]
    with lock, socket.create_server(("127.0.0.1", int(own))):
        assert "node: it runs" in found(ready, capsys, 0, "ok")


def test_names_that_lead_nowhere(
    ready: Place, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def nowhere(*_: object, **__: object) -> object:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", nowhere)
    said = found(ready, capsys, 1)
    assert f"members: {OTHERS[0]}: the name cannot be found" in said
    assert "port: " in said


@pytest.mark.parametrize(("limit", "level"), [(100_000, "ok"), (4, "warning")])
def test_the_limits_of_inotify(
    ready: Place,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    limit: int,
    level: str,
) -> None:
    for number in range(5):
        (ready.root / "boxes" / "shared" / str(number)).mkdir()
    monkeypatch.setattr(machine, "_limit", lambda _: limit)
    said = found(ready, capsys, 0, level)
    assert "inotify: 6 folders to watch" in said
    assert ("sysctl fs.inotify.max_user_watches" in said) == (level == "warning")
    monkeypatch.setattr(machine, "MAX_COUNTED_DIRECTORIES", 3)
    assert "at least 3 folders" in found(ready, capsys, 0)


@pytest.mark.parametrize(
    ("now", "kept", "status", "said"),
    [
        (1_000_000.0, True, 1, "it was never set"),
        (1_800_000_000.0, False, 0, "nothing keeps it right"),
        (1_800_000_000.0, None, 0, "2027-01-15"),
    ],
)
def test_the_clock(
    ready: Place,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    now: float,
    kept: bool | None,
    status: int,
    said: str,
) -> None:
    monkeypatch.setattr(machine.time, "time", lambda: now)
    monkeypatch.setattr(clocks, "clock_is_kept", lambda: kept)
    assert said in found(ready, capsys, status)


def test_it_looks_and_changes_nothing(ready: Place, capsys: pytest.CaptureFixture[str]) -> None:
    def everything() -> dict[str, tuple[int, bytes]]:
        return {
            str(path): (path.stat().st_mode, path.read_bytes() if path.is_file() else b"")
            for path in ready.root.rglob("*")
        }

    before = everything()
    found(ready, capsys, 0)
    assert everything() == before
