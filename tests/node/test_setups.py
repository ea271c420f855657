"""The indexes of boxes that a node has no more."""

from __future__ import annotations

import logging
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from flocksy.boxes.activation import ADOPT
from flocksy.config.load import load
from flocksy.index.store import BoxIndex
from flocksy.node.setups import forget_removed
from tests.place import PLAIN, Place

MADE_ANEW = "set aside and rebuilt when its box is added again"
NOT_NOTED = "noted at the next start; if it is added again before"


def damaged(path: Path) -> None:
    path.write_bytes(b"this was one once" * 1000)


def too_new(path: Path) -> None:
    BoxIndex.open(path).close()
    with closing(sqlite3.connect(path)) as database:
        database.execute("PRAGMA user_version = 99")


def refused(path: Path) -> None:
    path.mkdir()


def index_of_none(place: Place) -> tuple[Path, Callable[[], None]]:
    """Where the index of a box lies that is not in the configuration, and what is done then."""
    settings = load(place.write(PLAIN))
    path = Path(settings.state_dir) / "boxes" / "removed.sqlite"
    path.parent.mkdir(parents=True)
    return path, lambda: forget_removed(settings)


def test_what_is_missing_when_it_comes_back_was_not_deleted(place: Place) -> None:
    path, forget = index_of_none(place)
    BoxIndex.open(path).close()
    forget()
    with closing(BoxIndex.open(path)) as index:
        assert index.remembered(ADOPT) is not None


@pytest.mark.parametrize(
    ("spoil", "words", "not_so"),
    [
        (damaged, MADE_ANEW, NOT_NOTED),
        (too_new, NOT_NOTED, MADE_ANEW),
        (refused, NOT_NOTED, MADE_ANEW),
    ],
)
def test_what_becomes_of_one_that_cannot_be_used_is_said(
    place: Place,
    caplog: pytest.LogCaptureFixture,
    spoil: Callable[[Path], None],
    words: str,
    not_so: str,
) -> None:
    path, forget = index_of_none(place)
    spoil(path)
    with caplog.at_level(logging.WARNING, "flocksy.box"):
        forget()
    (line,) = caplog.messages
    assert line.startswith(f"{path}: ")
    assert words in line and not_so not in line
