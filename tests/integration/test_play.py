"""A round of the newcomer's play (`make play` has more of them)."""

from __future__ import annotations

import random
import shutil

import pytest

from tests.integration.play import run


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_a_repository_photos_mail_and_a_build_on_a_drive_that_comes_and_goes() -> None:
    for tool in ("git", "make"):
        if shutil.which(tool) is None:
            pytest.skip(f"there is no {tool} on this machine")
    run(1, random.randrange(1 << 32))
