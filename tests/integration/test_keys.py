"""Keys that come, change and go while real nodes run; nobody starts any node again by hand."""

from __future__ import annotations

import base64
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from flocksy.errors import FlocksyError
from flocksy.keys import z85
from flocksy.keys.bundle import encode_bundle, make_bundle
from flocksy.keys.files import generate_pair, read_private_keys
from flocksy.testing.rig import START_SECONDS, Rig, RigNode, wait_until
from flocksy.wire.monitor import REFUSED
from tests.integration.flock import command, rig_of_three, wait_for_files


@pytest.fixture
def rig() -> Iterator[Rig]:
    """Three nodes that do not run, each with key files of its own and knowing nobody."""
    with rig_of_three() as made:
        for number, node in enumerate(made.nodes, 1):
            keep = ("node = ", "keystore = ", "privatekey = ")
            lines = [
                line for line in node.config.read_text().splitlines() if not line.startswith(keep)
            ]
            own = [f"name = node{number}", f"keystore = {made.root}/own{number}/keystore"]
            own.append(f"privatekey = {made.root}/own{number}/private")
            node.config.write_text("\n".join([*own, *lines, ""]))
            command(node, "--create-private-keys")
        yield made
        for node in made.nodes:
            if node.running:
                assert made.stop(node) == 0, made.log_tails()
        assert made.complaints() == []


def endpoint_of(rig: Rig, number: int) -> str:
    return f"ipc://{rig.root}/node{number}.ipc"


def acquainted(rig: Rig, *numbers: int) -> None:
    """These nodes have known each other for long: written into their files directly."""
    keystore = {endpoint_of(rig, number): pair_of(rig, number)[1] for number in numbers}
    for number in numbers:
        (rig.root / f"own{number}" / "keystore").write_text(json.dumps(keystore))
        config = rig.nodes[number - 1].config
        lines = [f"node = {endpoint_of(rig, other)}" for other in numbers if other != number]
        config.write_text("\n".join([*lines, config.read_text()]))


def introduce(rig: Rig, newcomer: RigNode, *others: RigNode) -> None:
    """The newcomer and the others take in each other's bundles."""
    for one, other in [(newcomer, other) for other in others]:
        for giver, taker in ((one, other), (other, one)):
            path = rig.root / f"bundle-{giver.name}"
            path.write_text(command(giver, "keys", "export"))
            said = command(taker, "keys", "import", str(path), "--yes")
            assert f"{giver.name}: imported" in said


def fly_as_two(rig: Rig) -> None:
    """The first two, who have known each other for long."""
    acquainted(rig, 1, 2)
    for node in rig.nodes[:2]:
        rig.start(node)
    rig.wait_for_view(2)


def pair_of(rig: Rig, number: int) -> tuple[str, str]:
    """Private and public key of a node."""
    (pair,) = read_private_keys(str(rig.root / f"own{number}" / "private")).values()
    return pair.private_key, pair.public_key


def uid_of(node: RigNode) -> object:
    return node.status()["uid"]


def state_dirs(node: RigNode) -> list[str]:
    home = Path(node.environment["XDG_STATE_HOME"]) / "flocksy"
    return sorted(entry.name for entry in home.iterdir() if entry.is_dir())


def wait_for_log(node: RigNode, words: str, times: int = 1) -> None:
    wait_until(
        lambda: node.log.read_text().count(words) >= times,
        f"{node.name} logs {words!r}",
        START_SECONDS,
    )


def view_of(node: RigNode) -> int:
    try:
        view = node.status()["view"]
    except FlocksyError:
        return 0
    assert isinstance(view, list)
    return len(view)


