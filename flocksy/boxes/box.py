"""One open box: scanner's findings become versions, what lanes carry becomes files.

Theory of operation. Three streams meet here and none waits for another. What the disk shows goes
`intake` -> `commit_local` -> `offers`; what a lane carries goes `receive` -> `planning` -> disk;
and what our own lane carried comes back through `receive` too, with its content written into
`scratch`, so that a source does all the work of a receiver (design 4.3, rule 5).

Nothing is committed, planned or applied while a burst is agreed or runs: all do that after it.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import ExitStack
from itertools import filterfalse
from typing import TypedDict

from flocksy.boxes.activation import Opened, renew_marker, still_ours
from flocksy.boxes.catching_up import CatchingUp
from flocksy.boxes.content.here import Here
from flocksy.boxes.content.rehearsal import Rehearsal
from flocksy.boxes.guard import Guard
from flocksy.boxes.held import Held
from flocksy.boxes.ignore_first import IgnoreFirst
from flocksy.boxes.intake import Fresh, Intake
from flocksy.boxes.offers import Offers
from flocksy.boxes.once_more import OnceMore
from flocksy.boxes.outside import Untold
from flocksy.boxes.planning import Planning
from flocksy.boxes.receiving import Again, Receiving
from flocksy.boxes.scan.scanner import Scanner, ScanReport
from flocksy.boxes.scan.standing import Standing
from flocksy.boxes.scans import Scans
from flocksy.boxes.set_aside import SetAside
from flocksy.boxes.setup import BoxSetup, Mode
from flocksy.boxes.upkeep import Upkeep
from flocksy.sync.messages import Versions
from flocksy.sync.operations import Acknowledge, Record
from flocksy.sync.planner import adopt, commit_local
from flocksy.sync.version import Kind, version_id

COMMIT_PATHS = 2_000
"""Paths turned into versions in one go: some tens of milliseconds."""

COPY_BYTES = 4 << 20
"""Chunks copied on this disk for each of the two per turn: some milliseconds."""


class _How(TypedDict):
    """How `adopt` and `commit_local` look at this box."""

    held: Callable[[str], str | None]
    sends_only: Callable[[str], bool]
    ignore_symlinks: bool
    receives_only: bool


class Box:
    """An open box. One thread; `turn` again and again."""

    def __init__(
        self, setup: BoxSetup, opened: Opened, scanner: Scanner, now_ms: Callable[[], int]
    ) -> None:
        self.setup = setup
        self.index = opened.index
        self.disk = opened.disk
        self.staging = opened.staging
        self.scratch = opened.scratch
        self.reader = opened.reader
        self.capabilities = opened.capabilities
        self._here = Here(opened.disk, opened.index.contents)
        self._opened = opened
        self._now_ms = now_ms
        self.adopting = opened.adopting
        self.offers = Offers(opened.index, opened.disk, lambda path: self.held.is_recorded(path))
        self.held = Held(setup, opened, self.offers)
        self.intake = Intake(opened.index, opened.links, self.held.why_not)
        opened.applier.skipped.ignored = self.held.why_ignored
        opened.applier.skipped.unread = self.intake.unread.why
        self.scans = Scans(setup, opened, scanner, self.intake, self.held)
        self.set_aside = SetAside(opened.index, self.capabilities, setup.mode)
        self.guard = Guard(opened.index, setup.guard_percent, self.intake.changed)
        self.standing = Standing(opened.disk, opened.links, self.capabilities)
        self.planning = Planning(
            opened.index,
            opened.staging,
            opened.applier,
            self.capabilities,
            ignore_symlinks=setup.ignore_symlinks,
            uncommitted=self.intake.changed,
            held=self.held.why_not_put,
            keeps=setup.mode is Mode.ARCHIVE,
        )
        self.planning.missing.resume(self.held.why_not_put, adopting=opened.adopting)
        self._upkeep = Upkeep(opened)
        self._receiving = Receiving(opened.index, self.planning, opened.scratch)
        self._once_more = OnceMore(opened.index, self.standing, self.intake)
        self._rehearsal = Rehearsal(opened.applier, opened.scratch, self._once_more.add)
        flow = (self.planning, self._receiving, self.held)
        self._ignore_first = IgnoreFirst(opened, *flow, self._adopt, setup.mode)
        self._adopt_after: str | None = None
        self._catching_up = CatchingUp(opened.index, self.capabilities)
        self.untold = Untold(self.scans, self.intake, self.offers)

    # -- what comes in --------------------------------------------------------------------------

    def scanned(self, report: ScanReport, now: float) -> None:
        """A part of what the scanner found."""
        if self.scans.source_of(report) is None:
            return
        report = self.scans.believed(report)
        for source, findings in self.scans.told_by(report):
            self.guard.found(findings, source)
        self.intake.take(report.findings, now, report.ticket)
        self.untold.found(report)
        if report.failed is not None:
            self.index.check_for_damage()
        if self.scans.taken(report, now):
            self._upkeep.rescanned()

    def receive(self, message: Versions, *, own: bool, now: float, again: Again = ()) -> None:
        """Versions that a lane carried; `own`: ours, come back; `again`: as in `Receiving.take`."""
        if not own:
            self.guard.heard(message.entries)
        self._receiving.take(message, own=own, now=now, again=again)
        paths = [entry.path for entry in message.entries]
        if self.guard.waiting:
            self.reject(self.guard.needed(paths))
        for path in (*self.guard.answered(paths), *filter(self.set_aside.__contains__, paths)):
            self.intake.changed.setdefault(path, ())  # it may be the same by now

    def write(self, name: bytes, data: bytes | memoryview, *, own: bool, again: bool) -> bool:
        """A verified chunk that a lane carried, `again` in a repeat. Whether it was of use."""
        return self.scratch.write(name, data, again) if own else self.staging.write(name, data)

    def chunk_length(self, chunk_id: bytes) -> int | None:
        """Bytes of a chunk or list blob that this box can serve, or None."""
        return self._here.length(chunk_id)

    # -- what is done ---------------------------------------------------------------------------

    def turn(self, now: float, *, quiet: bool) -> float | None:
        """Work a little. Returns when to come again, as `Planning.turn`.

        `quiet`: no burst is agreed or running. In one nothing is even looked for: only who has
        changed something would have to.
        """
        if not quiet:
            return None
        self.scans.turn(now)
        if self._choose(now):
            # An open batch ends first: what it says of paths that go is forgotten with the rest.
            return 0.0 if self.planning.free else self.planning.turn(now)
        if self.adopting:
            return self.scans.next()
        free = self.planning.free and not self._upkeep.busy
        again: list[float | None] = [self._rehearsal.turn(now, free=free)]
        if self._rehearsal.running:
            return self._rehearsal.again_at
        again.append(self._once_more.turn(now))
        # What an earlier run saw, and had no time to decide about, may be otherwise by now.
        if self.scans.decides(now) and not self.held.is_unknown and self._commit(now):
            again.append(0.0)
        self.scratch.copy_rest(self.offers.pushes)
        copying = self.staging.advance(COPY_BYTES) | self.scratch.advance(COPY_BYTES)
        if self.scans.complete and not self._catching_up.done:
            self.planning.add(self._receiving.left_over(self._catching_up.turn(), now))
            again.append(0.0)
        self._receiving.believe(now)
        if not self._upkeep.busy and not self.guard.estranged():
            again.append(self.planning.turn(now))
        # What came and is not decided on is named by nothing here yet, and must not be forgotten.
        decided = self._catching_up.done and not self._receiving.unsure and not self.intake.changed
        if self.planning.free:
            again.append(self._upkeep.turn(now, idle=decided and self.planning.idle))
        self.unknown.update(self.planning.texts)
        self.planning.texts.clear()
        for path in self.held.held_of(self.offers.stale | self.reader.changed()):
            self.intake.look_later(path, now)
        while self.planning.rescan:
            self.intake.look_again(self.planning.rescan.pop(), now)
        self.offers.stale.clear()
        again.append(0.0 if copying else self.scans.next())
        return min((when for when in again if when is not None), default=None)

    def adopt(self, now: float) -> float | None:
        """Look at a disk of unknown past, some paths at a time, until `adopting` is false. The
        flock's tree is known now. Returns when to come again, as `turn`."""
        if self.scans.undecided:
            self.scans.undecided = False
            self.scans.anew()
            return 0.0
        if not self._ignore_first.done:
            return self._ignore_first.turn(now)
        paths = self.index.known_paths(self._adopt_after, COMMIT_PATHS)
        if not paths:
            self.adopting = False
            self._catching_up.done = True  # every path has just been planned
            self._opened.adopted()
            return 0.0
        self._adopt_after = paths[-1]
        self._adopt(paths)
        return 0.0

    def _adopt(self, paths: Sequence[str]) -> None:
        found = self.intake.changed
        fresh = {path: found.pop(path) for path in paths if path in found}
        self.untold.add(paths)  # of unknown past
        self.offers.unsay_lost(paths)  # before what is here is recorded, or it is unsaid as well
        self._carry_out(adopt(self.index, paths, self.capabilities, **self._how()), fresh)
        self.set_aside.look(paths)
        self.planning.add(paths)

    def rescan(self, now: float) -> None:
        """Look at the whole box, as soon as possible."""
        self.scans.all(now)

    def scan_with(self, scanner: Scanner, now: float) -> None:
        """The scanner has died; this is the new one."""
        self.scans.scan_with(scanner, now)

    @property
    def unknown(self) -> set[str]:
        """Paths whose ancestry a member has to be asked for; the exchange takes them."""
        return self._receiving.unknown

    @property
    def scanning(self) -> bool:
        """Whether the scanner is at work here."""
        return bool(self.scans.tickets)

    @property
    def scanned_once(self) -> bool:
        """Whether the local tree is complete."""
        return self.scans.complete

    @property
    def pending(self) -> int:
        """Paths on their way from disk to lanes or from lanes to disk."""
        return (
            len(self.intake.changed)
            + self.index.outgoing_count()
            + self.planning.pending
            + len(self._receiving.unsure)
        )

    @property
    def settled(self) -> bool:
        """Whether everything known here is done: nothing to scan, to say or to apply."""
        return (
            not self.adopting
            and self.scans.complete
            and self.held.settled
            and self._catching_up.done
            and not self.scans.looking
            and not self.intake.changed
            and not self.intake.waiting
            and self._opened.watcher.deadline_s() is None
            and not self._receiving.unsure
            and not (len(self.offers.pushes) or len(self.offers.held))
            and self.planning.idle
            and self.index.outgoing_count() == 0
        )

    @property
    def problems(self) -> dict[str, str]:
        """Paths that something is wrong with, and what; "" stands for the box."""
        problems = {**self._ignore_first.problems, **self.intake.problems}
        problems |= {**self.planning.missing.problems, **self.planning.problems}
        problems |= self.held.problems
        trouble = self.staging.trouble(self.planning.missing) or self._upkeep.trouble
        trouble = trouble or self.scans.trouble or self._opened.lacks
        return {**problems, "": trouble} if trouble else problems

    def close(self) -> None:
        """Finish what is being applied, and close everything, whatever of that raises."""
        work = (self._rehearsal.finish, self.planning.finish, self._upkeep.finish)
        with ExitStack() as last_first:
            last_first.callback(self._opened.close)
            last_first.callback(renew_marker, self.disk, self.setup, self.index)
            for end in (*work, self.scans.close):
                last_first.callback(end)

    # -- steps ----------------------------------------------------------------------------------

    def _commit(self, now: float) -> bool:
        """Make versions of what changed. False: nothing did, or it is not to be believed now."""
        ready = self.intake.ready(COMMIT_PATHS, applying=not self.planning.free)
        found = {path: self.index.local(path) for path in ready}
        if not found or self.held.is_unknown:
            return False
        as_found = set(filterfalse(self.held.unripe, self.standing.as_known(found)))
        # Asked last: a drive that goes meanwhile, or another in its place, is noticed here.
        if still_ours(self.disk, self.setup, self.index) or self._choose(now, sure=True):
            return False
        for path in [path for path in found if self.held.why_not(path) is not None]:
            del found[path]
            self.intake.forget(path)
        for path in found.keys() - as_found:
            self.intake.put_off(path, now, self.held.unripe(path))
        paths = [path for path in found if not self.intake.waits(path)]
        gone = [path for path in paths if found[path] is None]
        waits = set() if self.setup.mode.receives_only else self.guard.hold(gone, now)
        fresh = {path: self.intake.changed.pop(path) for path in paths}
        paths = [path for path in paths if path not in waits]
        # What this disk was never seen to hold of the flock may be anything the flock has had.
        unseen = {path for path in paths if self._is_of_unknown_past(path)}
        # What only receives records nothing in place of what was to be said and has changed.
        self.offers.unsay_lost(paths if self.setup.mode.receives_only else unseen)
        for judge, some in ((adopt, unseen), (commit_local, set(paths) - unseen)):
            with self.index.transaction():  # so that thousands of reads share one lock
                operations = judge(self.index, some, self.capabilities, **self._how())
            self._carry_out(operations, fresh)
        self.untold.decided(paths)
        self.set_aside.look(paths)
        self.planning.add(paths)
        return True

    def record(self, records: Sequence[Record]) -> None:
        """Versions that a person asked for by name, whose content others have or will ask for."""
        self._carry_out(records, {record.path: () for record in records})

    def approve(self) -> int:
        """The deletions that wait happen. How many."""
        paths = self.guard.approve()
        for path in paths:
            self.intake.changed.setdefault(path, ())
        return len(paths)

    def reject(self, paths: Iterable[str] | None = None) -> int:
        """What these deletions (default: all that wait) have taken is brought back. How many."""
        back = self.guard.reject(paths)
        back += self.guard.reject(self.guard.needed(back))  # folders that it is to stand in
        self.offers.unsay_lost(back)
        self.planning.add(back)
        return len(back)

    def revert(self, paths: Iterable[str] | None) -> list[str]:
        """Give up what was changed here at and below these paths, or all, where only is received.
        What is given up."""
        reverted = self.set_aside.revert(paths)
        self.planning.add(reverted)
        return reverted

    def decide(self, now: float, *, approve: bool) -> int:
        """With no scanner at work: answer for the deletions that wait. How many."""
        count = self.approve() if approve else self.reject()
        while approve and count and self._commit(now):
            pass
        return count

    def _carry_out(
        self, operations: Sequence[Record | Acknowledge], fresh: Mapping[str, Fresh]
    ) -> None:
        records = [operation for operation in operations if isinstance(operation, Record)]
        batch, now_ms = secrets.token_bytes(8), self._now_ms()
        with self.index.transaction():
            for operation in operations:
                if isinstance(operation, Record):
                    version = operation.version
                    known = (version_id(version), version, operation.superseded)
                    self.index.record(operation.path, *known, batch=batch, due_ms=now_ms)
                self.index.set_synced(operation.path, operation.synced)
        for record in records:
            new = fresh.get(record.path, ())
            if record.path not in fresh and record.version.kind is Kind.FILE:
                # Again since an earlier run, and never offered.
                new = self.offers.all_chunks(record.version)
            # What is recorded elsewhere for a copy's sake waits as long as the copy.
            by = fresh if record.path not in fresh else (record.path,)
            held = any(map(self.untold.holds, (record.path, *by)))
            self.offers.add(record.path, record.version, new, batch, len(records), held=held)
            self.planning.add((record.path,))

    def _is_of_unknown_past(self, path: str) -> bool:
        state = self.index.flock(path) if self.index.synced(path) is None else None
        return state is not None and bool(state.heads)

    def _how(self) -> _How:
        return {
            "held": self.held.why_not,
            "sends_only": self.held.sends_only,
            "ignore_symlinks": self.setup.ignore_symlinks,
            "receives_only": self.setup.mode.receives_only,
        }

    def _choose(self, now: float, *, sure: bool = False) -> bool:
        """Look at what is held. Whether the rest is to wait, since that moves."""
        if not self.held.moving:
            if self.held.look(now, sure=sure):
                self.scans.watch_anew()
            if not self.held.moving:
                return False
        if self.planning.free and self.held.move():
            self._catching_up = CatchingUp(self.index, self.capabilities)
            self.planning.look_again_at_all()
            self.scans.anew()
            self.untold.decide_anew(but=self.guard.waiting)
        return True
