"""Processes of a node that cannot be started: no memory, or too many processes or threads."""

from __future__ import annotations

import errno
import gc
import multiprocessing
import os
import re
import sys
import threading
from multiprocessing import shared_memory
from multiprocessing.process import BaseProcess
from multiprocessing.shared_memory import SharedMemory
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import pytest

from flocksy.boxes.scan.scanner import NICENESS, Scanner
from flocksy.config.load import load
from flocksy.errors import FlocksyError
from flocksy.node.node import Node, _new_scanner
from flocksy.node.processes import WireProcess
from flocksy.node.restarts import Restarts
from flocksy.system import processes
from flocksy.testing.flock import make_settings
from flocksy.testing.rig import wait_until
from tests.place import PLAIN, Place

MANY = BlockingIOError, errno.EAGAIN, "Resource temporarily unavailable"
SPACE = FileNotFoundError, errno.ENOENT, "No such file or directory", "/dev/shm/psm_1"


@pytest.fixture
def made(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The names of the shared memory that a test makes, while others make theirs."""
    names: list[str] = []
    new_name = shared_memory._make_filename  # type: ignore[attr-defined]

    def noted() -> str:
        names.append(new_name())
        return names[-1]

    monkeypatch.setattr(shared_memory, "_make_filename", noted)
    return names


def left(made: list[str]) -> list[str]:
    """What of it is still there, where the system shows that."""
    return [name for name in made if os.path.exists("/dev/shm/" + name.lstrip("/"))]


def fail(error: type[Exception], *said: object) -> object:
    def failing(*_: object, **__: object) -> None:
        raise error(*said)

    return failing


def test_a_scanner_is_refused_in_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    gc.collect()
    before = len(os.listdir("/dev/fd"))
    with monkeypatch.context() as patched:
        patched.setattr(BaseProcess, "start", fail(*MANY))
        with pytest.raises(FlocksyError, match=r"scanner process cannot be started.*unavailable"):
            _new_scanner()
    gc.collect()  # what failed may still be held by the error
    assert len(os.listdir("/dev/fd")) == before


def test_a_scanner_without_threads_is_no_process(monkeypatch: pytest.MonkeyPatch) -> None:
    before = set(multiprocessing.active_children())
    with monkeypatch.context() as patched:
        patched.setattr(threading.Thread, "start", fail(RuntimeError, "can't start new thread"))
        with pytest.raises(FlocksyError, match="can't start new thread"):
            _new_scanner()
    assert set(multiprocessing.active_children()) <= before


def test_a_scanner_is_tried_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(BaseProcess, "start", fail(*MANY))
    said: list[str] = []
    node = SimpleNamespace(_scanner=Scanner(), _scanner_restarts=Restarts(), _problem=said.append)
    pauses = []
    for now in (1000.0, 1001.0, 2000.0, 3000.0):
        Node._start_scanner_again(cast(Node, node), now)
        pauses.append(node._scanner_restarts.due - now)
    assert pauses == sorted(set(pauses)), "ever later"
    assert len(said) == 4 and "tried again" in said[0]


@pytest.mark.parametrize("where", [BaseProcess, SharedMemory])
def test_a_wire_process_is_refused_in_one_line(
    place: Place, monkeypatch: pytest.MonkeyPatch, made: list[str], where: type
) -> None:
    settings = load(place.write(PLAIN))
    with monkeypatch.context() as patched:
        if where is BaseProcess:
            patched.setattr(BaseProcess, "start", fail(*MANY))
        else:
            patched.setattr("flocksy.seam.shape.shared_memory.SharedMemory", fail(*SPACE))
        with pytest.raises(FlocksyError, match="wire process cannot be started") as refused:
            WireProcess(settings)
    assert "\n" not in str(refused.value)
    assert not left(made)


@pytest.mark.skipif(sys.platform != "linux", reason="shared memory of Linux")
def test_a_wire_process_is_refused_where_its_memory_has_no_room(
    place: Place, monkeypatch: pytest.MonkeyPatch, made: list[str]
) -> None:
    """Else it would be killed at the first page that is not there, without a word."""
    settings = load(place.write(PLAIN))
    with monkeypatch.context() as patched:
        patched.setattr(os, "posix_fallocate", fail(OSError, errno.ENOSPC, "No space left"))
        with pytest.raises(FlocksyError, match="wire process cannot be started") as refused:
            WireProcess(settings)
    words = str(refused.value)
    assert re.search(r"/dev/shm has no room for \d+ MiB", words) and "make room" in words
    assert "\n" not in words
    assert made and not left(made)


@pytest.mark.skipif(sys.platform != "linux", reason="classes and slices of Linux")
def test_the_wire_is_first_without_any_right_and_the_scanner_last(
    place: Place, short_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All threads of it: libzmq's encrypt the cells."""
    here = make_settings([f"ipc://{short_path}/{number}" for number in range(3)])[0]
    monkeypatch.setattr("flocksy.node.processes.wire_settings", lambda *_: here)
    wire, scanner = WireProcess(load(place.write(PLAIN))), _new_scanner()
    try:
        assert wire.process.pid is not None
        for process, policy in ((wire.process, os.SCHED_OTHER), (scanner, os.SCHED_BATCH)):
            # With its second thread it has tuned itself.
            wait_until(lambda pid=process.pid: len(threads_of(pid)) > 1, "its threads", 30.0)
            threads = threads_of(process.pid)
            assert {os.sched_getscheduler(thread) for thread in threads} == {policy}
            if process is scanner:
                assert {os.getpriority(os.PRIO_PROCESS, thread) for thread in threads} == {NICENESS}
        assert os.getsid(wire.process.pid) == wire.process.pid
        slices = {processes.time_slice_ns(thread) for thread in threads_of(wire.process.pid)}
        assert slices == ({processes.SHORT_SLICE_NS} if has_slices() else {None})
    finally:
        scanner.stop()
        wire.close()


def threads_of(pid: int | None) -> list[int]:
    return [int(name) for name in os.listdir(f"/proc/{pid}/task")]


def has_slices() -> bool:
    release = tuple(int(part) for part in os.uname().release.split(".")[:2])
    return release >= (6, 12)
