"""What a crash in the middle of a batch left, path by path.

Each entry of an open batch is looked at once, before the box is scanned. A path that shows the new
content was done: synced moves as if nothing had happened. One that shows the old content was not:
nothing is concluded, the plan is made again. Anything else is somebody's edit and is left to the
scan. What an exchange or a removal had taken out goes where it was going: to the history, or back.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from flocksy.boxes.disk import Stat
from flocksy.boxes.journal import Applied, JournalEntry
from flocksy.boxes.placing import ChangedError, Placer
from flocksy.sync.trees import DiskEntry
from flocksy.sync.version import Kind


def recover(placer: Placer, entry: JournalEntry, linked: Mapping[int, str]) -> Applied | None:
    """Finish or undo one operation. None: it was not done, scan the path.

    `linked`: inode to path of files that have reached it; a removal of such a file is the second
    half of a rename, and two live names of one file must not stay. So placements come first.
    Raises `OSError` or `FlocksyError` where the disk does not let us; the batch then stays open.
    """
    try:
        if entry.after is None:
            return _removal(placer, entry, linked)
        if not entry.temporary:
            return _metadata(placer, entry)
        placer.settle(entry)
        return _placement(placer, entry, entry.after)
    except ChangedError:
        return None


def _removal(placer: Placer, entry: JournalEntry, linked: Mapping[int, str]) -> Applied | None:
    there = placer.disk.stat(entry.path)
    taken = placer.disk.stat(entry.kept_as) if entry.kept_as else None
    if there is not None and taken is None and there.inode in linked:
        placer.remove(entry, (there.inode, linked[there.inode]))
        return Applied(entry.path, None, entry.synced)
    if taken is not None and taken.inode in linked:
        placer.disk.remove_file(entry.kept_as)
        taken = None
    if taken is not None:
        if not placer.same(taken, entry.before):
            placer.restore(entry, taken)
            return None
        assert entry.before is not None
        placer.note_kept(entry.kept_as, entry.path, taken, entry.before.root)
    elif there is not None:
        return None
    # Gone by our hand; or by somebody's while nobody looked, which comes to the same.
    if there is not None:
        return None
    return Applied(entry.path, None, entry.synced)


def _metadata(placer: Placer, entry: JournalEntry) -> Applied | None:
    """Mode and mtime are two calls: between them the path shows neither state."""
    found = placer.disk.stat(entry.path)
    before, after = entry.before, entry.after
    if found is None or before is None or after is None or found.kind is not before.kind:
        return None
    if found.kind is Kind.FILE and (
        found.size != before.size
        or found.mtime_ns not in (before.mtime_ns, after.mtime_ns)
        or found.mode not in (before.mode, after.mode)
        or not placer.same_inode(found, before)
    ):
        return None
    if found.kind is not Kind.SYMLINK:
        found = placer.dress(entry.path, after)
    return _applied(entry, found, after, settled=found.kind is not Kind.FILE)


def _placement(placer: Placer, entry: JournalEntry, after: DiskEntry) -> Applied | None:
    there = placer.disk.stat(entry.path)
    wanted = entry.synced.disk if entry.synced is not None else None
    # A renamed file gets its mtime last; it may show either.
    brought = replace(after, mtime_ns=wanted.mtime_ns) if wanted is not None else after
    out = placer.disk.stat(entry.temporary)
    kept = placer.disk.stat(entry.kept_as) if entry.kept_as else None
    if there is None and entry.before is None and _is(placer, out, after):
        # A new path, or one whose other spelling had to go first: its content may be nowhere else.
        placer.put(entry)
        there, out = placer.disk.stat(entry.path), None
    arrived = _is(placer, there, after) or _is(placer, there, brought)
    if there is not None and arrived and not _is(placer, out, after):
        if out is not None:
            placer.dispose(entry)
        elif kept is not None and entry.before is not None:
            placer.note_kept(entry.kept_as, entry.path, kept, entry.before.root)
        if wanted is None or wanted.kind is Kind.SYMLINK:
            return _applied(entry, there, after)
        dated = there.mtime_ns != wanted.mtime_ns
        there = placer.dress(entry.path, wanted, dated=dated)
        return _applied(entry, there, after, settled=not dated)
    if out is not None and not _is(placer, out, after):
        # Exchanged, and the path edited or emptied since: what came out must not stay here.
        root = entry.before.root if entry.before and placer.same(out, entry.before) else b""
        placer.keep(entry.temporary, entry.path, out, root)
    elif kept is not None and entry.before is not None:
        placer.note_kept(entry.kept_as, entry.path, kept, entry.before.root)
    return None


def _is(placer: Placer, found: Stat | None, after: DiskEntry) -> bool:
    """Whether `found` is the very thing that was made for the path."""
    return (
        found is not None
        and found.kind is after.kind
        and placer.same_inode(found, after)
        and (
            found.kind is Kind.DIRECTORY
            or (found.size == after.size and found.mtime_ns == after.mtime_ns)
        )
    )


def _applied(
    entry: JournalEntry, found: Stat, after: DiskEntry, *, settled: bool = True
) -> Applied:
    """`settled` as in `Applied`."""
    local = found.entry(after.root)
    synced = entry.synced
    if synced is not None:
        synced = replace(synced, disk=local)
    return Applied(entry.path, local, synced, settled)
