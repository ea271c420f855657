"""Reading and writing at a place, and what nothing was written to."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from flocksy.system import files


def test_reading_and_writing_at_a_place(tmp_path: Path) -> None:
    handle = os.open(tmp_path / "f", os.O_RDWR | os.O_CREAT, 0o600)
    try:
        files.write_at(handle, b"world", 5)
        files.write_at(handle, memoryview(b"hello"), 0)
        assert files.read_at(handle, 100, 3) == b"loworld"
        assert files.read_at(handle, 5, 100) == b""
    finally:
        os.close(handle)


def test_what_nothing_was_written_to_is_a_hole(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"x" * 4096)
    os.truncate(path, 1 << 20)
    with path.open("r+b") as file:
        handle = file.fileno()
        if files.is_hole(handle, 0, 4096) or not files.is_hole(handle, 1 << 19, 4096):
            pytest.skip("this file system has no holes")
        assert files.is_hole(handle, 4096, (1 << 20) - 4096)
        assert not files.is_hole(handle, 4096, 1 << 20), "not beyond its end"
        assert not files.is_hole(handle, 0, 1 << 20)
        files.write_at(handle, b"y", 1 << 19)
        assert not files.is_hole(handle, 1 << 18, 1 << 19)
        assert files.is_hole(handle, 4096, 4096)
