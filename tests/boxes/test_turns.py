"""Whose turn it is in the scanner."""

from __future__ import annotations

from dataclasses import dataclass, field

import pytest

from flocksy.boxes.scan.turns import AT_ONCE, Brake, Turns


@dataclass(eq=False)
class Look:
    """`left`: turns until it has ended."""

    name: str
    left: int = 1
    share: float = 0.5
    is_whole: bool = False
    box: str = "box"
    brake: Brake = field(default_factory=lambda: Brake(0.5))


def play(*looks: Look) -> str:
    """Who worked, turn by turn, until all have ended."""
    turns = Turns[Look]()
    for look in looks:
        turns.add(look)
    return play_on(turns)


def play_on(turns: Turns[Look]) -> str:
    """As `play`, with those that are there."""
    order = ""
    while (look := turns.next()) is not None:
        look.left -= 1
        order += look.name
        turns.worked(look, ended=look.left == 0)
    return order


def test_a_look_that_takes_long_holds_up_no_other() -> None:
    assert play(Look("a", 5), Look("b"), Look("c", 2)) == "abcacaaa"


def test_only_so_many_are_under_way() -> None:
    looks = [Look(name, 3) for name in "abcdef"]
    order = play(*looks)
    assert order.startswith("abcd" * 3), "each holds files open"
    assert AT_ONCE == 4
    assert order == "abcd" * 3 + "ef" * 3


def test_single_paths_and_whole_boxes_take_turns() -> None:
    order = play(
        Look("w", 4, is_whole=True),
        Look("s", 2),
        Look("t", 2),
        Look("v", 1, is_whole=True, box="other"),
    )
    assert order == "swtvswtww"


def test_of_one_box_a_whole_look_waits_for_the_one_before() -> None:
    """Side by side they would both read what is new."""
    order = play(
        Look("a", 3, is_whole=True),
        Look("b", 2, is_whole=True),
        Look("o", 4, is_whole=True, box="other"),
        Look("c", 1, is_whole=True),
    )
    assert order == "aoaoaobobc", "and holds up no other box"


def test_an_hourly_look_at_a_box_is_behind_no_other() -> None:
    hourly = Look("h", 2, share=0.005, is_whole=True)
    assert play(Look("w", 1, is_whole=True), hourly, Look("v", 1, is_whole=True)) == "wvhh"


def test_whose_share_is_larger_goes_first() -> None:
    hourly = Look("h", 2, share=0.005, is_whole=True)
    assert play(hourly, Look("w", 2, is_whole=True), Look("s")) == "swwhh"


def test_who_is_forgotten_has_no_more_turns() -> None:
    turns = Turns[Look]()
    whole = [Look(name, 3, is_whole=True) for name in "abc"]
    for look in (*whole, Look("o", 2, is_whole=True, box="other"), Look("s"), Look("t")):
        turns.add(look)
    first = turns.next()
    assert first is not None and first.name == "s"
    turns.worked(first, ended=False)
    assert turns.next() is whole[0]
    turns.worked(whole[0], ended=False)
    removed = turns.remove(lambda look: look.name in "abs")
    assert sorted(look.name for look in removed) == ["a", "b", "s"], "begun or not"
    assert play_on(turns) == "tococc", "who was behind one of them waits no longer"
    turns.add(Look("d", is_whole=True))
    assert turns.remove(lambda look: look.name == "d")
    turns.add(Look("e", is_whole=True))
    assert play_on(turns) == "e"


def test_looks_of_one_share_have_it_together() -> None:
    turns = Turns[Look]()
    looks = Look("a"), Look("b", is_whole=True), Look("c", share=0.1)
    for look in looks:
        turns.add(look)
    looks[0].brake.used(1.0, now_s=10.0)
    assert [look.brake.debt_s(10.0) for look in looks] == [1.0, 1.0, 0.0]


def test_the_brake_leaves_the_rest_of_the_core() -> None:
    brake = Brake(0.005)
    brake.used(0.005, now_s=100.0)
    assert brake.debt_s(100.0) == pytest.approx(0.995)
    assert brake.debt_s(100.5) == pytest.approx(0.495)
    assert brake.debt_s(200.0) == 0.0
    unbraked = Brake(1.0)
    unbraked.used(3.0, now_s=100.0)
    assert unbraked.debt_s(100.0) == 0.0
