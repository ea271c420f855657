"""Brings the disk from what it was last seen to hold to what the flock wants.

Theory of operation. A batch is done in this order, and the order is the whole point:

1. Every new content stands complete in a temporary inside the box, with its final mode and mtime.
2. The temporaries are flushed, all at once (one `syncfs`; few files one by one).
3. The batch is journalled in the index, durably.
4. Renames: directories top-down, contents, metadata, removals deepest first (see `placing`).
5. Every directory that was touched is flushed, and every file that was dressed at its path.
6. What the disk now shows is read back, and the index takes it in one transaction that also closes
   the journal.

So the index may lag the disk and never leads it. After a crash before 3 nothing has happened, save
that a directory which is closed to ourselves may be open for a look: the journal says of it before
(see `openings`).
Between 3 and 6 the journal says which paths to look at, and each of them shows either the old or
the new content (see `recovery`); no path of an open batch is ever read as an edit or a deletion.

One path that fails is one problem, and the rest of the batch goes on. What the planner did not see
is left alone and reported as changed. A rename within the box is a link: content that is at
its old path gets its new one first and loses the old one last, so it is never absent.

`apply`, `rehearse` and `recover` are generators that yield how many seconds the caller may well
leave them alone: 0.0 between slices of work of about `SLICE_S`, more while a flush is under way in
a thread. Their value is the report. One batch at a time; a generator that raised leaves the batch
open, and `recover` is next.
"""

from __future__ import annotations

import time
from collections.abc import Generator, Sequence
from contextlib import suppress
from functools import partial

from flocksy.boxes.apply.attributes import bring
from flocksy.boxes.apply.batch import (
    ALL,
    Batch,
    Contents,
    Outcome,
    Report,
    Result,
    Step,
    applied,
    differs_alone,
    guarded,
    is_directory,
    over_directory,
)
from flocksy.boxes.apply.cut import Cut
from flocksy.boxes.apply.flushing import flush_contents, flush_places
from flocksy.boxes.apply.folders import make_folders, remake_folders
from flocksy.boxes.apply.history import History
from flocksy.boxes.apply.journal import Applied, Journal, JournalEntry
from flocksy.boxes.apply.openings import Openings, closed_by_others
from flocksy.boxes.apply.pace import SLICE_S, each
from flocksy.boxes.apply.placing import (
    INCOMING,
    OWN_PREFIX,
    SCRATCH,
    BlockedError,
    ChangedError,
    Placer,
)
from flocksy.boxes.apply.preparing import Preparer
from flocksy.boxes.apply.recovery import close_again, recover
from flocksy.boxes.apply.remedies import describe
from flocksy.boxes.apply.respelling import rename_directory
from flocksy.boxes.apply.skipped import Skipped
from flocksy.boxes.apply.stranded import keep_stranded
from flocksy.boxes.disk.port import PARKED, Disk, ModeRefusedError, Stat
from flocksy.sync.capabilities import Capabilities
from flocksy.sync.operations import (
    DiskOperation,
    MakeDirectory,
    PutFile,
    PutSymlink,
    SetMetadata,
)
from flocksy.sync.version import Kind, Version

__all__ = ["Applier", "Contents", "DiskOperation", "Outcome", "Report", "Result"]


