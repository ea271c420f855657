"""The scanner: a process of its own that looks at boxes, cuts and hashes what changed.

`Scanner` is the handle in the box process. It never blocks: a thread writes requests and another
takes reports, unpacks them and makes `fileno()` readable. One scanner serves all boxes of a node.
Its requests take turns (`scan/turns.py`).

The process runs at the lowest priority, and each request under its own share of a core, on every
node alike, so that scanning before a burst shows on no clock (design 4.3, rule 5).
"""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import queue
import socket
import threading
import time
from collections.abc import Generator, Sequence
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from pathlib import Path

from flocksy.boxes.disk.filesystem import RealDisk
from flocksy.boxes.scan.comparing import Comparing
from flocksy.boxes.scan.durable import made_durable
from flocksy.boxes.scan.findings import Busy, Finding, Gone, Seen, Skipped, Unfollowed, Unreadable
from flocksy.boxes.scan.follower import Follower
from flocksy.boxes.scan.following import FollowingDisk
from flocksy.boxes.scan.looking import Look, Symlinks
from flocksy.boxes.scan.requests import ForgetRequest, Request, ScanReport, ScanRequest
from flocksy.boxes.scan.turns import Brake, Turns
from flocksy.boxes.scan.walk import BoxGoneError, Steps, Walk
from flocksy.errors import FlocksyError
from flocksy.index.known import KnownTree
from flocksy.sync.holding import Choice
from flocksy.system import processes

__all__ = [
    "Busy",
    "Finding",
    "Gone",
    "ScanReport",
    "ScanRequest",
    "Scanner",
    "Seen",
    "Skipped",
    "Symlinks",
    "Unfollowed",
    "Unreadable",
]

REPORT_FINDINGS = 256
"""Findings in one report: what the box process takes in at once, a few tens of milliseconds."""
REPORT_PIECES = 4096
"""Chunks named in one report, unless a single file has more: 0.3 MB."""
REPORT_DELAY_S = 0.05
"""A finding waits no longer than this for company."""
WAITING_REPORTS = 8
"""Reports unpacked and not taken; the scanner stops when there are more."""
NICENESS = 19
"""Not the class for what is idle (SCHED_IDLE), which gets a fifth of that where all cores are busy:
`docs/decisions.md`, "Who wakes up first is decided by time slices"."""


class Scanner:
    """Handle of the scanner process. Use it from one thread."""

    def __init__(self) -> None:
        self._requests: queue.SimpleQueue[Request | None] = queue.SimpleQueue()
        self._reports: queue.Queue[ScanReport | None] = queue.Queue(WAITING_REPORTS)
        self._wake_read, self._wake_write = socket.socketpair()
        self._wake_read.setblocking(False)
        self._wake_write.setblocking(False)
        self._process: multiprocessing.process.BaseProcess | None = None
        self._threads: list[threading.Thread] = []
        self._stopping = False
        self._run = run

    def start(self) -> None:
        """Start the process, from the thread that lives longest."""
        context = multiprocessing.get_context("spawn")
        ours, theirs = context.Pipe()
        process = context.Process(
            target=self._run, args=(theirs, os.getpid()), name="flocksy-scanner", daemon=True
        )
        process.start()
        theirs.close()
        self._process = process
        for work in (self._send, self._receive):
            thread = threading.Thread(target=work, args=(ours,), name="scanner", daemon=True)
            thread.start()
            self._threads.append(thread)

    @property
    def pid(self) -> int | None:
        """The process, for priorities and the status."""
        return None if self._process is None else self._process.pid

    def request(self, request: ScanRequest) -> None:
        """Queue a scan."""
        self._requests.put(request)

    def forget(self, tickets: frozenset[int]) -> None:
        """Queue that nobody waits for these scans any more."""
        self._requests.put(ForgetRequest(tickets))

    def fileno(self) -> int:
        """Readable when `reports` has something."""
        return self._wake_read.fileno()

    def heard(self) -> None:
        """Leave `reports` for later: `fileno` is not readable before still more has come."""
        with contextlib.suppress(BlockingIOError):
            while self._wake_read.recv(4096):
                pass

    def reports(self, limit: int = 16) -> list[ScanReport]:
        """What has arrived; does not block. Raises `FlocksyError` when the process has died: start
        a new scanner and ask again."""
        self.heard()
        taken: list[ScanReport] = []
        while len(taken) < limit:
            try:
                report = self._reports.get_nowait()
            except queue.Empty:
                return taken
            if report is None:
                self._reports.put(None)
                self._wake()
                if taken or self._stopping:
                    return taken
                raise FlocksyError("the scanner process ended unexpectedly: it is started again")
            taken.append(report)
        self._wake()
        return taken

    def stop(self) -> None:
        """End the process. Reports not taken yet are lost."""
        self._stopping = True
        self._requests.put(None)
        process = self._process
        if process is not None:
            # It writes nothing, so nothing is lost; and it is deaf to what ends a node by hand.
            process.kill()
            process.join()
            self._process = None
        # A receiving thread that waits for room gets it, finds that it is to stop, and ends.
        with contextlib.suppress(queue.Empty):
            while True:
                self._reports.get_nowait()
        for thread in self._threads:
            thread.join()
        self._wake_read.close()
        self._wake_write.close()

    def _wake(self) -> None:
        # Full: it is readable as it is. Closed: nobody listens any more.
        with contextlib.suppress(OSError):
            self._wake_write.send(b"\0")

    def _send(self, pipe: Connection) -> None:
        while (request := self._requests.get()) is not None:
            try:
                pipe.send(request)
            except OSError:
                return  # the receiving thread says that the process has died

    def _receive(self, pipe: Connection) -> None:
        report: ScanReport | None = None
        while True:
            try:
                report = pipe.recv()
            except (OSError, EOFError):
                report = None
            self._reports.put(report)  # waits while there are too many: so does the scanner
            self._wake()
            if report is None or self._stopping:
                self._requests.put(None)
                return


