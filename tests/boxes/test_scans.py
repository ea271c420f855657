"""What a box asks of its scanner, and when."""

from __future__ import annotations

from pathlib import Path

import pytest

from flocksy.boxes.scan.scanner import ScanReport, ScanRequest
from flocksy.boxes.scan.watcher import QUIET_S, Settling
from flocksy.boxes.scans import GATHER_SECONDS
from flocksy.testing.lockstep import Lockstep

FILES = 50
BETWEEN_S = 0.002


def test_paths_that_change_one_after_the_other_are_asked_for_together(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Lockstep(tmp_path, size=1) as flock:
        flock.settle()
        box = flock.nodes[0].keeper.boxes[0].box
        assert box is not None
        settling = Settling()
        monkeypatch.setattr(box._opened.watcher, "_settling", settling)
        asked: list[tuple[float, tuple[str, ...] | None]] = []

        def request(request: ScanRequest) -> None:
            asked.append((now, request.paths))

        monkeypatch.setattr(box.scans._scanner, "request", request)
        began = flock.now + 1.0
        for number in range(FILES):
            settling.note(f"f{number:02}", began + number * BETWEEN_S)
        while settling.busy:
            when = box.scans.next()
            assert when is not None
            now = when
            box.scans.turn(now)
        monkeypatch.undo()

    paths = [path for _, some in asked for path in some or ()]
    assert paths == [f"f{number:02}" for number in range(FILES)]
    assert asked[0] == (began + QUIET_S, ("f00",)), "the first waits for nobody"
    times = [when for when, _ in asked]
    last = began + (FILES - 1) * BETWEEN_S + QUIET_S
    assert times[-1] <= last + GATHER_SECONDS
    assert len(asked) <= (last - times[0]) / GATHER_SECONDS + 2


def test_why_a_scan_failed_is_said_until_one_of_the_whole_box_has_not(tmp_path: Path) -> None:
    with Lockstep(tmp_path, size=1) as flock:
        flock.settle()
        box = flock.nodes[0].keeper.boxes[0].box
        assert box is not None and "" not in box.problems
        box.rescan(flock.now)
        box.scans.turn(flock.now)
        (ticket,) = box.scans.tickets
        why = "cannot be read: Input/output error"
        box.scanned(ScanReport(ticket, box.setup.tag, (), True, 0, why), flock.now)
        assert box.problems[""] == why
        flock.run_until(lambda: not box.problems)
