"""Brings the disk from what it was last seen to hold to what the flock wants.

Theory of operation. A batch is done in this order, and the order is the whole point:

1. Every new content stands complete in a temporary inside the box, with its final mode and mtime.
2. The temporaries are flushed, all at once (one `syncfs`; few files one by one).
3. The batch is journalled in the index, durably.
4. Renames: directories top-down, contents, metadata, removals deepest first (see `placing`).
5. Every directory that was touched is flushed.
6. What the disk now shows is read back, and the index takes it in one transaction that also closes
   the journal.

So the index may lag the disk and never leads it. After a crash before 3 nothing has happened;
between 3 and 6 the journal says which paths to look at, and each of them shows either the old or
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

import os
import threading
import time
from collections.abc import Callable, Generator, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from enum import Enum
from typing import Protocol

from flocksy.boxes.filesystem import PRIVATE, Disk, Stat
from flocksy.boxes.history import FOLDER as HISTORY
from flocksy.boxes.history import History
from flocksy.boxes.journal import Applied, Journal, JournalEntry
from flocksy.boxes.placing import (
    INCOMING,
    SCRATCH,
    ChangedError,
    Placer,
    describe,
    is_full,
)
from flocksy.index.journal import Kept
from flocksy.sync.capabilities import Capabilities
from flocksy.sync.operations import MakeDirectory, PutFile, PutSymlink, Remove, SetMetadata
from flocksy.sync.trees import DiskEntry, SyncedEntry
from flocksy.sync.version import Kind, Version

SLICE_S = 0.01
"""Work between two yields: half of what the event loop can be away from its rings."""

FLUSH_POLL_S = 0.002
"""How long to leave a flush alone before asking whether it has ended."""

FLUSH_SINGLY = 8
"""Up to so many files or directories are flushed one by one: cheaper than everything that anybody
wrote to this file system, which is what `syncfs` flushes."""

OWN_PREFIX = "apply-"
"""Names of temporaries made here; whatever bears it at the start is left from a crash."""

DiskOperation = MakeDirectory | PutFile | PutSymlink | SetMetadata | Remove


class Result(Enum):
    """How one operation ended."""

    DONE = "done"
    CHANGED = "changed"  # somebody edited the path: scan it again, then plan again
    PROBLEM = "problem"  # the disk refused: nothing lost, shown to people, tried again later


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


@dataclass(slots=True)
class _Step:
    """One operation on its way through the batch."""

    operation: DiskOperation
    entry: JournalEntry
    wanted: DiskEntry | None = None  # what the path is to show in the end
    source: str | None = None  # the temporary is a link to this path
    own: bool = False  # the temporary was made here
    placed: bool = False
    result: Result = Result.DONE
    problem: str = ""
    full: bool = False
    found: DiskEntry | None = None


@dataclass(slots=True)
class _Batch:
    steps: list[_Step] = field(default_factory=list)
    rescan: set[str] = field(default_factory=set)
    taken: set[str] = field(default_factory=set)  # staged temporaries that a step uses

    def alive(self, *kinds: type[DiskOperation]) -> list[_Step]:
        return [
            step
            for step in self.steps
            if step.result is Result.DONE and isinstance(step.operation, kinds)
        ]


class Applier:
    """Applies batches to one box."""

    def __init__(
        self,
        disk: Disk,
        journal: Journal,
        history: History,
        contents: Contents,
        capabilities: Capabilities,
    ) -> None:
        self._disk = disk
        self._journal = journal
        self._history = history
        self._contents = contents
        self._capabilities = capabilities
        self._count = 0

    def apply(self, operations: Sequence[DiskOperation]) -> Generator[float, None, Report]:
        """Do a batch. Raises what the journal raises, and `FlocksyError` where something is left
        that only a recovery can deal with."""
        raise NotImplementedError

    def rehearse(self, temporaries: Sequence[str]) -> Generator[float, None, None]:
        """Take complete temporaries through the same steps as `apply`, into the scratch directory,
        and discard them: what a node does with the content that it sends itself."""
        raise NotImplementedError

    def recover(self) -> Generator[float, None, Report]:
        """Finish what a crash left. To be run before the box is scanned."""
        raise NotImplementedError
