"""Lengths of bursts fall into few classes, none of them much too long."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flocksy.protocol.padding import MAX_BURST_CELLS, MIN_BURST_CELLS, padded


@pytest.mark.parametrize(
    ("need", "length"),
    [
        (1, 64),
        (64, 64),
        (65, 128),
        (128, 128),
        (129, 256),
        (1000, 1024),
        (1024, 1024),
        # E = 10, S = 4: multiples of 2^6.
        (1025, 1088),
        (2047, 2048),
        # E = 11, S = 4: multiples of 2^7.
        (2049, 2176),
        # E = 16, S = 5: multiples of 2^11.
        (65_537, 67_584),
    ],
)
def test_table(need: int, length: int) -> None:
    assert padded(need) == length


@given(st.integers(1, MAX_BURST_CELLS))
def test_is_long_enough_and_stable(need: int) -> None:
    length = padded(need)
    assert length >= max(need, MIN_BURST_CELLS)
    assert padded(min(length, MAX_BURST_CELLS)) == length


@given(st.integers(1024, MAX_BURST_CELLS))
def test_padme_costs_at_most_12_percent(need: int) -> None:
    assert padded(need) <= need * 1.12


@given(st.integers(1, MAX_BURST_CELLS - 1))
def test_is_monotone(need: int) -> None:
    assert padded(need) <= padded(need + 1)


@pytest.mark.parametrize("need", [0, -1, MAX_BURST_CELLS + 1])
def test_refuses(need: int) -> None:
    with pytest.raises(ValueError, match="a burst has"):
        padded(need)
