"""A member that speaks another version of the protocol: both sides say so, and nothing passes."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator

import pytest

import flocksy.protocol.cell
import flocksy.wire.intake
from flocksy.protocol.cell import VERSION
from flocksy.seam.joint import SeamHandle
from flocksy.status.links import advice
from flocksy.testing.flock import TrivialBox, drive, make_settings
from flocksy.wire.process import run
from flocksy.wire.settings import WireSettings

OTHER = VERSION + 1


def run_other(settings: WireSettings, seam: SeamHandle) -> None:
    """The wire process of a flocksy that speaks the next version: the layout is the same, which it
    need not be, so all that keeps the two apart is the number."""
    flocksy.protocol.cell.VERSION = OTHER
    flocksy.wire.intake.VERSION = OTHER
    run(settings, seam)


@pytest.fixture
def directory() -> Iterator[str]:
    with tempfile.TemporaryDirectory(prefix="flocksy-test-") as path:
        yield path


def test_versions_that_differ_are_told_on_both_sides_and_are_in_no_view(directory: str) -> None:
    settings = make_settings([f"ipc://{directory}/{i}" for i in range(3)])
    boxes = [TrivialBox(each) for each in settings]
    boxes[2].wire = run_other
    heard: list[int] = []
    for box in boxes[:2]:
        box.look = lambda inbound: heard.append(inbound.lane)
        box.fill = lambda *_: True  # as it is
    for box in boxes:
        box.start()
    try:

        def told() -> bool:
            texts = [box.report.lanes[2].state for box in boxes[:2]]
            texts += [boxes[2].report.lanes[lane].state for lane in (0, 1)]
            ours = f"speaks version {OTHER} of the protocol, we {VERSION}"
            theirs = f"speaks version {VERSION} of the protocol, we {OTHER}"
            return texts == [ours, ours, theirs, theirs]

        assert drive(boxes, told), [box.report.lanes for box in boxes]
        assert drive(boxes, lambda: all(box.report.view == 0b011 for box in boxes[:2]))
        for box in boxes:
            box.need = 50  # and a burst, whose cells are of another size
        assert drive(boxes, lambda: boxes[0].report.last_burst is not None)
        assert boxes[2].report.view in (0, 0b100)
        assert not boxes[2].report.real_allowed and boxes[2].report.last_burst is None
        assert told(), "and go on saying so"
        assert 2 not in heard, "none of its cells reached a box"
        assert all(box.report.errors == () for box in boxes)
        assert "update the one with the lower number" in advice(boxes[0].report.lanes[2].state)
    finally:
        for box in boxes:
            box.stop()
    assert [box.process.exitcode for box in boxes] == [0, 0, 0]
