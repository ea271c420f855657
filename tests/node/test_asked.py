"""Where a person is told of deletions that wait for their word."""

from __future__ import annotations

import errno
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from flocksy.boxes.past.recall import Recall
from flocksy.boxes.setup import BoxSetup
from flocksy.errors import FlocksyError
from flocksy.node.commands import Commands
from flocksy.node.configured import Configured
from flocksy.node.reports import Reporter
from flocksy.status.model import make_box
from tests.boxes.flock_of_boxes import Flock, spool

__all__ = ["spool"]

COUNT = 30
GONE = [f"gone/{number:02}" for number in range(COUNT)]
"""More than the status lists."""


class Guarded(Flock):
    """All boxes are guarded as by default."""

    def setup(self, lane: int) -> BoxSetup:
        return replace(super().setup(lane), guard_percent=100)


@pytest.fixture
def flock(tmp_path: Path, spool: Path) -> Iterator[Guarded]:
    """The deletions of `GONE` wait on node 0; `past` was deleted by all."""
    with Guarded(tmp_path, spool) as made:
        for name in (*GONE, "past", "stays"):
            made.write(0, name, name)
        made.settle_equal()
        made.path(0, "past").unlink()
        made.settle_equal()
        made.stop(0)
        for name in GONE:
            made.path(0, name).unlink()
        made.restart(0)
        made.settle()
        yield made


def ask(flock: Guarded, command: str, name: str | None = None, **more: object) -> dict[str, Any]:
    """What node 0 answers, with a status of this one box."""
    node, guard = flock.nodes[0], flock.box(0).guard
    configured = SimpleNamespace(
        keeper=node.keeper, now=lambda: flock.now, settings=SimpleNamespace(members=(1, 2, 3))
    )
    box = make_box(
        name="box",
        path=str(flock.path(0)),
        paused=None,
        pending=0,
        settled=True,
        real_allowed=True,
        files=1,
        bytes=1,
        asks=guard.words("box"),
    )
    reporter = SimpleNamespace(status=lambda: SimpleNamespace(boxes=(box,)))
    commands = Commands(
        cast(Configured, configured), node.exchange, cast(Reporter, reporter), lambda: ""
    )
    path = None if name is None else str(flock.path(0, name))
    answer = commands.handle(command, {"path": path, **more})
    assert isinstance(answer, dict)
    return answer


def test_deleted_lists_all_that_waits(flock: Guarded) -> None:
    answer = ask(flock, "deleted", limit=1)
    assert [one["path"] for one in answer["deleted"] if one["waiting"]] == GONE
    assert [one["path"] for one in answer["deleted"] if not one["waiting"]] == ["past"]
    lines = answer["text"].splitlines()
    assert lines[0].startswith("waits for your word  box: gone/00  v")
    assert f"box: {COUNT} deletions" in lines[-1]
    assert "flocksy approve box" in lines[-1]
    below = ask(flock, "deleted", "gone/07", limit=100)
    assert [one["path"] for one in below["deleted"]] == ["gone/07"]
    flock.box(0).reject()
    flock.settle_equal()
    answer = ask(flock, "deleted", limit=100)
    assert [one["path"] for one in answer["deleted"]] == ["past"]
    assert "approve" not in answer["text"]


def test_a_disk_that_fails_is_an_answer(flock: Guarded, monkeypatch: pytest.MonkeyPatch) -> None:
    def sick(*_: object) -> None:
        raise OSError(errno.EIO, "Input/output error", "/disk")

    monkeypatch.setattr(Recall, "versions", sick)
    with pytest.raises(FlocksyError, match=r"^history: /disk: Input/output error$"):
        ask(flock, "history", "stays")


def test_history_says_that_it_waits(flock: Guarded) -> None:
    answer = ask(flock, "history", "gone/07")
    assert f"its deletion waits for your word: {COUNT} deletions" in answer["text"]
    assert "flocksy approve box" in answer["history"]["note"]
    assert ask(flock, "history", "stays")["history"]["note"] == ""


def test_ignored_says_that_it_waits(flock: Guarded) -> None:
    answer = ask(flock, "ignored", "gone/07")
    assert "is synchronised; its deletion waits for your word" in answer["text"]
    assert answer["ignored"]["waiting"] is True
    answer = ask(flock, "ignored", "stays")
    assert answer["text"].endswith("is synchronised")
    assert answer["ignored"]["waiting"] is False


def test_the_list_of_boxes_has_the_words_in_json_too(flock: Guarded) -> None:
    (box,) = ask(flock, "box_list")["boxes"]
    assert box["asks"] == flock.box(0).guard.words("box")
    assert f"{COUNT} deletions" in box["asks"]


def test_a_conflict_copy_that_waits_is_listed(flock: Guarded) -> None:
    flock.box(0).reject()
    flock.write(0, "both", "one")
    flock.write(1, "both", "two")
    flock.settle_equal()
    (copy,) = (name for name in flock.tree(0) if name.startswith("both.conflict"))
    flock.stop(0)
    flock.path(0, copy).unlink()
    flock.restart(0)
    flock.settle()
    listed = ask(flock, "deleted", limit=10)["deleted"]
    assert [one["path"] for one in listed if one["waiting"]] == [copy]
