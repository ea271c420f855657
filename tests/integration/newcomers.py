"""Three people with three new machines, from nothing to a synced file, each at a real terminal.

    python -m tests.integration.newcomers [--together]

prints what they type and see, and how much they typed. The machines are network namespaces on a
bridge, which takes the superuser; or, together, three homes on this one, told apart by ports.
"""

from __future__ import annotations

import contextlib
import errno
import os
import pty
import re
import select
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

NAMES = ("anna", "ben", "cleo")
PORT = 5000
BOUND_SECONDS = 60.0
CHARACTERS_A_MINUTE = 200
"""A slow typist: 40 words a minute."""

ENTER = "\n"
CODE = re.compile(r"^    ([a-z]+(?:-[a-z]+){3})$", re.MULTILINE)


class NewcomersError(Exception):
    """Something did not go as it must."""


@dataclass
class Machine:
    """One machine: its home, where it is reached, and how a program is started on it."""

    name: str
    home: Path
    host: str
    port: int
    prefix: tuple[str, ...] = ()
    running: list[subprocess.Popen[bytes]] = field(default_factory=list)

    @property
    def environment(self) -> dict[str, str]:
        kept = {
            key: value for key, value in os.environ.items() if not key.startswith(("XDG_", "LC_"))
        }
        return kept | {
            "HOME": str(self.home),
            "XDG_RUNTIME_DIR": str(self.home / "run"),
            "PYTHONUNBUFFERED": "1",
            "TERM": "dumb",
            "COLUMNS": "100",
        }

    def command(self, *words: str) -> list[str]:
        return [*self.prefix, sys.executable, "-m", "flocksy", *words]


class Terminal:
    """A command at a machine's terminal, and a person who answers what it asks."""

    def __init__(self, desk: Desk, machine: Machine, line: str) -> None:
        self._desk = desk
        self._machine = machine
        self.line = line
        desk.typed += len(line) + len(ENTER)
        self._master, slave = pty.openpty()
        # Another controlling terminal than ours, else Ctrl-C and job control would be shared.
        self._process = subprocess.Popen(
            machine.command(*line.split()[1:]),
            env=machine.environment,
            cwd=machine.home,
            stdin=slave,
            stdout=slave,
            stderr=slave,
            start_new_session=True,
        )
        os.close(slave)
        self.seen = ""
        self._asked = 0

    def answer(self, question: str, text: str) -> None:
        """Wait for the question, and type."""
        self.wait_for(question)
        self._asked = len(self.seen)
        self._desk.typed += len(text) + len(ENTER)
        os.write(self._master, (text + ENTER).encode())

    def wait_for(self, text: str) -> str:
        """Until the terminal shows `text` after the last question. Returns all it shows."""
        end = time.monotonic() + BOUND_SECONDS
        while text not in self.seen[self._asked :]:
            if time.monotonic() > end or not self._read():
                raise NewcomersError(f"{self.line}: no {text!r} in\n{self.seen}")
        return self.seen

    def end(self, status: int = 0) -> str:
        """Wait for the end of the command, and note what the terminal showed."""
        end = time.monotonic() + BOUND_SECONDS
        while self._read():
            if time.monotonic() > end:
                self._process.kill()
                raise NewcomersError(f"{self.line}: does not end\n{self.seen}")
        os.close(self._master)
        if self._process.wait(BOUND_SECONDS) != status:
            raise NewcomersError(f"{self.line}: {self._process.returncode}\n{self.seen}")
        shown = self.seen.replace(str(self._machine.home), f"/home/{self._machine.name}")
        self._desk.transcript.append(f"{self._machine.name}$ {self.line}\n{shown}")
        return self.seen

    def _read(self) -> bool:
        ready, _, _ = select.select([self._master], [], [], 1.0)
        if not ready:
            return True
        try:
            data = os.read(self._master, 65536)
        except OSError as error:
            if error.errno == errno.EIO:  # Linux: the other end is closed
                return False
            raise
        self.seen += data.decode("utf-8", "replace").replace("\r\n", "\n")
        return bool(data)


