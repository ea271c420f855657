"""File systems, and where they are mounted."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from flocksy.system import filesystems


def test_the_table_of_mounts_names_where_we_are() -> None:
    found = filesystems.mounts()
    if not found:
        pytest.skip("this system tells no mounts")
    assert any(one.point == "/" for one in found)
    with open("/proc/self/mountinfo", encoding="utf-8") as table:
        assert len(found) == sum(1 for _ in table)
    assert filesystems._plain("/media/a\\040b\\134c") == "/media/a b\\c"


def test_a_file_system_has_one_number(tmp_path: Path) -> None:
    numbers = set()
    for path in (tmp_path, tmp_path.parent, tmp_path):
        handle = os.open(path, os.O_RDONLY)
        numbers.add(filesystems.identity(handle))
        os.close(handle)
    assert len(numbers) == 1
    assert 0 <= numbers.pop() < 1 << 63
