"""A batch of operations on its way to the disk: what the applier is told and what it answers."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from enum import Enum
from typing import Protocol

from flocksy.boxes.apply.journal import Applied, JournalEntry
from flocksy.boxes.apply.placing import BlockedError, ChangedError
from flocksy.boxes.apply.remedies import UNFIT, describe, is_full
from flocksy.boxes.disk.port import MODE_BITS
from flocksy.index.journal import Kept
from flocksy.sync.capabilities import Capabilities
from flocksy.sync.names import ancestors, parent_of
from flocksy.sync.operations import (
    DiskOperation,
    MakeDirectory,
    PutFile,
    PutSymlink,
    Remove,
    SetMetadata,
    synced_after,
)
from flocksy.sync.trees import DiskEntry
from flocksy.sync.version import Kind, Version


class Result(Enum):
    """How one operation ended."""

    DONE = "done"
    CHANGED = "changed"  # somebody edited the path: scan it again, then plan again
    PROBLEM = "problem"  # the disk refused: nothing lost, shown to people, tried again later
    BLOCKED = "blocked"  # something stands in the way that no scan will report; shown to people


@dataclass(frozen=True, slots=True)
class Outcome:
    """`disk` is what was read back after DONE (None: nothing stands there). `problem` is one line
    for people, without the path."""

    operation: DiskOperation
    result: Result
    disk: DiskEntry | None = None
    problem: str = ""


@dataclass(frozen=True, slots=True)
class Report:
    """What became of a batch. `rescan` holds every path that has to be scanned again, also some
    whose operation was done (edited in the instant after). `disk_full`: nothing that needs room
    will work before there is some."""

    outcomes: tuple[Outcome, ...]
    kept: tuple[Kept, ...]
    rescan: tuple[str, ...]
    disk_full: bool = False


class Contents(Protocol):
    """Where the new contents are."""

    def staged(self, path: str, version: Version) -> str | None:
        """The complete temporary (its path in the box) with this file's content, or None."""
        ...

    def link_text(self, path: str, version: Version) -> str | None:
        """The text of this symlink, or None where it has not arrived."""
        ...


class MissingError(Exception):
    """The content of an operation is not here."""


STEP_ERRORS = (ChangedError, BlockedError, MissingError, OSError)
"""What ends one step and no other."""


@dataclass(slots=True)
class Step:
    """One operation on its way through the batch."""

    operation: DiskOperation
    entry: JournalEntry
    wanted: DiskEntry | None  # what the path is to show in the end
    own: bool = False  # the temporary was made here
    source: str | None = None  # the temporary is a link to this path
    twin: Step | None = None  # the removal of what stands at the same name to this disk
    shadow: Step | None = None  # of a removal: what comes to the same name
    placed: bool = False
    shown: DiskEntry | None = None  # what the path showed when it was placed
    brought: bytes | None = None  # extended attributes that the file at the path is known to have
    is_sure: bool = True  # no edit can hide behind a time that was set at the path itself
    result: Result = Result.DONE
    problem: str = ""
    full: bool = False
    found: DiskEntry | None = None

    @property
    def path(self) -> str:
        return self.operation.path

    @property
    def is_shadowed(self) -> bool:
        """Whether another step, which goes on as well, has the very same path: that one's journal
        entry speaks for both."""
        shadow = self.shadow
        return shadow is not None and shadow.path == self.path and shadow.result is Result.DONE

    def fail(self, error: Exception) -> None:
        """Note why this step is not done; the others go on."""
        if isinstance(error, ChangedError):
            self.result = Result.CHANGED
            return
        self.result = Result.PROBLEM
        if isinstance(error, BlockedError):
            self.result, self.problem = Result.BLOCKED, str(error)
        elif isinstance(error, OSError):
            self.problem, self.full = describe(error), is_full(error)
            if error.errno in UNFIT:
                self.result = Result.BLOCKED
        else:
            self.problem = "its content has not arrived"


