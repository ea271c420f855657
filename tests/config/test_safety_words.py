"""The words of a box that keep people from losing something: `guard` and `history_cap`."""

from __future__ import annotations

import pytest

from flocksy.config.edit import add_box
from flocksy.config.load import load
from flocksy.config.settings import BoxSettings, HistoryCap
from flocksy.errors import ConfigError
from tests.place import PLAIN, TOML, Place


def block(place: Place, form: str, words: str) -> str:
    """The words in a block of the box `one`; TOML's form of them is turned into the original's."""
    if form == "toml":
        return f'{TOML}[box.one]\nbase_path = "{place.box("one")}"\n{words}\n'
    name, _, value = words.partition(" = ")
    return f"{PLAIN}\n[one]\n{{\n'base_path' : '{place.box('one')}',\n'{name}' : {value}\n}}\n"


@pytest.mark.parametrize("form", ["toml", "original"])
@pytest.mark.parametrize(
    ("words", "guard"),
    [("guard = 30", 30), ('guard = "30%"', 30), ('guard = "off"', None), ("guard = 0", 0)],
)
def test_guard(place: Place, form: str, words: str, guard: int | None) -> None:
    (box,) = load(place.write(block(place, form, words))).boxes
    assert box.guard == guard


@pytest.mark.parametrize("form", ["toml", "original"])
@pytest.mark.parametrize(
    ("words", "cap"),
    [
        ('history_cap = "5%"', HistoryCap(percent=5)),
        ('history_cap = "20G"', HistoryCap(bytes=20 * 10**9)),
        ('history_cap = "1.5 m"', HistoryCap(bytes=1_500_000)),
    ],
)
def test_history_cap(place: Place, form: str, words: str, cap: HistoryCap) -> None:
    (box,) = load(place.write(block(place, form, words))).boxes
    assert box.history_cap == cap


def test_defaults(place: Place) -> None:
    (box,) = load(place.write(f'{TOML}[box.one]\nbase_path = "{place.box("one")}"\n')).boxes
    assert (box.guard, box.history_cap) == (100, HistoryCap(percent=10))


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("guard = 101", "guard: should be less than or equal to 100"),
        ('guard = "sometimes"', "guard: should be a percentage of the files"),
        ("guard = true", "guard: should be a percentage of the files"),
        ('history_cap = "0%"', "history_cap: should be between 1% and 90%"),
        ("history_cap = 7", "history_cap: should be a share of the disk"),
        ('history_cap = "all"', "history_cap: should be a share of the disk"),
    ],
)
def test_refusals(place: Place, words: str, said: str) -> None:
    with pytest.raises(ConfigError) as caught:
        load(place.write(block(place, "toml", words)))
    assert said in str(caught.value)


@pytest.mark.parametrize("form", ["toml", "original"])
@pytest.mark.parametrize(
    ("guard", "cap"),
    [(None, HistoryCap(bytes=1_234_567_890)), (25, HistoryCap(percent=3))],
)
def test_written_and_read_again(
    place: Place, form: str, guard: int | None, cap: HistoryCap
) -> None:
    box = BoxSettings("one", str(place.box("one")), guard=guard, history_cap=cap)
    options = place.write(TOML if form == "toml" else PLAIN)
    assert add_box(options, box).boxes == (box,)
