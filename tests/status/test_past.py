"""What people are told of what was, and of what waits for their word."""

from __future__ import annotations

import json

from flocksy.status import past
from flocksy.status.model import BoxState, BoxStatus, make_box
from flocksy.status.render import boxes_lines

NOON_MS = 1_790_000_000_000
ESCAPE = "\x1b[2J"


def version(**changes: object) -> past.PastVersion:
    values: dict[str, object] = {
        "id": "v3fa2c1d0",
        "kind": "file",
        "size": 2048,
        "mode": "0644",
        "modified": past.moment(NOON_MS),
        "since": None,
        "until": past.moment(NOON_MS),
        "where": "here",
    }
    return past.PastVersion(**{**values, **changes})  # type: ignore[arg-type]


def test_times_are_utc_in_json() -> None:
    assert past.moment(NOON_MS) == "2026-09-21T14:13:20.000+00:00"
    assert past.moment(0) is None
    assert past.moment(None) is None


def test_a_history() -> None:
    now = version(until=None, id="vnow")
    text = past.history_text("shared", "notes.txt", [now, version(where="members")], "(a note)")
    lines = text.splitlines()
    assert lines[0] == "shared: notes.txt"
    assert lines[1].split()[:2] == ["now", "vnow"]
    assert "until 2026-09-2" in lines[2]
    assert "not on this disk" in lines[2]
    assert lines[3] == "(a note)"
    gone = past.history_text("shared", "notes.txt", [version()])
    assert "nothing stands there" in gone
    assert "nothing is known" in past.history_text("shared", "notes.txt", [])


def test_what_is_deleted() -> None:
    found = past.Deleted("shared", f"a{ESCAPE}", version(), "elsewhere")
    text = past.deleted_text([found])
    assert "its content is at elsewhere" in text
    assert ESCAPE not in text
    assert json.loads(json.dumps(past.plain(found)))["version"]["size"] == 2048
    assert "nothing is known" in past.deleted_text([])


def test_long_lists_are_cut_as_text_alone() -> None:
    many = [past.Deleted("shared", str(number), version(), None) for number in range(500)]
    lines = past.deleted_text(many).splitlines()
    assert len(lines) == past.LINES_SHOWN + 1
    assert lines[-1] == "and 300 more (--json)"


def test_conflicts() -> None:
    sides = (
        past.Side("a.txt", "file", 5, past.moment(NOON_MS)),
        past.Side("a.conflict-20260921-3fa2c1.txt", "symlink", 0, None),
    )
    text = past.conflicts_text([past.Conflict("shared", "a.txt", sides)])
    assert "a.conflict-20260921-3fa2c1.txt  symlink" in text
    assert "flocksy conflicts resolve PATH, typed in the box's folder, keeps" in text
    assert past.conflicts_text([]) == "no conflicts"


def box(asks: str = "", paused: str | None = None, settled: bool = True) -> BoxStatus:
    return make_box(
        name="shared",
        path="/home/anna/shared",
        paused=paused,
        pending=0,
        settled=settled,
        real_allowed=True,
        files=3,
        bytes=2048,
        asks=asks,
    )


def test_a_box_that_asks_is_not_in_sync() -> None:
    assert box().state is BoxState.IN_SYNC
    assert box("3 deletions").state is BoxState.ASKING
    assert box("3 deletions", paused="by you").state is BoxState.PAUSED
    lines = boxes_lines([box(f"3 deletions of {ESCAPE}")])
    assert "waits for your word" in lines[0]
    assert lines[1].startswith("    asks: 3 deletions of \\x1b")
