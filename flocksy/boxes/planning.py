"""From paths whose flock state moved to batches on the disk.

Paths are planned some at a time. What needs no content, or has it, is applied; what still lacks
content waits for it and is planned anew when it is complete, since the flock may have moved on
meanwhile. Paths that one scan of one node found together wait for each other's records, for some
seconds at most, and are planned together, so that a rename shows with both its ends; those whose
content is here by then are one batch, and the others follow as theirs comes.
"""

from __future__ import annotations

from collections.abc import Container, Generator, Iterable, Sequence
from dataclasses import replace

from flocksy.boxes.apply.applier import Applier, Report, Result
from flocksy.boxes.content.staging import Staging
from flocksy.boxes.deferred import Deferred
from flocksy.boxes.found_together import BATCH_SECONDS, Batches
from flocksy.boxes.missing import Missing
from flocksy.boxes.refused import Refused
from flocksy.boxes.waiting import Waiting
from flocksy.errors import LimitExceeded
from flocksy.index.store import BoxIndex
from flocksy.sync.capabilities import Capabilities
from flocksy.sync.ignore import IGNORE_FILE, is_ignore_file
from flocksy.sync.names import ancestors, parent_of
from flocksy.sync.operations import (
    Acknowledge,
    DiskOperation,
    Hold,
    Operation,
    PutFile,
    PutSymlink,
    Record,
    files_put,
)
from flocksy.sync.planner import Held, plan
from flocksy.sync.version import Version

PATHS_PER_PLAN = 5_000
"""Planned in one go: some tenths of a second, which the rings can wait outside bursts. A rename is
recognised only where both its ends are in one plan, so it should not be less."""

RETRY_SECONDS = 5.0
"""A path that the disk refused is tried again after this, doubling up to `MAX_RETRY_SECONDS`."""

MAX_RETRY_SECONDS = 300.0

CHANGED_SECONDS = 1.0
"""A path that was found edited is planned again after this, whatever the scan says: what was in
the way may be gone, and then there is nothing for a scan to find."""