class Applier:
    """Applies batches to one box."""

    def __init__(
        self,
        disk: Disk,
        journal: Journal,
        history: History,
        contents: Contents,
        capabilities: Capabilities,
        *,
        ignore_symlinks: bool = False,
    ) -> None:
        self._disk = disk
        self.skipped = Skipped(ignore_symlinks=ignore_symlinks)
        self._journal = journal
        self._history = history
        self._capabilities = capabilities
        self._preparer = Preparer(disk, history, contents, capabilities)

    def recover(self) -> Generator[float, None, Report]:
        """Finish what a crash left. To be run before the box is scanned and before `apply`."""
        make_folders(self._disk)
        placer = self._placer()
        rescan: list[str] = []
        began = time.monotonic()
        finished: list[Applied] = []
        noted = self._journal.recover()
        theirs = closed_by_others(noted)
        rescan.extend(theirs)
        entries = [entry for entry in noted if not (entry.is_look or entry.path in theirs)]
        Openings(placer, self._journal, [entry.path for entry in noted]).journalled(noted)
        self._history.remake(entry.kept_as for entry in entries)
        cut = Cut.of(placer, entries)
        # Placements first: whether a removal is half of a rename is only known then.
        placements = [entry for entry in entries if entry.after is not None]
        placements.sort(key=lambda entry: not entry.brings_directory)
        removals = [entry for entry in entries if entry.after is None]
        removals.sort(key=lambda entry: entry.path, reverse=True)  # deepest first
        for entry in (*placements, *removals):
            anew = partial(recover, placer, entry, cut)
            done = placer.insist(entry.path, anew)
            if done is None or not done.settled:
                rescan.append(entry.path)
            if not entry.path.startswith(SCRATCH):
                # Who died had flushed nothing, and the index is about to say what is there now.
                placer.touch(entry.path)
                if done is not None:
                    finished.append(done)
            if time.monotonic() - began > SLICE_S:
                yield 0.0
                began = time.monotonic()
        yield from keep_stranded(placer, entries)
        yield from close_again(placer, noted, self._journal.local)
        yield from flush_places(self._disk, placer)
        self._journal.commit(finished, placer.kept)
        self._clear()
        return Report((), tuple(placer.kept), tuple(rescan))

    def _clear(self) -> None:
        """Remove what a crash left that no journal speaks of: it never had a place."""
        for folder in (INCOMING, SCRATCH):
            for name, found in self._disk.scan(folder):
                if name.startswith(OWN_PREFIX) and not name.endswith(PARKED):
                    self._drop(f"{folder}/{name}", found.kind is Kind.DIRECTORY)

    def apply(self, operations: Sequence[DiskOperation]) -> Generator[float, None, Report]:
        """Do a batch. A rename's source and its removal have to be in the same batch.

        Raises what the journal raises, and `FlocksyError` where something is left that only a
        recovery can deal with.
        """
        remake_folders(self._disk)
        placer = self._placer()
        openings = Openings(placer, self._journal, [one.path for one in operations])
        batch = self._preparer.begin(placer, operations)
        yield from self._make_room(batch)
        yield from self._preparer.prepare(placer, batch)
        fresh = [step for step in batch.alive(PutFile) if step.source is None]
        yield from flush_contents(self._disk, fresh)
        open_steps = batch.alive(*ALL)
        if open_steps:
            openings.journalled([step.entry for step in open_steps])
            self._journal.open([step.entry for step in open_steps if not step.is_shadowed])
            yield from self._place(placer, batch)
            undone = [s.entry for s in open_steps if not s.placed or s.wanted is None]
            yield from keep_stranded(placer, undone)
            yield from flush_places(self._disk, placer)
            self._journal.commit([applied(step) for step in batch.alive(*ALL)], placer.kept)
        elif openings.has_noted:
            yield from flush_places(self._disk, placer)
            self._journal.commit((), ())
        for step in batch.steps:
            if step.own and not step.placed and step.entry.temporary:
                self._drop(step.entry.temporary, isinstance(step.operation, MakeDirectory))
            if step.result is Result.CHANGED:
                batch.rescan.add(step.path)
        return Report(
            tuple(Outcome(s.operation, s.result, s.found, s.problem) for s in batch.steps),
            tuple(placer.kept),
            tuple(sorted(batch.rescan)),
            any(step.full for step in batch.steps),
        )

    def rehearse(self, temporaries: Sequence[str]) -> Generator[float, None, None]:
        """Take complete temporaries through the same steps as `apply`, into the scratch directory,
        and discard them: what a node does with the content that it sends itself."""
        remake_folders(self._disk)
        placer = self._placer()
        batch = Batch()
        mode = 0o600 if self._capabilities.mode_bits else None
        for number, temporary in enumerate(temporaries):
            path = f"{SCRATCH}/{OWN_PREFIX}{number}"
            try:
                found = self._disk.set_metadata(temporary, mode, time.time_ns())
            except FileNotFoundError:
                continue  # somebody has removed it, to make room
            entry = JournalEntry(path, temporary, "", None, found.entry(b""), None)
            version = Version(Kind.FILE, 0o600, 0, found.size, b"", 0, ())
            operation = PutFile(path, version, frozenset(), None)
            batch.steps.append(Step(operation, entry, entry.after))
        yield from flush_contents(self._disk, batch.steps)
        self._journal.open([step.entry for step in batch.steps])
        yield from self._place(placer, batch)
        yield from flush_places(self._disk, placer)
        self._journal.commit((), ())
        for step in batch.steps:
            self._drop(step.path if step.placed else step.entry.temporary, directory=False)

    def prune(self) -> Generator[float, None, bool]:
        """Thin the history out: to be run now and then (every hour). Its value is whether the
        history is full nevertheless, so that nothing can be replaced."""
        pruned = yield from self._history.prune()
        if pruned.removed:
            self._journal.forget(pruned.removed)
        return pruned.full

    def _make_room(self, batch: Batch) -> Generator[float, None, None]:
        """Thin the history out where it is due; without room there, nothing is replaced."""
        if not self._history.crowded:
            return
        full = yield from self.prune()
        for step in batch.steps if full else ():
            replaces = step.operation.expected is not None
            if replaces and not isinstance(step.operation, SetMetadata):
                step.result, step.full = Result.PROBLEM, True
                step.problem = (
                    "waits: the history of this box has reached its cap within 7 days;"
                    " raise its history_cap, or remove old files from .flocksy/history"
                )

    # ── after the journal ────────────────────────────────────────────────────────────────────

    def _place(self, placer: Placer, batch: Batch) -> Generator[float, None, None]:
        def put(step: Step) -> None:
            batch.check_directory(step)
            self._put(placer, batch, step)

        def remove(step: Step) -> None:
            self._remove(placer, batch, step)

        yield from each(batch.alive(MakeDirectory), guarded(put))
        contents = batch.alive(PutFile, PutSymlink)
        last = [step for step in contents if over_directory(step)]
        first = [step for step in contents if not over_directory(step)]
        early, late = batch.parted_removals(last)
        yield from each(first, guarded(put))
        yield from each(early, guarded(remove))
        yield from each(last, guarded(put))
        # Only now: the old name of a file goes once it has its new one, and before that is dressed,
        # since it is the same file.
        yield from each(late, guarded(remove))
        # Deepest first: the mode of a directory may close it to ourselves.
        finishing = batch.alive(PutFile, MakeDirectory, SetMetadata)[::-1]
        yield from each(finishing, guarded(lambda step: self._dress(placer, step)))
        yield from each(
            [step for step in batch.alive(*ALL) if step.placed],
            guarded(lambda step: self._read_back(placer, batch, step)),
        )

    def _put(self, placer: Placer, batch: Batch, step: Step) -> None:
        twin = step.twin if step.twin is not None and not step.twin.placed else None
        if twin is not None and is_directory(twin.entry.before):
            if not is_directory(step.wanted):
                raise ChangedError  # it was not empty
            rename_directory(placer, twin.path, step.entry)
            twin.placed = True
        else:
            if twin is not None:
                placer.remove(twin.entry, batch.second_name(twin.path))
                twin.placed = True
            if step.entry.temporary:
                placer.put(step.entry)
        step.placed = True
        step.shown = step.entry.after

    def _remove(self, placer: Placer, batch: Batch, step: Step) -> None:
        if step.placed:
            return
        users = batch.users.get(step.path, ())
        if not all(user.placed for user in users):
            raise ChangedError  # the content has not got its new place
        placer.remove(step.entry, batch.second_name(step.path))
        step.placed = True

    def _dress(self, placer: Placer, step: Step) -> None:
        """Metadata where it could not be set on the temporary.

        Here people may edit already. An mtime that is set would hide what they wrote in that
        instant, so the path is read once more afterwards.
        """
        assert step.wanted is not None
        same_time = self._capabilities.same_time
        if isinstance(step.operation, SetMetadata):
            if step.wanted.kind is not Kind.SYMLINK:
                expected = step.operation.expected
                try:
                    found = placer.set_metadata(step.path, expected, step.wanted)
                except ModeRefusedError as error:
                    found, step.problem = error.shown, describe(error)  # the rest is planned again
                step.shown = found.entry(step.wanted.root)
                is_file = step.wanted.kind is Kind.FILE
                step.is_sure = not is_file or same_time(expected.mtime_ns, step.wanted.mtime_ns)
                is_alone = differs_alone(step, self._capabilities)
                self._bring(placer, step, expected.attributes, alone=is_alone)
            step.placed = True
        else:
            assert step.shown is not None
            late_mode = self._capabilities.mode_bits and step.shown.mode != step.wanted.mode
            is_dated = same_time(step.shown.mtime_ns, step.wanted.mtime_ns)
            late_mtime = step.source is not None and not is_dated
            late_attributes = step.brought is not None and step.brought != step.wanted.attributes
            if not (late_mode or late_mtime or late_attributes):
                return
            try:
                if not placer.same(placer.look(step.path), step.shown):
                    return  # edited already: what is there is dressed as its editor wants
                self._bring(placer, step, step.brought, alone=False)
                found = placer.dress(step.path, step.shown, step.wanted, dated=late_mtime)
            except ChangedError:
                return  # just now
            except OSError as error:
                step.problem = describe(error)  # the content is in its place all the same
                if not isinstance(error, ModeRefusedError):
                    return
                found = error.shown
            step.shown = found.entry(step.wanted.root)
            step.is_sure = not late_mtime

    def _bring(self, placer: Placer, step: Step, before: bytes | None, *, alone: bool) -> None:
        """The extended attributes of a file that people may edit already. `alone`: nothing else is
        wrong with the path."""
        step.brought = before
        wanted = step.wanted.attributes if step.wanted is not None else None
        if before is None or wanted is None or before == wanted:
            return
        try:
            bring(placer, step.path, before, wanted)
        except ChangedError:
            return  # somebody's change: the scan finds it
        except (BlockedError, OSError):
            if alone:
                raise
            return  # they are planned once more, alone
        step.brought = wanted

    def _read_back(self, placer: Placer, batch: Batch, step: Step) -> None:
        """What the disk shows now. Where somebody was quick it is not what was brought: the path
        has held that all the same, so synced moves, and the scan finds the edit."""

        def look() -> tuple[Stat | None, bool]:
            found = self._disk.stat(step.path)
            return found, placer.same(found, step.shown, at=step.path)

        try:
            found, is_same = placer.insist(step.path, look)
        except OSError:
            # It was brought all the same. Unsaid, the next scan would take it for somebody's.
            found, is_same = None, False
            batch.rescan.add(step.path)
        if step.wanted is None:
            if found is not None and step.shadow is None:
                batch.rescan.add(step.path)
        elif found is not None and is_same:
            step.found = found.entry(step.wanted.root)
            # One who has set an attribute in the same tick of the clock shows by nothing else.
            if not step.is_sure or (self._capabilities.attributes and found.kind is Kind.FILE):
                batch.rescan.add(step.path)
        else:
            step.found = step.shown
            batch.rescan.add(step.path)

    # ── small things ─────────────────────────────────────────────────────────────────────────

    def _placer(self) -> Placer:
        return Placer(self._disk, self._history, self._capabilities, self.skipped)

    def _drop(self, path: str, directory: bool) -> None:
        """Remove a temporary; what cannot be removed now is removed at the next start."""
        with suppress(OSError):
            if directory:
                self._disk.remove_directory(path)
            else:
                self._disk.remove_file(path)
