"""All are here, and yet two do not hear each other: status and log say which, and what to do."""

from __future__ import annotations

import json
import logging

import pytest

from flocksy.config.load import load
from flocksy.node.reports import Reporter
from flocksy.seam.report import LaneReport, WireReport
from flocksy.status.render import status_text
from tests.boxes.flock_of_boxes import Flock, flock, spool
from tests.place import NODES, PLAIN, Place

__all__ = ["flock", "spool"]

LOOK = "look at the line between the two"
OWN, BEN, CLEO = range(3)
"""Numbers in `NODES`. Lanes are in another order, which the keys give."""


class Told:
    """A reporter whose wire tells what a test says."""

    def __init__(self, flock: Flock, place: Place, patch: pytest.MonkeyPatch) -> None:
        self.settings = load(place.write(PLAIN))
        node = flock.nodes[0]
        self._exchange, self._patch = node.exchange, patch
        self.reporter = Reporter(self.settings, node.exchange, node.keeper)

    def lane(self, number: int) -> int:
        found = (m.endpoints[0] == NODES[number] for m in self.settings.members)
        return list(found).index(True)

    def tell(self, *pairs: tuple[int, int], away: tuple[int, ...] = (), real: bool = False) -> None:
        """`pairs`: who does not hear whom."""
        lanes = [0] * len(NODES)
        for listener, speaker in pairs:
            lanes[self.lane(listener)] |= 1 << self.lane(speaker)
        report = WireReport(
            view=0b111,
            own_lane=self.lane(OWN),
            real_allowed=real,
            lanes=tuple(LaneReport("live", unheard=unheard) for unheard in lanes),
            away=sum(1 << self.lane(number) for number in away),
        )
        self._patch.setattr(self._exchange, "_report", report)
        self.reporter.turn(0.0)

    def text(self) -> str:
        return status_text(self.reporter.status())


@pytest.fixture
def told(flock: Flock, place: Place, monkeypatch: pytest.MonkeyPatch) -> Told:
    return Told(flock, place, monkeypatch)


def test_the_status_names_the_two_and_says_what_to_do(told: Told) -> None:
    told.tell((BEN, CLEO), (CLEO, BEN))
    text = told.text()
    assert "3 of 3 members in the view" in text
    assert "nothing real leaves now: not all members of the view hear each other" in text
    one, other = sorted((BEN, CLEO), key=told.lane)
    assert f"{NODES[one]} and {NODES[other]} do not hear each other: {LOOK}" in text
    plain = json.loads(json.dumps(told.reporter.status().plain()))
    (line,) = plain["broken_lines"]
    assert {line["listener"], line["speaker"]} == {NODES[BEN], NODES[CLEO]}
    uids = {told.settings.uids[told.lane(number)] for number in (BEN, CLEO)}
    assert {line["listener_uid"], line["speaker_uid"]} == uids
    assert line["both_ways"] is True and plain["away"] == []


@pytest.mark.parametrize(
    ("pair", "said"),
    [
        ((CLEO, BEN), f"{NODES[CLEO]} does not hear {NODES[BEN]}: {LOOK}; can {NODES[CLEO]} c"),
        ((OWN, BEN), f"this node does not hear {NODES[BEN]}: {LOOK}; can this node connect"),
        ((BEN, OWN), f"{NODES[BEN]} does not hear this node: {LOOK}; can {NODES[BEN]} connect"),
    ],
)
def test_one_way_is_said_as_one_way(told: Told, pair: tuple[int, int], said: str) -> None:
    told.tell(pair)
    assert said in told.text()
    (line,) = told.reporter.status().broken_lines
    assert (line.listener, line.speaker, line.both_ways) == (NODES[pair[0]], NODES[pair[1]], False)


def test_who_is_off_is_no_broken_line(told: Told) -> None:
    told.tell(away=(CLEO,))
    assert f"nobody who is heard here hears {NODES[CLEO]}: is it on" in told.text()
    status = told.reporter.status()
    assert (status.broken_lines, status.away) == ((), (NODES[CLEO],))


def test_the_log_says_each_once_until_it_is_mended(
    told: Told, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    told.tell(real=True)
    for _ in range(3):
        told.tell((BEN, CLEO))
    told.tell((BEN, CLEO), (CLEO, OWN))
    said = [line for line in caplog.messages if LOOK in line]
    assert len(said) == 2
    assert said[0].startswith(f"{NODES[BEN]} does not hear {NODES[CLEO]}")
    assert said[1].startswith(f"{NODES[CLEO]} does not hear this node")
    assert "waiting for the flock: not all members of the view hear each other" in caplog.messages
    told.tell(real=True)
    told.tell((BEN, CLEO))
    assert len([line for line in caplog.messages if LOOK in line]) == 3


def test_the_log_says_once_more_that_it_is_both_ways(
    told: Told, caplog: pytest.LogCaptureFixture
) -> None:
    """Both ends notice, and both notice that it is mended, one after the other."""
    for pairs in ([(BEN, CLEO)], [(BEN, CLEO), (CLEO, BEN)], [(CLEO, BEN)], [(BEN, CLEO)]):
        told.tell(*pairs)
    said = [line for line in caplog.messages if LOOK in line]
    assert ["each other" in line for line in said] == [False, True]


def test_the_log_says_some_of_many(
    told: Told, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("flocksy.node.reports.MAX_LOGGED", 1)
    told.tell((BEN, CLEO), (OWN, CLEO), (BEN, OWN))
    assert len([line for line in caplog.messages if LOOK in line]) == 1
    assert "and 2 more such lines; see flocksy status" in caplog.messages
