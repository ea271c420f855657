"""A box that nobody else has, or not all: nobody takes it for equal, and the status says who hides
whom in it."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from flocksy.boxes.setup import BoxSetup
from flocksy.config.load import load
from flocksy.node.once import MISSING_SECONDS, Once
from flocksy.node.reports import Reporter
from flocksy.status.model import NOBODY_ELSE, BoxState, BoxStatus
from flocksy.status.render import boxes_lines
from flocksy.status.wording import EXIT_FAULT, EXIT_TIMEOUT
from tests.boxes.flock_of_boxes import Flock, spool
from tests.node.test_once import once_of, words_of
from tests.node.test_wait import waited
from tests.place import PLAIN, Place

__all__ = ["spool"]


class Misspelt(Flock):
    """The first node calls its box otherwise than the others."""

    def setup(self, lane: int) -> BoxSetup:
        setup = super().setup(lane)
        return (
            setup if lane else replace(setup, name="Box", box_id=hashlib.blake2b(b"Box").digest())
        )


@pytest.fixture
def flock(tmp_path: Path, spool: Path) -> Iterator[Misspelt]:
    """The box of the first node is its own."""
    with Misspelt(tmp_path, spool) as made:
        yield made


def status_of(flock: Flock, place: Place, lane: int = 0) -> BoxStatus:
    node, settings = flock.nodes[lane], load(place.write(PLAIN))
    reporter = Reporter(settings, node.exchange, node.keeper)
    return reporter.box_status(node.keeper.boxes[0])


def test_it_waits_and_says_for_what(flock: Misspelt, place: Place) -> None:
    flock.write(0, "of anna", "x")
    flock.settle()
    box = status_of(flock, place)
    assert box.state is BoxState.WAITING
    assert box.reason == NOBODY_ELSE
    assert (box.others, box.lacking) == (2, 2)
    assert not flock.path(1, "of anna").exists()


def test_the_log_says_it_once_of_a_box_that_never_met_anybody(
    flock: Misspelt, place: Place, caplog: pytest.LogCaptureFixture
) -> None:
    flock.settle()
    node, settings = flock.nodes[0], load(place.write(PLAIN))
    reporter = Reporter(settings, node.exchange, node.keeper)
    box = node.keeper.boxes[0].box
    assert box is not None
    for met in (False, True):
        box.guard.met = met
        for _ in range(30):
            flock.step()
            reporter.turn(flock.now)
    said = [line for line in caplog.messages if NOBODY_ELSE in line]
    assert said == [f"box Box: {NOBODY_ELSE}"]


def test_nobody_is_told_that_it_is_equal(flock: Misspelt, place: Place) -> None:
    flock.settle()
    once, began = once_of(flock, place), flock.now
    words = words_of(once, flock)
    assert words.startswith("not equal: Box: waiting for the flock: no other member")
    assert once.exit_status == EXIT_FAULT
    assert flock.now - began >= MISSING_SECONDS


def test_a_wait_ends_with_the_reason(flock: Misspelt, place: Place) -> None:
    flock.settle()
    assert f"Box: {NOBODY_ELSE}" in waited(flock, place)


def test_of_a_box_that_some_have_it_is_said_who_hides_whom(flock: Misspelt, place: Place) -> None:
    """A box that is meant for two of three is no trouble."""
    flock.settle()
    box = status_of(flock, place, lane=1)
    assert box.state is BoxState.IN_SYNC and not box.problems
    lines = "\n".join(boxes_lines([box]))
    assert "1 of the 2 other members that are here has it" in lines
    assert "could come from 2 members: a coin toss" in lines


def test_what_all_have_says_nothing_of_it(tmp_path: Path, spool: Path, place: Place) -> None:
    with Flock(tmp_path, spool) as flock:
        flock.settle()
        box = status_of(flock, place)
        assert box.state is BoxState.IN_SYNC
        assert "that are here" not in "\n".join(boxes_lines([box]))


def test_the_log_of_a_view_of_one_calls_it_no_toss(
    tmp_path: Path, spool: Path, place: Place, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    with Flock(tmp_path, spool, size=1) as flock:
        node, settings = flock.nodes[0], load(place.write(PLAIN))
        flock.step()
        Reporter(settings, node.exchange, node.keeper).turn(flock.now)
    assert "flying alone: what is sent can only come from here" in caplog.messages


def test_in_a_view_of_one_nothing_is_equal(tmp_path: Path, spool: Path, place: Place) -> None:
    """A flock that may be of one (`allow_small_view`) has not met anybody yet."""
    with Flock(tmp_path, spool, size=1) as flock:
        flock.settle()
        once: Once = once_of(flock, place)
        for _ in range(200):
            flock.step()
            assert once.turn(flock.now)[1] is None
        assert once.exit_status == EXIT_TIMEOUT
