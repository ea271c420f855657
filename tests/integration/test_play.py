"""A round of the newcomer's play (`make play` has more of them)."""

from __future__ import annotations

import os
import random
import shutil
from pathlib import Path

import pytest

from tests.boxes.mounts import MUST_MOUNT
from tests.integration.play import Drawer, a_stick, run


def test_where_nothing_can_be_mounted_it_is_said(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    monkeypatch.delenv(MUST_MOUNT, raising=False)
    stick = a_stick(tmp_path)
    assert isinstance(stick, Drawer) and "nothing can be mounted" in stick.what
    monkeypatch.setenv(MUST_MOUNT, "1")
    with pytest.raises(pytest.fail.Exception, match=f"{MUST_MOUNT}: only root can mount"):
        a_stick(tmp_path)


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_a_repository_photos_mail_and_a_build_on_a_drive_that_comes_and_goes() -> None:
    for tool in ("git", "make"):
        if shutil.which(tool) is None:
            pytest.skip(f"there is no {tool} on this machine")
    run(1, random.randrange(1 << 32))
