"""`flocksy ignored` and `box revert` of a running node find a path as `history` does."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import pytest

from flocksy.boxes.setup import BoxSetup, Mode
from flocksy.errors import FlocksyError
from flocksy.node.choosing import Choosing
from flocksy.node.configured import Configured
from flocksy.status.control import Answer
from tests.boxes.flock_of_boxes import Flock, spool

__all__ = ["spool"]


class Receiving(Flock):
    """The first node only receives."""

    def setup(self, lane: int) -> BoxSetup:
        setup = super().setup(lane)
        return setup if lane else replace(setup, mode=Mode.RECEIVE_ONLY)


@pytest.fixture
def flock(tmp_path: Path, spool: Path) -> Iterator[Receiving]:
    """`file` was changed on the first node, and `link` beside its box leads there."""
    with Receiving(tmp_path, spool) as made:
        made.write(1, "file", "theirs")
        made.settle()
        made.write(0, "file", "mine")
        made.settle()
        os.symlink(made.path(0), made.root / "link")
        yield made


def ask(flock: Flock, command: str, arguments: dict[str, object]) -> Answer:
    keeper = flock.nodes[0].keeper
    configured = cast(Configured, SimpleNamespace(keeper=keeper))
    answer = Choosing(configured).handlers[command](arguments)
    assert isinstance(answer, dict)
    return answer


def test_a_path_by_way_of_a_link_is_found(flock: Receiving) -> None:
    path = str(flock.root / "link" / "file")
    assert "is synchronised" in str(ask(flock, "ignored", {"path": path})["text"])
    assert ask(flock, "box_revert", {"name": "box", "paths": [path]})["reverted"] == ["file"]


def test_a_path_that_is_elsewhere_is_named(flock: Receiving) -> None:
    paths: list[object] = [str(flock.path(0, "file")), "/elsewhere"]
    with pytest.raises(FlocksyError, match="/elsewhere: lies in no box of this node"):
        ask(flock, "box_revert", {"name": "box", "paths": paths})
    with pytest.raises(FlocksyError, match="/elsewhere: lies in no box of this node"):
        ask(flock, "ignored", {"path": "/elsewhere"})


def test_the_whole_box_is_reverted_by_its_folder(flock: Receiving) -> None:
    reverted = ask(flock, "box_revert", {"name": "box", "paths": [str(flock.path(0))]})["reverted"]
    assert reverted == ["file"]


def test_a_path_that_was_shown_and_is_typed_elsewhere(flock: Receiving) -> None:
    """All paths of a box are shown as they lie in it, and wanted as they are seen from here."""
    with pytest.raises(
        FlocksyError, match=r"/home/anna/file: .*: cd into the box, or give it whole$"
    ):
        ask(flock, "ignored", {"path": "/home/anna/file"})


def test_a_link_in_the_box_leads_to_what_the_box_knows(flock: Receiving) -> None:
    """Its folder at least, for what is new or ignored."""
    flock.write(1, "a/f", "x")
    flock.settle()
    for link in ("0", "z"):
        flock.path(1, link).symlink_to("a")
    flock.settle()
    for link in ("0", "z"):
        for name in ("f", "new.o"):
            answer = ask(flock, "ignored", {"path": str(flock.path(0, f"{link}/{name}"))})
            told = answer["ignored"]
            assert isinstance(told, dict)
            assert told["path"] == f"a/{name}"
