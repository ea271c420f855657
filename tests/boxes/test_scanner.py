"""The scanner process and its handle."""

from __future__ import annotations

import os
import select
import signal
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from flocksy.boxes.scan.findings import Differs
from flocksy.boxes.scan.scanner import (
    REPORT_FINDINGS,
    Gone,
    Job,
    Scanner,
    ScanReport,
    ScanRequest,
    Seen,
)
from flocksy.errors import FlocksyError
from flocksy.index.store import BoxIndex

DEADLINE_S = 30.0


@pytest.fixture
def box(tmp_path: Path) -> Path:
    (tmp_path / "box" / ".flocksy").mkdir(parents=True)
    BoxIndex.open(tmp_path / "index.sqlite").close()
    return tmp_path / "box"


@pytest.fixture(scope="module")
def scanner() -> Iterator[Scanner]:
    handle = Scanner()
    handle.start()
    yield handle
    handle.stop()


def ask(
    box: Path, ticket: int, paths: tuple[str, ...] | None = None, share: float = 1.0
) -> ScanRequest:
    index = str(box.parent / "index.sqlite")
    return ScanRequest(ticket, "box", str(box), index, paths, share=share)


def reports_until_last(scanner: Scanner, *tickets: int) -> list[ScanReport]:
    reports: list[ScanReport] = []
    waiting = set(tickets)
    until = time.monotonic() + DEADLINE_S
    while waiting:
        assert time.monotonic() < until, "no last report"
        select.select([scanner.fileno()], [], [], 1.0)
        for report in scanner.reports(2):
            reports.append(report)
            if report.last:
                waiting.discard(report.ticket)
    return reports


def test_reports_come_in_bounded_parts(scanner: Scanner, box: Path) -> None:
    for number in range(3 * REPORT_FINDINGS):
        (box / f"file {number}").write_bytes(b"x%d" % number)
    scanner.request(ask(box, 1))
    reports = reports_until_last(scanner, 1)
    assert all(len(report.findings) <= REPORT_FINDINGS for report in reports)
    paths = [finding.path for report in reports for finding in report.findings]
    assert sorted(paths) == sorted(f"file {number}" for number in range(3 * REPORT_FINDINGS))
    assert [report.last for report in reports] == [False] * (len(reports) - 1) + [True]
    assert reports[-1].looked_at == 3 * REPORT_FINDINGS
    assert reports[-1].failed is None


def test_single_paths_overtake_a_whole_box(scanner: Scanner, box: Path) -> None:
    (box / "big").write_bytes(os.urandom(30_000_000))
    (box / "small").write_bytes(b"x")
    scanner.request(ask(box, 2, share=0.1))
    scanner.request(ask(box, 3, ("small",)))
    reports = reports_until_last(scanner, 2, 3)
    assert [report.ticket for report in reports if report.last] == [3, 2]


def test_a_large_file_holds_up_no_other_path(scanner: Scanner, box: Path) -> None:
    (box / "big").write_bytes(os.urandom(30_000_000))
    (box / "small").write_bytes(b"x")
    scanner.request(ask(box, 12, ("big",), share=0.1))
    scanner.request(ask(box, 13, ("small",), share=0.1))
    reports = reports_until_last(scanner, 12, 13)
    assert [report.ticket for report in reports if report.last] == [13, 12]


def test_a_look_that_takes_its_time_is_overtaken(scanner: Scanner, box: Path) -> None:
    """By one of another box, too: one scanner serves all."""
    (box / "big").write_bytes(os.urandom(30_000_000))
    scanner.request(ask(box, 8, share=0.05))
    scanner.request(ask(box, 9))
    reports = reports_until_last(scanner, 8, 9)
    assert [report.ticket for report in reports if report.last] == [9, 8]


