"""What an open box asks of the scanner: when, how fast, and in which words."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Sequence
from dataclasses import replace

from flocksy.boxes.activation import Opened
from flocksy.boxes.closed import Closed
from flocksy.boxes.earlier import Earlier
from flocksy.boxes.guard import Source
from flocksy.boxes.held import Held
from flocksy.boxes.intake import AGAIN_SECONDS, Intake
from flocksy.boxes.scan.findings import (
    Busy,
    Finding,
    Gone,
    Remark,
    Skipped,
    Unfollowed,
    Unreadable,
)
from flocksy.boxes.scan.scanner import Scanner, ScanReport, ScanRequest, Symlinks
from flocksy.boxes.scan.settling import MAX_PATHS
from flocksy.boxes.setup import BoxSetup
from flocksy.sync.version import Kind

RESCAN_SECONDS = 3600.0
"""Between full rescans: what the watcher missed is found then (design 6.3)."""

FAILED_SECONDS = 3.0
"""After a scan that failed the whole box is looked at: whatever the scan was to find is unknown."""

RESCAN_SHARE = 0.005
"""The share of a core that an hourly rescan may use (design 6.3)."""

SCAN_SHARE = 0.5
"""The share of a core for everything else, the same on all nodes (design 4.3, rule 5)."""

GATHER_SECONDS = 0.02
"""After paths were asked for, others wait this long to be asked for together: a request costs some
0.4 ms of either process, and of thousands of files that go each would have its own."""

TOGETHER_SECONDS = 5.0
"""What changed at the same time is told together, so what one scan has found waits for others that
are under way, but no longer than this: one may be at a disk image. What that finds waits for its
end."""

_TICKETS = itertools.count(1)
"""Of scans: never the same twice, however often a box is closed and opened."""


class Scans:
    """The scans of one open box."""

    def __init__(
        self, setup: BoxSetup, opened: Opened, scanner: Scanner, intake: Intake, held: Held
    ) -> None:
        self._setup = setup
        self._opened = opened
        self._scanner = scanner
        self._intake = intake
        self._held = held
        self.tickets: set[int] = set()
        """Of scans that have not ended."""
        self._hourly = 0
        """The last scan for the hour."""
        self._differing: set[str] = set()
        """Paths that it has found to be otherwise, some more than `MAX_PATHS` at most."""
        self._closed = Closed(opened.links)
        self._newest = 0
        """The last scan that was asked for."""
        self._hurries = False  # since a scan has failed
        self._whole = 0
        self._wholes: set[int] = set()
        """Of scans of the whole box, without the hourly ones."""
        self._paths: dict[int, tuple[str, ...]] = {}
        """Of scans of single paths."""
        self._below: set[int] = set()
        """Of those, that look at all that is below."""
        self._looked_at: dict[str, int] = {}
        """Those that are being looked at -> by the last scan that was asked to."""
        self._changing: set[str] = set()
        """Those of them that are to be looked at again."""
        self._opens_at: float | None = None
        """When no more is waited for scans of single paths, while some are under way."""
        self._is_open = False  # that is over
        self._sources: dict[int, Source] = {}
        self.earlier = Earlier()
        self._watched = False  # all the time since the whole box was looked at
        self._lost = False  # events, and the whole box has not been looked at since
        self._whole_at = 0.0
        self._gathers_until = 0.0
        self.trouble = ""
        """Why the last scan failed, until one of the whole box has not."""
        self.complete = False
        """Whether the local tree is: the whole box has been looked at."""
        self.undecided = opened.links is not None and opened.adopting
        """Whether links are to be looked at once the flock's tree is known. Until then none is
        followed or given up."""

    def source_of(self, report: ScanReport) -> Source | None:
        """How the scan came about; None: it is none of ours. It was asked for before the box was
        closed and opened anew, perhaps to look otherwise."""
        return self._sources.get(report.ticket)

    def told_by(self, report: ScanReport) -> Iterable[tuple[Source, Sequence[Finding]]]:
        """What was found, in its order, and what is said of the deletions among it."""
        return self._closed.told_by(report.findings, self._sources[report.ticket])

    @property
    def looking(self) -> bool:
        """Whether a scan is under way other than the hourly one, which takes minutes or hours, and
        has nothing decided on."""
        return bool(self.tickets - {self._hourly})

    def decides(self, now: float) -> bool:
        """Whether what was found may be decided about, but for what a scan under way has found.
        Not before the local tree is complete, nor while the whole box is being looked at."""
        if not self.looking:
            self._opens_at = None
            return self.complete
        if self._opens_at is None:
            self._opens_at = now + TOGETHER_SECONDS
        self._is_open = self._opens_at <= now
        return self.complete and self._is_open and self.tickets.isdisjoint(self._wholes)

    def believed(self, report: ScanReport) -> ScanReport:
        """What of a report is to be taken in. What the hourly scan has found to be otherwise is
        looked at for itself when it has ended, and all at once: something that was moved may be
        seen to go long before it is seen to come."""
        if report.ticket != self._hourly:
            return report
        remarks = []
        for finding in report.findings:
            if isinstance(finding, Unreadable | Skipped | Unfollowed | Remark):
                remarks.append(finding)
            elif len(self._differing) <= MAX_PATHS:
                self._differing.add(finding.path)
        return replace(report, findings=remarks)

    def taken(self, report: ScanReport, now: float) -> bool:
        """A report has been taken in. Whether it was the last of a scan of the whole box."""
        self._have_looked([finding.path for finding in report.findings], report.ticket, now)
        self._note_closed(report, now)
        return report.last and self._ended(report, now)

    def _note_closed(self, report: ScanReport, now: float) -> None:
        source = self._sources[report.ticket]
        for finding in report.findings:
            path = finding.path
            match finding:
                case Unreadable() if self._was_directory(path):
                    self._closed.refused(path, source, report.ticket, self._newest)
                case Busy() | Skipped() | Unfollowed() if path in self._closed:
                    # It was not listed now, either.
                    self._closed.refused(path, source, report.ticket, self._newest)
                case Gone() if path in self._closed:
                    self._intake.look_again(path, now)  # and then it is closed no more

    def _have_looked(self, paths: Iterable[str], ticket: int, now: float) -> None:
        """What has happened at these paths since they were asked for is to be looked at."""
        for path in paths:
            if self._looked_at.get(path) == ticket:
                del self._looked_at[path]
                if path in self._changing:
                    self._changing.discard(path)
                    if not self._rests(path, now):
                        self._intake.look_again(path, now)

    def _ended(self, report: ScanReport, now: float) -> bool:
        self.tickets.discard(report.ticket)
        self._wholes.discard(report.ticket)
        paths = self._paths.pop(report.ticket, None)
        self._have_looked(paths or (), report.ticket, now)
        self._sources.pop(report.ticket, None)
        failed = report.failed is not None
        self._intake.answered(report.ticket, failed=failed)
        if report.ticket == self._hourly:
            self._look_at_differing(report)
        whole = report.ticket == self._whole
        self.earlier.ended(report.ticket, failed=failed, whole=whole)
        if report.failed is None:
            self._look_at_opened(report.ticket, paths, now)
        self._below.discard(report.ticket)
        if report.failed is not None:
            self.trouble = report.failed
            self._hurries = True
            self._whole_at = min(self._whole_at, now + FAILED_SECONDS)
            return False
        if not whole:
            return False
        self.trouble = ""
        self.complete = self._watched = True
        self._lost = False
        return True

    def come_back(self) -> set[str]:
        """The node has come into a view: whatever has happened so far was before it. Where that is
        still to be looked at."""
        self.earlier.add(self.tickets)
        paths, anywhere = self._opened.watcher.unsettled()
        if anywhere or self._hurries:
            self.earlier.unseen()
        return {*paths, *self._changing, *self._intake.to_look_at()}

    def turn(self, now: float) -> None:
        """Ask for what is to be looked at by now."""
        if now < self._gathers_until:
            return
        dirty = self._opened.watcher.take(now)
        if dirty.rescan:
            self._lost = self._lost or dirty.lost
            self.all(now)
        elif now >= self._whole_at:
            if self._hurries or not self.complete:
                self._request(None, SCAN_SHARE, Source.RESCAN)
            elif self._hourly not in self.tickets:  # one is enough, however long it takes
                self._hourly = self._request(None, RESCAN_SHARE, Source.RESCAN, compares=True)
            self._hurries = False
            self._whole_at = now + RESCAN_SECONDS
        awake = (path for path in dirty.paths if not self._rests(path, now))
        paths = {*awake, *self._intake.due(now)}
        put_back = self._intake.put_back(paths, now) if paths else ()
        if put_back:
            self._gathers_until = now + AGAIN_SECONDS  # to ask what is in a batch takes a while
            paths -= put_back
        # Each once at a time: of a large file that is written all the time there were ever more.
        self._changing |= paths & self._looked_at.keys()
        paths -= self._changing
        closed = {path for path in paths if path in self._closed}
        hidden = set(filter(self._intake.unread.hides, paths - closed))
        for some, source in (
            (paths - closed - hidden, self._found_by()),
            (hidden, Source.RESCAN),
            (closed, self._found_by()),
        ):
            if some:
                self._request(tuple(sorted(some)), SCAN_SHARE, source, below=some is closed)
                self._gathers_until = max(self._gathers_until, now + GATHER_SECONDS)

    def next(self) -> float | None:
        """When something is to be asked for next."""
        deadlines: Iterable[float | None] = (
            self._opened.watcher.deadline_s(),
            self._intake.deadline(),
            self._held.next(),
            None if self._is_open else self._opens_at,
            self._whole_at,
        )
        when = min((when for when in deadlines if when is not None), default=None)
        return None if when is None else max(when, self._gathers_until)

    def all(self, now: float) -> None:
        """Look at the whole box, as soon as possible.

        What is found missing then was seen to go while the watcher sees everything: the event of
        an `rm` may come later than the scan.
        """
        self._request(None, SCAN_SHARE, self._found_by())
        self._hurries = False
        self._whole_at = now + RESCAN_SECONDS

    def anew(self) -> None:
        """Look at the whole box; until that is done the local tree is not complete."""
        self.complete = False
        self.earlier.unseen()  # what did not count so far was there before
        self._request(None, SCAN_SHARE)

    def watch_anew(self) -> None:
        """Something was mounted or unmounted in the box: the kernel's watches went with it."""
        self._opened.watcher.stop()
        self._opened.watcher.start()
        self._watched = False
        self.anew()

    def scan_with(self, scanner: Scanner, now: float) -> None:
        """The scanner has died, and what it was asked for with it; this is the new one. What is
        looked at then is the whole box, so that nothing has to be remembered."""
        self._scanner = scanner
        for ticket in self.tickets:
            self._intake.answered(ticket, failed=True)
        self.tickets.clear()
        self._wholes.clear()
        self._paths.clear()
        self._below.clear()
        self._looked_at.clear()
        self._changing.clear()
        self._sources.clear()
        self.earlier.lost()
        self._differing.clear()
        self.all(now)

    def close(self) -> None:
        """The box is closed: what it has asked for is not looked at any more."""
        if self.tickets:
            self._scanner.forget(frozenset(self.tickets))

    def _look_at_opened(self, ticket: int, paths: tuple[str, ...] | None, now: float) -> None:
        """A look has ended. What it found open that was closed is looked at, unless it has been."""
        again: list[str] = []
        if ticket == self._hourly:
            again = self._closed.compared(ticket)
        elif paths is None or ticket in self._below:
            again = self._closed.looked(ticket, paths)
        for path in again:
            self._intake.look_again(path, now)

    def _look_at_differing(self, report: ScanReport) -> None:
        """The hourly scan has ended."""
        paths, self._differing = tuple(sorted(self._differing)), set()
        if paths and report.failed is None:
            some = paths if len(paths) <= MAX_PATHS else None
            ticket = self._request(some, SCAN_SHARE, Source.RESCAN)
            if report.ticket in self.earlier:
                self.earlier.add([ticket])

    def _rests(self, path: str, now: float) -> bool:
        """Whether what happened at the path is looked at later: it is a file that keeps changing.
        That it went, or was renamed, is news."""
        pacing = self._intake.pacing
        if not pacing.rests(path, now):
            return False
        try:
            found = self._opened.disk.stat(path)
        except OSError:
            return False
        if found is None or found.kind is not Kind.FILE:
            return False
        pacing.put_off(path)
        return True

    def _was_directory(self, path: str) -> bool:
        entry = self._opened.index.local(path)
        return entry is not None and entry.kind is Kind.DIRECTORY

    def _found_by(self) -> Source:
        """What is said of a deletion that a look finds which begins now. One at a single path is
        no exception: not only events ask for it, and it tells of all that was below."""
        sees_all = self._opened.watcher.sees_all and not self._lost
        return Source.LIVE if sees_all else Source.RESCAN

    def _request(
        self,
        paths: tuple[str, ...] | None,
        share: float,
        source: Source = Source.LIVE,
        *,
        compares: bool = False,
        below: bool = False,
    ) -> int:
        """The ticket of the scan."""
        setup, links = self._setup, self._opened.links
        capabilities = self._opened.capabilities
        request = ScanRequest(
            ticket=next(_TICKETS),
            box=setup.name,
            root=setup.path,
            index=setup.index_path,
            paths=paths,
            symlinks=Symlinks.IGNORE if setup.ignore_symlinks else Symlinks.COPY,
            mtime_grain_ns=capabilities.mtime_grain_ns,
            respelling=capabilities.respelling,
            stable_inodes=capabilities.stable_inodes,
            attributes=capabilities.attributes,
            share=share,
            follow=None if links is None else links.request(undecided=self.undecided),
            folders=self._held.choice.folders,
            texts=self._held.choice.texts,
            compares=compares,
            below=below,
        )
        self._newest = request.ticket
        self.tickets.add(request.ticket)
        if paths is not None:
            self._paths[request.ticket] = paths
            self._looked_at.update(dict.fromkeys(paths, request.ticket))
        elif not compares:
            self._intake.pacing.looks_at_all()
        if below:
            self._below.add(request.ticket)
        self._intake.asked(request.ticket, paths)
        if paths is None:
            self._whole = request.ticket
            self._wholes.update(() if compares else (request.ticket,))
        # Until the whole box has been looked at, a look at one path lists folders as well, and
        # finds what went before anybody watched.
        is_sure = self._watched if paths is not None else self.complete
        self._sources[request.ticket] = source if is_sure else Source.START
        self.earlier.asked(request.ticket)
        self._scanner.request(request)
        return request.ticket