class Planning:
    """Plans and applies for one box. `turn` is called again and again and never blocks long."""

    def __init__(
        self,
        index: BoxIndex,
        staging: Staging,
        applier: Applier,
        capabilities: Capabilities,
        *,
        ignore_symlinks: bool,
        uncommitted: Container[str] = (),
        held: Held | None = None,
        keeps: bool = False,
    ) -> None:
        """`held`: why a path is not to be touched. `keeps`: what the flock has deleted stays on
        this disk. `uncommitted`: paths known to have changed here.
        They are to be added once they have their version; what was staged for them is kept until
        then, since it may be a copy's."""
        self._index = index
        self._staging = staging
        self._applier = applier
        self._capabilities = capabilities
        self._ignore_symlinks = ignore_symlinks
        self._uncommitted = uncommitted
        self._held = held
        self._keeps = keeps
        self._ignore_by = 0.0  # until then the rest waits for the content of .flockignore
        self._arrived: dict[str, None] = {}
        self._waiting = Waiting(index, staging)
        self._batches = Batches()
        self.missing = Missing(index, staging, self._wait_again)
        """Heads whose content no member that is here has: planned without, and not waited for."""
        self._retry: dict[str, float] = {}  # path -> when
        self._deferred = Deferred(index, staging, self._waiting)
        self._pauses: dict[str, float] = {}  # path -> its pause, until it works
        self._refused = Refused(capabilities)
        self._blocked: set[str] = set()  # of those to be tried again: not waited for
        self._applying: Generator[float, None, Report] | None = None
        self._pause_until = 0.0
        self._now = 0.0
        self.doubted: Container[str] = ()
        """Paths that are left as they are for now; to be added when they are doubted no more."""
        self.problems: dict[str, str] = {}
        """Paths that cannot be brought to what the flock has, with the reason."""
        self.rescan: set[str] = set()
        """Paths that were found edited when they were to be written."""
        self.texts: set[str] = set()
        """Paths of symlinks whose text is not here: members are to be asked for their records."""
        self.disk_full = False

    def add(self, paths: Iterable[str]) -> None:
        """The flock state or the local entry of these paths moved."""
        for path in paths:
            self._arrived[path] = None

    def batch(self, mark: bytes, size: int, path: str, now: float) -> None:
        """`path` is one of `size` of the batch `mark`: they are planned together."""
        if not self._batches.add(mark, size, path, now):
            self.add((path,))

    def waits_for(self, path: str, root: bytes) -> bool:
        """Whether the path, or a copy of it, cannot be applied before the content has come."""
        return self._waiting.has(path, root)

    def is_under_way(self, path: str) -> bool:
        """Whether anything is still to be done at the path, or is being applied anywhere."""
        ours = (self._arrived, self._waiting.roots, self._retry, self._deferred.paths)
        return self._applying is not None or any(
            path in some for some in (*ours, self._batches.paths)
        )

    @property
    def idle(self) -> bool:
        """Whether nothing is planned, waited for or being applied. What is blocked is looked at now
        and then, and shown, but only a person can do something about it."""
        return self._applying is None and not (
            self._arrived
            or self._batches
            or self._deferred.paths
            or self._waiting.roots.keys() - self._blocked
            or self._retry.keys() - self._blocked
        )

    @property
    def pending(self) -> int:
        """Paths on their way to the disk."""
        waiting = {*self._waiting.roots, *self._arrived, *self._retry, *self._deferred.paths}
        return len((waiting | self._batches.paths) - self._blocked)

    def turn(self, now: float, *, ignore_only: bool = False) -> float | None:
        """Do some work. Returns when to come again: 0.0 for at once, None for when called.

        `ignore_only`: of what has arrived only `.flockignore` and its copies are planned.
        """
        self._now = now
        most = self._staging.max_file_bytes
        if most < self._capabilities.max_file_bytes:
            self._capabilities = replace(self._capabilities, max_file_bytes=most)
            self.add(self._waiting.roots)  # of these some are larger
        complete = self._staging.complete()
        self.missing.came((one.path, one.root) for one in complete)
        self.add([one.path for one in complete if one.path not in self._batches.paths])
        self.add([path for path, when in self._retry.items() if when <= now])
        self.add(self._deferred.free())
        self.add(self._batches.ready(now))
        if self._applying is not None:
            return self._advance(now)
        if self._arrived:
            waits_until = self._ignore_first(now)
            if ignore_only:
                return waits_until
            if waits_until is None:
                self._plan(now)
            return waits_until or 0.0
        return min(self._retry.values(), default=None)

    def look_again_at_all(self) -> None:
        """What is held has moved: plan anew what waits for content."""
        self.missing.hope_for_all()
        self.add(self._waiting.roots)

    def give_up(self, path: str, root: bytes) -> None:
        """No member that is here has the content `root` that is expected for `path`."""
        owner = self._waiting.owner_of(path)
        if self.missing.give_up(owner, root, path):
            for one in (path, owner):
                self._waiting.forget(one, root)
            self.add((path, owner))

    def _wait_again(self, path: str, root: bytes) -> None:
        self._waiting.make_way(path, root)
        self._waiting.add(path, root)
        self.add((path,))

    def _ignore_first(self, now: float) -> float | None:
        """Until when the rest waits, for a while: `.flockignore` says what of it there is to do."""
        first = dict.fromkeys(filter(is_ignore_file, self._arrived))
        if first:
            rest = {path: None for path in self._arrived if path not in first}
            self._arrived = first
            self._plan(now)
            self._arrived |= rest
            self._ignore_by = now + BATCH_SECONDS
        if self._applying is not None:
            return now
        waits = IGNORE_FILE in self._waiting.roots and now < self._ignore_by
        return self._ignore_by if waits else None

    def finish(self) -> None:
        """Bring the batch that is being applied to its end, however long it takes."""
        while self._applying is not None:
            self._advance(float("inf"))

    def _plan(self, now: float) -> None:
        paths = self._without_doubted(list(self._arrived)[:PATHS_PER_PLAN])
        paths = list(dict.fromkeys((*paths, *self._waiting.take_copies(paths))))
        paths = self._without_doubted((*paths, *self._unblocked_by(paths)))
        # Not due yet: when, and what is said meanwhile.
        early = {
            one: (self._retry[one], self.problems.get(one, ""))
            for one in paths
            if self._retry.get(one, now) > now
        }
        for path in paths:
            self.missing.drop_what_is_over(path)
            self._arrived.pop(path, None)
            self._retry.pop(path, None)
            self._blocked.discard(path)
            self.problems.pop(path, None)
            self._deferred.paths.pop(path, None)
        known = (self.missing.trees, paths, self._capabilities)
        with self._index.transaction():  # so that thousands of reads share one lock
            operations = plan(
                *known, held=self._held, ignore_symlinks=self._ignore_symlinks, keeps=self._keeps
            )
        left = {operation.path for operation in operations if self._is_doubted(operation)}
        operations = [operation for operation in operations if not self._is_doubted(operation)]
        # What a plan says of a path holds, whether that was asked for or hangs on another.
        decided = dict.fromkeys((*paths, *(operation.path for operation in operations)))
        for path in left:
            decided.pop(path, None)  # what it waits for is of use again
        waited_for = self._waiting.take(list(decided))
        self._waiting.pass_on(waited_for, operations)
        ready: list[DiskOperation] = []
        rests: set[str] = set()
        with self._index.transaction():
            for operation in operations:
                if isinstance(operation, Record):
                    raise AssertionError("plan never makes versions")
                if isinstance(operation, Acknowledge):
                    self._index.set_synced(operation.path, operation.synced)
                    self.problems.pop(operation.path, None)
                elif isinstance(operation, Hold):
                    if operation.reason:
                        self.problems[operation.path] = operation.reason
                elif (path := operation.path) in early and self._refused.is_same(operation):
                    self._retry[path], self.problems[path] = early[path]
                    rests.add(path)
                elif self._has_content(operation):
                    ready.append(operation)
        used = files_put(ready)
        ready = self._deferred.without_sources(ready)
        self._waiting.let_go(waited_for, used, self.missing, self._uncommitted)
        for path in set(paths) - {operation.path for operation in ready} - rests:
            self._pauses.pop(path, None)
            self._refused.forget(path)
        if ready:
            self._applying = self._applier.apply(ready)
            self._pause_until = now

    def _without_doubted(self, paths: Iterable[str]) -> list[str]:
        """A copy goes with the path whose it is: what has come of it stays. Both are planned when
        that is doubted no more."""
        kept = []
        for path in paths:
            if path in self.doubted or self._waiting.owner_of(path) in self.doubted:
                self._arrived.pop(path, None)
                self._retry.pop(path, None)
                self._deferred.paths.pop(path, None)
            else:
                kept.append(path)
        return kept

    def _is_doubted(self, operation: Operation) -> bool:
        """Whether the operation follows from a clash that is not believed yet."""
        if operation.path in self.doubted:
            return True
        copy_of = operation.copy_of if isinstance(operation, PutFile | PutSymlink) else None
        return copy_of is not None and copy_of[0] in self.doubted

    def _unblocked_by(self, paths: Sequence[str]) -> list[str]:
        """Blocked paths above, beside or below these, and paths above that were left as they are:
        what moved may have been in their way. What a disk refuses keeps its pause."""
        moved, beside = set(paths), {parent_of(path) for path in paths}
        freed = {one for path in paths for one in ancestors(path) if one in self.problems}
        freed -= self._retry.keys() - self._blocked
        for path in self._blocked:
            if parent_of(path) in beside or not moved.isdisjoint(ancestors(path)):
                freed.add(path)
        return sorted(freed - moved)

    def _has_content(self, operation: DiskOperation) -> bool:
        if isinstance(operation, PutSymlink):
            if self._index.contents.blob(operation.version.root) is not None:
                return True
        elif not isinstance(operation, PutFile) or operation.source is not None:
            return True
        path, root = operation.path, operation.version.root
        owner = operation.copy_of[0] if operation.copy_of is not None else None
        if isinstance(operation, PutFile):
            missing = self._staging.staged(path, root) is None
            if missing and not self._expect(path, operation.version, owner=owner):
                return False
            if self._staging.staged(path, root) is not None:
                return True
            if self._staging.is_broken(path, root, operation.version.size):
                self.problems[path] = "its content contradicts itself; change it where it is whole"
                return False
        else:
            self.texts.add(path if owner is None else owner)
        self._waiting.add(path, root, owner)
        return False

    def _expect(
        self,
        path: str,
        version: Version,
        inline: bytes | None = None,
        owner: str | None = None,
    ) -> bool:
        try:
            if inline is not None:
                self._staging.inline(path, version.root, inline)
            else:
                self._staging.expect(path, version.root, version.size, owner)
        except LimitExceeded:
            # Too many contents under way: this one's turn comes when others are done.
            self._retry[path] = self._now + RETRY_SECONDS
            return False
        return True

    @property
    def free(self) -> bool:
        """Whether the applier has no batch in hands."""
        return self._applying is None

    def expect(self, path: str, version: Version, inline: bytes | None) -> None:
        """The content of `version` came with its record (`inline`) or is on its way: have it
        staged before the path is planned. Not where nothing is to be put."""
        is_held = self._held is not None and self._held(path) is not None
        if is_held or self._capabilities.why_not_so_large(version) is not None:
            return
        self._waiting.make_way(path, version.root)
        if self._expect(path, version, inline):
            self._waiting.add(path, version.root)

    def _advance(self, now: float) -> float | None:
        assert self._applying is not None
        if now < self._pause_until:
            return self._pause_until
        try:
            pause = next(self._applying)
        except StopIteration as stop:
            self._applying = None
            self._applied(stop.value, now)
            return 0.0
        except BaseException:
            # The batch stays open in the journal; the box is closed, and opening it recovers.
            self._applying = None
            raise
        self._pause_until = now + pause
        return self._pause_until

    def _applied(self, report: Report, now: float) -> None:
        self.disk_full = report.disk_full
        self.rescan.update(report.rescan)
        for outcome in report.outcomes:
            operation, path = outcome.operation, outcome.operation.path
            if isinstance(operation, PutFile) and outcome.result is not Result.DONE:
                self._staging.check(path, operation.version.root)
                self._waiting.keep(path, operation.version.root)
            refused = self._refused.note(outcome)
            if refused or outcome.result in (Result.PROBLEM, Result.BLOCKED):
                if outcome.result is Result.BLOCKED:
                    self._blocked.add(path)
                self.problems[path] = refused or outcome.problem
                if path not in self._retry:  # else it was tried early, for the sake of another path
                    pause = min(2 * self._pauses.get(path, RETRY_SECONDS / 2), MAX_RETRY_SECONDS)
                    self._pauses[path] = pause
                    self._retry[path] = now + pause
                continue
            if outcome.result is Result.CHANGED and path in self._blocked & self._retry.keys():
                continue  # what is to stand there waits for what cannot go
            self._pauses.pop(path, None)
            self.problems.pop(path, None)  # it may have been done for the sake of another path
            if outcome.result is Result.CHANGED:
                self._retry[path] = now + CHANGED_SECONDS
            elif self._retry.pop(path, None) is not None or outcome.problem:
                # What it was to be tried again for may be done with it; or it could not be dressed.
                self.add((path,))
            if isinstance(operation, PutFile) and outcome.result is Result.DONE:
                root = operation.version.root
                self._staging.release(path, root, placed=operation.source is None)
                self._staging.look_again(root)
