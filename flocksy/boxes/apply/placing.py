"""One entry at a time: bring it to its path, or take it away, and lose nothing.

Theory of operation. Nobody can look at a path and then replace it in one step, so the order is
turned round: exchange first, check afterwards. What came out of the exchange is safe under the
temporary's name and can be looked at in peace. Is it what the planner saw, it goes to the history.
Is it something else, somebody edited the path since the scan: the two are exchanged back, the
path is reported as changed and the scanner will find the edit. Should somebody have edited even
what stood there for that instant, the newest stays at the path and the one before goes to the
history. At no instant does a content exist only in memory or under no name.

What counts as "what the planner saw" is size, mtime, inode and mode. The change time serves
before the rename only, since the rename itself moves it.
"""

from __future__ import annotations

import errno
from collections.abc import Callable
from contextlib import suppress
from typing import TypeVar

from flocksy.boxes.apply.history import FOLDER as HISTORY
from flocksy.boxes.apply.history import History
from flocksy.boxes.apply.insisting import OPEN, insist
from flocksy.boxes.apply.journal import JournalEntry
from flocksy.boxes.apply.remedies import unfinished
from flocksy.boxes.apply.skipped import Skipped
from flocksy.boxes.disk.port import PARKED, PRIVATE, Disk, ModeRefusedError, Stat
from flocksy.boxes.scan.looking import says
from flocksy.index.journal import Kept
from flocksy.sync.capabilities import Capabilities
from flocksy.sync.names import ancestors
from flocksy.sync.trees import DiskEntry
from flocksy.sync.version import Kind

INCOMING = f"{PRIVATE}/incoming"
"""Temporaries: contents on their way to their paths."""

OWN_PREFIX = "apply-"
"""Names of temporaries that a batch makes; whatever bears it at the start is left from a crash."""

SCRATCH = f"{PRIVATE}/scratch"
"""Where contents go that are here already: written like any other, then discarded."""

_Value = TypeVar("_Value")


class ChangedError(Exception):
    """What stands at the path is not what the planner saw. Nothing was done."""


class BlockedError(Exception):
    """Something stands in the way that no scan will ever report. The text is for people."""


