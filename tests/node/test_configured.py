"""A node takes over changed settings of its boxes while it runs."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from types import SimpleNamespace
from typing import cast

import pytest

from flocksy.boxes.keeper import Keeper
from flocksy.boxes.lanes.exchange import Exchange
from flocksy.boxes.scan.scanner import Scanner
from flocksy.config.load import load
from flocksy.config.settings import BoxSettings
from flocksy.node.choosing import Choosing
from flocksy.node.configured import Configured
from flocksy.status.control import Answer
from tests.place import PLAIN, TOML, Place

A, B, C = (BoxSettings(name, f"/boxes/{name}") for name in "abc")
"""Their folders are not there, so the boxes rest: that is the keeper's matter."""


@pytest.fixture
def running(place: Place) -> Configured:
    """What a node with the boxes a and b is configured to."""
    exchange = cast(Exchange, SimpleNamespace())
    keeper = Keeper(exchange, cast(Scanner, None), lambda: 0, lambda: None)
    made = Configured(replace(load(place.write(PLAIN)), boxes=(A, B)), keeper, lambda: 7.0)
    made.open_boxes()
    return made


@contextmanager
def opened(place: Place, text: str) -> Iterator[Configured]:
    """What a node with this configuration is configured to, its folders there."""
    exchange = cast(Exchange, SimpleNamespace(add=lambda _: None, remove=lambda _: None))
    scanner = Scanner()
    keeper = Keeper(exchange, scanner, lambda: 0, lambda: None)
    configured = Configured(load(place.write(text)), keeper, lambda: 7.0)
    configured.open_boxes()
    try:
        yield configured
    finally:
        keeper.close()
        scanner.stop()


def take_over(running: Configured, *boxes: BoxSettings) -> None:
    running.apply(replace(running.settings, boxes=boxes))


def test_boxes_come_and_go_and_the_others_stay(running: Configured) -> None:
    kept = running.keeper.get("a")
    take_over(running, A, C)
    assert [one.setup.name for one in running.keeper.boxes] == ["a", "c"]
    assert running.keeper.get("a") is kept, "it is not kept anew"
    assert running.settings.boxes == (A, C)


def test_a_paused_box_is_the_same_box(running: Configured) -> None:
    kept = running.keeper.get("a")
    for paused in (True, False):
        take_over(running, replace(A, paused=paused), B)
        assert running.keeper.get("a") is kept
        assert kept.by_user is paused


def test_a_changed_box_is_kept_anew(running: Configured) -> None:
    kept = running.keeper.get("a")
    take_over(running, replace(A, mode="archive"), B)
    assert running.keeper.get("a") is not kept
    assert running.keeper.get("a").setup.mode == "archive"


def test_only_boxes_and_key_files_are_taken_over(running: Configured) -> None:
    before = running.settings
    running.apply(replace(before, boxes=(B,), keystore_path="/k", members=(), period_ms=1))
    assert running.settings == replace(before, boxes=(B,), keystore_path="/k")


def test_an_adopted_box_is_paused_no_more(place: Place) -> None:
    text = TOML + f'[box.a]\nbase_path = "{place.box("a")}"\npaused = true\n'
    with opened(place, text) as configured:
        kept = configured.keeper.get("a")
        assert kept.by_user and kept.box is None
        Choosing(configured).handlers["box_adopt"]({"name": "a"})
        assert kept.box is not None, kept.reason
        again = load(place.options())
        assert [box.paused for box in again.boxes] == [False], "nor after the next start"
        assert configured.settings.boxes == again.boxes


def test_a_box_is_paused_also_where_a_key_is_missing(place: Place) -> None:
    """Nothing can be written then, so it does not last."""
    text = TOML + f'[box.a]\nbase_path = "{place.box("a")}"\n'
    with opened(place, text) as configured:
        place.keystore.write_text("{}")
        handlers = Choosing(configured).handlers
        said = handlers["box_pause"]({"name": "a"})
        assert configured.keeper.get("a").by_user
        assert "until the node stops" in cast(Answer, said)["text"]
        said = handlers["box_adopt"]({"name": "a"})
        assert not configured.keeper.get("a").by_user
        assert "is being adopted" in cast(Answer, said)["text"]
        handlers["box_pause"]({"name": "a"})
        said = handlers["box_resume"]({"name": "a"})
        assert not configured.keeper.get("a").by_user
        assert said == {"text": "a: goes on"}, (
            "as the file says, which has never been told otherwise"
        )
        assert place.config.read_text() == text


@pytest.mark.parametrize(
    ("command", "does"), [("box_resume", "goes on"), ("box_adopt", "is being adopted")]
)
def test_a_box_that_goes_on_says_where_that_does_not_last(
    place: Place, command: str, does: str
) -> None:
    text = TOML + f'[box.a]\nbase_path = "{place.box("a")}"\npaused = true\n'
    with opened(place, text) as configured:
        in_the_way = place.config.with_name(place.config.name + ".new")
        in_the_way.touch()
        handlers = Choosing(configured).handlers
        said = cast(Answer, handlers[command]({"name": "a"}))["text"]
        assert configured.keeper.get("a").box is not None
        assert f"a: {does}; it is paused again when the node starts anew ({in_the_way}: " in said
        assert place.config.read_text() == text
        in_the_way.unlink()
        assert handlers["box_resume"]({"name": "a"}) == {"text": "a: goes on"}
        assert "paused = true" not in place.config.read_text()