def test_a_key_is_rotated_in_a_flying_flock(rig: Rig) -> None:
    anna, ben, cleo = rig.nodes
    acquainted(rig, 1, 2, 3)
    rig.start_all()
    rig.wait_for_view()
    uid, before = uid_of(anna), pair_of(rig, 1)
    states = state_dirs(anna)

    announcement = rig.root / "announcement"
    announcement.write_text(command(anna, "keys", "rotate"))
    for node in (ben, cleo):
        said = command(node, "keys", "import", str(announcement), "--yes")
        assert "the node joins the flock anew" in said
        wait_for_log(node, "joining the flock anew")
    rig.wait_for_view()  # both keys are accepted, and the old one is in use
    (anna.box / "with the old key").write_text("old")
    rig.wait_equal()

    assert "the node joins the flock anew" in command(anna, "keys", "rotate", "--switch")
    wait_for_log(anna, "joining the flock anew")
    rig.wait_for_view()
    assert pair_of(rig, 1) != before
    assert uid_of(anna) == uid
    (anna.box / "with the new key").write_text("new")
    (ben.box / "from another").write_text("other")
    rig.wait_equal()
    assert command(anna, "keys", "number") == command(cleo, "keys", "number")

    # And as ever after a start: found by uid, the same state, the same flock.
    rig.kill(anna)
    rig.start(anna)
    rig.wait_for_view()
    rig.wait_equal()
    assert uid_of(anna) == uid
    assert state_dirs(anna) == states


def test_a_member_comes_and_goes_while_the_others_run(rig: Rig) -> None:
    anna, ben, cleo = rig.nodes
    fly_as_two(rig)
    (anna.box / "of two").write_text("two")
    rig.wait_equal()

    introduce(rig, cleo, anna, ben)
    rig.start(cleo)
    rig.wait_for_view(3)
    (cleo.box / "of three").write_text("three")
    rig.wait_equal()
    wait_for_files((anna, ben, cleo), ["of two", "of three"], START_SECONDS)

    for node in (anna, ben):
        assert "REVOKES node3" in command(node, "keys", "revoke", "node3", "--yes")
    wait_until(
        lambda: view_of(anna) == view_of(ben) == 2 and not cleo.status()["real_allowed"],
        "the revoked member is out of the view",
        START_SECONDS,
    )
    (anna.box / "not for everybody").write_text("secret")
    wait_for_files((ben,), ["not for everybody"], START_SECONDS)
    wait_until(
        lambda: cleo.log.read_text().count(REFUSED) >= 2, "it is told so by both", START_SECONDS
    )
    assert not (cleo.box / "not for everybody").exists()
    path = rig.root / f"bundle-{cleo.name}"
    assert "was revoked" in command(anna, "keys", "import", str(path), "--yes", status=2)


def test_a_node_leaves_rather_than_go_on_with_whom_it_revoked(rig: Rig) -> None:
    """Without the second of two there is no flock, so what the files say now cannot be run."""
    anna, ben, _ = rig.nodes
    fly_as_two(rig)
    said = command(anna, "keys", "revoke", endpoint_of(rig, 2), "--yes", status=1)
    assert "no node, the endpoint of another member" in said and "the node leaves" in said
    (anna.box / "not for everybody").write_text("secret")
    assert anna.process is not None
    assert anna.process.wait(START_SECONDS) == 1
    assert "was revoked" in anna.log.read_text().splitlines()[-1]
    wait_until(lambda: not ben.status()["real_allowed"], "the other is alone", START_SECONDS)
    assert not (ben.box / "not for everybody").exists()


def test_a_keystore_that_was_written_by_hand_is_read_on_hangup(rig: Rig) -> None:
    """A member more, and less again, and nobody starts those who were there."""
    anna, ben, cleo = rig.nodes
    fly_as_two(rig)
    without = [
        (path, path.read_text())
        for number, node in ((1, anna), (2, ben))
        for path in (rig.root / f"own{number}" / "keystore", node.config)
    ]

    keystore = json.loads(without[0][1]) | {endpoint_of(rig, 3): pair_of(rig, 3)[1]}
    for number, node in enumerate(rig.nodes, 1):
        (rig.root / f"own{number}" / "keystore").write_text(json.dumps(keystore))
        unknown = (1, 2) if node is cleo else (3,)
        lines = [f"node = {endpoint_of(rig, other)}\n" for other in unknown]
        node.config.write_text("".join(lines) + node.config.read_text())
    for node in (anna, ben):
        hang_up(node)
    rig.start(cleo)
    rig.wait_for_view(3)
    (cleo.box / "of three").write_text("three")
    wait_for_files((anna, ben), ["of three"], START_SECONDS)
    assert anna.running and ben.running

    for path, text in without:
        path.write_text(text)
    for node in (anna, ben):
        hang_up(node)
    wait_until(
        lambda: view_of(anna) == view_of(ben) == 2 and not cleo.status()["real_allowed"],
        "who is in no keystore any more is out of the view",
        START_SECONDS,
    )


