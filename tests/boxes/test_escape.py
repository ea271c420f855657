"""Somebody swaps directories for links while we work: nothing outside is read or written."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from flocksy.boxes.content.reader import ChunkReader
from flocksy.boxes.disk.filesystem import RealDisk
from flocksy.boxes.scan.findings import Seen
from flocksy.boxes.scan.looking import Look
from flocksy.boxes.scan.walk import Walk
from flocksy.errors import FlocksyError
from flocksy.index.contents import Piece
from flocksy.index.known import KnownTree
from flocksy.sync.content import Chunk, build_list, chunk_id
from flocksy.sync.operations import DiskOperation
from flocksy.sync.trees import DiskEntry
from flocksy.sync.version import Kind
from flocksy.system import files
from tests.boxes.bench import Bench, finish

ROUNDS = 60
READS = 2_000
SECRET = b"nobody in the flock may ever see this"


class Walking(RealDisk):
    """Without openat2: component by component."""

    def __init__(self, root: str) -> None:
        super().__init__(root)
        self._openat2 = False


class Poor(Walking):
    """Also without renames that exchange or do not replace."""

    def __init__(self, root: str) -> None:
        super().__init__(root)
        self._exchange = self._noreplace = False


@pytest.fixture
def outside(tmp_path: Path) -> Path:
    """What an attacker would like us to read, or to write over."""
    made = tmp_path / "outside"
    (made / "deep").mkdir(parents=True)
    for name in ("f", "g", "deep/f", "deep/g"):
        (made / name).write_bytes(SECRET)
    (made / "f").chmod(0o640)
    return made


def look(folder: Path) -> dict[str, tuple[int, int, bytes]]:
    """Everything about a directory that an escape would change."""
    return {
        str(path.relative_to(folder)): (
            path.stat().st_mode,
            path.stat().st_mtime_ns,
            path.read_bytes() if path.is_file() else b"",
        )
        for path in folder.rglob("*")
    }


@contextmanager
def swapping(box: Path, outside: Path, *names: str) -> Iterator[None]:
    """Directories of the box become links to `outside` and directories again, all the time."""
    stop = threading.Event()

    def swap() -> None:
        while not stop.is_set():
            for name in names:
                path, aside = box / name, box / f"{name.replace('/', '-')} aside"
                with suppress(OSError):
                    path.rename(aside)
                    path.symlink_to(outside)
                # Time for somebody to walk into it.
                os.sched_yield()
                with suppress(OSError):
                    path.unlink()
                with suppress(OSError):
                    aside.rename(path)

    thread = threading.Thread(target=swap)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()


@pytest.mark.parametrize("kind", [RealDisk, Walking, Poor])
def test_the_applier_writes_nothing_outside(
    tmp_path: Path, outside: Path, kind: type[RealDisk]
) -> None:
    (tmp_path / "box").mkdir()
    bench = Bench(tmp_path, kind(str(tmp_path / "box")))
    bench.apply(
        bench.make_directory("d"),
        bench.make_directory("d/deep"),
        *(bench.put(f"d/{name}", b"ours") for name in ("f", "g", "deep/f", "deep/g")),
    )
    before = look(outside)
    with swapping(bench.root, outside, "d", "d/deep"):
        for number in range(ROUNDS):
            content = b"ours, %d" % number
            operations: list[DiskOperation] = [
                bench.put("d/f", content),
                bench.put(f"d/new {number}", content),
                bench.put("d/deep/f", content),
                bench.make_directory(f"d/deep/made {number}"),
                bench.put_link(f"d/deep/link {number}", "/etc/passwd"),
                bench.set_metadata("d/g", 0o600 + number % 8, number),
            ]
            if bench.index.local("d/deep/g") is not None:
                operations.append(bench.remove("d/deep/g"))
            try:
                bench.apply(*operations)
            except FlocksyError:
                # Where an exchange takes two steps it may be cut: then the box rests and recovers.
                with suppress(FlocksyError, OSError):
                    finish(bench.applier.recover())
    finish(bench.applier.recover())
    assert look(outside) == before
    assert SECRET not in bench.kept().values()
    bench.close()


@pytest.mark.parametrize("kind", [RealDisk, Walking])
def test_the_scanner_reads_nothing_outside(
    tmp_path: Path, outside: Path, kind: type[RealDisk]
) -> None:
    (tmp_path / "box").mkdir()
    bench = Bench(tmp_path, kind(str(tmp_path / "box")))
    (bench.root / "d" / "deep").mkdir(parents=True)
    for name in ("f", "deep/f", "deep/g"):
        (bench.root / "d" / name).write_bytes(b"ours")
    seen: set[bytes] = set()
    with swapping(bench.root, outside, "d", "d/deep"):
        for _ in range(ROUNDS):
            known = KnownTree(tmp_path / "index.sqlite")
            walk = Walk(bench.disk, known, Look())
            for finding in (*walk.whole(), *walk.paths(["d/deep/f", "d/deep/g", "d/f"])):
                if isinstance(finding, Seen) and finding.inline is not None:
                    seen.add(finding.inline)
            known.close()
    assert b"ours" in seen
    assert SECRET not in seen
    bench.close()


@pytest.mark.parametrize("kind", [RealDisk, Walking])
def test_what_is_served_is_never_read_outside(
    tmp_path: Path, outside: Path, kind: type[RealDisk], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not even to be found other than its id says, which is what would be left to hide it."""
    (tmp_path / "box").mkdir()
    bench = Bench(tmp_path, kind(str(tmp_path / "box")))
    (bench.root / "d" / "deep").mkdir(parents=True)
    ours = b"ours".ljust(len(SECRET))
    piece = Piece(0, len(ours), chunk_id(ours))
    root = build_list([Chunk(piece.id, piece.length)]).root
    for name in ("d/f", "d/deep/f", "d/deep/g"):
        (bench.root / name).write_bytes(ours)
        bench.index.set_local(name, DiskEntry(Kind.FILE, 0o644, 1, len(ours), root))
    bench.index.contents.put(root, [piece])
    read: set[bytes] = set()
    read_at = files.read_at

    def noting(descriptor: int, length: int, offset: int) -> bytes:
        data = read_at(descriptor, length, offset)
        read.add(data)
        return data

    monkeypatch.setattr("flocksy.boxes.content.reader.files.read_at", noting)
    reader = ChunkReader(bench.disk, bench.index.contents)
    served: set[bytes] = set()
    with swapping(bench.root, outside, "d", "d/deep"):
        for _ in range(READS):
            chunk = reader.read(piece.id)
            if chunk is not None:
                served.add(chunk.data)
            reader.close()  # to be opened anew
    assert served == {ours}
    assert read == {ours}
    assert reader.changed() <= {"d/f", "d/deep/f", "d/deep/g"}
    bench.close()


def test_a_file_of_the_flock_below_a_link_made_here(tmp_path: Path, outside: Path) -> None:
    """The parent is a link when the batch begins: no race needed, and none won."""
    (tmp_path / "box").mkdir()
    bench = Bench(tmp_path)
    (bench.root / "d").symlink_to(outside)
    before = look(outside)
    bench.apply(bench.put("d/f", b"ours"), bench.put("d/new", b"ours"), bench.make_directory("d/x"))
    assert look(outside) == before
    assert os.readlink(bench.root / "d") == str(outside)
    bench.close()
