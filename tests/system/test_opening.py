"""Nothing is opened that is not beneath."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from flocksy.system import opening


def test_open_beneath_stays_beneath(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "f").write_text("1")
    (tmp_path / "in" / "link").symlink_to("f")
    handle = os.open(tmp_path / "in", os.O_RDONLY)
    try:
        os.close(opening.open_beneath(handle, "f", os.O_RDONLY))
        for path in ("..", "../in/f", "link", str(tmp_path / "in" / "f")):
            with pytest.raises(OSError):
                opening.open_beneath(handle, path, os.O_RDONLY)
    finally:
        os.close(handle)
