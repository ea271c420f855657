"""What only some systems have, on this one."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from flocksy import system
from flocksy.errors import FlocksyError


def test_a_lock_is_held_by_one(tmp_path: Path) -> None:
    path = str(tmp_path / "lock")
    held = system.lock_file(path)
    assert held is not None
    assert system.lock_file(path) is None
    assert os.stat(path).st_mode & 0o777 == 0o600
    held.close()
    held.close()
    with system.lock_file(path) or pytest.fail("the lock was not given back"):
        assert system.lock_file(path) is None
    again = system.lock_file(path)
    assert again is not None
    again.close()


def test_a_lock_ends_with_its_process(tmp_path: Path) -> None:
    path = str(tmp_path / "lock")
    script = (
        "import sys; from flocksy import system; held = system.lock_file(sys.argv[1]);"
        " print(held is not None, flush=True); sys.stdin.read()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", script, path], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as child:
        assert child.stdout is not None
        assert child.stdout.readline() == b"True\n"
        assert system.lock_file(path) is None
        child.kill()
    held = system.lock_file(path)
    assert held is not None
    held.close()


def test_a_lock_that_cannot_be_made(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        system.lock_file(str(tmp_path / "missing" / "lock"))


def test_renames(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("a")
    (tmp_path / "b").write_text("b")
    handle = os.open(tmp_path, os.O_RDONLY)
    try:
        with pytest.raises(FileExistsError):
            system.rename_noreplace(handle, "a", handle, "b")
        system.rename_exchange(handle, "a", handle, "b")
        assert (tmp_path / "a").read_text() == "b"
        with pytest.raises(FileNotFoundError):
            system.rename_exchange(handle, "a", handle, "c")
        system.rename_noreplace(handle, "a", handle, "c")
        assert (tmp_path / "c").read_text() == "b"
    finally:
        os.close(handle)


def test_open_beneath_stays_beneath(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "f").write_text("1")
    (tmp_path / "in" / "link").symlink_to("f")
    handle = os.open(tmp_path / "in", os.O_RDONLY)
    try:
        os.close(system.open_beneath(handle, "f", os.O_RDONLY))
        for path in ("..", "../in/f", "link", str(tmp_path / "in" / "f")):
            with pytest.raises(OSError):
                system.open_beneath(handle, path, os.O_RDONLY)
    finally:
        os.close(handle)


def test_reading_and_writing_at_a_place(tmp_path: Path) -> None:
    handle = os.open(tmp_path / "f", os.O_RDWR | os.O_CREAT, 0o600)
    try:
        system.write_at(handle, b"world", 5)
        system.write_at(handle, memoryview(b"hello"), 0)
        assert system.read_at(handle, 100, 3) == b"loworld"
        assert system.read_at(handle, 5, 100) == b""
    finally:
        os.close(handle)


def test_a_child_dies_with_its_parent() -> None:
    """The grandchild inherits the pipe, whose end shows that it is gone."""
    inner = "import sys, time; from flocksy import system; system.die_with_parent(int(sys.argv[1])); print('up', flush=True); time.sleep(600)"  # noqa: E501  # one line of program
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
    script = "from flocksy import system as s; print(s.set_nice(19), s.set_idle_io())"
    shown = subprocess.run([sys.executable, "-c", script], capture_output=True, check=True)
    assert shown.stdout.split()[0] == b"True"


def test_the_runtime_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    assert system.runtime_dir() == str(tmp_path)
    monkeypatch.delenv("XDG_RUNTIME_DIR")
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    path = system.runtime_dir()
    assert path == system.runtime_dir() == str(tmp_path / f"flocksy-{os.getuid()}")
    assert os.stat(path).st_mode & 0o777 == 0o700
    os.chmod(path, 0o755)
    with pytest.raises(FlocksyError, match="not a directory of yours alone"):
        system.runtime_dir()


def test_the_table_of_mounts_names_where_we_are() -> None:
    found = system.mounts()
    if not found:
        pytest.skip("this system tells no mounts")
    assert any(one.point == "/" for one in found)
    with open("/proc/self/mountinfo", encoding="utf-8") as table:
        assert len(found) == sum(1 for _ in table)
    assert system._plain("/media/a\\040b\\134c") == "/media/a b\\c"


def test_a_file_system_has_one_number(tmp_path: Path) -> None:
    numbers = set()
    for path in (tmp_path, tmp_path.parent, tmp_path):
        handle = os.open(path, os.O_RDONLY)
        numbers.add(system.filesystem_identity(handle))
        os.close(handle)
    assert len(numbers) == 1
    assert 0 <= numbers.pop() < 1 << 63


def test_a_secret_is_wiped_where_it_lies() -> None:
    for secret in (os.urandom(40).hex(), os.urandom(40)):
        length = len(secret)
        assert system.wipe(secret)
        assert len(secret) == length
        assert set(secret) <= {"\0", 0}


def test_what_may_be_shared_is_no_secret() -> None:
    assert not system.wipe("")
    assert not system.wipe("short")
    text = "".join(["a secret with ", chr(0x17E)])
    assert not system.wipe(text)
    assert text.startswith("a secret")


@pytest.mark.skipif(sys.platform == "win32", reason="has no mlock")
def test_a_secret_is_locked_in_memory() -> None:
    script = (
        "import os; from flocksy import system\n"
        "secret = os.urandom(40).hex()\n"
        "done = system.lock_in_memory(secret)\n"
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
        "import resource; from flocksy import system\n"
        "print(system.forbid_core_dumps(), resource.getrlimit(resource.RLIMIT_CORE))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    assert done.stdout == "True (0, 0)\n"


def test_what_nothing_was_written_to_is_a_hole(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"x" * 4096)
    os.truncate(path, 1 << 20)
    with path.open("r+b") as file:
        handle = file.fileno()
        if system.is_hole(handle, 0, 4096) or not system.is_hole(handle, 1 << 19, 4096):
            pytest.skip("this file system has no holes")
        assert system.is_hole(handle, 4096, (1 << 20) - 4096)
        assert not system.is_hole(handle, 4096, 1 << 20), "not beyond its end"
        assert not system.is_hole(handle, 0, 1 << 20)
        system.write_at(handle, b"y", 1 << 19)
        assert not system.is_hole(handle, 1 << 18, 1 << 19)
        assert system.is_hole(handle, 4096, 4096)
