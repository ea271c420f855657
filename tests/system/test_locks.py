"""A lock is held by one, and ends with its process."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from flocksy.system import locks


def test_a_lock_is_held_by_one(tmp_path: Path) -> None:
    path = str(tmp_path / "lock")
    held = locks.lock_file(path)
    assert held is not None
    assert locks.lock_file(path) is None
    assert os.stat(path).st_mode & 0o777 == 0o600
    held.close()
    held.close()
    with locks.lock_file(path) or pytest.fail("the lock was not given back"):
        assert locks.lock_file(path) is None
    again = locks.lock_file(path)
    assert again is not None
    again.close()


def test_a_lock_ends_with_its_process(tmp_path: Path) -> None:
    path = str(tmp_path / "lock")
    script = (
        "import sys; from flocksy.system import locks; held = locks.lock_file(sys.argv[1]);"
        " print(held is not None, flush=True); sys.stdin.read()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", script, path], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as child:
        assert child.stdout is not None
        assert child.stdout.readline() == b"True\n"
        assert locks.lock_file(path) is None
        child.kill()
    held = locks.lock_file(path)
    assert held is not None
    held.close()


def test_a_lock_that_cannot_be_made(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        locks.lock_file(str(tmp_path / "missing" / "lock"))
