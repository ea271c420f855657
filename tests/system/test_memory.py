"""Secrets in memory."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from flocksy.system import memory


def test_a_secret_is_wiped_where_it_lies() -> None:
    for secret in (os.urandom(40).hex(), os.urandom(40)):
        length = len(secret)
        assert memory.wipe(secret)
        assert len(secret) == length
        assert set(secret) <= {"\0", 0}


def test_what_may_be_shared_is_no_secret() -> None:
    assert not memory.wipe("")
    assert not memory.wipe("short")
    text = "".join(["a secret with ", chr(0x17E)])
    assert not memory.wipe(text)
    assert text.startswith("a secret")


@pytest.mark.skipif(sys.platform == "win32", reason="has no mlock")
def test_a_secret_is_locked_in_memory() -> None:
    script = (
        "import os; from flocksy.system import memory\n"
        "secret = os.urandom(40).hex()\n"
        "done = memory.lock_in_memory(secret)\n"
        "locked = [line.split()[1] for line in open('/proc/self/status') if 'VmLck' in line]\n"
        "print(done, locked[0] if locked else '-')\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    told, kibibytes = done.stdout.split()
    if told == "False":
        pytest.skip("this system lets nobody lock memory")
    assert kibibytes != "0"


@pytest.mark.skipif(sys.platform == "win32", reason="has no core dumps")
def test_a_crash_leaves_no_image_of_the_memory() -> None:
    script = (
        "import resource; from flocksy.system import memory\n"
        "print(memory.forbid_core_dumps(), resource.getrlimit(resource.RLIMIT_CORE))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    assert done.stdout == "True (0, 0)\n"
