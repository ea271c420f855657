"""Three real nodes on one machine: real processes, real sockets, real folders.

    with Rig(configs, keys) as rig:
        rig.start_all()
        rig.wait_for_view()
        (rig.nodes[0].box / "new.txt").write_text("hello")
        rig.wait_equal()

Everything lives in one temporary directory with a short name, since sockets lie in it. Every wait
has a bound and ends in a `RigError` that says what was not so.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Self

from flocksy.errors import FlocksyError
from flocksy.status.client import request
from flocksy.testing.processes import children, roles
from flocksy.testing.trees import differences, snapshot

CONFIGURED_ROOT = "/tmp/flocksy-rig"
"""The directory that test-configs/ name; each rig puts its own in its place."""

START_SECONDS = 60.0
"""For three nodes to start and agree on a view. A laden machine with two cores takes a few."""

EQUAL_SECONDS = 120.0
"""For a change to be everywhere. A hundred times what it takes."""

STOP_SECONDS = 20.0
"""For a node to say farewell, end and flush. Its running burst is finished first."""

POLL_SECONDS = 0.1
"""Between two looks at what is waited for."""

LOG_TAIL_LINES = 40
KILL = 9
"""SIGKILL, which not every system's Python has a name for."""

BROKEN = ("Traceback", "Error:", "Exception ignored", "resource_tracker", "Assertion failed")
"""What shows in a log where a program broke instead of saying what is wrong."""


class RigError(Exception):
    """Something in the rig is not as it must be."""


def wait_until(condition: Callable[[], bool], what: str, timeout_seconds: float) -> float:
    """Wait until `condition` holds. Returns the seconds it took. Raises `RigError`: not `what`."""
    started = time.monotonic()
    while not condition():
        if time.monotonic() - started > timeout_seconds:
            raise RigError(f"not within {timeout_seconds:g} s: {what}")
        time.sleep(POLL_SECONDS)
    return time.monotonic() - started


def _started_by(process: subprocess.Popen[bytes]) -> list[int]:
    """Its children, of which the wire process is a session, and so a group, of its own."""
    try:
        return children(process.pid)
    except OSError:
        return []  # it has ended; or there is no /proc here


def _signal_all(process: subprocess.Popen[bytes], started: list[int], number: int) -> bool:
    """Send a signal (0: none) to all that a node started. False: nothing of it is left."""
    if sys.platform == "win32":
        raise RigError("the rig needs process groups")
    found = False
    with suppress(ProcessLookupError):
        os.killpg(process.pid, number)
        found = True
    for pid in started:
        with suppress(ProcessLookupError):
            if os.getpgid(pid) != process.pid:
                os.kill(pid, number)
                found = True
    return found


@dataclass(slots=True)
class RigNode:
    """One of the nodes: where its things are, and its process while it runs."""

    name: str
    config: Path
    box: Path
    log: Path
    environment: dict[str, str] = field(repr=False)
    before_start: Callable[[], None] | None = None  # called in its process, before the program
    process: subprocess.Popen[bytes] | None = None
    control: str = ""
    flags: tuple[str, ...] = ()  # when it is started
    program: tuple[str, ...] = ("flocksy",)  # the module that is started, and words for it
    is_job: bool = False  # started as a shell does, in whose session Ctrl-Z stops it
    key_files: tuple[str, ...] = ()  # on every command line, where the configuration names none

    @property
    def running(self) -> bool:
        """Whether its process is there."""
        return self.process is not None and self.process.poll() is None

    def command(self, *words: str) -> list[str]:
        """The command line of `flocksy` with this node's configuration."""
        return [sys.executable, "-m", "flocksy", *words, "-c", str(self.config), *self.key_files]

    def run(self, *words: str, timeout_seconds: float) -> subprocess.CompletedProcess[str]:
        """Run one command of this node to its end."""
        return subprocess.run(
            self.command(*words),
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=timeout_seconds,
            check=False,
        )

    def status(self) -> dict[str, object]:
        """What `flocksy status --json` prints. Raises `FlocksyError` while it does not answer."""
        status = request(self.control_socket(), "status")["status"]
        assert isinstance(status, dict)
        return status

    def control_socket(self) -> str:
        """Its control socket; found once it has started for the first time."""
        if not self.control:
            home = Path(self.environment["XDG_RUNTIME_DIR"]) / "flocksy"
            found = sorted(home.glob("*.sock"))
            if not found:
                raise FlocksyError(f"{self.name} has no control socket yet")
            self.control = str(found[0])
        return self.control

    def log_tail(self) -> str:
        """The last lines of its log."""
        try:
            lines = self.log.read_text(errors="backslashreplace").splitlines()
        except FileNotFoundError:
            lines = []
        return "\n".join([f"--- {self.name}: {self.log}", *lines[-LOG_TAIL_LINES:]])


