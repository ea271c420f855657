"""What a run that died has left among the temporaries."""

from __future__ import annotations

import os
import random

from flocksy.boxes.content.staging import Staging
from tests.boxes.test_permissions import own_place
from tests.boxes.test_staging import BUDGET, Bench, bench, content, parts

__all__ = ["bench", "own_place"]

DATA = random.Random(1).randbytes(300_000)
ROOT = content(DATA)[0].root


def complete(staging: Staging) -> str:
    """All of the content comes. Returns the temporary."""
    there = parts(DATA)
    staging.expect("f", ROOT, len(DATA))
    staging.advance(BUDGET)
    while wanted := staging.wants(100):
        assert all(staging.write(name, there[name]) for name in wanted)
        staging.advance(BUDGET)
    name = staging.staged("f", ROOT)
    assert name is not None
    return name


def test_what_is_at_its_path_already_is_never_written_into(bench: Bench) -> None:
    """A disk without better renames moves by a link and the removal of the old name; who dies
    between them leaves both."""
    name = complete(bench.staging())
    os.link(bench.root / name, bench.root / "f")
    with open(bench.root / "f", "r+b") as file:
        file.write(b"an edit")
    edited = bench.bytes_of("f")
    assert bench.bytes_of(complete(bench.staging())) == DATA
    assert bench.bytes_of("f") == edited
