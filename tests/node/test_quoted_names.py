"""Commands that a running node prints, for a box whose name the shell takes apart."""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import pytest

from flocksy.boxes.setup import BoxSetup, Mode
from flocksy.node.commands import Commands
from flocksy.node.configured import Configured
from flocksy.node.reports import Reporter
from flocksy.node.undo import Undo
from flocksy.status.control import Pending
from tests.boxes.flock_of_boxes import Flock, spool

__all__ = ["spool"]

NAME = "Anna's photos"
QUOTED = shlex.quote(NAME)


class Spaced(Flock):
    """All nodes call their box so."""

    def setup(self, lane: int) -> BoxSetup:
        return replace(super().setup(lane), name=NAME)


@pytest.fixture
def flock(tmp_path: Path, spool: Path) -> Iterator[Spaced]:
    with Spaced(tmp_path, spool) as made:
        yield made


def test_a_wait_that_ends_at_a_pause(flock: Spaced) -> None:
    node = flock.nodes[0]
    node.keeper.pause(NAME)
    configured = SimpleNamespace(
        keeper=node.keeper, now=lambda: flock.now, settings=SimpleNamespace(members=(1, 2, 3))
    )
    reporter = cast(Reporter, SimpleNamespace())
    commands = Commands(cast(Configured, configured), node.exchange, reporter, lambda: "")
    pending, said = commands.handle("wait", {"box": NAME, "timeout": None}), list[bytes]()
    assert isinstance(pending, Pending)
    pending._bind(1, said.append)
    commands.turn(flock.now)
    (line,) = said
    assert "flocksy box resume" in line.decode()
    assert f"flocksy box resume {QUOTED} lets".replace('"', '\\"') in line.decode()


def test_strangers_that_are_rejected(flock: Spaced) -> None:
    node = flock.nodes[0]
    box = node.keeper.get(NAME).box
    assert box is not None
    box.guard._strangers = "two folders"
    assert f"flocksy approve {QUOTED} puts" in box.guard.words(NAME)
    assert f"flocksy reject {QUOTED} pauses" in box.guard.words(NAME)
    undo = Undo(node.exchange, node.keeper, lambda: flock.now, members=3)
    answer = undo.handlers["reject"]({"box": None})
    assert isinstance(answer, dict)
    assert f"flocksy box remove {QUOTED} if" in str(answer["text"])
    assert f"flocksy box resume {QUOTED} to" in str(answer["text"])


def test_a_mode_that_is_another_one_now(flock: Spaced) -> None:
    keeper = flock.nodes[0].keeper
    keeper.remove(NAME)
    kept = keeper.add(replace(flock.setup(0), mode=Mode.ARCHIVE), flock.now)
    assert kept.reason.endswith(f"flocksy box adopt {QUOTED}")
