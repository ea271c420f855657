"""Each state of a link that needs words has a sentence, and no two have the same."""

from __future__ import annotations

import pytest

from flocksy.status.links import ADVICE, SAMPLE, advice, who_hears_whom
from flocksy.status.model import BrokenLine
from flocksy.wire import monitor


def test_every_word_of_the_wire_is_explained_once() -> None:
    words = {monitor.DOWN, monitor.REFUSED, monitor.WE_REFUSE, monitor.WRONG_KEY}
    words |= {monitor.NO_FLOCKSY, monitor.TWIN}
    assert set(ADVICE) == words | {SAMPLE}
    assert len(set(ADVICE.values())) == len(ADVICE)


@pytest.mark.parametrize("state", ["live", "this node", "joining", "measuring its clock"])
def test_a_sample_key_is_named_where_nothing_worse_is(state: str) -> None:
    assert advice(state) == ""
    assert advice(state, sample=True) == f"{SAMPLE}: {ADVICE[SAMPLE]}"
    assert advice("down", sample=True) == ADVICE["down"]


def test_settings_that_differ() -> None:
    for members in ("members", "min_view"):
        assert "the same members" in advice(f"setting differs: {members}")
    assert "the same on all members" in advice("setting differs: pace", sample=True)


def test_versions_that_differ() -> None:
    said = advice("speaks version 2 of the protocol, we 1", sample=True)
    assert "update the one with the lower number" in said


@pytest.mark.parametrize(
    ("listener", "speaker", "both_ways", "elsewhere"),
    [
        ("own", "ben", True, False),
        ("ben", "own", True, False),
        ("ben", "carl", True, True),
        ("own", "ben", False, False),
        ("ben", "own", False, True),
        ("ben", "carl", False, True),
    ],
)
def test_who_asks_is_sent_to_whom_it_is_known_best(
    listener: str, speaker: str, both_ways: bool, elsewhere: bool
) -> None:
    line = BrokenLine(listener, speaker, "", "", both_ways=both_ways)
    (said,) = who_hears_whom([line], (), "own")
    assert ("there says more" in said) == elsewhere
