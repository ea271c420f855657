"""Who serves what is missing, and when to ask."""

from __future__ import annotations

import contextlib
import os
import random
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

from flocksy.boxes.lanes.asking import Awaited, Patience, serves
from flocksy.boxes.lanes.repair import TIMES_ASKED, Repair
from flocksy.sync.messages import Message, WantRecords
from flocksy.sync.reconcile import path_key

UIDS = [f"{number:0128x}" for number in range(5)]
ALL = 0b11111


def servers(wanted: bytes, attempt: int, asker: int, view: int = ALL) -> list[int]:
    return [lane for lane in range(5) if serves(wanted, attempt, lane, asker, UIDS, view)]


def test_exactly_one_member_serves_and_never_the_asker() -> None:
    for asker in range(5):
        wanted = os.urandom(32)
        found = servers(wanted, 0, asker)
        assert len(found) == 1
        assert found != [asker]


def test_the_attempts_go_round_all_the_others() -> None:
    wanted = os.urandom(32)
    asked = [servers(wanted, attempt, asker=2)[0] for attempt in range(4)]
    assert sorted(asked) == [0, 1, 3, 4]
    assert servers(wanted, 4, asker=2) == [asked[0]]


def test_only_members_of_the_view_serve() -> None:
    for attempt in range(3):
        assert servers(os.urandom(32), attempt, asker=0, view=0b00111)[0] in (1, 2)
    assert servers(os.urandom(32), 0, asker=0, view=0b00001) == []


def test_the_work_is_shared() -> None:
    counts = [0] * 5
    for number in range(1000):
        counts[servers(number.to_bytes(32, "big"), 0, asker=0)[0]] += 1
    assert counts[0] == 0
    assert min(counts[1:]) > 150


def test_asking_waits_for_a_pause_without_progress() -> None:
    patience = Patience(pause_s=1.0)
    assert not patience.due(0.0, 0)
    assert not patience.due(0.0, 10)
    assert not patience.due(0.9, 10)
    assert not patience.due(1.5, 8)  # something came by itself
    assert not patience.due(2.4, 8)
    assert patience.due(2.5, 8)
    assert patience.attempt == 0


def test_before_a_burst_that_comes_anyway_it_asks_soon_and_once() -> None:
    patience = Patience(pause_s=1.0)
    assert not patience.due(0.0, 10, soon_s=0.1)
    assert patience.due(0.2, 10, soon_s=0.1)
    assert not patience.due(0.4, 10, soon_s=0.1)
    assert not patience.due(1.1, 10, soon_s=0.1)
    patience.hold(1.5)  # the burst
    assert not patience.due(1.6, 4, soon_s=0.1)
    assert patience.due(1.8, 4, soon_s=0.1)
    assert patience.attempt == 0
    assert patience.due(2.9, 4, soon_s=0.1)
    assert patience.attempt == 1


def test_each_ask_without_an_answer_is_another_attempt() -> None:
    patience = Patience(pause_s=1.0)
    assert not patience.due(0.0, 5)
    assert [patience.due(at, 5) for at in (1.0, 2.0, 3.0)] == [True, True, True]
    assert patience.attempt == 2
    assert not patience.due(4.0, 4)
    assert patience.attempt == 0


def test_a_burst_holds_the_question_back() -> None:
    patience = Patience(pause_s=1.0)
    assert not patience.due(0.0, 5)
    patience.hold(0.5)
    assert not patience.due(1.25, 5)
    assert patience.due(1.5, 5)


def test_bursts_that_bring_nothing_do_not_hold_it_back_for_ever() -> None:
    """Somebody writes into a log every second, and what is missing has to be asked for."""
    patience = Patience(pause_s=1.0)
    asked = []
    for half_seconds in range(40):
        now = half_seconds / 2
        if half_seconds % 2:
            patience.hold(now)
        elif patience.due(now, 5):
            asked.append(now)
    assert asked == [5.0, 10.0, 15.0]
    assert patience.attempt == 2


def test_what_comes_and_goes_meanwhile_does_not_hold_it_back() -> None:
    """A burst that lost something is repeated, and brings just that."""
    patience, awaited = Patience(pause_s=1.0), Awaited()
    asked = []
    for half_seconds in range(40):
        now = half_seconds / 2
        missing = [b"missing", b"lost"] if half_seconds % 4 else [b"missing"]
        if half_seconds % 2:
            patience.hold(now)
        elif patience.due(now, awaited.left(missing)):
            asked.append(now)
    assert asked == [6.0, 11.0, 16.0]
    assert patience.attempt == 2


def test_awaited_is_what_has_been_missing_for_longest() -> None:
    awaited = Awaited()
    assert awaited.left([]) == awaited.left([b"a", b"b"]) == 0
    assert awaited.left([b"b", b"a", b"c"]) == 2
    assert awaited.left([b"b", b"c", b"d"]) == 1
    assert awaited.left([b"c", b"d"]) == 0
    assert awaited.left([b"d", b"c"]) == 2


def test_nothing_missing_forgets_the_attempts() -> None:
    patience = Patience(pause_s=1.0)
    for at in (0.0, 1.0, 2.0):
        patience.due(at, 5)
    patience.due(3.0, 0)
    assert patience.attempt == 0
    assert not patience.due(3.5, 5)


class Nothing:
    """Of a box, what is asked of it where it misses nothing but records."""

    def __init__(self) -> None:
        self.unknown: set[str] = set()
        self.adopting = False
        self.setup = SimpleNamespace(tag=b"box".ljust(16))
        self.index = SimpleNamespace(
            transaction=contextlib.nullcontext, items=SimpleNamespace(path_of=lambda _: None)
        )
        self.planning = SimpleNamespace(missing=(), disk_full=False)
        self.staging = SimpleNamespace(trouble=lambda _: None, wants=lambda *_, **__: [])


def asked_for(events: dict[int, Callable[[Repair, Nothing], None]]) -> dict[str, list[int]]:
    """Seconds in which the records of two paths were asked for. Nobody answers, and a record is
    wanted from the start; `events`: what happens in which second."""
    said: list[Message] = []
    answers: Any = None
    repair = Repair(0, UIDS, 1.0, 0.1, random.Random(1), answers, said.append)
    box: Any = Nothing()
    repair.add(box)
    box.unknown.add("first")
    asked: dict[str, list[int]] = {"first": [], "second": []}
    for second in range(100):
        events.get(second, lambda *_: None)(repair, box)
        repair.ask(box, float(second), [1, 2, 3, 4], [1, 2, 3, 4], soon=False)
        for path, seconds in asked.items():
            wanted = [one for one in said if isinstance(one, WantRecords)]
            seconds += [second] * any(path_key(path) in one.keys for one in wanted)
        said.clear()
    return asked


def test_a_record_that_joins_others_is_asked_for_as_often() -> None:
    """It is missed when the first has been asked for many times."""
    many = TIMES_ASKED * len(UIDS)
    asked = asked_for({many: lambda _, box: box.unknown.add("second")})
    assert all(many < len(seconds) < 2 * many for seconds in asked.values())


def test_who_has_come_since_is_asked_for_records_as_often() -> None:
    many = TIMES_ASKED * len(UIDS)
    asked = asked_for({many: lambda repair, _: repair.view_moved()})
    assert len([second for second in asked["first"] if second >= many]) >= many