def hang_up(node: RigNode) -> None:
    assert node.process is not None
    node.process.send_signal(signal.SIGHUP)


def spellings(key: str) -> list[bytes]:
    """The ways in which a key could stand in a text."""
    raw = z85.decode_key(key)
    found = [key, raw.hex(), raw.hex().upper(), base64.b64encode(raw).decode().rstrip("=")]
    found += [base64.urlsafe_b64encode(raw).decode().rstrip("="), str(list(raw))[1:-1], repr(raw)]
    return [spelling.encode() for spelling in found] + [raw]


@pytest.mark.skipif(sys.platform != "linux", reason="looks at processes in /proc")
def test_no_private_key_shows_anywhere(rig: Rig) -> None:
    """A canary: log, status, every answer, errors, arguments and environments of all processes."""
    anna, ben, _ = rig.nodes
    fly_as_two(rig)
    secrets = [
        *spellings(pair_of(rig, 1)[0]),
        *spellings(pair_of(rig, 2)[0]),
        b"correct horse",
    ]
    seen: list[bytes] = []
    for words in (
        ("status",), ("status", "--json"), ("box", "list"), ("keys", "show"), ("keys", "list"),
        ("keys", "number"), ("keys", "export"), ("keys", "rotate"), ("keys", "rotate", "--cancel"),
        ("--create-private-keys",), ("keys", "verify", endpoint_of(rig, 2), "acorn"),
        ("keys", "frobnicate"), ("check",),
    ):  # fmt: skip
        done = anna.run(*words, timeout_seconds=START_SECONDS)
        seen += [done.stdout.encode(), done.stderr.encode()]
    reader, writer = os.pipe()
    os.write(writer, b"correct horse")
    os.close(writer)
    sealing = subprocess.run(
        [*anna.command("keys", "passphrase"), "--new-fd", str(reader)],
        env=anna.environment, pass_fds=(reader,), capture_output=True, check=False,
    )  # fmt: skip
    os.close(reader)
    assert sealing.returncode == 0, sealing.stderr
    seen += [sealing.stdout, sealing.stderr]
    anna.config.write_text(anna.config.read_text() + "nonsense\n")
    seen.append(anna.run("status", timeout_seconds=START_SECONDS).stderr.encode())
    processes = 0
    for node in (anna, ben):
        assert node.process is not None
        for pid in family(node.process.pid):
            processes += 1
            for what in ("cmdline", "environ", "comm"):
                seen.append(Path(f"/proc/{pid}/{what}").read_bytes())
    assert processes >= 6, "box, wire and scanner process of two nodes"
    for node in (anna, ben):
        rig.stop(node)
        seen.append(node.log.read_bytes())
        home = Path(node.environment["XDG_STATE_HOME"])
        seen += [path.read_bytes() for path in home.rglob("*") if path.is_file()]
    # Without these three the test would look at nothing.
    assert any(b"has 1 words" in text for text in seen)
    assert any(z85.decode_key(pair_of(rig, 1)[1]).hex().encode() in text for text in seen)
    assert any(b"joins the flock anew" in text or b"flying" in text for text in seen)
    for secret in secrets:
        assert not any(secret in text for text in seen)


def family(pid: int) -> list[int]:
    """A process and all that it started."""
    found = [pid]
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                fields = (entry / "stat").read_text().rpartition(")")[2].split()
            except OSError:
                continue  # ended meanwhile
            if int(fields[1]) == pid:
                found += family(int(entry.name))
    return found


