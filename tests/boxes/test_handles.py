"""A few files kept open."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from flocksy.boxes.disk.handles import Handles


def test_those_used_last_stay_open(tmp_path: Path) -> None:
    opened: list[str] = []

    def opener(path: str) -> int:
        opened.append(path)
        return os.open(tmp_path / path, os.O_RDONLY | os.O_CREAT)

    handles = Handles(opener, 2)
    first = handles.get("a")
    assert handles.get("a") == first
    handles.get("b")
    handles.get("a")
    handles.get("c")
    assert opened == ["a", "b", "c"]
    assert os.fstat(first)
    handles.get("b")
    assert opened == ["a", "b", "c", "b"]
    handles.close("b")
    handles.close("never opened")
    handles.close_all()
    with pytest.raises(OSError):
        os.fstat(first)
