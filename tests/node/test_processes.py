"""Processes of a node that cannot be started: no memory, or too many processes or threads."""

from __future__ import annotations

import errno
import gc
import multiprocessing
import os
import threading
from multiprocessing.process import BaseProcess
from multiprocessing.shared_memory import SharedMemory
from types import SimpleNamespace
from typing import cast

import pytest

from flocksy.boxes.scan.scanner import Scanner
from flocksy.config.load import load
from flocksy.errors import FlocksyError
from flocksy.node.node import Node, _new_scanner
from flocksy.node.processes import WireProcess
from flocksy.node.restarts import Restarts
from tests.place import PLAIN, Place

MANY = BlockingIOError, errno.EAGAIN, "Resource temporarily unavailable"
SPACE = FileNotFoundError, errno.ENOENT, "No such file or directory", "/dev/shm/psm_1"


def shared() -> set[str]:
    """What shared memory there is, where the system shows that."""
    return set(os.listdir("/dev/shm")) if os.path.isdir("/dev/shm") else set()


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
    with monkeypatch.context() as patched:
        patched.setattr(threading.Thread, "start", fail(RuntimeError, "can't start new thread"))
        with pytest.raises(FlocksyError, match="can't start new thread"):
            _new_scanner()
    assert "flocksy-scanner" not in {one.name for one in multiprocessing.active_children()}


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
    place: Place, monkeypatch: pytest.MonkeyPatch, where: type
) -> None:
    settings = load(place.write(PLAIN))
    before = shared()
    with monkeypatch.context() as patched:
        if where is BaseProcess:
            patched.setattr(BaseProcess, "start", fail(*MANY))
        else:
            patched.setattr("flocksy.seam.shape.shared_memory.SharedMemory", fail(*SPACE))
        with pytest.raises(FlocksyError, match="wire process cannot be started") as refused:
            WireProcess(settings)
    assert "\n" not in str(refused.value)
    assert shared() == before