def test_a_crash_in_the_key_code_shows_no_key(rig: Rig) -> None:
    """What a traceback shows is code and reprs: none of them holds the private half."""
    program = (
        "import sys, traceback\n"
        "from flocksy.config.load import load\n"
        "from flocksy.config.settings import Options\n"
        "from flocksy.node.processes import wire_settings\n"
        "settings = load(Options(config=sys.argv[1]))\n"
        "print(settings, settings.key_pair, wire_settings(settings))\n"
        "try:\n"
        "    raise ValueError(settings.key_pair, settings, wire_settings(settings))\n"
        "except ValueError as error:\n"
        "    found = traceback.TracebackException.from_exception(error, capture_locals=True)\n"
        "    print(''.join(found.format()))\n"
    )
    anna = rig.nodes[0]
    acquainted(rig, 1, 2)
    done = subprocess.run(
        [sys.executable, "-c", program, str(anna.config)],
        env=anna.environment, capture_output=True, check=True,
    )  # fmt: skip
    assert pair_of(rig, 1)[1].encode() in done.stdout
    assert not any(secret in done.stdout + done.stderr for secret in spellings(pair_of(rig, 1)[0]))


def started_with(node: RigNode, passphrase: bytes) -> subprocess.Popen[bytes]:
    """The node, started with its passphrase on a descriptor."""
    reader, writer = os.pipe()
    os.write(writer, passphrase)
    os.close(writer)
    try:
        with node.log.open("ab") as log:
            return subprocess.Popen(
                [*node.command(), "--passphrase-fd", str(reader)],
                env=node.environment, stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                pass_fds=(reader,), start_new_session=True,
            )  # fmt: skip
    finally:
        os.close(reader)


def test_a_node_runs_with_its_key_under_a_passphrase(rig: Rig) -> None:
    """And joins anew, with another box and another member, without being asked again."""
    anna, ben, cleo = rig.nodes
    acquainted(rig, 1, 2)
    reader, writer = os.pipe()
    os.write(writer, b"correct horse\n")
    os.close(writer)
    command_line = [*anna.command("keys", "passphrase"), "--new-fd", str(reader)]
    subprocess.run(command_line, env=anna.environment, pass_fds=(reader,), check=True)
    os.close(reader)
    assert "private_key_sealed" in (rig.root / "own1" / "private").read_text()
    wrong = started_with(anna, b"wrong")
    assert wrong.wait(START_SECONDS) == 2
    assert "this is not the passphrase" in anna.log.read_text()

    anna.process = started_with(anna, b"correct horse")
    rig.start(ben)
    rig.wait_for_view(2)
    (rig.root / "more").mkdir()
    command(anna, "box", "add", f"more@{rig.root}/more")
    path = rig.root / "bundle-node3"
    path.write_text(command(cleo, "keys", "export"))
    for node in (anna, ben):
        assert "joins the flock anew" in command(node, "keys", "import", str(path), "--yes")
        wait_for_log(node, "joining the flock anew")
    for node in (anna, ben):
        wait_until(lambda node=node: view_of(node) == 2, "two of three again", START_SECONDS)
    (anna.box / "sealed").write_text("sealed")
    wait_for_files((ben,), ["sealed"], START_SECONDS)


def test_two_members_in_one_text_reach_a_running_node(rig: Rig) -> None:
    """The second is read although the node is just about to join anew with the first."""
    anna = rig.nodes[0]
    acquainted(rig, 1, 2)
    rig.start(anna)
    wait_until(lambda: members_of(anna) == 2, "it runs", START_SECONDS)
    path = rig.root / "bundles"
    dora = encode_bundle(make_bundle(generate_pair(), "dora", f"ipc://{rig.root}/dora.ipc"))
    path.write_text(command(rig.nodes[2], "keys", "export") + dora)
    command(anna, "keys", "import", str(path), "--yes")
    wait_until(lambda: members_of(anna) == 4, "it knows all four", START_SECONDS)


def members_of(node: RigNode) -> object:
    try:
        return node.status()["members"]
    except FlocksyError:
        return 0