class Desk:
    """All machines, everything typed, and everything shown."""

    def __init__(self, machines: Sequence[Machine]) -> None:
        self.machines = machines
        self.typed = 0
        self.transcript: list[str] = []

    def type(self, machine: Machine, line: str) -> Terminal:
        """Type a command."""
        return Terminal(self, machine, line)

    @property
    def minutes(self) -> float:
        """How long somebody types for that."""
        return self.typed / CHARACTERS_A_MINUTE


def _is_told(log: Path, word: str) -> bool:
    return word in log.read_text()


def found_a_flock(desk: Desk) -> None:
    """From three empty homes to a file that all three have."""
    anna, ben, cleo = desk.machines
    for machine in desk.machines:
        init = desk.type(machine, "flocksy init")
        init.answer("called? [", machine.name)
        # Its own address is suggested; only machines that share one need their own port.
        here = "" if machine.port == PORT else f"{machine.host}:{machine.port}"
        init.answer("(host:port)? [", here)
        init.answer("the path)? [", "")
        init.end()
    listen = "" if anna.port == PORT else f" --listen {anna.host}:0"
    host = desk.type(anna, f"flocksy pair --for 2{listen}")
    shown = host.wait_for("There:  flocksy pair ")
    shown = host.wait_for("\n" if shown.endswith("\n") else shown)
    found = CODE.search(shown)
    assert found is not None, shown
    address = shown.split("There:  flocksy pair ")[1].split()[0]
    guests = []
    for machine in (ben, cleo):
        guest = desk.type(machine, f"flocksy pair {address}")
        guest.answer("Code:", found[1])
        guest.wait_for("Waiting for the other machines" if machine is ben else "Paired.")
        guests.append(guest)
    host.end()
    for guest in guests:
        guest.end()
    numbers = {desk.type(machine, "flocksy keys number").end() for machine in desk.machines}
    if len(numbers) != 1:
        raise NewcomersError(f"the numbers differ: {numbers}")
    for machine in desk.machines:
        desk.typed += len("flocksy &") + len(ENTER)
        desk.transcript.append(f"{machine.name}$ flocksy &\n")
        with (machine.home / "log").open("wb") as log:
            machine.running.append(
                subprocess.Popen(
                    machine.command(),
                    env=machine.environment,
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=log,
                )
            )
    # What is in the folder before, or found by the look that began before, waits for a random
    # time, a minute on average.
    for word in ("flying with", "looked through"):
        told = partial(_is_told, anna.home / "log", word)
        _wait_until(desk, told, f"anna never says: {word}")
    line = "echo hello > shared/hello"
    desk.typed += len(line) + len(ENTER)
    desk.transcript.append(f"anna$ {line}\n")
    (anna.home / "shared" / "hello").write_text("hello\n")
    for machine in (ben, cleo):
        path = machine.home / "shared" / "hello"

        def is_there(path: Path = path) -> bool:
            return path.exists() and path.read_text() == "hello\n"

        _wait_until(desk, is_there, f"{machine.name} has no file")
        line = "cat shared/hello"
        desk.typed += len(line) + len(ENTER)
        desk.transcript.append(f"{machine.name}$ {line}\nhello\n")


def _wait_until(desk: Desk, condition: Callable[[], bool], otherwise: str) -> None:
    end = time.monotonic() + BOUND_SECONDS
    while not condition():
        if time.monotonic() > end:
            logs = "\n".join((one.home / "log").read_text() for one in desk.machines)
            raise NewcomersError(f"{otherwise}\n{logs}")
        time.sleep(0.05)