class Rig:
    """The nodes of one flock, in a directory of their own that goes away with it."""

    def __init__(self, configs: Sequence[Path], keys: Path, settings: Sequence[str] = ()) -> None:
        """Copy `configs` and the key files in `keys`; `settings` are lines added to each copy."""
        # Not the default temporary directory: $TMPDIR may be too long for a socket's path.
        self.root = Path(tempfile.mkdtemp(prefix="flocksy-rig-", dir="/tmp"))
        self.keys = self.root / "keys-example"
        self.keys.mkdir(mode=0o700)
        for source in ("flocksy_keystore", "flocksy_privatekeys"):
            target = self.keys / source
            target.touch(mode=0o600)
            target.write_text(self._moved(keys / source))
        (self.root / "configs").mkdir()
        self.nodes = [self._make(source, settings) for source in configs]

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def start(self, node: RigNode) -> None:
        """Start the node's process; its log goes on where it ended."""
        assert not node.running
        with node.log.open("ab") as log:
            node.process = subprocess.Popen(
                [sys.executable, "-m", *node.program, *node.command(*node.flags)[3:]],
                env=node.environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                preexec_fn=node.before_start,
                # In either case Ctrl-C is for the rig, which then stops the nodes.
                start_new_session=not node.is_job,
                process_group=0 if node.is_job else None,
            )

    def start_all(self) -> None:
        """Start every node."""
        for node in self.nodes:
            self.start(node)

    def stop(self, node: RigNode, number: signal.Signals = signal.SIGTERM) -> int:
        """Send a signal and wait for the end. Returns the exit status, negative for a signal."""
        assert node.process is not None
        if node.running:
            node.process.send_signal(number)
        try:
            return node.process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            raise RigError(f"{node.name} did not end within {STOP_SECONDS:g} s") from None

    def kill(self, node: RigNode, *, alone: bool = False) -> None:
        """As `kill -9` of everything the node runs, and wait until none of it is left.

        `alone`: of its first process only; the others must go by themselves.
        """
        process = node.process
        assert process is not None
        started = _started_by(process)
        if alone:
            process.kill()
        else:
            _signal_all(process, started, KILL)
        process.wait(STOP_SECONDS)
        wait_until(
            lambda: not _signal_all(process, started, 0),
            f"all processes of {node.name} end",
            STOP_SECONDS,
        )

    def kill_one(self, node: RigNode, role: str) -> None:
        """As `kill -9` of one process of the node that is not its first one."""
        assert node.process is not None
        os.kill(roles(node.process.pid)[role], KILL)

    def signal(self, node: RigNode, number: signal.Signals) -> None:
        """Send a signal to all processes of the node."""
        assert node.process is not None
        if not _signal_all(node.process, _started_by(node.process), number):
            raise RigError(f"{node.name} does not run")

    @contextmanager
    def one_standing_still(self, node: RigNode, role: str) -> Iterator[None]:
        """One process of the node is stopped meanwhile."""
        assert node.process is not None
        pid = roles(node.process.pid)[role]
        if sys.platform == "win32":
            raise RigError("the rig needs SIGSTOP")
        os.kill(pid, signal.SIGSTOP)
        try:
            yield
        finally:
            os.kill(pid, signal.SIGCONT)

    def close(self) -> None:
        """End what still runs, by its process id, and remove the directory."""
        for node in self.nodes:
            if node.process is not None and node.running:
                node.process.terminate()
        for node in self.nodes:
            if node.process is not None:
                try:
                    node.process.wait(STOP_SECONDS)
                except subprocess.TimeoutExpired:
                    node.process.kill()
                    node.process.wait()
        shutil.rmtree(self.root, ignore_errors=True)

    def wait_for_view(
        self, size: int | None = None, timeout_seconds: float = START_SECONDS
    ) -> None:
        """Wait until every running node has a view of `size` (default: all nodes)."""
        wanted = len(self.nodes) if size is None else size
        deadline = time.monotonic() + timeout_seconds
        missing: list[str] = ["no node runs"]
        while missing:
            missing = []
            for node in self.nodes:
                if node.process is not None and node.process.poll() is not None and size is None:
                    raise RigError(
                        f"{node.name} ended with {node.process.returncode}\n{node.log_tail()}"
                    )
                if node.running:
                    try:
                        view = node.status()["view"]
                    except FlocksyError as error:
                        missing.append(f"{node.name}: {error}")
                        continue
                    if not isinstance(view, list) or len(view) != wanted:
                        missing.append(f"{node.name} sees {view}")
            if missing and time.monotonic() > deadline:
                raise RigError(
                    f"no view of {wanted} within {timeout_seconds:g} s: {'; '.join(missing)}"
                )
            if missing:
                time.sleep(POLL_SECONDS)

    def wait_for_calm(self, timeout_seconds: float = EQUAL_SECONDS) -> None:
        """Wait until the bursts that follow the joins of all nodes are over."""

        def is_calm() -> bool:
            status = [node.status() for node in self.nodes if node.running]
            return not any(one["bursts_to_come"] or one["burst"] for one in status)

        wait_until(is_calm, "the bursts after the joins are over", timeout_seconds)

    def wait_in_sync(self, timeout_seconds: float = EQUAL_SECONDS) -> None:
        """`flocksy wait` on every running node."""
        deadline = time.monotonic() + timeout_seconds
        for node in self.nodes:
            if node.running:
                left = max(0.0, deadline - time.monotonic())
                done = node.run("wait", "--timeout", f"{left:.1f}", timeout_seconds=left + 30)
                if done.returncode != 0:
                    raise RigError(f"{node.name}: {done.stderr.strip()}")

    def wait_equal(self, timeout_seconds: float = EQUAL_SECONDS) -> float:
        """Wait until the boxes of all running nodes are equal and in sync.

        Returns the seconds it took until they were first seen equal.
        """
        started = time.monotonic()
        deadline = started + timeout_seconds
        found = self.unequal()
        while found:
            for node in self.nodes:
                if node.process is not None and node.process.poll() is not None:
                    raise RigError(
                        f"{node.name} ended with {node.process.returncode}\n{node.log_tail()}"
                    )
            if time.monotonic() > deadline:
                raise RigError(
                    f"the boxes differ after {timeout_seconds:g} s:\n  " + "\n  ".join(found)
                )
            time.sleep(POLL_SECONDS)
            found = self.unequal()
        seconds = time.monotonic() - started
        self.wait_in_sync(max(1.0, deadline - time.monotonic()))
        # In sync must mean equal: what was equal by chance in between is not enough.
        if found := self.unequal():
            raise RigError("in sync, but the boxes differ:\n  " + "\n  ".join(found))
        return seconds

    def unequal(self) -> list[str]:
        """How the boxes of the running nodes differ from the first one's; empty: they are equal."""
        running = [node for node in self.nodes if node.running]
        try:
            # Reading contents is only worth it where the rest is equal.
            rough = [snapshot(node.box, contents=False) for node in running]
            if all(tree == rough[0] for tree in rough):
                rough = []
            trees = rough or [snapshot(node.box) for node in running]
        except OSError as error:
            return [f"changing: {error}"]
        return [
            f"{running[0].name} and {node.name}: {line}"
            for node, tree in zip(running[1:], trees[1:], strict=True)
            for line in differences(trees[0], tree)
        ]

    def log_tails(self) -> str:
        """The last lines of every node's log."""
        return "\n".join(node.log_tail() for node in self.nodes)

    def complaints(self) -> list[str]:
        """Lines of the logs that no log should ever hold: what a program says when it breaks."""
        return [
            f"{node.name}: {line}"
            for node in self.nodes
            if node.log.exists()
            for line in node.log.read_text(errors="backslashreplace").splitlines()
            if any(word in line for word in BROKEN)
        ]

    def _make(self, source: Path, settings: Sequence[str]) -> RigNode:
        name = source.name
        config = self.root / "configs" / name
        config.write_text("\n".join([self._moved(source), *settings, ""]))
        box = self.root / f"box{name.removeprefix('node')}"
        home = self.root / f"home-{name}"
        for directory in (box, home, home / "run"):
            directory.mkdir(mode=0o700)
        environment = os.environ | {
            "HOME": str(home),
            "XDG_RUNTIME_DIR": str(home / "run"),
            "XDG_STATE_HOME": str(home / "state"),
            "PYTHONUNBUFFERED": "1",
        }
        return RigNode(name, config, box, self.root / f"{name}.log", environment)

    def _moved(self, source: Path) -> str:
        return source.read_text().replace(CONFIGURED_ROOT, str(self.root))
