"""What a crash in the middle of a batch left, path by path.

Each entry of an open batch is looked at once, before the box is scanned. A path that shows the new
content was done: synced moves as if nothing had happened. One that shows the old content was not:
nothing is concluded, the plan is made again. Anything else is somebody's edit and is left to the
scan. What an exchange or a removal had taken out goes where it was going: to the history, or back.

An edit may also be one of what the batch had *brought*: people go on working after it, and a power
cut makes the index forget that it was done. What is to be read as their change is then the
difference to what it had brought, and not to what stood there before: that may be shown elsewhere
by now (a conflict copy), and they have neither replaced nor deleted it. That the batch had come so
far is told by what stood there before, when it lies where only the batch can have put it. Where
nothing stands at such a path any more, it counts as never held: what was brought comes once more,
and nothing is deleted for anybody.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Generator, Sequence
from contextlib import suppress
from dataclasses import replace

from flocksy.boxes.apply.attributes import bring
from flocksy.boxes.apply.cut import Cut
from flocksy.boxes.apply.insisting import OPEN, is_closed
from flocksy.boxes.apply.journal import Applied, JournalEntry
from flocksy.boxes.apply.openings import closed_by_others, modes_found
from flocksy.boxes.apply.pace import each
from flocksy.boxes.apply.placing import (
    INCOMING,
    OWN_PREFIX,
    BlockedError,
    ChangedError,
    Placer,
)
from flocksy.boxes.apply.respelling import rename_directory
from flocksy.boxes.disk.port import ModeRefusedError, Stat, is_one_file
from flocksy.boxes.scan.looking import says
from flocksy.sync.names import ancestors
from flocksy.sync.trees import DiskEntry
from flocksy.sync.version import Kind


def recover(placer: Placer, entry: JournalEntry, cut: Cut) -> Applied | None:
    """Finish or undo one operation. None: it was not done, scan the path. Not `settled`: it was
    done, and the path has to be scanned all the same.

    Placements come first, and of these directories: they find out what is in `cut`.
    Raises `OSError` or `FlocksyError` where the disk does not let us; the batch then stays open.
    What it refuses at the path itself counts as not done where nothing is left to be lost by that.
    """
    try:
        if entry.after is None:
            return _removal(placer, entry, cut)
        if not entry.temporary:
            return _metadata(placer, entry)
        placer.settle(entry)
        _end_move(placer, entry, cut)
        done = _placement(placer, entry, entry.after, cut)
    except ChangedError:
        return None
    if done is not None and done.local is not None:
        cut.note_brought(placer, entry.path)
    return done


def _end_move(placer: Placer, entry: JournalEntry, cut: Cut) -> None:
    """A disk without better renames moves in two steps. Where we died between them, the temporary
    is a second name of what is at the path or in the history already, and goes: what is written
    into the one would be in the other as well."""
    ours = placer.disk.stat(entry.temporary)
    others = [cut.stands(placer, entry.path)]
    if entry.kept_as:
        others.append(placer.disk.stat(entry.kept_as))
    if any(is_one_file(ours, other) for other in others):
        placer.disk.remove_file(entry.temporary)


def close_again(
    placer: Placer, entries: Sequence[JournalEntry], local: Callable[[str], DiskEntry | None]
) -> Generator[float, None, None]:
    """Give back their modes to directories that were open for an instant when we died: for the scan
    somebody would have changed them, and all others would follow. That is the mode in the journal,
    and where it has none what the disk is known to show by `local`. Somebody who has set the very
    same mode is indeed undone, once.

    To be done last, since it is for the entries that they are open.
    """
    if not placer.capabilities.mode_bits:
        return
    # Of a directory that the batch itself brings the mode has been set with its entry.
    brought = {one.path for one in entries if one.brings_directory} - closed_by_others(entries)
    found_with = modes_found(entries)
    cut = Cut.of(placer, ())  # names are listed anew
    above = {one for entry in entries for one in (entry.path, *ancestors(entry.path))} - brought

    def close(folder: str) -> None:
        known = local(folder)
        mode = found_with.get(folder, known.mode if known and is_closed(known) else OPEN)
        if mode & OPEN == OPEN:
            return  # nobody has to open it for an instant
        with suppress(ChangedError, PermissionError):  # not ours, so it was not we who opened it
            found = placer.insist(folder, lambda: cut.stands(placer, folder))
            if found is None or found.kind is not Kind.DIRECTORY:
                return
            placer.touched.add(folder)  # closed again or not, nobody has flushed it yet
            if found.mode == mode | OPEN:
                placer.dress(folder, found, replace(found.entry(b""), mode=mode))

    yield from each(sorted(above, reverse=True), close)  # deepest first


def _removal(placer: Placer, entry: JournalEntry, cut: Cut) -> Applied | None:
    if entry.path in cut.cleared:
        return Applied(entry.path, None, entry.synced)
    there = placer.disk.stat(entry.path)
    moved = there is not None and cut.came_along(placer, entry.path)
    if there is not None and there.inode in cut.linked:
        # It has its new name, and here it may not stay, however somebody has spelt that since.
        folded = placer.capabilities.folded
        moved |= folded(cut.linked[there.inode]) != folded(entry.path)
    if there is not None and not moved and cut.is_otherwise_spelt(entry.path):
        there = None  # the new name of a rename to another case, or one that somebody gave it since
    taken = placer.disk.stat(entry.kept_as) if entry.kept_as else None
    if is_one_file(taken, there):
        placer.disk.remove_file(entry.kept_as)  # as in `_end_move`
        taken = None
    if there is not None and taken is None and (moved or there.inode in cut.linked):
        # The second half of a rename; or it has come along with a directory above it.
        new_name = cut.linked.get(there.inode)
        try:
            placer.remove(entry, (there.inode, new_name) if new_name else None)
        except (BlockedError, OSError):
            return None  # it is where it was
        return Applied(entry.path, None, entry.synced)
    new_name = cut.linked.get(taken.inode) if taken is not None else None
    if taken is not None and new_name and placer.is_named(taken.inode, new_name):
        placer.disk.remove_file(entry.kept_as)
    elif taken is not None:
        if not placer.same(taken, entry.before, at=entry.kept_as):
            placer.restore(entry, taken)
            return None
        assert entry.before is not None
        placer.note_kept(entry.kept_as, entry.path, taken, entry.before.root)
    elif there is not None:
        return None
    if placer.same(there, entry.before, at=entry.path):
        return None  # a disk that keeps no order shows both
    # Gone by our hand; or by somebody's while nobody looked, which comes to the same. What stands
    # there nevertheless was made since.
    return Applied(entry.path, None, entry.synced, settled=there is None)


def _metadata(placer: Placer, entry: JournalEntry) -> Applied | None:
    """Mode, mtime and each attribute are calls of their own: between them the path shows neither
    state."""
    found = placer.disk.stat(entry.path)
    before, after = entry.before, entry.after
    same_time = placer.capabilities.same_time
    if found is None or before is None or after is None or found.kind is not before.kind:
        return None
    if found.kind is Kind.FILE and (
        found.size != before.size
        or not (found.mtime_ns == before.mtime_ns or same_time(found.mtime_ns, after.mtime_ns))
        or found.mode not in _modes_between(before, after)
        or not placer.same_inode(found, before)
    ):
        return None
    if found.kind is not Kind.SYMLINK:
        dated = not same_time(found.mtime_ns, after.mtime_ns)
        try:
            found = placer.dress(entry.path, found, after, dated=dated)
        except ModeRefusedError as error:
            found = error.shown
        except OSError:
            is_dated = found.kind is Kind.FILE and found.mtime_ns != before.mtime_ns
            if found.mode == before.mode and not is_dated:
                return None  # nothing was set; it is planned once more, and then said
    brought = _brought(placer, entry.path, before.attributes, after.attributes)
    return _applied(entry, found.entry(after.root), brought, settled=found.kind is not Kind.FILE)


def _modes_between(before: DiskEntry, after: DiskEntry) -> Collection[int]:
    """What a file may show while metadata is set. For its attributes it may have been opened."""
    modes = {before.mode, after.mode}
    return modes if before.attributes == after.attributes else modes | {m | 0o600 for m in modes}


def _brought(placer: Placer, path: str, before: bytes | None, wanted: bytes | None) -> bytes | None:
    """The attributes that the file at `path` is known to show, once they are set where they are to
    be others than `before`."""
    if not placer.capabilities.attributes:
        return None
    if before is None or wanted is None or before == wanted:
        return before
    try:
        bring(placer, path, before, wanted)
    except (ChangedError, BlockedError):
        return before  # somebody's change, or planned once more
    return wanted


def _placement(placer: Placer, entry: JournalEntry, after: DiskEntry, cut: Cut) -> Applied | None:
    there = cut.stands(placer, entry.path)
    wanted = entry.synced.disk if entry.synced is not None else None
    # A renamed file gets its mtime last; it may show either.
    same_time = placer.capabilities.same_time
    brought = replace(after, mtime_ns=wanted.mtime_ns) if wanted is not None else after
    is_rounded = False
    if there is not None and same_time(there.mtime_ns, brought.mtime_ns):
        # As the disk rounds it; or as somebody wrote it since, whom only a look tells from us.
        is_rounded = there.mtime_ns not in (after.mtime_ns, brought.mtime_ns)
        brought = replace(brought, mtime_ns=there.mtime_ns)
    out = placer.disk.stat(entry.temporary)
    if out is not None and _brought_back(placer, entry, there, out, after):
        there, out = placer.disk.stat(entry.path), placer.disk.stat(entry.temporary)
    comes = _is(placer, entry.temporary, out, after)
    if out is None and entry.brings_directory and cut.twin(placer, entry.path) is not None:
        comes = _is(placer, entry.path, placer.disk.stat(entry.path), after)  # by its old name
    old = cut.twin(placer, entry.path) if comes and out is not None else None
    came_along = old is not None and old.path.rpartition("/")[2] == entry.path.rpartition("/")[2]
    if old and came_along and placer.same(there, old.before, at=entry.path):
        there = None  # with a directory above it; it makes way as in the batch
    if there is None and entry.before is None and comes:
        above = entry.path.rpartition("/")[0]
        if above and cut.is_otherwise_spelt(above) and not placer.is_filled(entry):
            # It would come into a directory that has not got its other case: nobody wants it there.
            return Applied(entry.path, None, None, settled=False)
        # A new path, or one whose other spelling had to go first: its content may be nowhere else.
        if out is not None and is_closed(out.entry(b"")):
            # To move it changes its "..". The mode follows with the rest.
            placer.disk.set_metadata(entry.temporary, out.mode | OPEN, None)
        try:
            _bring(placer, entry, out, cut)
        except (ChangedError, BlockedError, OSError) as error:
            # What it was to stand in is gone, or another's by now; and what was cleared out of its
            # way may have gone with the power. In a directory that was to get another case there
            # is all that was in it.
            if placer.is_filled(entry):
                if isinstance(error, OSError):
                    raise
                placer.keep_temporary(entry)
            return Applied(entry.path, None, None, settled=False)
        there, out = placer.disk.stat(entry.path), None
    if there is not None and there.kind is Kind.FILE and there.inode == after.inode:
        cut.linked[there.inode] = entry.path  # also where somebody has written into it since
    arrived = _is(placer, entry.path, there, after) or _is(placer, entry.path, there, brought)
    if there is not None and arrived and not _is(placer, entry.temporary, out, after):
        if out is not None:
            try:
                placer.dispose(entry)
            except OSError:
                return None  # what stood there is back
        else:
            _note_replaced(placer, entry)
        if there.kind is Kind.FILE:
            cut.linked[there.inode] = entry.path
        if wanted is None or wanted.kind is Kind.SYMLINK:
            return _applied(entry, there.entry(after.root), None, settled=not is_rounded)
        shows = _brought(placer, entry.path, after.attributes, wanted.attributes)
        dated = not same_time(there.mtime_ns, wanted.mtime_ns)
        try:
            there = placer.dress(entry.path, there, wanted, dated=dated)
        except ModeRefusedError as error:
            there = error.shown
        except (ChangedError, OSError):
            return _applied(entry, there.entry(after.root), shows, settled=False)  # just now
        return _applied(entry, there.entry(after.root), shows, settled=not (dated or is_rounded))
    if not _note_replaced(placer, entry):
        if there is None and out is None and entry.before is None:
            # The power took it, and may have left gone what was cleared out of its way.
            return Applied(entry.path, None, None, settled=False)
        if out is None:
            return None
        if _is(placer, entry.temporary, out, after) and not placer.is_filled(entry):
            return None
        # Exchanged, and the path edited or emptied since: what came out must not stay here.
        if entry.before is None or not placer.same(out, entry.before, at=entry.temporary):
            placer.keep(entry.temporary, entry.path, out, b"")
            return None  # it was an edit, and what stands there now is another
        if out.kind is Kind.DIRECTORY:
            placer.keep(entry.temporary, entry.path, out, b"")
        else:
            placer.disk.move(entry.temporary, entry.kept_as)
            _note_replaced(placer, entry)
    if placer.same(there, entry.before, at=entry.path):
        return None  # a disk that keeps no order shows both
    if there is None:
        # Deleted since, or lost by such a disk. It is brought once more: nothing is deleted for
        # everybody that nobody has deleted for certain.
        return Applied(entry.path, None, None, settled=False)
    shown = after
    if wanted is not None and wanted.kind is not Kind.SYMLINK:
        shown = replace(brought, mode=wanted.mode)
    shows = shown.attributes if placer.capabilities.attributes else None
    return _applied(entry, replace(shown, attributes=None), shows, settled=False)


def _bring(placer: Placer, entry: JournalEntry, out: Stat | None, cut: Cut) -> None:
    """Bring what is new to its path. On a disk that finds entries under other names too, what has
    its old name goes before, or gets the new one, as in a batch.

    Raises as `Placer.put`.
    """
    if cut.spelling is not None:
        twin = cut.twin(placer, entry.path)
        there = placer.disk.stat(entry.path)
        if out is None and twin is not None:
            rename_directory(placer, twin.path, entry)
        elif twin is not None and there is not None and there.kind is not Kind.DIRECTORY:
            if is_one_file(placer.disk.stat(twin.kept_as), there):
                placer.disk.remove_file(twin.kept_as)  # as in `_end_move`
            new_name = cut.second_name(placer, twin, there)
            placer.remove(twin, (there.inode, new_name) if new_name else None)
        else:
            twin = None
        if twin is not None:
            cut.cleared.add(twin.path)
            cut.spelling.forget()
    if out is not None:
        placer.put(entry)
    if cut.spelling is not None:
        cut.spelling.came(entry.path)


def _brought_back(
    placer: Placer, entry: JournalEntry, there: Stat | None, out: Stat, after: DiskEntry
) -> bool:
    """Whether an exchange had been undone that somebody had worked on meanwhile, and what they made
    of what was brought stands at the path again: it is newer than what was put back there."""
    before = entry.before
    if before is None or not placer.same(there, before, at=entry.path):
        return False
    if placer.same(out, before, at=entry.temporary):
        return False  # a disk that keeps no order shows both
    if _is(placer, entry.temporary, out, after) and not placer.is_filled(entry):
        return False
    is_own = entry.temporary.startswith(f"{INCOMING}/{OWN_PREFIX}")
    if is_own and out.kind is after.kind is Kind.FILE and placer.same_inode(out, after):
        return False  # it may be the other name of a file that somebody has written into there
    try:
        placer.insist(entry.path, lambda: placer.disk.exchange(entry.temporary, entry.path))
    except (FileNotFoundError, PermissionError):
        return False
    return True


def _note_replaced(placer: Placer, entry: JournalEntry) -> bool:
    """Whether what stood at the path is in the history, where only an exchange can have brought
    it; then it gets its row."""
    kept = placer.disk.stat(entry.kept_as) if entry.kept_as else None
    if kept is None or entry.before is None:
        return False
    placer.note_kept(entry.kept_as, entry.path, kept, entry.before.root)
    return True


def _is(placer: Placer, at: str, found: Stat | None, after: DiskEntry) -> bool:
    """Whether `found`, at that place, is the very thing that was made for the path."""
    if found is None or found.kind is not after.kind or not placer.same_inode(found, after):
        return False
    if found.kind is Kind.DIRECTORY:
        return True
    if found.size != after.size or found.mtime_ns != after.mtime_ns:
        return False
    return found.kind is not Kind.SYMLINK or says(placer.disk, at, after)


def _applied(
    entry: JournalEntry, local: DiskEntry, brought: bytes | None, *, settled: bool = True
) -> Applied:
    """`brought` as in `Step`, `settled` as in `Applied`."""
    synced = entry.synced
    if synced is not None:
        synced = replace(synced, disk=replace(local, attributes=brought))
    return Applied(entry.path, local, synced, settled)