# ── in the scanner process ───────────────────────────────────────────────────────────────────


def run(pipe: Connection, parent_pid: int) -> None:
    """The scanner process of a node, which makes way for whatever else runs there."""
    processes.set_nice(NICENESS)
    processes.run_in_batches()
    processes.set_idle_io()
    scan(pipe, parent_pid)


def scan(pipe: Connection, parent_pid: int) -> None:
    """The life of a scanner process: until it is told to end, or the pipe is closed."""
    processes.leave_to_parent()
    processes.die_with_parent(parent_pid)
    requests: queue.SimpleQueue[Request | None] = queue.SimpleQueue()
    threading.Thread(target=_listen, args=(pipe, requests), daemon=True).start()
    # A closed pipe: the node is gone, and nothing here is worth keeping.
    with contextlib.suppress(OSError):
        _work(pipe, requests)


def _listen(pipe: Connection, requests: queue.SimpleQueue[Request | None]) -> None:
    # Always ready to read, so that the node can never wait for us while we wait for it.
    while True:
        try:
            requests.put(pipe.recv())
        except (OSError, EOFError):
            requests.put(None)
            return


def _work(pipe: Connection, requests: queue.SimpleQueue[Request | None]) -> None:
    turns = Turns[Job]()
    while True:
        job = turns.next()
        try:
            wait_s = None if job is None else job.wait_s(time.monotonic())
            request = requests.get(timeout=wait_s)
        except queue.Empty:
            assert job is not None
            report = job.step()
            if report is not None:
                pipe.send(report)
            turns.worked(job, ended=report is not None and report.last)
            continue
        if request is None:
            return
        if isinstance(request, ForgetRequest):
            _forget(turns, request.tickets)
        else:
            turns.add(Job(request))


def _forget(turns: Turns[Job], tickets: frozenset[int]) -> None:
    for job in turns.remove(lambda one: one.request.ticket in tickets):
        with contextlib.suppress(OSError):  # its disk may have gone
            job.close()


