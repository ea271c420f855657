"""Where content is cut, and that all nodes cut alike."""

from __future__ import annotations

import os
import random
import tempfile

import pyfastcdc
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flocksy.boxes.scan.chunking import (
    WINDOW_BYTES,
    ContentChangedError,
    cut,
    cut_file,
)
from flocksy.index.contents import Piece
from flocksy.sync.content import (
    LARGEST_AVERAGE_BYTES,
    MAX_CHUNK_BYTES,
    SMALLEST_AVERAGE_BYTES,
    average_size,
    chunk_id,
)

VECTOR = [18954, 8457, 21687, 19075, 30609, 19245, 18278, 18536, 5159]


def pieces_of_file(data: bytes, size: int | None = None) -> list[Piece]:
    with tempfile.TemporaryFile() as file:
        file.write(data)
        file.flush()
        os.lseek(file.fileno(), 0, os.SEEK_SET)
        return list(cut_file(file.fileno(), len(data) if size is None else size))


def test_the_cutter_runs_as_machine_code() -> None:
    """In Python it is a hundred times slower."""
    assert ".cy." in pyfastcdc.FastCDC.__module__


@pytest.mark.parametrize(
    ("size", "average"),
    [
        (0, SMALLEST_AVERAGE_BYTES),
        (16 << 20, 16 << 10),
        (2896 * (16 << 10), 16 << 10),
        (2897 * (16 << 10), 32 << 10),
        (512 << 20, 256 << 10),
        (2 << 30, LARGEST_AVERAGE_BYTES),
        (1 << 40, LARGEST_AVERAGE_BYTES),
    ],
)
def test_the_average_follows_from_the_size_alone(size: int, average: int) -> None:
    assert average_size(size) == average


@pytest.mark.parametrize("power", range(10, 45))
def test_a_little_more_or_less_than_a_power_of_two_is_cut_alike(power: int) -> None:
    """Disks, images and test files have such sizes. Cut otherwise, all of it would travel again."""
    size = 1 << power
    assert average_size(size - size // 8) == average_size(size) == average_size(size + size // 8)


@given(st.integers(0, 1 << 50))
def test_the_average_is_a_power_of_two_in_its_bounds(size: int) -> None:
    average = average_size(size)
    assert average.bit_count() == 1
    assert SMALLEST_AVERAGE_BYTES <= average <= LARGEST_AVERAGE_BYTES


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 400_000), st.integers(0, 2**32))
def test_pieces_join_to_the_content(size: int, seed: int) -> None:
    data = random.Random(seed).randbytes(size)
    pieces = cut(data)
    assert pieces == pieces_of_file(data)
    at = 0
    for piece in pieces:
        assert piece.offset == at
        assert 0 < piece.length <= MAX_CHUNK_BYTES
        assert piece.id == chunk_id(data[at : at + piece.length])
        at += piece.length
    assert at == size


@pytest.mark.parametrize("extra", [0, 1, 5_000_000])
def test_a_file_of_several_windows_is_cut_as_in_one_piece(extra: int) -> None:
    data = random.Random(1).randbytes(2 * WINDOW_BYTES + extra)
    assert pieces_of_file(data) == cut(data)


def test_the_same_bytes_are_cut_the_same_on_every_machine() -> None:
    """A fixed vector: if it changes, nodes of two versions share no chunks any more."""
    data = b"".join(chunk_id(number.to_bytes(4, "big")) for number in range(5000))
    assert [piece.length for piece in cut(data)] == VECTOR


def test_an_insertion_changes_few_pieces() -> None:
    data = random.Random(2).randbytes(4_000_000)
    before = {piece.id for piece in cut(data)}
    after = cut(b"inserted" + data)
    assert sum(piece.id not in before for piece in after) <= 2


def test_a_file_that_became_shorter_is_told() -> None:
    with pytest.raises(ContentChangedError):
        pieces_of_file(b"x" * 100_000, 100_001)


def test_a_file_that_became_longer_is_cut_up_to_the_given_size() -> None:
    data = random.Random(3).randbytes(100_000)
    assert pieces_of_file(data + b"more", len(data)) == cut(data)
