"""How the benchmark of boxes with very many files judges memory and the cost of one change."""

from __future__ import annotations

from benchmarks.crowd import beyond


def test_what_was_measured_is_not_too_much() -> None:
    assert beyond(100_000, 162, [1.3], looks=True) == []
    assert beyond(100_000, 147, [0.01, 0.02]) == []
    assert beyond(1_000_000, 829, []) == []


def test_more_memory_than_so_many_files_may_take() -> None:
    assert beyond(100_000, 200, []) == []
    (line,) = beyond(100_000, 201, [])
    assert line == "100000 files: a process has had 201 MiB, more than 200"


def test_one_change_that_costs_more_than_it_may_in_any_box() -> None:
    """One of them may have met a checkpoint of the index."""
    assert beyond(1_000_000, 829, [0.02, 0.25, 3.0]) == []
    (line,) = beyond(1_000_000, 829, [0.02, 0.251, 3.0])
    assert line == "1000000 files: one change has taken 0.251 CPU seconds, more than 0.25"


def test_a_look_at_the_whole_box_costs_more_in_a_larger_one() -> None:
    assert beyond(100_000, 162, [5.0], looks=True) == []
    (line,) = beyond(100_000, 162, [5.1], looks=True)
    assert line == "100000 files: one change has taken 5.100 CPU seconds, more than 5"