@dataclass(slots=True)
class Job:
    """One request under way."""

    STEP_S = 0.005

    request: ScanRequest
    brake: Brake = field(init=False)
    _disk: RealDisk | FollowingDisk | None = None
    _known: KnownTree | None = None
    _walk: Walk | None = None
    _steps: Steps | None = None
    _findings: list[Finding] = field(default_factory=list)
    _pieces: int = 0
    _oldest_s: float = 0.0
    _began_s: float = 0.0
    _had_s: float = 0.0
    _flush: Generator[float, None, Sequence[Finding]] | None = None
    _flush_pause_s: float = 0.0
    _has_seen_all: bool = False

    def __post_init__(self) -> None:
        self.brake = Brake(self.share)

    @property
    def share(self) -> float:
        """Of a core."""
        return self.request.share

    @property
    def is_whole(self) -> bool:
        """Whether it looks at a whole box."""
        return self.request.paths is None

    @property
    def box(self) -> str:
        """Whose look it is."""
        return self.request.box

    def wait_s(self, now_s: float) -> float:
        """How long to wait before the next step."""
        return max(self.brake.debt_s(now_s), self._flush_pause_s)

    def step(self) -> ScanReport | None:
        """Work for a few milliseconds. A report when there is one to send."""
        cpu_s, self._began_s = time.thread_time(), time.monotonic()
        try:
            return self._step()
        except BoxGoneError:
            return self._end("the box is not where it was: is its disk still mounted?")
        except FlocksyError as error:
            return self._end(str(error))
        except OSError as error:
            return self._end(f"{self.request.root}: cannot be read: {error.strerror or error}")
        finally:
            now_s = time.monotonic()
            self._had_s += now_s - self._began_s
            self.brake.used(time.thread_time() - cpu_s, now_s)

    def _clock_s(self) -> float:
        """The time that this look has had: it stands still while others have their turns, and while
        the brake is on."""
        return self._had_s + time.monotonic() - self._began_s

    def _step(self) -> ScanReport | None:
        """Nobody hears of what is not durable."""
        if self._flush is None:
            if not self._look_on():
                return None
            assert self._disk is not None
            self._flush = made_durable(self._disk, self._findings)
        try:
            self._flush_pause_s = next(self._flush)
            return None
        except StopIteration as flushed:
            self._findings = list(flushed.value)
        self._flush, self._flush_pause_s = None, 0.0
        return self._end(None) if self._has_seen_all else self._report()

    def _look_on(self) -> bool:
        """Whether there is something to report."""
        steps = self._begin() if self._steps is None else self._steps
        until_s = time.monotonic() + self.STEP_S
        for finding in steps:
            now_s = time.monotonic()
            if finding is not None:
                if not self._findings:
                    self._oldest_s = now_s
                self._findings.append(finding)
                self._pieces += len(finding.pieces) if isinstance(finding, Seen) else 0
            if len(self._findings) >= REPORT_FINDINGS or self._pieces >= REPORT_PIECES:
                return True
            if now_s > until_s:
                return bool(self._findings) and now_s - self._oldest_s > REPORT_DELAY_S
        self._has_seen_all = True
        return True

    def _begin(self) -> Steps:
        request = self.request
        disk = self._disk = RealDisk(request.root)
        known = self._known = KnownTree(Path(request.index))
        follower = None
        if request.follow is not None:
            follower = Follower(request.root, known, request.follow)
            self._disk = FollowingDisk(disk, follower)
        look = Look(
            request.symlinks,
            request.mtime_grain_ns,
            request.respelling,
            request.stable_inodes,
            request.attributes,
        )
        choice = Choice(request.folders, request.texts)
        kind = Comparing if request.compares else Walk
        self._walk = kind(
            self._disk, known, look, follower=follower, choice=choice, clock_s=self._clock_s
        )
        paths = request.paths
        walk = self._walk
        self._steps = walk.whole() if paths is None else walk.paths(paths, below=request.below)
        return self._steps

    def _report(self, *, last: bool = False, failed: str | None = None) -> ScanReport:
        findings, self._findings, self._pieces = tuple(self._findings), [], 0
        walk = self._walk
        if any(isinstance(finding, Gone) for finding in findings) and (
            walk is None or not walk.still_the_box()
        ):
            raise BoxGoneError
        looked_at = 0 if walk is None else walk.looked_at
        return ScanReport(self.request.ticket, self.request.box, findings, last, looked_at, failed)

    def _end(self, failed: str | None) -> ScanReport:
        if failed is not None:
            self._findings.clear()  # not durable, and found again: all is looked at after this
        try:
            return self._report(last=True, failed=failed)
        finally:
            self.close()

    def close(self) -> None:
        """Let go of the box and its index: of each, whatever another raises."""
        with contextlib.ExitStack() as last_first:
            if self._disk is not None:
                last_first.callback(self._disk.close)
            if self._known is not None:
                last_first.callback(self._known.close)
            if self._steps is not None:
                last_first.callback(self._steps.close)
            if self._flush is not None:  # before all else: it has the disk in hands
                last_first.callback(self._flush.close)
