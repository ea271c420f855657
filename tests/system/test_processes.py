"""Modest processes, and those that end with another."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys

import pytest

from flocksy.system import processes
from flocksy.testing.processes import stands_still
from flocksy.testing.rig import wait_until

APART = ("unshare", "--user", "--map-root-user", "--pid", "--fork")
"""A namespace of processes, with the /proc of all."""

linux_alone = pytest.mark.skipif(sys.platform != "linux", reason="classes and slices of Linux")


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


@linux_alone
@pytest.mark.parametrize("has_shell", [True, False])
def test_who_is_stopped_by_a_terminal_stops_another_session_too(has_shell: bool) -> None:
    """Not where there is no shell of the same session that could wake it up again: the kernel then
    stops nobody, and the other one goes on as well."""
    script = (
        "import subprocess, sys; from flocksy.system import processes as p;"
        "other = subprocess.Popen([sys.executable, '-c', 'input()'], stdin=subprocess.PIPE,"
        " start_new_session=True);"
        "print(other.pid, flush=True); input(); p.stand_still(other.pid);"
        "print('on', flush=True); input(); other.communicate(b'\\n')"
    )
    with subprocess.Popen(
        [sys.executable, "-c", script],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=not has_shell,
        process_group=0 if has_shell else None,
    ) as child:
        assert child.stdin is not None and child.stdout is not None
        other = int(child.stdout.readline())
        child.stdin.write("\n")
        child.stdin.flush()
        if has_shell:
            both = (child.pid, other)
            wait_until(lambda: all(stands_still(pid) for pid in both), "both stand still", 20)
            os.killpg(child.pid, signal.SIGCONT)
        assert child.stdout.readline() == "on\n"
        wait_until(lambda: not stands_still(other), "the other goes on", 20)
        child.stdin.write("\n")
        child.stdin.flush()
        assert child.wait(20) == 0


@linux_alone
def test_who_ignores_a_terminal_goes_on_ignoring_it() -> None:
    script = (
        "import signal; from flocksy.system import processes as p;"
        "print(len(p.stops_of_a_terminal())); signal.signal(signal.SIGTSTP, signal.SIG_IGN);"
        "print(len(p.stops_of_a_terminal()))"
    )
    assert told_by(script) == ["1", "0"]


def test_modest_processes() -> None:
    script = "from flocksy.system import processes as p; print(p.set_nice(19), p.set_idle_io())"
    shown = subprocess.run([sys.executable, "-c", script], capture_output=True, check=True)
    assert shown.stdout.split()[0] == b"True"


def told_by(script: str) -> list[str]:
    """What a process of its own prints: none of this can be undone everywhere."""
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, check=True, text=True
    )
    return done.stdout.split()


@linux_alone
def test_threads_run_in_batches_as_who_starts_them_does() -> None:
    script = (
        "import os, threading; from flocksy.system import processes as p;"
        "print(p.run_in_batches(), os.sched_getscheduler(0));"
        "one = threading.Thread(target=lambda: print(os.sched_getscheduler(0)));"
        "one.start(); one.join()"
    )
    assert told_by(script) == ["True", str(os.SCHED_BATCH), str(os.SCHED_BATCH)]


@linux_alone
def test_a_short_slice_is_inherited_by_threads_and_leaves_the_niceness() -> None:
    script = (
        "import os, threading; from flocksy.system import processes as p;"
        "p.run_in_batches(); p.set_nice(3); print(p.set_short_slice());"
        "show = lambda: print(p.time_slice_ns());"
        "one = threading.Thread(target=show); one.start(); one.join();"
        "print(os.getpriority(os.PRIO_PROCESS, 0))"
    )
    done, inherited, niceness = told_by(script)
    assert niceness == "3"
    release = tuple(int(part) for part in os.uname().release.split(".")[:2])
    if release >= (6, 12):
        assert (done, inherited) == ("True", "100000")
    else:
        assert done == "False"


@linux_alone
def test_who_wants_a_short_slice_runs_in_batches_no_more() -> None:
    script = (
        "import os; from flocksy.system import processes as p;"
        "p.run_in_batches(); p.set_short_slice(); print(os.sched_getscheduler(0))"
    )
    assert told_by(script) == [str(os.SCHED_OTHER)]


@linux_alone
def test_nor_where_there_are_no_slices() -> None:
    """The wire process would give way to all others for good: its parent runs in batches."""
    script = (
        "import os; from flocksy.system import processes as p; p._SCHED_SETATTR_CALL = {};"
        "p.run_in_batches(); print(p.set_short_slice(), os.sched_getscheduler(0))"
    )
    assert told_by(script) == ["False", str(os.SCHED_OTHER)]


@linux_alone
def test_a_class_that_a_person_chose_stays() -> None:
    """`chrt`, or CPUSchedulingPolicy= of a unit. This one needs no right."""
    script = (
        "import os; from flocksy.system import processes as p;"
        "os.sched_setscheduler(0, os.SCHED_IDLE, os.sched_param(0));"
        "print(p.run_in_batches(), os.sched_getscheduler(0));"
        "print(p.set_short_slice(), os.sched_getscheduler(0))"
    )
    assert told_by(script) == ["False", str(os.SCHED_IDLE)] * 2


@linux_alone
def test_a_kernel_without_slices_is_no_trouble(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("flocksy.system.processes._SCHED_SETATTR_CALL", {})
    assert not processes.set_short_slice()
    assert processes.time_slice_ns() is None


@linux_alone
def test_who_is_stopped_stands_still_until_it_runs_again() -> None:
    script = "import sys\nfor line in sys.stdin: print(line, end='', flush=True)"
    with subprocess.Popen(
        [sys.executable, "-c", script], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as child:
        assert child.stdin is not None and child.stdout is not None
        numbers = []
        for turn in range(2):
            print(turn, file=child.stdin, flush=True)
            assert child.stdout.readline() == f"{turn}\n"
            assert processes.standstill(child.pid) is None, "it waits for something"
            child.send_signal(signal.SIGSTOP)
            wait_until(lambda: processes.standstill(child.pid) is not None, "it is stopped", 20)
            numbers += [processes.standstill(child.pid), processes.standstill(child.pid)]
            child.send_signal(signal.SIGCONT)
        assert numbers[0] == numbers[1] and numbers[2] == numbers[3] != numbers[0]
        child.stdin.close()
        assert child.wait(20) == 0
    assert processes.standstill(child.pid) is None, "it is gone"


@pytest.mark.parametrize(
    ("state", "said"),
    [
        ("T (stopped)", b"\t42\t3"),
        ("t (tracing stop)", None),
        ("D (disk sleep)", None),
        ("S (sleeping)", None),
        ("R (running)", None),
        ("Z (zombie)", None),
    ],
)
def test_a_busy_process_does_not_stand_still(state: str, said: bytes | None) -> None:
    """A flush of seconds is a sleep on the disk; nobody stopped who waits for it."""
    text = (
        f"Name:\tpy:thon\nUmask:\t0022\nState:\t{state}\nTgid:\t1\n"
        "voluntary_ctxt_switches:\t42\nnonvoluntary_ctxt_switches:\t3\n"
    )
    assert processes._standstill(text.encode("ascii")) == said


@pytest.mark.parametrize(
    "counts",
    ["", "voluntary_ctxt_switches:\t42\n", "nonvoluntary_ctxt_switches:\t3\n"],
    ids=["as gVisor says it", "one count", "the other"],
)
def test_a_kernel_that_does_not_count_says_of_nobody_that_it_stands_still(counts: str) -> None:
    assert processes._standstill(f"State:\tT (stopped)\n{counts}".encode("ascii")) is None


@linux_alone
@pytest.mark.parametrize("anyway", [True, False])
def test_who_writes_anyway_is_not_stopped_by_a_terminal(*, anyway: bool) -> None:
    """In the background of a terminal that stops who writes there (`stty tostop`)."""
    writer = "from flocksy.system import processes as p;"
    writer += "p.write_anyway();" if anyway else ""
    writer += "print('a line', flush=True)"
    script = (
        "import os, pty, subprocess, sys, termios\n"
        "master, slave = pty.openpty()\n"
        "terminal = os.open(os.ttyname(slave), os.O_RDWR)\n"
        "modes = termios.tcgetattr(terminal)\n"
        "modes[3] |= termios.TOSTOP\n"
        "termios.tcsetattr(terminal, termios.TCSANOW, modes)\n"
        f"child = subprocess.Popen([sys.executable, '-c', {writer!r}], stdout=terminal,"
        " process_group=0)\n"
        "_, status = os.waitpid(child.pid, os.WUNTRACED)\n"
        "print('stopped' if os.WIFSTOPPED(status) else os.read(master, 100).strip().decode())\n"
        "child.kill()\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script],
        capture_output=True, check=True, text=True, start_new_session=True,
    )  # fmt: skip
    assert done.stdout == ("a line\n" if anyway else "stopped\n")


@linux_alone
def test_a_parent_is_who_started_it() -> None:
    assert told_by("from flocksy.system import processes as p; print(p.parent())") == [
        str(os.getpid())
    ]


@linux_alone
@pytest.mark.skipif(
    shutil.which("unshare") is None
    or subprocess.run([*APART, "true"], capture_output=True, check=False).returncode != 0,
    reason="no namespaces of processes here",
)
def test_a_parent_is_found_where_proc_shows_the_numbers_of_others() -> None:
    """`os.getppid` names somebody else there, who may be stopped for ever."""
    child = (
        "import os; from flocksy.system import processes as p;"
        "print(os.getppid() == p.parent(), open(f'/proc/{p.parent()}/cmdline').read())"
    )
    parent = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {child!r}])"
    done = subprocess.run(
        [*APART, sys.executable, "-c", parent, "the parent"],
        capture_output=True, check=True, text=True,
    )  # fmt: skip
    assert done.stdout.startswith("False ") and done.stdout.endswith("\0the parent\0\n")
