"""How the benchmark of large files judges what a change has cost."""

from __future__ import annotations

from benchmarks.delta import judged


def test_twice_what_rsync_exchanges_with_both_receivers_is_enough() -> None:
    said, too_much = judged("inserted", 1.0, 0.25)
    assert "ours is 2.00 of it" in said
    assert "and 4.00 of what it is for one receiver" in said
    assert not too_much


def test_more_than_that_is_too_much_and_said_in_one_line() -> None:
    said, too_much = judged("inserted", 1.01, 0.25)
    assert "ours is 2.02 of it" in said
    assert too_much == "inserted: 1.010 MiB in lanes, more than 2 times the 0.500 MiB of rsync"
