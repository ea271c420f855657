"""What a rename leaves under neither of its names: it goes to the history."""

from __future__ import annotations

from collections.abc import Generator, Sequence

from flocksy.boxes.apply.journal import JournalEntry
from flocksy.boxes.apply.pace import each
from flocksy.boxes.apply.placing import INCOMING, OWN_PREFIX, Placer
from flocksy.boxes.apply.remedies import unfinished
from flocksy.boxes.disk.port import Stat
from flocksy.sync.version import Kind


def keep_stranded(placer: Placer, entries: Sequence[JournalEntry]) -> Generator[float, None, None]:
    """Keep what was to be renamed and has neither name. The new one was not to be had, or the power
    took it; the old one may have gone before, by our hand or by that of somebody who saw the new.

    Raises `FlocksyError` where the disk does not let us; the batch then stays open.
    """
    sources: dict[tuple[Kind, bytes], list[JournalEntry]] = {}
    for entry in entries:
        if entry.after is None and entry.before and entry.before.kind is not Kind.DIRECTORY:
            sources.setdefault((entry.before.kind, entry.before.root), []).append(entry)

    def keep(entry: JournalEntry) -> None:
        made = entry.after
        if made is None or not entry.temporary.startswith(f"{INCOMING}/{OWN_PREFIX}"):
            return
        removals = sources.get((made.kind, made.root), ())
        found = placer.disk.stat(entry.temporary)
        if found is None or not removals or any(_is_there(placer, one, found) for one in removals):
            return
        root = made.root if placer.same(found, made, at=entry.temporary) else b""
        with unfinished(removals[0].path, entry.temporary):
            placer.keep(entry.temporary, entry.path, found, root)

    yield from each(entries, keep)


def _is_there(placer: Placer, removal: JournalEntry, taken: Stat) -> bool:
    """Whether what was to be removed stands where it stood, or is in the history. `taken`: what was
    made of it for its new name, which may be the very same file."""
    for at in filter(None, (removal.path, removal.kept_as)):
        found = placer.look(at)
        is_same_file = placer.capabilities.stable_inodes and found and found.inode == taken.inode
        if is_same_file or (found and placer.same(found, removal.before, at=at)):
            return True
    return False
