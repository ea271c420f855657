"""How the benchmark of large files judges what a change has cost."""

from __future__ import annotations

from benchmarks.delta import judged


def test_twice_what_rsync_exchanges_with_one_receiver_is_enough() -> None:
    said, too_much = judged("inserted", 0.5, 0.25)
    assert "ours is 2.00 of it" in said
    assert "and 1.00 of what it is for both receivers" in said
    assert not too_much


def test_more_than_that_is_too_much_and_said_in_one_line() -> None:
    said, too_much = judged("inserted", 0.51, 0.25)
    assert "ours is 2.04 of it" in said
    assert too_much == "inserted: 0.510 MiB in lanes, more than 2 times the 0.250 MiB of rsync"
