"""Renames that replace nothing, and those that exchange."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from flocksy.system import renames


def test_renames(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("a")
    (tmp_path / "b").write_text("b")
    handle = os.open(tmp_path, os.O_RDONLY)
    try:
        with pytest.raises(FileExistsError):
            renames.rename_noreplace(handle, "a", handle, "b")
        renames.rename_exchange(handle, "a", handle, "b")
        assert (tmp_path / "a").read_text() == "b"
        with pytest.raises(FileNotFoundError):
            renames.rename_exchange(handle, "a", handle, "c")
        renames.rename_noreplace(handle, "a", handle, "c")
        assert (tmp_path / "c").read_text() == "b"
    finally:
        os.close(handle)
