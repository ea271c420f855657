"""Deletions that a person is asked about before they become versions (design 6.3).

Asked is where the change is made: what others delete has its history here and is applied, and one
answer, given once, serves the whole flock. A deletion waits

* when it is found at the start or after a pause: nobody saw it happen, and a disk that was swapped
  or restored by halves looks the same;
* when only a rescan finds it (the hourly one; any look, also at single paths, while not everything
  is watched or after events were lost) and there are many (`FOUND_PERCENT` of the box's files
  within ten minutes): the same, while the node runs;
* when it is seen as it happens and there are more within ten minutes than the box's `guard` allows.
  By default that is all of them: a person or a program at work is not asked.

A file that was moved is no deletion: its content stands elsewhere in the box. Neither is what no
lane has carried yet: nobody else had it. A directory waits as long as something in it waits. While
a path waits it stays deleted here and living everywhere else; all other paths go on. Nothing has to
be remembered: what waits at a stop is found again at the start.

The other question is put at the first meeting of two grown trees that have little in common:
sharing them would pour one into the other.
"""

from __future__ import annotations

import heapq
import shlex
from collections import deque
from collections.abc import Collection, Iterable, Sequence
from enum import Enum
from random import Random

from flocksy.boxes.scan.findings import Finding, Gone, Seen
from flocksy.index.store import BoxIndex
from flocksy.sync.messages import Entry
from flocksy.sync.names import ancestors
from flocksy.sync.trees import SyncedEntry
from flocksy.sync.version import Kind
from flocksy.sync.view import View

WINDOW_SECONDS = 600.0
"""Deletions within this count together (design 6.3)."""

FOUND_PERCENT = 10
"""Of the files of a box: so many may be found missing by a rescan without a question."""

FEW_DELETIONS = 10
"""Seen as they happen or found by a rescan: so many never wait, however small the box is."""

GROWN_FILES = 20
"""A tree of fewer files is poured into another without a question."""

LITTLE_PARTS = 10
"""Trees have little in common where fewer than one path in so many of the smaller is in both."""

SAMPLED = 1_000
"""Of more paths that are still to be decided about, so many are looked at for how many are lost."""

NAMED = 3
"""Paths that the words name."""

MET = "met"
"""Name under which the index remembers that this disk's tree and the flock's belong together."""


class Source(Enum):
    """How a scan came about."""

    START = "found when the box was opened"
    RESCAN = "found missing by the rescan"
    LIVE = "more than this box's guard allows within ten minutes"


