"""A node that runs once: when it has done its work, and what it says of that."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from flocksy.boxes.announcing import MAX_DELAY_FACTOR
from flocksy.boxes.disk.port import PRIVATE
from flocksy.boxes.outside import BRIEF_ROUNDS
from flocksy.config.load import load
from flocksy.node.once import MISSING_SECONDS, Once
from flocksy.node.reports import Reporter
from flocksy.status.wording import EXIT_FAULT, EXIT_OK, EXIT_TIMEOUT
from tests.boxes.flock_of_boxes import Flock, flock, spool
from tests.boxes.test_guard import Guarded
from tests.boxes.test_outside import Delays
from tests.place import PLAIN, Place

__all__ = ["flock", "spool"]


OUTSIDE_S = 5.0
OWN = "made before it came"


def once_of(flock: Flock, place: Place, draw: random.Random | None = None) -> Once:
    """The first node of the flock runs once."""
    words = f"profile = fast\noutside_delay = {OUTSIDE_S}\n"
    node, settings = flock.nodes[0], load(place.write(f"{PLAIN}{words}"))
    reporter = Reporter(settings, node.exchange, node.keeper)
    return Once(settings, node.exchange, node.keeper, reporter, draw or Delays(0.0))


def words_of(once: Once, flock: Flock) -> str:
    """Step until it leaves; what it says then."""
    for _ in range(1_000):
        _, words = once.turn(flock.now)
        if words is not None:
            return words
        flock.step()
    raise AssertionError("it does not leave")


def test_it_leaves_when_all_have_it(flock: Flock, place: Place) -> None:
    once = once_of(flock, place)
    path: Path = flock.nodes[1].path / "from elsewhere"
    path.write_bytes(b"1")
    assert words_of(once, flock) == "equal with 2 other members; leaving"
    assert once.exit_status == EXIT_OK
    assert (flock.nodes[0].path / path.name).read_bytes() == b"1"


def test_nothing_is_equal_below_quorum(flock: Flock, place: Place) -> None:
    flock.settle()
    flock.stop(1)
    flock.stop(2)
    once = once_of(flock, place)
    for _ in range(200):
        flock.step()
        assert once.turn(flock.now)[1] is None
    assert once.exit_status == EXIT_TIMEOUT
    flock.restart(1)
    flock.restart(2)
    assert words_of(once, flock).startswith("equal with 2")


def test_what_rests_is_waited_for_a_while_and_named(flock: Flock, place: Place) -> None:
    flock.settle()
    once, began = once_of(flock, place), flock.now
    (flock.nodes[0].path / PRIVATE / "marker").unlink()
    assert words_of(once, flock).startswith("not equal: box: paused: ")
    assert once.exit_status == EXIT_FAULT
    assert flock.now - began >= MISSING_SECONDS


def test_what_a_person_has_paused_is_not_waited_for(flock: Flock, place: Place) -> None:
    flock.settle()
    once = once_of(flock, place)
    flock.nodes[0].keeper.pause("box")
    assert words_of(once, flock).startswith("equal with 2")
    assert once.exit_status == EXIT_OK


def test_what_waits_for_a_word_is_named(tmp_path: Path, spool: Path, place: Place) -> None:
    """What was deleted in the drawer is deleted for nobody else, and nobody takes it for equal.
    The words are logged: what is deleted is said by a command, which answers with no node running.
    """
    with Guarded(tmp_path, spool) as flock:
        flock.write(0, "file", "x")
        flock.settle_equal()
        flock.stop(0)
        flock.path(0, "file").unlink()
        flock.restart(0)
        once, began = once_of(flock, place), flock.now
        words = words_of(once, flock)
        assert words == "not equal: box: waits for your word: see flocksy deleted; leaving"
        assert once.exit_status == EXIT_FAULT
        assert flock.now - began >= MISSING_SECONDS
        assert flock.path(1, "file").exists()


def test_two_trees_that_wait_for_a_word_are_told_in_full(
    tmp_path: Path, spool: Path, place: Place
) -> None:
    """Both sides know of it, and have it in their logs already."""
    with Guarded(tmp_path, spool) as flock:
        flock.settle()
        once = once_of(flock, place)
        box = flock.box(0)
        box.guard._strangers = "have no paths in common;"
        words = words_of(once, flock)
        assert "waits for your word: have no paths in common; flocksy approve box" in words


@pytest.mark.parametrize(("waits", "longer"), [(1.0, 0.5), (0.1, 1.0), (0.5, 0.0)])
def test_how_long_it_stays_does_not_say_whether_it_brought_something(
    tmp_path: Path, spool: Path, place: Place, waits: float, longer: float
) -> None:
    stays = []
    for brought in ("", "x", "x" * 50_000):
        root = tmp_path / str(len(brought))
        root.mkdir()
        with Flock(root, spool, programme=True) as flock:
            flock.settle_equal()
            flock.stop(0)
            if brought:
                flock.write(0, OWN, brought)
            flock.outside_mean_s = OUTSIDE_S
            flock.restart(0)
            flock.nodes[0].exchange.outside._draw = Delays(waits)
            once, came = once_of(flock, place, Delays(longer)), flock.now
            assert words_of(once, flock).startswith("equal with 2")
            stays.append(flock.now - came)
            assert flock.path(1, OWN).exists() == bool(brought)
            assert stays[-1] >= (waits + longer) * OUTSIDE_S
    # With nothing drawn at the end it stays for as long as telling takes.
    assert max(stays) - min(stays) < (0.3 if longer else 2.0), stays


@pytest.mark.parametrize("rounds", [BRIEF_ROUNDS // 2, 2 * BRIEF_ROUNDS])
def test_only_who_waits_outside_anew_stays_anew(flock: Flock, place: Place, rounds: int) -> None:
    """A view that only falters has nobody wait for what was changed outside, nor at the end."""
    flock.settle()
    outside, waits, longer = flock.nodes[0].exchange.outside, 0.2, 4.0
    outside._mean_s, outside._draw = OUTSIDE_S, Delays(waits)
    stays = []
    for falters in (False, True):
        once, began = once_of(flock, place, Delays(longer)), flock.now
        half = longer * OUTSIDE_S / 2
        back_s = 0.0
        while once.turn(flock.now)[1] is None:
            flock.step()
            if falters and flock.now - began >= half:
                falters, flock.quorum = False, False
                for _ in range(rounds):
                    assert once.turn(flock.now)[1] is None
                    flock.step()
                flock.quorum, back_s = True, flock.now - began
        stays.append(flock.now - began)
    later_s = back_s + waits * OUTSIDE_S if rounds > BRIEF_ROUNDS else 0.0
    assert stays[1] - stays[0] == pytest.approx(later_s, abs=0.5)


def test_what_is_drawn_at_the_end_is_bounded(flock: Flock, place: Place) -> None:
    flock.settle()
    once, began = once_of(flock, place, Delays(1e9)), flock.now
    assert words_of(once, flock).startswith("equal with 2")
    assert flock.now - began < (MAX_DELAY_FACTOR + 2) * OUTSIDE_S  # and some seconds to be sure
