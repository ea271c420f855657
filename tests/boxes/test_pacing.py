"""How often a path that keeps changing is looked at."""

from __future__ import annotations

import itertools

import pytest

from flocksy.boxes.pacing import (
    FIRST_PAUSE_SECONDS,
    LEAST_BUSY_SECONDS,
    MAX_PACED,
    MAX_PAUSE_SECONDS,
    Pacing,
)

READING_S = 0.02


def looks(
    pacing: Pacing, every_s: float, until_s: float, reading_s: float = READING_S
) -> list[float]:
    """When a file is looked at that is written so often, each look being asked for by a write."""
    done: list[float] = []
    at = 0.0
    while at < until_s:
        asks = not pacing.rests("log", at)
        if not asks:
            pacing.put_off("log")
        if list(pacing.due(at)) or asks:
            done.append(at)
            pacing.changed("log", at + reading_s, reading_s)
        at += every_s
    return done


def test_what_changes_all_the_time_is_looked_at_ever_more_rarely() -> None:
    times = looks(Pacing(), 0.5, 600)
    gaps = [later - before for before, later in itertools.pairwise(times)]
    assert gaps[:8] == [0.5, 1.5, 2.5, 4.5, 8.5, 16.5, 32.5, 60.5]
    assert set(gaps[8:]) == {60.5}


def test_what_is_saved_now_and_then_is_looked_at_each_time() -> None:
    assert looks(Pacing(), 11, 330) == [11.0 * number for number in range(30)]


def test_an_edit_of_what_has_just_come_does_not_wait() -> None:
    pacing = Pacing()
    pacing.changed("video", 100.0, 30.0)
    assert not pacing.rests("video", 100.0)
    pacing.changed("video", 140.0, 30.0)
    assert pacing.rests("video", 140.0 + FIRST_PAUSE_SECONDS / 2)
    assert not pacing.rests("video", 140.0 + FIRST_PAUSE_SECONDS)


def test_what_keeps_changing_is_read_for_a_tenth_of_the_time_at_most() -> None:
    times = looks(Pacing(), 1, 10_000, reading_s=30.0)
    assert len(times) <= 10_000 / 300 + 3
    # Also what is written so rarely that it can be read in between.
    times = looks(Pacing(), 60, 10_000, reading_s=30.0)
    assert len(times) <= 10_000 / 300 + 3


def test_what_changed_while_it_was_read_is_due_after_its_pause() -> None:
    pacing = Pacing()
    pacing.busy("image", 10.0, 0.001)
    assert pacing.deadline() == 10.1
    assert list(pacing.due(10.1)) == ["image"] and not list(pacing.due(99.0))
    pacing.busy("image", 10.2, 0.001)
    assert pacing.deadline() == 10.2 + 0.1
    pacing.busy("image", 11.0, 300.0)
    assert pacing.deadline() == 11.0 + 3000.0, "a minute later it would be read all the time"
    pacing.changed("image", 4000.0, 300.0)
    assert not pacing.rests("image", 4000.0), "it has come to rest"


@pytest.mark.parametrize("copying_s", [5.0, 60.0, 300.0, 3_000.0])
def test_what_is_copied_here_waits_for_a_tenth_of_that_at_most(copying_s: float) -> None:
    """A look meanwhile reads little: it ends at the first write that it notices."""
    pacing = Pacing()
    now, looks = 0.0, 0
    while now < copying_s:
        pacing.busy("video", now, 0.01)
        looks += 1
        due = pacing.deadline()
        assert due is not None
        now = due
        assert list(pacing.due(now)) == ["video"]
    assert now - copying_s <= max(min(copying_s / 10, MAX_PAUSE_SECONDS), LEAST_BUSY_SECONDS)
    assert looks < 130, "and so it goes for what is written all the time"
    pacing.changed("video", now + 30.0, 30.0)
    pacing.busy("video", now + 31.0, 0.01)
    assert pacing.deadline() == pytest.approx(now + 31.1), "another copy"


def test_what_was_quiet_for_long_begins_anew() -> None:
    pacing = Pacing()
    for at in range(10):
        pacing.changed("log", float(at), READING_S)
    assert pacing.rests("log", 9.0 + MAX_PAUSE_SECONDS - 1)
    pacing.changed("log", 9.0 + 10 * MAX_PAUSE_SECONDS, READING_S)
    assert not pacing.rests("log", 9.0 + 10 * MAX_PAUSE_SECONDS)


def test_a_look_at_all_and_the_end_of_a_path_leave_nothing_due() -> None:
    pacing = Pacing()
    for path in ("a", "b"):
        pacing.busy(path, 0.0, 1.0)
    pacing.forget("a")
    assert list(pacing.due(100.0)) == ["b"]
    pacing.put_off("b")
    pacing.looks_at_all()
    assert pacing.deadline() is None
    assert pacing.rests("b", 1.0), "what happens there later still waits"


def test_only_so_many_are_remembered() -> None:
    pacing = Pacing()
    for number in range(MAX_PACED):
        pacing.changed(str(number), 0.0, 0.0)
    pacing.changed("0", 1.0, 0.0)
    pacing.changed("one more", 1.0, 0.0)
    assert pacing.knows("0") and pacing.knows("one more") and not pacing.knows("1")
