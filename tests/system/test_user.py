"""The directory for sockets is its user's alone."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from flocksy.errors import FlocksyError
from flocksy.system import user


def test_the_runtime_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    assert user.runtime_dir() == str(tmp_path)
    monkeypatch.delenv("XDG_RUNTIME_DIR")
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    path = user.runtime_dir()
    assert path == user.runtime_dir() == str(tmp_path / f"flocksy-{os.getuid()}")
    assert os.stat(path).st_mode & 0o777 == 0o700
    os.chmod(path, 0o755)
    with pytest.raises(FlocksyError, match="not a directory of yours alone"):
        user.runtime_dir()
