"""Files that are larger than a disk can hold: held back there and named, no trouble for others."""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import ClassVar

import pytest

from flocksy.boxes.apply import probe
from flocksy.boxes.content.staging import Staging
from flocksy.boxes.disk.filesystem import RealDisk
from flocksy.sync.content import MAX_CHUNK_BYTES, Chunk, build_list, chunk_id
from tests.boxes.flock_of_boxes import Flock, flock, spool
from tests.boxes.mounts import MIB
from tests.boxes.test_staging import BUDGET, Bench, bench, content

__all__ = ["bench", "flock", "spool"]

resource = pytest.importorskip("resource")

MOST_BYTES = 8 * MIB
FILM = bytes(MOST_BYTES + MIB) + random.Random(1).randbytes(MIB)


@contextmanager
def no_larger_files(most_bytes: int) -> Iterator[None]:
    """The system refuses to write beyond there, as it does on FAT."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (most_bytes, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_a_part_of_a_file_that_is_too_large_is_taken_for_the_others(bench: Bench) -> None:
    part = random.Random(2).randbytes(MAX_CHUNK_BYTES)
    times = MOST_BYTES // len(part) + 1
    film = build_list([Chunk(chunk_id(part), len(part))] * times)
    small, _ = content(b"small")
    alone = build_list([Chunk(chunk_id(part), len(part))])
    staging = bench.staging()
    with no_larger_files(MOST_BYTES):
        for path, listed, size in (("film", film, times * len(part)), ("part", alone, len(part))):
            staging.expect(path, listed.root, size)
            assert staging.write(listed.root, listed.top)
        staging.advance(BUDGET)
        assert staging.write(chunk_id(part), part)
        staging.inline("small", small.root, b"small")
    assert [one.path for one in staging.complete()] == ["part", "small"]
    assert staging.wants(10) == [] and staging.trouble() is None
    assert len(part) <= staging.max_file_bytes < times * len(part)
    assert len(bench.temporaries()) == 2, "nothing of it is left"
    staging.close()


def test_a_disk_that_refuses_a_large_file_takes_all_others(tmp_path: Path, spool: Path) -> None:
    with Flock(tmp_path, spool, size=2) as flock:
        flock.settle()
        flock.write(0, "film", FILM)
        flock.write(0, "photo", random.Random(3).randbytes(MIB))
        with no_larger_files(MOST_BYTES):
            flock.settle()
            assert flock.tree(1) == {"photo"}
            (problem,) = flock.box(1).problems.items()
            assert problem[0] == "film" and f"a file of {len(FILM)} bytes" in problem[1]
            assert not flock.box(0).problems and not flock.box(1).staging.roots()
            flock.stay_settled()
            with no_larger_files(1 << 40):
                flock.write(0, "film 2", FILM[1:])
            flock.write(0, "photo", "smaller")
            flock.settle()
            assert flock.path(1, "photo").read_text() == "smaller"
            assert flock.box(1).problems.keys() == {"film", "film 2"}
            flock.stay_settled()
        # What refuses may be mended, or be another disk: it is tried out after each start.
        flock.stop(1)
        flock.restart(1)
        flock.settle_equal()


class Stick(RealDisk):
    """A disk of the type that holds no large file, where its root is in `sticks`."""

    sticks: ClassVar[set[str]] = set()

    def type_name(self) -> str:
        return "vfat" if self.root in self.sticks else super().type_name()


@pytest.fixture
def stick(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The box of the third node. To be asked for before the flock is made."""
    place = tmp_path / "box2"
    monkeypatch.setattr("flocksy.boxes.activation.RealDisk", Stick)
    monkeypatch.setattr(probe, "_MAX_FILE_BYTES", {"vfat": MIB})
    Stick.sticks.add(str(place))
    yield place
    Stick.sticks.clear()


def test_fat_holds_less_than_four_gib(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with RealDisk(str(tmp_path)) as disk:
        assert probe.probe(disk).max_file_bytes > 1 << 50
        monkeypatch.setattr(disk, "type_name", lambda: "vfat")
        assert probe.probe(disk).max_file_bytes == (4 << 30) - 1


def test_what_is_known_to_be_too_large_is_never_asked_for(
    stick: Path, flock: Flock, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected: list[tuple[Staging, str]] = []
    expect = Staging.expect

    def noted(self: Staging, path: str, root: bytes, size: int, owner: str | None = None) -> None:
        expected.append((self, path))
        expect(self, path, root, size, owner)

    monkeypatch.setattr(Staging, "expect", noted)
    flock.write(0, "film", FILM)
    flock.write(0, "folder/film", FILM[1:])
    flock.settle()
    assert flock.tree(1) == flock.tree(0) == {"film", "folder", "folder/film"}
    assert flock.tree(2) == {"folder"}
    assert flock.box(2).problems.keys() == {"film", "folder/film"}
    flock.stop(2)
    flock.restart(2)
    flock.settle()
    flock.stay_settled()
    assert flock.box(2).problems.keys() == {"film", "folder/film"}
    assert (flock.box(2).staging, "film") not in expected
    assert not list((stick / ".flocksy" / "incoming").iterdir())


def test_what_was_small_enough_stays_until_it_is_so_again(stick: Path, flock: Flock) -> None:
    del stick
    flock.write(0, "film", "the first second")
    flock.write(0, "gone", "the first second, too")
    flock.settle_equal()
    flock.write(0, "film", FILM)
    flock.write(0, "gone", FILM[1:])
    flock.settle()
    assert flock.path(2, "film").read_text() == "the first second"
    assert flock.box(2).problems.keys() == {"film", "gone"}
    flock.path(2, "gone").unlink()
    flock.settle()
    assert flock.path(1, "gone").exists(), "another version than was deleted"
    flock.write(1, "film", "cut")
    flock.write(1, "gone", "cut, too")
    flock.settle_equal()
    assert flock.path(2, "film").read_text() == "cut"
