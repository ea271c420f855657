"""Giving a directory a name that is one with its old one to this disk: another case, as a rule.

No rename leads from the one to the other where the disk finds the old one by the new, so it goes by
way of a temporary. Then its ".." changes, for which it has to be writable itself: one that is
closed to ourselves is opened on its way, as far as the journal knows of it (see `openings`).
"""

from __future__ import annotations

from flocksy.boxes.apply.insisting import OPEN, close
from flocksy.boxes.apply.journal import JournalEntry
from flocksy.boxes.apply.placing import BlockedError, ChangedError, Placer
from flocksy.boxes.apply.remedies import unfinished
from flocksy.sync.version import Kind


def rename_directory(placer: Placer, old: str, entry: JournalEntry) -> None:
    """Give the directory at `old` the path of `entry`. Where somebody takes the name in between,
    what is in the directory goes to the history: they have put something else in its place.

    Raises as `Placer.put`, and `FlocksyError` where it could be neither put back nor kept.
    """
    found, at = placer.look(old), old
    if found is None or found.kind is not Kind.DIRECTORY or found.mode & OPEN == OPEN:
        _rename(placer, old, entry)
        return
    inode = found.inode if placer.capabilities.stable_inodes else None
    if placer.before_opening is not None:
        placer.before_opening(old, found.mode)
    try:
        placer.insist(old, lambda: placer.disk.set_metadata(old, found.mode | OPEN, None))
        _rename(placer, old, entry)
        at = entry.path
    finally:
        close(placer.disk, at, found.mode, placer.before_opening, inode)


def _rename(placer: Placer, old: str, entry: JournalEntry) -> None:
    placer.insist(old, lambda: placer.disk.move(old, entry.temporary))
    try:
        placer.put(entry)
    except (ChangedError, BlockedError, OSError):
        with unfinished(old, entry.temporary):
            try:
                placer.insist(old, lambda: placer.disk.move(entry.temporary, old))
            except (FileExistsError, FileNotFoundError):
                placer.keep_temporary(entry)
        raise
