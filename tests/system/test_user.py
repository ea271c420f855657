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


def test_without_any_room_for_sockets_it_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A disk that takes nothing, and one on which Python finds no place for temporary files."""
    monkeypatch.delenv("XDG_RUNTIME_DIR", raising=False)
    nowhere = str(tmp_path / "nowhere")
    monkeypatch.setattr("tempfile.tempdir", nowhere)
    with pytest.raises(FlocksyError, match=rf"{nowhere}/.*No such file.*set XDG_RUNTIME_DIR"):
        user.runtime_dir()
    monkeypatch.setattr("tempfile.tempdir", None)
    monkeypatch.setattr("tempfile._candidate_tempdir_list", lambda: [nowhere])
    with pytest.raises(FlocksyError, match=r"No usable temporary directory.*set XDG_RUNTIME_DIR"):
        user.runtime_dir()


def test_what_is_own(tmp_path: Path) -> None:
    there, link = tmp_path / "there", tmp_path / "link"
    there.touch()
    link.symlink_to(there)
    assert user.is_own(str(there))
    assert not user.is_own(str(link))
    assert not user.is_own(str(tmp_path / "nowhere"))
