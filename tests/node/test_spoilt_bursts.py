"""The log says what follows on a burst that failed."""

from __future__ import annotations

import logging

import pytest

from flocksy.config.load import load
from flocksy.node.reports import Reporter
from flocksy.seam.report import AgreedBurst, LastBurst, WireReport
from tests.boxes.flock_of_boxes import Flock, flock, spool
from tests.place import PLAIN, Place

__all__ = ["flock", "spool"]

BURST = b"a burst!"


@pytest.mark.parametrize(
    ("repeat", "programme", "follows"),
    [
        (False, 0, "it is repeated"),
        (False, 3, "it is repeated"),
        (True, 3, "as after a join, bursts follow, needed or not"),
        (True, 0, "it was a repeat, and is not repeated"),
    ],
)
@pytest.mark.parametrize(
    ("finished", "late"),
    [(True, False), (False, False), pytest.param(True, True, id="heard of when it is over")],
)
def test_the_log_says_what_follows(
    flock: Flock,
    place: Place,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    finished: bool,
    late: bool,
    repeat: bool,
    programme: int,
    follows: str,
) -> None:
    node = flock.nodes[0]
    reporter = Reporter(load(place.write(PLAIN)), node.exchange, node.keeper)
    caplog.set_level(logging.INFO)
    reports = [
        WireReport(),
        WireReport(burst=AgreedBurst(BURST, 0b111, 1, 64, repeat)),
        WireReport(last_burst=LastBurst(BURST, finished, gap=not late)),
        WireReport(last_burst=LastBurst(BURST, finished, gap=True), programme=programme),
    ]
    if not late:
        del reports[2]
    for report in reports:
        monkeypatch.setattr(node.exchange, "_report", report)
        reporter.turn(0.0)
    said = [line for line in caplog.messages if "lost somewhere" in line or "aborted" in line]
    assert follows in said[-1]
