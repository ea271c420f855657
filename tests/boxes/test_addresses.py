"""What a node tells of where members are, what it takes from others, and what it keeps."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import pytest

from flocksy.boxes.lanes.addresses import TAKE_ROUNDS, TELL_ROUNDS, Addresses
from flocksy.seam.report import JOINING, LIVE, LaneReport, WireReport
from flocksy.sync.messages import MAX_ADDRESS_BYTES, Address

UIDS = ("aa", "bb", "cc")
PERIOD_S = 0.5
CONFIGURED = (("tcp://*:1", "tcp://10.0.0.1:1"), ("tcp://10.0.0.2:1",), ("tcp://cleo.example:1",))
MOVED = "tcp://10.9.9.9:9"


def usable(endpoint: str, _: Sequence[str]) -> bool:
    return endpoint.startswith("tcp://10.")


def make(path: Path, configured: Sequence[Sequence[str]] = CONFIGURED) -> Addresses:
    return Addresses(0, UIDS, configured, path / "addresses.json", PERIOD_S, usable)


def report(*lanes: tuple[str, str, str]) -> WireReport:
    own = LaneReport("this node")
    others = (LaneReport(state, address=at, target=to) for state, at, to in lanes)
    return WireReport(lanes=(own, *others))


def told(addresses: Addresses, seen: WireReport, turns: int) -> list[Address | None]:
    every = TELL_ROUNDS * PERIOD_S
    return [addresses.to_tell(seen, turn * every) for turn in range(turns)]


def test_one_member_at_a_time_is_told_of_at_a_fixed_pace(tmp_path: Path) -> None:
    addresses = make(tmp_path)
    seen = report((LIVE, "", "tcp://10.0.0.2:1"), (JOINING, "", "tcp://10.0.0.3:1"))
    assert told(addresses, seen, 6) == [
        None,  # of ourselves: any address is none
        Address(1, "tcp://10.0.0.2:1"),
        Address(2, "tcp://10.0.0.3:1"),
        Address(0, "tcp://10.0.0.1:1"),
        Address(1, "tcp://10.0.0.2:1"),
        Address(2, "tcp://10.0.0.3:1"),
    ]
    last = 5 * TELL_ROUNDS * PERIOD_S
    assert addresses.to_tell(seen, last + TELL_ROUNDS * PERIOD_S - 0.1) is None


def test_who_is_not_heard_is_not_told_of(tmp_path: Path) -> None:
    long = "tcp://10." + "1" * MAX_ADDRESS_BYTES
    seen = report(("down", "", "tcp://10.0.0.2:1"), (LIVE, "", long))
    assert told(make(tmp_path), seen, 3) == [None, None, None]


def test_what_is_taken_from_others(tmp_path: Path) -> None:
    addresses = make(tmp_path)
    assert addresses.heard(1, Address(2, MOVED), 0.0)
    assert not addresses.heard(1, Address(2, MOVED), TAKE_ROUNDS * PERIOD_S - 0.1), "a flood"
    assert addresses.heard(2, Address(1, MOVED), 0.1), "of another's nobody is the worse"
    assert addresses.heard(1, Address(2, MOVED), TAKE_ROUNDS * PERIOD_S)
    later = iter(range(100, 200, 10))
    assert not addresses.heard(1, Address(0, MOVED), next(later)), "we know where we are"
    assert not addresses.heard(1, Address(3, MOVED), next(later)), "nobody"
    assert not addresses.heard(0, Address(1, MOVED), next(later)), "our own words"
    assert not addresses.heard(1, Address(2, "ipc:///tmp/x"), next(later))


def test_what_worked_is_known_after_a_restart_until_the_configured_works(tmp_path: Path) -> None:
    addresses = make(tmp_path)
    addresses.note(report((LIVE, MOVED, MOVED), ("down", "tcp://10.8.8.8:8", "")))
    assert make(tmp_path).first(1) == (MOVED, "tcp://10.0.0.2:1")
    assert make(tmp_path).first(2) == CONFIGURED[2], "it has not worked"
    addresses.note(report(("down", "tcp://10.0.0.2:1", ""), ("down", "", "")))
    assert make(tmp_path).first(1) == (MOVED, "tcp://10.0.0.2:1")
    addresses.note(report((LIVE, "tcp://10.0.0.2:1", ""), ("down", "", "")))
    assert make(tmp_path).first(1) == CONFIGURED[1]


def test_what_could_not_be_kept_is_kept_later(tmp_path: Path) -> None:
    addresses = make(tmp_path)
    seen = report((LIVE, MOVED, MOVED), ("down", "", ""))
    in_the_way = tmp_path / "addresses.new"
    in_the_way.mkdir()
    for _ in range(2):
        with pytest.raises(OSError):
            addresses.note(seen)
    in_the_way.rmdir()
    addresses.note(seen)
    assert make(tmp_path).first(1) == (MOVED, "tcp://10.0.0.2:1")


def test_what_is_configured_anew_comes_first(tmp_path: Path) -> None:
    make(tmp_path).note(report((LIVE, MOVED, MOVED), ("down", "", "")))
    changed = (CONFIGURED[0], ("tcp://10.0.0.22:1",), CONFIGURED[2])
    assert make(tmp_path, changed).first(1) == ("tcp://10.0.0.22:1",)


def test_a_damaged_file_is_none(tmp_path: Path) -> None:
    path = tmp_path / "addresses.json"
    for text in (
        "{",
        "[]",
        '{"bb": 1}',
        '{"bb": []}',
        '{"bb": [5, "tcp://10.0.0.2:1"]}',
        json.dumps({"bb": ["ipc:///x", "tcp://10.0.0.2:1"]}),
        "[" * 60_000,
    ):
        path.write_text(text)
        assert make(tmp_path).first(1) == CONFIGURED[1], text[:40]