def test_what_reading_takes_is_without_the_turns_of_others(
    box: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (box / "big").write_bytes(os.urandom(5_000_000))
    now_s = 0.0

    def monotonic() -> float:
        nonlocal now_s
        now_s += 0.001
        return now_s

    monkeypatch.setattr(time, "monotonic", monotonic)
    job, steps = Job(ask(box, 20)), 0
    while (report := job.step()) is None:
        now_s += 100.0
        steps += 1
    (found,) = report.findings
    assert steps > 3
    assert isinstance(found, Seen) and 0 < found.hashing_s < 10


def test_a_look_that_compares_reads_nothing(box: Path) -> None:
    index = BoxIndex.open(box.parent / "index.sqlite")
    for name in ("same", "changed", "gone"):
        (box / name).write_bytes(b"x")
    for seen in reported(Job(ask(box, 10))).findings:
        assert isinstance(seen, Seen)
        index.set_local(seen.path, seen.entry)
    (box / "changed").write_bytes(b"changed")
    (box / "gone").unlink()
    (box / "new").mkdir()
    with (box / "new" / "large").open("wb") as large:
        large.truncate(1 << 40)  # nobody has the time to read that
    report = reported(Job(replace(ask(box, 11), compares=True)))
    assert report.last
    assert [one for one in report.findings if isinstance(one, Seen)] == [
        one for one in report.findings if one.path == "new"
    ]
    assert {one for one in report.findings if one.path != "new"} == {
        Gone("gone"),
        Differs("changed"),
        Differs("new/large"),
    }
    index.close()


def test_a_box_that_is_not_there_is_a_failure_and_no_deletion(scanner: Scanner, box: Path) -> None:
    request = ask(box, 4)
    box.rename(box.parent / "away")
    scanner.request(request)
    (report,) = reports_until_last(scanner, 4)
    assert report.findings == ()
    assert report.failed is not None
    assert str(box) in report.failed


def reported(job: Job) -> ScanReport:
    """What comes of it, in however many slices of time, with the pauses that the scanner makes."""
    until = time.monotonic() + DEADLINE_S
    while (report := job.step()) is None:
        assert time.monotonic() < until, "no report"
        time.sleep(job.wait_s(time.monotonic()))
    return report


def test_deletions_are_not_believed_when_the_box_went_away(box: Path) -> None:
    index = BoxIndex.open(box.parent / "index.sqlite")
    (box / "file").write_bytes(b"x")
    request = ask(box, 5)
    report = reported(Job(request))
    (found,) = report.findings
    assert isinstance(found, Seen)
    index.set_local("file", found.entry)

    (box / "file").unlink()
    report = reported(Job(request))
    assert report.findings == (Gone("file"),)

    job = Job(request)
    steps = job._begin()
    findings = [finding for finding in steps if finding is not None]
    assert findings == [Gone("file")]
    (box / ".flocksy").rmdir()
    job._findings = findings
    report = reported(job)
    assert report.last
    assert report.findings == ()
    assert report.failed is not None
    assert "mounted" in report.failed
    index.close()


def test_reports_can_be_left_for_later(box: Path) -> None:
    scanner = Scanner()
    scanner.start()
    (box / "file").write_bytes(b"text")
    scanner.request(ask(box, 6))
    assert select.select([scanner.fileno()], [], [], DEADLINE_S)[0]
    scanner.heard()
    until = time.monotonic() + DEADLINE_S
    reports: list[ScanReport] = []
    while not any(report.last for report in reports):
        assert time.monotonic() < until
        reports += scanner.reports()
        select.select([scanner.fileno()], [], [], 0.01)
    assert any(isinstance(one, Seen) for report in reports for one in report.findings)
    scanner.stop()


def test_a_scanner_that_died_is_told_apart_from_one_without_news(box: Path) -> None:
    scanner = Scanner()
    scanner.start()
    assert scanner.reports() == []
    assert scanner.pid is not None
    os.kill(scanner.pid, signal.SIGKILL)
    until = time.monotonic() + DEADLINE_S
    with pytest.raises(FlocksyError, match="scanner"):
        while time.monotonic() < until:
            select.select([scanner.fileno()], [], [], 1.0)
            scanner.reports()
    scanner.request(ask(box, 6))
    scanner.stop()
