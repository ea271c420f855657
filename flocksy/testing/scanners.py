"""Scanner processes that outlive the node they worked for.

To start one costs more than most tests of boxes do, and what it has done for one node is nothing to
the next: it keeps nothing but what it has been asked and has not answered yet.
"""

from __future__ import annotations

import atexit
import select
import time

from flocksy.boxes.scan.scanner import Scanner, ScanReport, ScanRequest, scan
from flocksy.errors import FlocksyError

ANSWER_S = 2.0
"""Whoever has more to do than that is stopped instead."""

WAIT_S = 0.001

_free: list[LastingScanner] = []


class LastingScanner(Scanner):
    """Knows whether it has answered all it was asked, and makes way for nobody: one that did would
    keep its test waiting for minutes on a machine that is full of them."""

    def __init__(self) -> None:
        super().__init__()
        self._run = scan
        self._unanswered: set[int] = set()

    def request(self, request: ScanRequest) -> None:
        """Remember it."""
        self._unanswered.add(request.ticket)
        super().request(request)

    def forget(self, tickets: frozenset[int]) -> None:
        """They are not answered any more, or nobody waits for it."""
        self._unanswered -= tickets
        super().forget(tickets)

    def reports(self, limit: int = 16) -> list[ScanReport]:
        """And the last report to each, which is its answer."""
        taken = super().reports(limit)
        self._unanswered -= {report.ticket for report in taken if report.last}
        return taken

    def come_to_rest(self) -> None:
        """Wait until it looks at nothing: what is written then it never sees half done. What it
        has found stays to be taken."""
        end_s = time.monotonic() + ANSWER_S
        while self._looks() and time.monotonic() < end_s:
            time.sleep(WAIT_S)

    def _looks(self) -> bool:
        with self._reports.mutex:
            reports = list(self._reports.queue)
        found = {report.ticket for report in reports if report is not None and report.last}
        return None not in reports and not self._unanswered <= found

    def is_free(self) -> bool:
        """Whether it has nothing more to do, soon."""
        end_s = time.monotonic() + ANSWER_S
        try:
            while self._unanswered and (wait_s := end_s - time.monotonic()) > 0:
                select.select([self.fileno()], [], [], wait_s)
                self.reports()
            self.reports()  # of what was forgotten on its way: no answer to whoever asks next
            return not self._unanswered
        except FlocksyError:
            return False


@atexit.register
def _stop() -> None:
    # They are deaf to the signal by which processes that are left over are ended.
    while _free:
        _free.pop().stop()


def take() -> Scanner:
    """One that runs and has nothing to do."""
    while _free:
        scanner = _free.pop()
        if scanner.is_free():
            return scanner
        scanner.stop()
    scanner = LastingScanner()
    scanner.start()
    return scanner


def give_back(scanner: Scanner) -> None:
    """For the next that needs one."""
    if isinstance(scanner, LastingScanner) and scanner.is_free():
        _free.append(scanner)
    else:
        scanner.stop()