@dataclass(slots=True)
class Batch:
    steps: list[Step] = field(default_factory=list)
    removals: dict[str, Step] = field(default_factory=dict)
    directories: dict[str, Step] = field(default_factory=dict)  # those that are made
    users: dict[str, list[Step]] = field(default_factory=dict)  # of a rename's source
    staged: set[str] = field(default_factory=set)  # temporaries that a step has taken
    rescan: set[str] = field(default_factory=set)

    def alive(self, *kinds: type[DiskOperation]) -> list[Step]:
        """Steps of these kinds that nothing speaks against so far, parents before children."""
        steps = (step for step in self.steps if step.result is Result.DONE)
        return sorted(
            (step for step in steps if isinstance(step.operation, kinds)), key=lambda one: one.path
        )

    def check_directory(self, step: Step) -> None:
        """Raises `ChangedError` where the directory that the step is to come to should have been
        made, and was not: by its name the disk may find another."""
        made = self.directories.get(parent_of(step.path))
        if made is not None and not made.placed:
            raise ChangedError

    def second_name(self, source: str) -> tuple[int, str] | None:
        """Of what stands there and is to get a new name by a link: its inode, and where that link
        is now."""
        for user in self.users.get(source, ()):
            if user.result is Result.DONE and user.source and user.entry.after:
                at = user.path if user.placed else user.entry.temporary
                return user.entry.after.inode, at
        return None

    def parted_removals(self, over: Iterable[Step]) -> tuple[list[Step], list[Step]]:
        """Those that make way for what comes `over` a directory, and the rest; deepest first."""
        paths = {one.path for step in over for one in (step, step.twin) if one is not None}
        early: list[Step] = []
        late: list[Step] = []
        for step in self.alive(Remove)[::-1]:
            is_in_the_way = not paths.isdisjoint((step.path, *ancestors(step.path)))
            (early if is_in_the_way else late).append(step)
        return early, late


ALL: tuple[type[DiskOperation], ...] = (
    MakeDirectory,
    PutFile,
    PutSymlink,
    SetMetadata,
    Remove,
)


def wanted_entry(operation: DiskOperation, *, attributes: bool) -> DiskEntry | None:
    """What the path is to show. `attributes`: this disk holds extended ones."""
    if isinstance(operation, Remove):
        return None
    version = operation.version
    return DiskEntry(
        version.kind,
        version.mode & MODE_BITS,
        version.mtime_ns,
        version.size,
        version.root,
        attributes=version.attributes if attributes and version.kind is Kind.FILE else None,
    )


def journal_entry(operation: DiskOperation, wanted: DiskEntry | None) -> JournalEntry:
    """The operation as the journal knows it, before its temporary is made."""
    synced = synced_after(operation, wanted)
    return JournalEntry(operation.path, "", "", operation.expected, wanted, synced)


def applied(step: Step) -> Applied:
    """What the index is told of a step that is done."""
    found = known = step.found
    if found is not None and known is not None:
        known = known.with_attributes(step.brought)
        found = found.with_attributes(None)  # the next scan says; it is asked for at once
    synced = synced_after(step.operation, known)
    return Applied(step.path, found, synced, settled=step.is_sure)


def is_directory(entry: DiskEntry | None) -> bool:
    return entry is not None and entry.kind is Kind.DIRECTORY


def guarded(do: Callable[[Step], None]) -> Callable[[Step], None]:
    """As `do`, where what goes wrong is the step's own problem and stops no other."""

    def attempt(step: Step) -> None:
        try:
            do(step)
        except STEP_ERRORS as error:
            step.fail(error)

    return attempt


def over_directory(step: Step) -> bool:
    """Whether a directory stands in the way until the removals are done."""
    return is_directory(step.entry.before) or (
        step.twin is not None and is_directory(step.twin.entry.before)
    )


def differs_alone(step: Step, capabilities: Capabilities) -> bool:
    """Whether nothing but extended attributes is to be set."""
    expected = step.operation.expected
    if expected is None or isinstance(step.operation, Remove):
        return False
    plain = replace(expected, attributes=None)
    return capabilities.shows_metadata(plain, step.operation.version)