class Guard:
    """Watches over one open box. `percent`: the share of the files that may be deleted within ten
    minutes before a person is asked, 100 for any; None: nobody is ever asked."""

    def __init__(self, index: BoxIndex, percent: int | None, undecided: Collection[str]) -> None:
        """`undecided`: paths that were seen changed, now by an earlier run, and later as it is."""
        self._index = index
        self._percent = percent
        self._undecided = undecided
        self._suspects = dict.fromkeys(undecided, Source.START)
        self._too_many: set[str] = set()  # of the suspects, with others that wait already
        self._approved: set[str] = set()
        self._above: set[str] = set()  # folders that something waits in
        self._passed: deque[tuple[float, int]] = deque()
        self.met = percent is None or index.remembered(MET) is not None
        """Whether this disk's tree and the flock's are known to belong together."""
        self._looked = False
        self._theirs = self._common = 0
        self._strangers = ""
        self.waiting: dict[str, Source] = {}
        """Paths whose deletion waits, in the order found."""

    @classmethod
    def of_the_last_run(cls, index: BoxIndex, percent: int | None) -> Guard:
        """With what waited when the node stopped, for who only looks. Nothing is changed."""
        undecided = index.undecided() if percent is not None else ()
        guard = cls(index, percent, undecided)
        guard.hold([path for path in undecided if index.local(path) is None], 0.0)
        return guard

    # -- deletions ------------------------------------------------------------------------------

    def found(self, findings: Sequence[Finding], source: Source) -> None:
        """Before the findings are taken in: what `source` says of them counts."""
        if self._percent is None:
            return
        for finding in findings:
            if not isinstance(finding, Gone | Seen):
                continue
            path, is_gone = finding.path, isinstance(finding, Gone)
            if is_gone and self._index.local(path) is None:
                continue  # another look was first, and has said how it came about
            if is_gone and source is not Source.LIVE:
                self._suspects[path] = source
                continue
            self._suspects.pop(path, None)
            self._too_many.discard(path)
            self._approved.discard(path)
            self.waiting.pop(path, None)
            if is_gone and self._percent < 100:
                self._suspects[path] = source

    def hold(self, gone: Sequence[str], now: float) -> set[str]:
        """Of the paths that are about to be recorded as deleted, those that wait from now on."""
        if self._percent is None or not gone:
            return set()
        asked = [path for path in gone if path not in self._approved]
        self._approved.difference_update(gone)
        while self._passed and now - self._passed[0][0] > WINDOW_SECONDS:
            self._passed.popleft()
        view = View(self._index)
        lost: dict[Source, list[str]] = {source: [] for source in Source}
        for path in asked:
            if self._is_loss(view, path):
                lost[self._suspects.get(path, Source.LIVE)].append(path)
        held = dict.fromkeys(lost[Source.START], Source.START)
        for source, percent in ((Source.RESCAN, FOUND_PERCENT), (Source.LIVE, self._percent)):
            held |= {path: source for path in lost[source] if path in self._too_many}
            some = [path for path in lost[source] if path not in held]
            if some and percent < 100:
                pending = self._pending(source, set(gone))
                if self._are_too_many(len(some) + self._losses_among(view, pending), percent):
                    held |= dict.fromkeys(some, source)
                    self._too_many.update(pending)
        passed = sum(map(len, lost.values())) - len(held)
        if passed:
            self._passed.append((now, passed))
        if not self.waiting:
            self._above.clear()  # answered
        self._above.update(folder for path in held for folder in ancestors(path))
        for path in asked:
            if path in self._above and path not in held:
                held[path] = self._suspects.get(path, Source.LIVE)
        self.waiting |= held
        for path in gone:
            self._suspects.pop(path, None)
        self._too_many.difference_update(gone)
        return set(held)

    def approve(self) -> list[str]:
        """A person says yes. The paths that are to be recorded now."""
        if self._strangers:
            self.meet()  # first: the index may refuse it, and then nothing has been answered
        paths = list(self.waiting)
        self._approved.update(paths)
        self.waiting.clear()
        return paths

    def reject(self, paths: Iterable[str] | None = None) -> list[str]:
        """A person says no to these, or to all. The paths that are to be brought back: this disk is
        taken never to have held them, and what it lacks it fetches."""
        chosen = list(self.waiting if paths is None else paths)
        with self._index.transaction():
            for path in chosen:
                self._index.set_synced(path, None)
        for path in chosen:  # not before the index has taken it
            del self.waiting[path]
        return chosen

    def needed(self, paths: Iterable[str]) -> list[str]:
        """Directories that wait and that something new is to stand in: they are to be brought back,
        lest it is held up."""
        live = (path for path in paths if path not in self.waiting)
        folders = {folder for path in live for folder in ancestors(path)}
        return sorted(folders & self.waiting.keys())

    def answered(self, paths: Iterable[str]) -> list[str]:
        """Of these paths those that wait and that the others have deleted too: no question any
        more. They are to be recorded now."""
        view = View(self._index)
        waiting = (path for path in paths if path in self.waiting)
        gone = [path for path in waiting if view.wanted(path).version is None]
        for path in gone:
            self.waiting.pop(path, None)
        return gone

    def _is_loss(self, view: View, path: str) -> bool:
        """Whether the flock loses something with it that is nowhere else in the box."""
        synced = self._index.synced(path)
        disk = synced.disk if synced is not None else None
        if disk is None or disk.kind is Kind.DIRECTORY or view.wanted(path).version is None:
            return False
        assert synced is not None
        return not self._index.is_shown(disk.root) and self._have_others(path, synced)

    def _have_others(self, path: str, synced: SyncedEntry) -> bool:
        """Whether a lane has carried anything that goes with the path. What none has, only this
        disk had. To ask about it would save nobody's file, and would leave a head whose content
        nobody has for as long as nobody answers."""
        gone = synced.heads
        if synced.copy_of is not None:
            path, gone = synced.copy_of[0], frozenset((synced.copy_of[1],))
        carried, known = self._index.lane_state(path), self._index.flock(path)
        if carried is None or known is None:
            return False
        return any(
            head.is_content and (name in gone or name in known.superseded)
            for name, head in carried.heads.items()
        )

    def _pending(self, source: Source, gone: Collection[str]) -> list[str]:
        """What was found like `gone`, and is decided about after it."""
        return [
            path
            for path, found in self._suspects.items()
            if found is source and path in self._undecided and path not in gone
        ]

    def _losses_among(self, view: View, paths: Sequence[str]) -> int:
        """How many of the paths are lost, about: of many, some stand for all. They are drawn (the
        same of the same): at a fixed step there may be nothing but the folders of the files."""
        some = paths if len(paths) <= SAMPLED else Random(0).sample(paths, SAMPLED)
        lost = sum(self._is_loss(view, path) for path in some)
        return lost * len(paths) // len(some) if some else 0

    def _are_too_many(self, count: int, percent: int) -> bool:
        passed = sum(number for _, number in self._passed)
        files = self._index.counts().files + len(self.waiting) + passed + count
        return passed + count > max(FEW_DELETIONS, files * percent // 100)

    # -- the first meeting ----------------------------------------------------------------------

    @property
    def strangers(self) -> bool:
        """Whether two trees that have little in common wait for a word."""
        return bool(self._strangers)

    def may_adopt(self) -> bool:
        """Whether this disk's tree and the flock's may be made one. To be asked when both are
        known and the disk is about to be adopted."""
        if self._strangers:
            return False
        if not self.met and not self._looked:
            here, there, common = self._index.meeting()
            if self._are_strangers(here, there, common):
                return False
            if there or here < GROWN_FILES:
                self.meet()
            self._looked = True
        return True

    def heard(self, entries: Iterable[Entry]) -> None:
        """A lane of another member carried these. Where two trees that both found nobody there
        begin at the same time, only this tells that they are strangers."""
        if self.met:
            return
        for entry in entries:
            if entry.version.kind is Kind.FILE:
                synced = self._index.synced(entry.path)
                self._theirs += 1
                self._common += synced is not None and synced.disk is not None

    def estranged(self) -> bool:
        """Whether nothing that others made is to be brought to this disk for now."""
        if self.met or self._strangers:
            return not self.met
        here = self._index.counts().files if self._theirs >= GROWN_FILES else 0
        return self._are_strangers(here, self._theirs, self._common)

    def meet(self) -> None:
        """This disk's tree and the flock's are one: nobody is asked any more."""
        self._index.remember(MET, b"1")
        self.met, self._strangers = True, ""

    def _are_strangers(self, here: int, there: int, common: int) -> bool:
        if min(here, there) < GROWN_FILES or common * LITTLE_PARTS >= min(here, there):
            return False
        self._strangers = (
            f"this folder ({here} files) and what the flock has in the box ({there}) have "
            f"{common or 'no'} paths in common; are they meant to be one?"
        )
        return True

    # -- for people -----------------------------------------------------------------------------

    def words(self, name: str) -> str:
        """What waits and what to do, in one line; empty when nothing does."""
        word = shlex.quote(name)
        if self._strangers:
            return (
                f"{self._strangers} flocksy approve {word} puts them together, flocksy reject "
                f"{word} pauses the box"
            )
        if not self.waiting:
            return ""
        count = len(self.waiting)
        some = heapq.nsmallest(NAMED, self.waiting)
        named = ", ".join(some) + (", ..." if count > NAMED else "")
        why = "; ".join(dict.fromkeys(source.value for source in self.waiting.values()))
        return (
            f"{count} deletion{'s' if count > 1 else ''} ({named}), {why}: flocksy approve {word} "
            f"deletes for everybody, flocksy reject {word} brings back here"
        )
