"""What the machine lacks for a flight is said in one line, and no traceback."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks.adversary import __main__ as command
from benchmarks.adversary.switch import SwitchedStage
from flocksy.testing.rig import RigError
from flocksy.testing.stage import Stage

AGAIN = "run the same again to go on"


@pytest.fixture
def broken_ip(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`ip` may do nothing, and says so in two lines."""
    fake = tmp_path / "bin" / "ip"
    fake.parent.mkdir()
    fake.write_text("#!/bin/sh\necho 'mount failed:' >&2\necho 'not permitted' >&2\nexit 1\n")
    fake.chmod(0o755)
    monkeypatch.setenv("PATH", str(fake.parent), prepend=":")


def ended(monkeypatch: pytest.MonkeyPatch, *words: str) -> str:
    """The line with which it ends. Text given to `sys.exit` goes to stderr, with status 1."""
    monkeypatch.setattr(sys, "argv", ["benchmarks.adversary", *words])
    monkeypatch.setattr(command, "_missing", lambda: "")
    with pytest.raises(SystemExit) as end:
        command.main()
    assert isinstance(end.value.code, str)
    assert "\n" not in end.value.code
    return end.value.code


@pytest.mark.usefixtures("broken_ip")
@pytest.mark.parametrize("stage", [Stage, SwitchedStage])
def test_no_namespace_can_be_made(stage: type[Stage], monkeypatch: pytest.MonkeyPatch) -> None:
    def fly(*_: object) -> None:
        with stage(3):
            pass

    monkeypatch.setattr(command, "_run", fly)
    said = ended(monkeypatch, "measure", "kept", "quick")
    assert said.startswith("ip netns add ") and ": mount failed: not permitted: " in said
    assert "CAP_SYS_ADMIN" in said and AGAIN in said


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (FileNotFoundError(2, "No such file or directory", "ip"), "ip: No such file or directory"),
        (OSError(28, "No space left on device"), "No space left on device"),
        (subprocess.TimeoutExpired(("flocksy", "status"), 5), "flocksy status: not done within 5"),
        (subprocess.CalledProcessError(3, ("git", "log")), "git log: ended with status 3"),
        (ModuleNotFoundError("no", name="numpy"), "numpy is not installed"),
    ],
)
def test_the_like(error: Exception, said: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise error

    monkeypatch.setattr(command, "_run", fail)
    line = ended(monkeypatch, "measure", "kept", "quick")
    assert line.startswith(said) and AGAIN in line


def test_a_mistake_of_ours_ends_loudly(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise ModuleNotFoundError("no", name="benchmarks.adversary.plam")

    monkeypatch.setattr(command, "_run", fail)
    monkeypatch.setattr(command, "_missing", lambda: "")
    monkeypatch.setattr(sys, "argv", ["benchmarks.adversary", "measure", "kept", "quick"])
    with pytest.raises(ModuleNotFoundError):
        command.main()


@pytest.mark.usefixtures("broken_ip")
def test_a_capture_that_does_not_begin_says_why(tmp_path: Path) -> None:
    stage = Stage(1)
    with (
        pytest.raises(RigError, match="tcpdump has ended at once: mount failed: not permitted"),
        stage.capturing(tmp_path / "capture.pcap"),
    ):
        pass
