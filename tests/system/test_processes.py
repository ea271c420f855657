"""Modest processes, and those that end with another."""

from __future__ import annotations

import signal
import subprocess
import sys


def test_a_child_dies_with_its_parent() -> None:
    """The grandchild inherits the pipe, whose end shows that it is gone."""
    inner = (
        "import sys, time; from flocksy.system import processes;"
        "processes.die_with_parent(int(sys.argv[1])); print('up', flush=True); time.sleep(600)"
    )
    outer = (
        "import os, subprocess, sys;"
        f"subprocess.Popen([sys.executable, '-c', {inner!r}, str(os.getpid())]).wait()"
    )
    with subprocess.Popen([sys.executable, "-c", outer], stdout=subprocess.PIPE) as child:
        assert child.stdout is not None
        assert child.stdout.readline() == b"up\n"
        child.send_signal(signal.SIGKILL)
        assert child.stdout.read() == b""


def test_modest_processes() -> None:
    script = "from flocksy.system import processes as p; print(p.set_nice(19), p.set_idle_io())"
    shown = subprocess.run([sys.executable, "-c", script], capture_output=True, check=True)
    assert shown.stdout.split()[0] == b"True"
