"""Chunks on their way out."""

from __future__ import annotations

import errno
import os
import random
from collections.abc import Iterator
from pathlib import Path

import pytest
import zstandard

from flocksy.boxes.content.reader import (
    LONGEST_PIECE_BYTES,
    SPOOL_BYTES,
    ChunkReader,
    Outbound,
    SpoolReader,
    prepared,
)
from flocksy.boxes.disk.filesystem import RealDisk
from flocksy.boxes.scan.chunking import cut
from flocksy.errors import FlocksyError
from flocksy.index.store import BoxIndex
from flocksy.sync.content import Chunk, build_list, chunk_id
from flocksy.sync.trees import DiskEntry
from flocksy.sync.version import Kind

NOISE = random.Random(1).randbytes(300_000)
TEXT = b"all work and no play makes jack a dull boy\n" * 5000


@pytest.fixture
def index(tmp_path: Path) -> Iterator[BoxIndex]:
    (tmp_path / "box").mkdir()
    opened = BoxIndex.open(tmp_path / "box.sqlite")
    yield opened
    opened.close()


@pytest.fixture
def reader(tmp_path: Path, index: BoxIndex) -> Iterator[ChunkReader]:
    with RealDisk(str(tmp_path / "box")) as disk:
        opened = ChunkReader(disk, index.contents)
        yield opened
        opened.close()


def put(index: BoxIndex, path: Path, data: bytes) -> bytes:
    """A file as scanned; returns its root."""
    path.write_bytes(data)
    pieces = cut(data)
    listed = build_list(Chunk(piece.id, piece.length) for piece in pieces)
    index.set_local(path.name, DiskEntry(Kind.FILE, 0o644, 1, len(data), listed.root))
    index.contents.put(listed.root, pieces, listed.blobs())
    return listed.root


def unpacked(chunk: Outbound | None) -> bytes:
    assert chunk is not None
    data = zstandard.decompress(chunk.data) if chunk.compressed else chunk.data
    assert len(data) == chunk.raw_length
    return data


@pytest.mark.parametrize("data", [NOISE, TEXT])
def test_chunks_and_lists_are_read_by_id(
    index: BoxIndex, reader: ChunkReader, tmp_path: Path, data: bytes
) -> None:
    root = put(index, tmp_path / "box" / "file", data)
    for piece in cut(data):
        for compress in (False, True):
            chunk = reader.read(piece.id, compress=compress)
            assert unpacked(chunk) == data[piece.offset : piece.offset + piece.length]
            assert chunk is not None
            assert chunk.compressed == (compress and data is TEXT)
    assert unpacked(reader.read(root)) == index.contents.blob(root)
    assert reader.read(b"?" * 32) is None
    assert reader.changed() == frozenset()


def test_what_is_not_there_any_more_is_gone_and_named(
    index: BoxIndex, reader: ChunkReader, tmp_path: Path
) -> None:
    for change in ("edit", "cut", "remove", "replace by a link"):
        path = tmp_path / "box" / "file"
        path.unlink(missing_ok=True)
        put(index, path, NOISE)
        wanted = cut(NOISE)[-1].id
        assert reader.read(wanted) is not None
        if change == "edit":
            path.write_bytes(NOISE[::-1])
        elif change == "cut":
            os.truncate(path, 10)
        else:
            reader.changed()
            reader.changed()  # nothing was read in between: the handle is let go
            path.unlink()
            if change != "remove":
                path.symlink_to("/dev/zero")
        assert reader.read(wanted) is None, change
        assert reader.changed() == {"file"}
        assert reader.changed() == frozenset()


def test_another_file_with_the_chunk_serves_as_well(
    index: BoxIndex, reader: ChunkReader, tmp_path: Path
) -> None:
    for name in ("a", "b", "c"):
        put(index, tmp_path / "box" / name, NOISE)
    (tmp_path / "box" / "a").unlink()
    (tmp_path / "box" / "b").write_bytes(b"short")
    for piece in cut(NOISE):
        assert unpacked(reader.read(piece.id)) is not None
    assert reader.changed() <= {"a", "b"}


def test_prepared_refuses_what_is_not_the_chunk() -> None:
    assert prepared(chunk_id(NOISE), NOISE[:-1]) is None
    assert unpacked(prepared(chunk_id(TEXT), TEXT)) == TEXT
    assert unpacked(prepared(chunk_id(TEXT), TEXT, compress=True)) == TEXT


def test_cover_goes_round_and_is_random(tmp_path: Path) -> None:
    path = tmp_path / "spool"
    spool = SpoolReader(path)
    assert path.stat().st_mode & 0o777 == 0o600
    turns = SPOOL_BYTES // LONGEST_PIECE_BYTES
    seen = [spool.read(1 << 30) for _ in range(turns + 1)]
    assert all(not chunk.compressed for chunk in seen)
    assert all(chunk.raw_length == LONGEST_PIECE_BYTES for chunk in seen)
    assert len({chunk.id for chunk in seen}) == turns
    assert seen[-1] == seen[0] and seen[0].id == chunk_id(seen[0].data)
    spool.close()
    again = SpoolReader(path)
    assert again.read(1 << 30) == seen[0]
    again.close()
    os.truncate(path, 100)
    anew = SpoolReader(path)
    assert anew.read(1 << 30) != seen[0]
    os.truncate(path, LONGEST_PIECE_BYTES)
    with pytest.raises(FlocksyError, match="cut off"):
        anew.read(1 << 30)
    anew.close()


@pytest.mark.parametrize("wanted", [16 << 10, 64 << 10, 1 << 20])
def test_cover_comes_in_pieces_as_long_as_wanted(tmp_path: Path, wanted: int) -> None:
    spool = SpoolReader(tmp_path / "spool")
    lengths = {spool.read(wanted).raw_length for _ in range(3 * SPOOL_BYTES // (16 << 10))}
    assert lengths == {min(wanted, LONGEST_PIECE_BYTES)}
    spool.close()


def test_a_spool_that_cannot_be_read_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "spool"
    spool = SpoolReader(path)

    def sick(*_: object) -> bytes:
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr("flocksy.boxes.content.reader.files.read_at", sick)
    for use in (lambda: spool.read(1), lambda: SpoolReader(path)):
        with pytest.raises(FlocksyError, match=rf"{path} cannot be read: Input.*: remove it"):
            use()
    spool.close()


def test_a_spool_that_cannot_be_made_is_said(tmp_path: Path) -> None:
    with pytest.raises(FlocksyError, match="nowhere"):
        SpoolReader(tmp_path / "nowhere" / "spool")