@contextlib.contextmanager
def three_machines(*, apart: bool) -> Iterator[Desk]:
    """Three machines with empty homes; everything they run ends with them.

    `apart`: in network namespaces of their own. Raises `NewcomersError` where that cannot be.
    """
    root = Path(tempfile.mkdtemp(prefix="flocksy-new-", dir="/tmp"))
    with contextlib.ExitStack() as stack:
        stack.callback(shutil.rmtree, root, ignore_errors=True)
        network = stack.enter_context(namespaces()) if apart else ()
        if apart and not network:
            raise NewcomersError("this user may not make network namespaces here")
        machines = []
        for number, name in enumerate(NAMES):
            home = root / name
            (home / "run").mkdir(parents=True, mode=0o700)
            if network:
                prefix = ("ip", "netns", "exec", network[number])
                machines.append(Machine(name, home, f"10.77.0.{number + 1}", PORT, prefix))
            else:
                machines.append(Machine(name, home, "127.0.0.1", _free_port()))
        desk = Desk(machines)
        try:
            yield desk
        finally:
            for machine in machines:
                for process in machine.running:
                    process.terminate()
            for machine in machines:
                for process in machine.running:
                    try:
                        process.wait(BOUND_SECONDS)
                    except subprocess.TimeoutExpired:
                        process.kill()
                        process.wait()


@contextlib.contextmanager
def namespaces() -> Iterator[tuple[str, ...]]:
    """Three network namespaces on a bridge in a fourth; nothing where that is not allowed."""
    tag = f"flocksy-{os.getpid()}"
    names = tuple(f"{tag}-{name}" for name in NAMES)
    bridge = f"{tag}-bridge"
    made: list[str] = []

    def ip(*words: str) -> bool:
        try:
            done = subprocess.run(
                ["ip", *words], capture_output=True, timeout=BOUND_SECONDS, check=False
            )
        except FileNotFoundError:
            return False
        return done.returncode == 0

    def make() -> bool:
        for name in (bridge, *names):
            if not ip("netns", "add", name):
                return False
            made.append(name)
            if not ip("-n", name, "link", "set", "lo", "up"):
                return False
        if not ip("-n", bridge, "link", "add", "br0", "type", "bridge"):
            return False
        ready = ip("-n", bridge, "link", "set", "br0", "up")
        for number, name in enumerate(names):
            port = f"port{number}"
            ready = (
                ready
                and ip(
                    "-n", bridge, "link", "add", port, "type", "veth", "peer", "eth0", "netns", name
                )
                and ip("-n", bridge, "link", "set", port, "master", "br0", "up")
                and ip("-n", name, "address", "add", f"10.77.0.{number + 1}/24", "dev", "eth0")
                and ip("-n", name, "link", "set", "eth0", "up")
                and ip("-n", name, "route", "add", "default", "dev", "eth0")
            )
        return ready

    try:
        yield names if make() else ()
    finally:
        for name in made:
            ip("netns", "delete", name)


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])


def meet_by_looking(desk: Desk) -> None:
    """Two machines find each other in their network, because both ask for it."""
    anna, ben, _ = desk.machines
    for machine in (anna, ben):
        init = desk.type(machine, f"flocksy init --name {machine.name} --box ~/shared")
        init.answer("(host:port)? [", "")
        init.end()
    host = desk.type(anna, "flocksy pair --announce")
    found = CODE.search(host.wait_for("There:  flocksy pair --find"))
    assert found is not None
    guest = desk.type(ben, "flocksy pair --find")
    guest.answer("Code:", found[1])
    host.end()
    if f"Found at {anna.host}" not in guest.end():
        raise NewcomersError(guest.seen)


def main() -> None:
    """Print the transcript and what it took."""
    apart = "--together" not in sys.argv
    started = time.monotonic()
    with three_machines(apart=apart) as desk:
        found_a_flock(desk)
        seconds = time.monotonic() - started
    where = "network namespaces" if apart else "ports of this machine"
    print("\n".join(desk.transcript))
    print(
        f"# {where}; {desk.typed} characters typed on three machines together: "
        f"{desk.minutes:.1f} minutes at {CHARACTERS_A_MINUTE} a minute; {seconds:.0f} s by script"
    )


if __name__ == "__main__":
    main()
