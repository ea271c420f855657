"""What the journal says of a directory before it is opened for an instant.

Who dies in that instant leaves it open, and somebody may have closed it since the last scan: the
index cannot tell what it is to get back (see `recovery.close_again`). So the journal does, durably,
and with the mode that the disk showed. That is a flush of the index, so nothing is said twice: of
what is above an operation in the journal the index says enough where it has that very mode, and for
what the batch itself closes its own operation does.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from contextlib import suppress

from flocksy.boxes.apply.insisting import OPEN, is_closed
from flocksy.boxes.apply.journal import Journal, JournalEntry
from flocksy.boxes.apply.placing import Placer
from flocksy.boxes.disk.port import Stat
from flocksy.sync.names import ancestors
from flocksy.sync.version import Kind


class Openings:
    """The directories of one batch, or of its recovery, that are opened. `paths`: what is to be
    done there, for which a look at one of them may be needed."""

    def __init__(self, placer: Placer, journal: Journal, paths: Iterable[str]) -> None:
        self._placer = placer
        self._journal = journal
        self._paths = paths
        self._said: dict[str, int] = {}
        self._brought: set[str] = set()
        self._is_gathered = False
        self._is_journalled = False
        placer.before_opening = self.note

    @property
    def has_noted(self) -> bool:
        """Whether the journal is open for their sake."""
        return bool(self._said)

    def journalled(self, entries: Sequence[JournalEntry]) -> None:
        """The journal speaks of all these from now on."""
        self._is_journalled = True
        self._brought |= {one.path for one in entries if one.brings_directory}
        self._said |= modes_found(entries)

    def note(self, folder: str, mode: int) -> None:
        """To be called before a directory that shows this mode is opened. It is closed again, and
        that has to be durable before the journal forgets it."""
        self._placer.touched.add(folder)
        if self._is_enough(folder, mode):
            return
        found = {folder: mode}
        if not self._is_gathered:  # one flush for as many as can be seen
            self._is_gathered = True
            found = self._gather() | found
        self._journal.open([JournalEntry.look(*one) for one in sorted(found.items())])
        self._said |= found

    def _is_enough(self, folder: str, mode: int) -> bool:
        """Whether a recovery gives this mode back by what the journal says already."""
        if folder in self._said:
            return self._said[folder] == mode
        if not self._is_journalled:
            return False
        if folder in self._brought:
            return True
        known = self._journal.local(folder)
        return known is not None and is_closed(known) and known.mode == mode

    def _gather(self) -> dict[str, int]:
        """All of them that are closed, with their modes: as the index has it of what lies in one
        that nobody can look into now."""
        modes = {}
        for folder in {above for path in self._paths for above in ancestors(path)}:
            found: Stat | None = None
            with suppress(OSError):  # that one path of the batch cannot be seen is its own affair
                found = self._placer.disk.stat(folder)
                if found is None:
                    continue
            shown = found or self._journal.local(folder)
            if shown is None or shown.kind is not Kind.DIRECTORY or shown.mode & OPEN == OPEN:
                continue
            if not self._is_enough(folder, shown.mode):
                modes[folder] = shown.mode
        return modes


def closed_by_others(entries: Sequence[JournalEntry]) -> set[str]:
    """Directories that the batch was to give a mode, and that had another one already than whoever
    planned it saw: without the crash it would have left them alone."""
    modes = modes_found([one for one in entries if one.is_look])
    return {
        one.path
        for one in entries
        if one.brings_directory
        and not one.temporary  # what may lie there is dealt with in any case
        and one.before is not None
        and modes.get(one.path, one.before.mode) not in (one.before.mode, _given(one))
    }


def _given(entry: JournalEntry) -> int | None:
    """The mode that the batch itself gives to a directory, which it may have opened once more since
    (`after` is what was seen there while it was placed)."""
    wanted = entry.synced.disk if entry.synced is not None else entry.after
    return None if wanted is None else wanted.mode


def modes_found(entries: Sequence[JournalEntry]) -> dict[str, int]:
    """The modes that directories were last found with before they were opened."""
    return {one.path: one.mode for one in entries if one.mode is not None}
