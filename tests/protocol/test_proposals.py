"""What follows from the cells of one round, case by case."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from flocksy.protocol.fsm_table import Status
from flocksy.protocol.proposals import cells_of, collected, newest_complete
from flocksy.protocol.shown import NO_EPOCH, Epoch, Kind, Shown
from tests.protocol.test_views import cell

ALL = 0b111
EPOCH = Epoch(4, ALL)


def ready(round_: int = 90) -> list[Shown]:
    """Three members in one epoch, the first with a need."""
    base = replace(
        cell(round_, (0, 0, 0)), epoch=EPOCH, highest=4, row=ALL, candidate=ALL, sustain_us=1000
    )
    return [replace(base, status=Status.ANNOUNCED, need=70), base, replace(base, sustain_us=3000)]


def test_burst_has_the_largest_need_and_the_slowest_pace() -> None:
    found = collected(ready(), ALL)
    assert found is not None
    assert (found.kind, found.round, found.epoch) == (Kind.BURST, 90, EPOCH)
    assert (found.length, found.delta_us, found.repeat) == (128, 3000, False)


def test_repeat_goes_before_a_larger_ordinary_need() -> None:
    cells = ready()
    cells[1] = replace(cells[1], need=64, repeat_of=bytes(8), status=Status.ANNOUNCED)
    found = collected(cells, ALL)
    assert found is not None and (found.length, found.repeat) == (64, True)


def test_everybody_derives_the_same_id() -> None:
    assert collected(ready(), ALL) == collected(ready(), ALL)
    one, other = collected(ready(90), ALL), collected(ready(91), ALL)
    assert one is not None and other is not None and one.id != other.id


@pytest.mark.parametrize(
    ("change", "why"),
    [
        (lambda c: replace(c, candidate=0b011), "one wishes for another view"),
        (lambda c: replace(c, status=Status.CONFIRMED), "one is bound already"),
        (lambda c: replace(c, status=Status.BURSTING), "one is in a burst"),
        (lambda c: replace(c, status=Status.SETTLING), "one comes out of a burst"),
        (lambda c: replace(c, status=Status.WAITING), "one has no quorum"),
        (lambda c: replace(c, leaving=True, status=Status.LEAVING), "one leaves"),
        (lambda c: replace(c, need=0), "no need"),
    ],
)
def test_no_burst(change: Callable[[Shown], Shown], why: str) -> None:
    cells = ready()
    cells[0] = change(cells[0])
    assert collected(cells, ALL) is None, why


@pytest.mark.parametrize(
    ("epoch", "highest", "number"),
    [(NO_EPOCH, 0, 5), (Epoch(3, ALL), 9, 10), (Epoch(6, 0b011), 6, 7)],
)
def test_another_epoch_makes_a_view_above_all_that_were_seen(
    epoch: Epoch, highest: int, number: int
) -> None:
    cells = ready()
    cells[2] = replace(cells[2], epoch=epoch, highest=highest)
    found = collected(cells, ALL)
    assert found is not None
    assert (found.kind, found.number, found.members) == (Kind.VIEW, number, ALL)


def test_who_still_enters_the_epoch_makes_no_other() -> None:
    cells = [replace(c, epoch=NO_EPOCH, highest=3) for c in ready()]
    view = collected(cells, ALL)
    assert view is not None and view.epoch == EPOCH
    cells = ready()
    cells[1] = replace(cells[1], epoch=NO_EPOCH, proposal=view)
    assert collected(cells, ALL) is None


def test_newest_complete_round() -> None:
    def rounds(*numbers: int) -> tuple[Shown, ...]:
        return tuple(cell(number, (0, 0, 0)) for number in numbers)

    history = (rounds(9, 8, 7), rounds(8, 7), rounds(9, 7), ())
    assert newest_complete(history, 0b0001) == 9
    assert newest_complete(history, 0b0011) == 8
    assert newest_complete(history, 0b0111) == 7
    assert newest_complete(history, 0b1111) == 0
    assert newest_complete(history, 0) == 0
    assert [found.round for found in cells_of(history, 0b0101, 9)] == [9, 9]