class Placer:
    """Does single operations on one box, and notes what it kept and which directories it touched.

    Methods raise `ChangedError`, or the `OSError` of the disk with the path as it was before.
    """

    def __init__(
        self, disk: Disk, history: History, capabilities: Capabilities, skipped: Skipped
    ) -> None:
        self.disk = disk
        self.history = history
        self.capabilities = capabilities
        self._skipped = skipped
        self.kept: list[Kept] = []
        self.touched: set[str] = set()
        self.dressed: set[str] = set()
        """Files whose metadata was set where people see it: no flush of a directory keeps that."""
        self.before_opening: Callable[[str, int], None] | None = None
        """To be called before a directory is opened for an instant: see `openings`."""

    def same(
        self,
        found: Stat | None,
        entry: DiskEntry | None,
        *,
        at: str | None = None,
        ctime: bool = False,
    ) -> bool:
        """Whether `found` is still what `entry` describes. `at`: where it was found; a symlink is
        read there."""
        if found is None or entry is None:
            return found is None and entry is None
        if found.kind is not entry.kind:
            return False
        if self.capabilities.mode_bits and found.mode != entry.mode and found.kind != Kind.SYMLINK:
            return False
        if found.kind is Kind.DIRECTORY:
            return True  # the rest moves with its children
        if found.size != entry.size or found.mtime_ns != entry.mtime_ns:
            return False
        if not self.same_inode(found, entry):
            return False
        if ctime and entry.ctime_ns and found.ctime_ns != entry.ctime_ns:
            return False
        return at is None or found.kind is not Kind.SYMLINK or says(self.disk, at, entry)

    def same_inode(self, found: Stat, entry: DiskEntry) -> bool:
        """Whether the inodes agree; always, where the disk or the entry does not tell."""
        if not entry.inode or not self.capabilities.stable_inodes:
            return True
        return found.inode == entry.inode

    def check(self, path: str, expected: DiskEntry | None) -> None:
        """The cheap look before anything is done; the one that counts comes afterwards.

        Raises also `BlockedError`.
        """
        try:
            self.insist(path, lambda: self._check(path, expected))
        except PermissionError:
            reason = self._skipped.unread(path)
            if reason is not None:
                raise BlockedError(reason) from None
            raise

    def _check(self, path: str, expected: DiskEntry | None) -> None:
        found = self.disk.stat(path)
        if self.same(found, expected, at=path, ctime=True):
            return
        self._check_foreign(path, found)
        if found is None:
            self._check_above(path)
        raise ChangedError

    def _check_foreign(self, path: str, found: Stat | None) -> None:
        """Whether something stands there that scans skip: no scan would ever report a change."""
        reason = None if found is None else self._skipped.why(path, found)
        if reason is not None:
            raise BlockedError(reason)

    def _check_above(self, path: str) -> None:
        """The same for what stands where a directory above the path should be."""
        for above in ancestors(path):
            found = self.disk.stat(above)
            if found is not None:
                self._check_foreign(above, found)
                return

    def put(self, entry: JournalEntry) -> None:
        """Bring the temporary of `entry` to its path; what stood there goes to the history."""
        bring = self.disk.move if entry.before is None else self.disk.exchange
        try:
            self.insist(entry.path, lambda: bring(entry.temporary, entry.path))
        except OSError as error:
            if entry.before is not None:
                self.settle(entry)
            if isinstance(error, FileExistsError | FileNotFoundError):
                self._check_above(entry.path)
                raise ChangedError from None
            raise
        self.touch(entry.path)
        if entry.before is not None:
            self.dispose(entry)

    def settle(self, entry: JournalEntry) -> None:
        """After an exchange that failed or was cut: back with what had been taken from the path;
        where somebody's is there by now it goes to the history.

        Raises `FlocksyError` when that failed.
        """
        with unfinished(entry.path, entry.temporary + PARKED):
            settle = self.disk.settle
            parked = self.insist(entry.path, lambda: settle(entry.temporary, entry.path))
            found = self.disk.stat(parked) if parked is not None else None
            if parked is None or found is None:
                return
            root = entry.before.root if entry.before and self.same(found, entry.before) else b""
            self.keep(parked, entry.path, found, root)

    def dispose(self, entry: JournalEntry) -> None:
        """Deal with what an exchange left under the temporary's name.

        Raises `FlocksyError` where it has to stay there.
        """
        with unfinished(entry.path, entry.temporary):
            found = self.disk.stat(entry.temporary)
        if found is None:
            return
        if not self.same(found, entry.before, at=entry.temporary):
            self._put_back(entry)
            raise ChangedError
        if found.kind is Kind.DIRECTORY:
            try:
                self.disk.remove_directory(entry.temporary)
            except OSError:  # not empty: somebody put something in since
                self._put_back(entry)
                raise ChangedError from None
            return
        assert entry.before is not None
        try:
            self.disk.move(entry.temporary, entry.kept_as)
        except OSError:
            # No room for one more name. The old content must not stay among the temporaries.
            if self._put_back(entry):
                raise
            return
        self.note_kept(entry.kept_as, entry.path, found, entry.before.root)

    def _put_back(self, entry: JournalEntry) -> bool:
        """Undo an exchange. False: it stands, for somebody has changed what was brought; what it
        took out, touched by nobody, is in the history. Raises `FlocksyError` when that failed."""
        with unfinished(entry.path, entry.temporary):
            with suppress(FileNotFoundError):  # deleted in this very instant: that wish counts
                self.insist(entry.path, lambda: self.disk.exchange(entry.temporary, entry.path))
                found = self.disk.stat(entry.temporary)
                if self.same(found, entry.after, at=entry.temporary) and not self.is_filled(entry):
                    return True
                # Edited in this very instant (a directory: filled): newer, so back once more.
                self.insist(entry.path, lambda: self.disk.exchange(entry.temporary, entry.path))
            found, before = self.disk.stat(entry.temporary), entry.before
            if found and before and entry.kept_as and self.same(found, before, at=entry.temporary):
                # Then what was edited is what was brought, and not what may be shown elsewhere.
                self.disk.move(entry.temporary, entry.kept_as)
                self.note_kept(entry.kept_as, entry.path, found, before.root)
                return False
            self.keep_temporary(entry)
            return True

    def is_filled(self, entry: JournalEntry) -> bool:
        """Whether the temporary is a directory that somebody has filled: ours are empty."""
        found = self.disk.stat(entry.temporary)
        if found is None or found.kind is not Kind.DIRECTORY:
            return False
        try:
            return bool(self.disk.scan(entry.temporary))
        except PermissionError:
            return True  # to be dealt with as if it were: whoever keeps it opens it

    def keep_temporary(self, entry: JournalEntry) -> None:
        """Move to the history what stands under the temporary's name, which nobody has hashed."""
        found = self.disk.stat(entry.temporary)
        if found is not None:
            self.keep(entry.temporary, entry.path, found, b"")

    def remove(self, entry: JournalEntry, linked: tuple[int, str] | None = None) -> None:
        """Take what stands at the path away: a file or link to its place in the history; a
        directory when it is empty.

        `linked`: the file, of this inode, has just got a second name in the box by a link, so that
        this one is dropped; unless somebody has replaced or removed it there already.

        Raises `FlocksyError` where what was taken away could be neither noted nor put back.
        """
        assert entry.before is not None
        directory = entry.before.kind is Kind.DIRECTORY
        if directory:
            found = self.look(entry.path)
            if found is None or found.kind is not Kind.DIRECTORY:
                raise ChangedError
        try:
            if directory:
                self.insist(entry.path, lambda: self.disk.remove_directory(entry.path))
            else:
                self.insist(entry.path, lambda: self.disk.move(entry.path, entry.kept_as))
        except FileNotFoundError:
            raise ChangedError from None
        except OSError as error:
            if directory and error.errno in (errno.ENOTEMPTY, errno.EEXIST):
                # Something new is found by a scan, and is wanted then. The rest no scan reports.
                raise BlockedError(
                    "was deleted, but still has something in it that is not synchronised"
                ) from None
            raise
        self.touch(entry.path)
        if directory:
            return
        with unfinished(entry.path, entry.kept_as):
            self._dispose_of_removed(entry, entry.before, linked)

    def _dispose_of_removed(
        self, entry: JournalEntry, before: DiskEntry, linked: tuple[int, str] | None
    ) -> None:
        found = self.disk.stat(entry.kept_as)
        if found is None:
            raise ChangedError
        if linked is not None and found.inode == linked[0] and self.is_named(*linked):
            self.disk.remove_file(entry.kept_as)
        elif self.same(found, entry.before, at=entry.kept_as):
            self.note_kept(entry.kept_as, entry.path, found, before.root)
        else:
            self.restore(entry, found)
            raise ChangedError

    def is_named(self, inode: int, path: str) -> bool:
        """Whether the file of this inode stands there."""
        there = self.look(path)
        return there is not None and there.inode == inode

    def look(self, path: str) -> Stat | None:
        """What stands there, also in a directory that is closed to ourselves."""
        return self.insist(path, lambda: self.disk.stat(path))

    def insist(self, path: str, do: Callable[[], _Value]) -> _Value:
        """As `insisting.insist`."""
        return insist(self.disk, path, do, self.before_opening)

    def restore(self, entry: JournalEntry, found: Stat) -> None:
        """A removal took an edit away: back with it. Where the name is taken again, or what it was
        in was removed too, that was wished later, and the edit is kept."""
        try:
            self.insist(entry.path, lambda: self.disk.move(entry.kept_as, entry.path))
        except (FileExistsError, FileNotFoundError):
            if found.kind is Kind.DIRECTORY:
                self.keep(entry.kept_as, entry.path, found, b"")
            else:
                self.note_kept(entry.kept_as, entry.path, found, b"")

    def set_metadata(self, path: str, expected: DiskEntry, wanted: DiskEntry) -> Stat:
        """Mode and mtime of what stands at the path, which must be what the planner saw.

        An mtime is set only where another one is wanted. Then whoever wrote into the file in this
        very instant cannot be told by it: it has to be read again.
        """
        self.check(path, expected)
        dated = not self.capabilities.same_time(wanted.mtime_ns, expected.mtime_ns)
        return self.dress(path, expected, wanted, dated=dated)

    def dress(
        self, path: str, shown: DiskEntry | Stat | None, wanted: DiskEntry, *, dated: bool = True
    ) -> Stat:
        """Set mode and (`dated`) mtime as far as this disk and this kind of entry have them.
        `shown` is what stood there at the look (None: nobody else can be at it).

        Raises `ChangedError` where something else has taken its place since, or somebody has
        written into it: what the disk shows then is theirs, and not what was looked at. Where not,
        `ModeRefusedError` as it comes.
        """
        mode = wanted.mode if self.capabilities.mode_bits else None
        mtime_ns = wanted.mtime_ns if dated and wanted.kind is Kind.FILE else None
        # A directory that has taken the place of another is as good: no scan tells them apart.
        inode = shown.inode if shown is not None and wanted.kind is Kind.FILE else 0
        known = inode if inode and self.capabilities.stable_inodes else None
        if shown is not None:  # also where it fails: some of it may have been set
            (self.touched if wanted.kind is Kind.DIRECTORY else self.dressed).add(path)
        refused: ModeRefusedError | None = None
        try:
            found = self.insist(path, lambda: self.disk.set_metadata(path, mode, mtime_ns, known))
        except FileNotFoundError:
            raise ChangedError from None
        except ModeRefusedError as error:
            found, refused = error.shown, error
        if found.kind is not wanted.kind:
            raise ChangedError
        if shown is not None and found.kind is Kind.FILE:
            moved = not dated and found.mtime_ns != shown.mtime_ns
            if moved or found.size != shown.size:
                raise ChangedError
        if refused is not None:
            raise refused
        return found

    def keep(self, temporary: str, path: str, found: Stat, root: bytes) -> None:
        """Move what was taken from `path` to the history; of a directory, which the history does
        not hold, all that is in it."""
        if found.kind is Kind.DIRECTORY:
            if found.mode & OPEN != OPEN:  # and it goes nowhere else
                self.disk.set_metadata(temporary, found.mode | OPEN, None)
            for name, below in self.disk.scan(temporary):
                self.keep(f"{temporary}/{name}", f"{path}/{name}", below, b"")
            self.disk.remove_directory(temporary)
            return
        place = self.history.reserve(path)
        self.disk.move(temporary, place)
        self.note_kept(place, path, found, root)

    def note_kept(self, place: str, path: str, found: Stat, root: bytes) -> None:
        """What came from `path` is in the history at `place`."""
        self.kept.append(self.history.row(place, path, found, root))
        self.touch(place)
        self.touched.add(HISTORY)  # the day's directory may be new

    def touch(self, path: str) -> None:
        """The name of `path` may have changed: its directory is to be flushed."""
        self.touched.add(path.rpartition("/")[0])
