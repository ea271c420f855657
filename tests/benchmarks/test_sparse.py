"""How the benchmark of sparse files judges the memory of processes."""

from __future__ import annotations

from benchmarks.sparse import FLAT_MIB, MOST_MIB, beyond


def test_as_much_with_any_size_is_flat() -> None:
    assert beyond({2: {"box": 70, "wire": 50}, 20: {"box": 70 + FLAT_MIB, "wire": 45}}) == []


def test_more_than_any_process_may_have() -> None:
    (line,) = beyond({2: {"box": MOST_MIB, "scanner": MOST_MIB + 1}})
    assert line == "2 GB: the scanner process has had 151 MiB, more than 150"


def test_more_with_a_larger_file() -> None:
    (line,) = beyond({2: {"box": 70}, 20: {"box": 71 + FLAT_MIB}})
    assert line == "20 GB: the box process has had 87 MiB, and 70 with 2 GB"
