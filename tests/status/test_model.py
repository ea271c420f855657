"""The status: what follows from what, as JSON and as text."""

from __future__ import annotations

import dataclasses
import json

import pytest

from flocksy.status.model import (
    STATE_WORDS,
    BoxState,
    BoxStatus,
    BrokenLine,
    BurstStatus,
    LinkStatus,
    QueueStatus,
    Status,
    make_box,
    make_status,
)
from flocksy.status.render import SHOWN_LINES, SHOWN_PER_BOX, size, status_text

UIDS = ("a" * 128, "b" * 128, "c" * 128)


def box(
    paused: str | None = None, pending: int = 0, settled: bool = True, real: bool = True
) -> BoxStatus:
    return make_box(
        name="shared",
        path="/home/anna/shared",
        paused=paused,
        pending=pending,
        settled=settled,
        real_allowed=real,
        files=3,
        bytes=2048,
    )


def status(view: int = 3, real: bool = True, boxes: tuple[BoxStatus, ...] = ()) -> Status:
    return make_status(
        version="1",
        pid=5,
        uid=UIDS[0],
        endpoint="tcp://anna:1",
        profile="fast",
        code=200,
        view=UIDS[:view],
        members=3,
        min_view=2,
        real_allowed=real,
        links=(LinkStatus(UIDS[1], "tcp://ben:1", True, "live", 10, 64, 74, 0),),
        boxes=boxes,
        queue=QueueStatus(1, 1024, 2, 4096),
        burst=BurstStatus(64, 10, 5_000_000, False),
        errors=("bad \x1b thing",),
    )


@pytest.mark.parametrize(
    ("made", "state"),
    [
        (box(), BoxState.IN_SYNC),
        (box(pending=1), BoxState.SYNCING),
        (box(settled=False), BoxState.SYNCING),
        (box(real=False), BoxState.WAITING),
        (box(paused="marker missing", real=False), BoxState.PAUSED),
    ],
)
def test_where_a_box_stands(made: BoxStatus, state: BoxState) -> None:
    assert made.state is state


def test_in_sync_means_all_boxes() -> None:
    assert status(boxes=(box(), box())).in_sync
    assert not status(boxes=(box(), box(pending=1))).in_sync


@pytest.mark.parametrize(
    ("view", "real", "members", "said"),
    [
        (3, True, 3, "any of 3 members"),
        (2, True, 2, "a coin toss"),
        (1, True, 1, "a change can only come from here: there is nobody to hide among"),
        (1, False, 0, "nothing real leaves now"),
    ],
)
def test_the_anonymity_set(view: int, real: bool, members: int, said: str) -> None:
    made = status(view, real)
    assert made.anonymity_set == members
    assert said in status_text(made)


@pytest.mark.parametrize(
    ("view", "said"),
    [(3, "not all members of the view hear each other"), (1, "too few members hear each other")],
)
def test_why_nothing_real_leaves(view: int, said: str) -> None:
    assert f"nothing real leaves now: {said}" in status_text(status(view, real=False))


@pytest.mark.parametrize("more", [0, 2])
def test_some_broken_lines_are_shown_and_all_are_in_json(more: int) -> None:
    count = SHOWN_LINES - 1 + more
    lines = tuple(
        BrokenLine(f"tcp://ben\x1b:{number}", "tcp://carl:1", UIDS[1], UIDS[2], both_ways=True)
        for number in range(count)
    )
    made = dataclasses.replace(status(real=False), broken_lines=lines, away=("tcp://dora:1",))
    text = status_text(made)
    assert all(line.isprintable() for line in text.split("\n"))
    shown = [line for line in text.split("\n") if "hear each other: " in line or "dora" in line]
    assert len(shown) == SHOWN_LINES
    assert (f"and {more} more (flocksy status --json)" in text) == bool(more)
    plain = json.loads(json.dumps(made.plain()))
    assert len(plain["broken_lines"]) == count and plain["away"] == ["tcp://dora:1"]


@pytest.mark.parametrize(
    ("members", "said"),
    [
        (1, "all that was told from here, taken together, can only come from here"),
        (2, "all that was told from here, taken together, could come from any of 2 members"),
        (None, ""),
    ],
)
def test_the_possinymity(members: int | None, said: str) -> None:
    made = dataclasses.replace(status(), possinymity=members, held_back="a change waits")
    text = status_text(made)
    assert said in text and (members is None) == ("taken together" not in text)
    assert "a change waits" in text
    assert made.plain()["possinymity"] == members


def test_every_code_that_cells_show_has_its_words() -> None:
    assert set(STATE_WORDS) == {100, 102, 120, 121, 131, 150, 200, 410, 500}
    assert dataclasses.replace(status(), code=200).state == "in a burst"


def test_json_carries_everything_and_text_is_safe() -> None:
    odd = dataclasses.replace(
        box("gone\x07"),
        name="evil\x1b]0;x",
        conflicts=tuple(f"c{number}" for number in range(SHOWN_PER_BOX + 2)),
        problems=("p\u202e",),
    )
    made = status(boxes=(odd,))
    plain = json.loads(json.dumps(made.plain()))
    assert plain["boxes"][0]["name"] == "evil\x1b]0;x"
    assert plain["boxes"][0]["state"] == "paused"
    assert len(plain["boxes"][0]["conflicts"]) == SHOWN_PER_BOX + 2
    text = status_text(made)
    assert all(line.isprintable() for line in text.split("\n"))
    assert "and 2 more" in text
    assert "10 of 64 cells, 4.8 MiB/s" in text


def test_sizes() -> None:
    shown = [size(count) for count in (0, 1023, 1024, 1536 * 1024, 5 * 1024**3, 3000 * 1024**4)]
    assert shown == ["0 B", "1023 B", "1.0 KiB", "1.5 MiB", "5.0 GiB", "3000.0 TiB"]
