"""What a run that died has left among the temporaries."""

from __future__ import annotations

import os
import random
from pathlib import Path

from flocksy.boxes.apply.folders import make_folders
from flocksy.boxes.content.staging import Staging
from flocksy.boxes.disk.filesystem import RealDisk
from flocksy.index.store import BoxIndex
from tests.boxes.test_permissions import ordinarily, own_place
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


def test_a_temporary_that_was_to_be_read_only_is_gone_on_with(own_place: Path) -> None:
    """It has its mode before it has its place."""

    def do() -> None:
        (own_place / "box").mkdir()
        disk = RealDisk(str(own_place / "box"))
        make_folders(disk)
        index = BoxIndex.open(own_place / "index.sqlite")
        name = complete(Staging(disk, index.contents))
        (own_place / "box" / name).chmod(0o644)
        with open(own_place / "box" / name, "r+b") as file:
            file.write(bytes(1000))  # some of it is wrong, and has to come once more
        (own_place / "box" / name).chmod(0o444)
        staging = Staging(disk, index.contents)
        staging.expect("f", ROOT, len(DATA))
        staging.advance(BUDGET)
        assert len(staging.wants(100)) == 1
        assert complete(staging) == name
        assert (own_place / "box" / name).read_bytes() == DATA
        index.close()
        disk.close()

    ordinarily(do)
