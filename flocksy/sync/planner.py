"""The planner: from what is known to what is to be done.

Theory of operation
-------------------
There are three trees. *Local* is what the disk showed, *synced* what this disk was last seen to
hold of the flock, *flock* the joined heads. Each direction of change is read from *synced*:

* local differs from synced: somebody changed this disk. `commit_local` makes the version that says
  so. Its parents are the heads in synced, never those in flock: a version that has arrived and is
  not on this disk yet was not seen by whoever made the change, so it must not be superseded.
* flock differs from synced: the flock changed. `plan` says what brings the disk there. It touches
  no path where local differs from synced; such a path first needs its version.

An engine therefore always does the same three steps, for paths that changed on either side:
commit, join and send what came out, plan. Any order in which paths, versions and disks change leads
to the same end, because the view is a function of the flock tree alone (`flocksy.sync.view`) and
the flock tree is a join (`flocksy.sync.state`). Doing a plan makes synced equal to the view at its
paths, so planning again gives nothing: it terminates.

No content is lost. The planner only replaces or removes what synced says the flock knows, and every
operation puts what it takes away into the history. A content that people may still want is a head,
and every head is at its path or a conflict copy, or equals one of those, or was knowingly replaced.

*Conflict copies are projections.* A copy's path holds no version; its synced entry says whose head
it shows. Changing the copy on a disk means: put that head away, by a tombstone whose only parents
are that head and its equals, recorded at the owner. (A tombstone supersedes nothing anybody else
may be editing: deleting the copy here and the owner there deletes both, while a new version equal
to the winner would bring the owner back.) If the copy was edited rather than deleted, the new
content also becomes an ordinary path of that name.

*Directories are implied by what lives in them.* A tombstoned directory with a live path below stays
until the last one goes. So "deleted here, filled there" keeps what was filled in and nothing else.

*Held.* Where `held` gives a reason, nothing is read and nothing is written: absence is never a
deletion. A path that becomes held again is to be adopted. A directory that should go but still has
something in it that is not ours stays, and a `Hold` says so.

*Order of a plan*: what is only remembered; removals below directories that become files; new
directories from the top; files and symlinks; metadata; removals from the bottom. Whoever leaves out
an operation (its content is not here yet) leaves its path as it is, and plans it again later;
operations below a directory that was left out fail by themselves and come again as well.

The cost is that of the paths given, their parents, their copies, and of what lies below directories
that appear or disappear; never that of the box.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from flocksy.sync.capabilities import Capabilities, shows_content
from flocksy.sync.commit import Held, adopt, commit_local
from flocksy.sync.names import ancestors
from flocksy.sync.operations import (
    Acknowledge,
    Hold,
    MakeDirectory,
    Operation,
    Put,
    PutFile,
    PutSymlink,
    Remove,
    SetMetadata,
)
from flocksy.sync.trees import DiskEntry, SyncedEntry, Trees
from flocksy.sync.version import Kind
from flocksy.sync.view import IMPLIED, View, Wanted

__all__ = ["Held", "adopt", "commit_local", "plan"]

_NO_SYMLINKS = "this disk cannot hold symbolic links"
_NOT_EMPTY = "was deleted, but still has something in it that is not synchronised"


def plan(
    trees: Trees,
    paths: Iterable[str],
    capabilities: Capabilities,
    *,
    held: Held | None = None,
    ignore_symlinks: bool = False,
    keeps: bool = False,
) -> list[Operation]:
    """What brings this disk from synced to the view of flock at `paths` and what hangs on them
    (parents, conflict copies, what lies in a directory that is to be made or removed).

    `keeps`: what the flock has deleted stays on this disk."""
    return _Plan(trees, capabilities, held, ignore_symlinks, keeps).of(paths)


class _Plan:
    """One run. Paths are looked at once each; then what does not fit together is taken out."""

    def __init__(
        self,
        trees: Trees,
        capabilities: Capabilities,
        held: Held | None,
        ignore_symlinks: bool,
        keeps: bool,
    ) -> None:
        self._keeps = keeps
        self._trees = trees
        self._capabilities = capabilities
        self._held = held
        self._ignore_symlinks = ignore_symlinks
        self._view = View(trees)
        self._closed: set[str] = set()
        self._looked_at: set[str] = set()
        self._todo: list[str] = []
        self._remembered: list[Acknowledge] = []
        self._holds: dict[str, Hold] = {}
        self._puts: dict[str, Put] = {}
        self._removals: dict[str, Remove] = {}
        self._emptied: set[str] = set()
        """Directories that went here with all that is still wanted in them: what went below is to
        get its tombstones first, and then nobody may want the directory."""

    def of(self, paths: Iterable[str]) -> list[Operation]:
        for path in paths:
            self._include(path)
            self._include_missing_below(path)
        while self._todo:
            self._look_at(self._todo.pop())
        self._drop_copies_of_emptied()
        early = self._clear_the_way()
        self._keep_full_directories()
        self._drop_unreachable()
        self._find_renames()
        return [
            *sorted(self._remembered, key=_by_path),
            *sorted(self._holds.values(), key=_by_path),
            *sorted(early, key=_by_depth, reverse=True),
            *sorted(self._puts.values(), key=_put_order),
            *sorted(self._removals.values(), key=_by_depth, reverse=True),
        ]

    def _include(self, path: str) -> None:
        """The path and all whose view may have changed with it."""
        if path in self._closed:
            return
        self._closed.add(path)
        self._todo.append(path)
        for owner in (path, *self._view.owners(path)):
            self._todo.append(owner)
            self._todo.extend(self._view.at(owner).copies.values())
            self._todo.extend(self._trees.copies_of(owner))
        for above in ancestors(path):
            self._include(above)

    def _include_missing_below(self, path: str) -> None:
        """A directory that somebody has made here may have been waited for, by paths that were left
        out of an earlier plan because it was not there."""
        local = self._trees.local(path)
        if local is None or local.kind is not Kind.DIRECTORY or not self._trees.flock_below(path):
            return
        for child in self._trees.flock_children(path):
            if self._trees.local(child) is None:
                self._include(child)

    def _look_at(self, path: str) -> None:
        """Decide about one path, as if it were alone."""
        if path in self._looked_at:
            return
        self._looked_at.add(path)
        local = self._trees.local(path)
        synced = self._trees.synced(path)
        wanted = self._view.wanted(path)
        version = wanted.version
        reason = self._held(path) if self._held is not None else None
        if reason is None and wanted.copy_of is not None and self._held is not None:
            reason = self._held(wanted.copy_of[0])  # a copy is its owner's, seen at another path
        if reason is not None:
            if (version is not None or wanted.heads) and not shows_content(local, version):
                self._holds[path] = Hold(path, reason)
            return
        if not self._capabilities.same(local, synced.disk if synced else None):
            return  # a local change: first it needs its version
        if version is None or self._is_left_over(path, wanted):
            self._want_nothing(path, local, synced, wanted)
            return
        if self._is_symlink(local, version.kind):
            if not self._ignore_symlinks:
                self._holds[path] = Hold(path, _NO_SYMLINKS)
            return
        after = SyncedEntry(wanted.heads, local, wanted.copy_of, wanted.generation)
        if local is None or not shows_content(local, version):
            reason = self._capabilities.why_not_so_large(version)
            if reason is None:
                self._put(path, wanted, local)
            else:
                self._holds[path] = Hold(path, reason)
        elif not self._capabilities.shows_metadata(local, version):
            how = (wanted.heads, local, wanted.copy_of, wanted.generation)
            self._puts[path] = SetMetadata(path, version, *how)
            if self._capabilities.shows_metadata(replace(local, attributes=None), version):
                # Should the disk refuse them: the next change here takes their place all the same.
                self._remember(path, synced, after)
        elif synced != after:
            self._remember(path, synced, after)

    def _is_left_over(self, path: str, wanted: Wanted) -> bool:
        """Whether a deleted directory is only there for what this disk does not hold."""
        return (
            self._held is not None
            and wanted.version is IMPLIED
            and bool(wanted.heads)
            and not self._view.is_wanted_below(path, self._held)
        )

    def _is_symlink(self, local: DiskEntry | None, wanted: Kind) -> bool:
        """Whether a symlink is in play where there can be, or shall be, none."""
        if self._capabilities.symlinks and not self._ignore_symlinks:
            return False
        return wanted is Kind.SYMLINK or (local is not None and local.kind is Kind.SYMLINK)

    def _want_nothing(
        self, path: str, local: DiskEntry | None, synced: SyncedEntry | None, wanted: Wanted
    ) -> None:
        if synced is not None and synced.heads and not wanted.heads:
            return  # the flock tree knows less than synced: never a reason to delete
        after = None
        if wanted.heads:
            after = SyncedEntry(wanted.heads, None, None, wanted.generation)
        if local is None:
            if synced != after:
                self._remember(path, synced, after)
            return
        if self._keeps or (self._ignore_symlinks and local.kind is Kind.SYMLINK):
            return
        self._removals[path] = Remove(path, local, after)
        if local.kind is Kind.DIRECTORY:
            self._include_local_below(path)

    def _remember(self, path: str, synced: SyncedEntry | None, after: SyncedEntry | None) -> None:
        """Only what is remembered changes. What was read back, stat fields and all, stays."""
        if synced is not None and after is not None and self._trees.local(path) is not None:
            after = SyncedEntry(after.heads, synced.disk, after.copy_of, after.generation)
            if after == synced:
                return
        self._remembered.append(Acknowledge(path, after))

    def _put(self, path: str, wanted: Wanted, local: DiskEntry | None) -> None:
        version = wanted.version
        assert version is not None
        if version.kind is Kind.DIRECTORY:
            if self._trees.synced(path) is not None and self._was_emptied(path):
                self._emptied.add(path)
                return
            self._puts[path] = MakeDirectory(path, version, wanted.heads, local, wanted.generation)
            # Nothing below can have been on this disk so far.
            for child in self._trees.flock_children(path):
                self._include(child)
            return
        how = (path, version, wanted.heads, local)
        if version.kind is Kind.SYMLINK:
            self._puts[path] = PutSymlink(*how, wanted.copy_of, wanted.generation)
        else:
            file = PutFile(*how, copy_of=wanted.copy_of, generation=wanted.generation)
            self._puts[path] = file
        if local is not None and local.kind is Kind.DIRECTORY:
            self._include_local_below(path)

    def _was_emptied(self, path: str) -> bool:
        """Whether something below a path that is no directory here any more is still to get its
        tombstone. Until then it looks wanted, and so does the directory: what somebody has just put
        in its place would be taken away."""
        todo = list(self._trees.flock_children(path))
        while todo:
            child = todo.pop()
            synced = self._trees.synced(child)
            disk = synced.disk if synced is not None else None
            if disk is not None and self._trees.local(child) is None:
                is_link = disk.kind is Kind.SYMLINK and self._ignore_symlinks
                if not is_link and (self._held is None or self._held(child) is None):
                    return True
            todo.extend(self._trees.flock_children(child))
        return False

    def _include_local_below(self, path: str) -> None:
        for child in self._trees.local_children(path):
            self._include(child)

    def _drop_copies_of_emptied(self) -> None:
        """What stands in place of such a directory shows beside it only if the directory stays."""
        for path, put in list(self._puts.items()):
            copy_of = None if isinstance(put, MakeDirectory) else put.copy_of
            if copy_of is not None and copy_of[0] in self._emptied:
                del self._puts[path]

    def _clear_the_way(self) -> list[Remove]:
        """Directories that become files go first, with all that is in them, or not at all."""
        early: dict[str, Remove] = {}
        for path, put in list(self._puts.items()):
            local = put.expected
            if isinstance(put, MakeDirectory | SetMetadata):
                continue
            if local is None or local.kind is not Kind.DIRECTORY:
                continue
            below = self._removals_below(path)
            if below is None:
                del self._puts[path]
                self._holds[path] = Hold(path, _NOT_EMPTY)
                continue
            for removal in below:
                early[removal.path] = removal
            # Forget what was here: should the put not follow, the path is simply absent.
            early[path] = Remove(path, local, None)
            self._puts[path] = replace(put, expected=None)
        for path in early:
            self._removals.pop(path, None)
        return list(early.values())

    def _removals_below(self, path: str) -> list[Remove] | None:
        """The removals that empty the directory, or None if something in it stays."""
        found: list[Remove] = []
        todo = list(self._trees.local_children(path))
        while todo:
            child = todo.pop()
            removal = self._removals.get(child)
            if removal is None:
                return None
            found.append(removal)
            todo.extend(self._trees.local_children(child))
        return found

    def _keep_full_directories(self) -> None:
        """A directory in which something stays is not removed."""
        for path in sorted(self._removals, key=_depth, reverse=True):
            if self._removals[path].expected.kind is not Kind.DIRECTORY:
                continue
            if any(child not in self._removals for child in self._trees.local_children(path)):
                del self._removals[path]
                self._holds[path] = Hold(path, _NOT_EMPTY)

    def _drop_unreachable(self) -> None:
        """What is to stand in a directory that is not there and is not going to be: later."""
        there: dict[str, bool] = {}
        for path in sorted(self._puts, key=_depth):
            if isinstance(self._puts[path], SetMetadata):
                continue
            for above in reversed(list(ancestors(path))):
                if above not in there:
                    there[above] = self._will_be_directory(above)
                if not there[above]:
                    del self._puts[path]
                    break

    def _will_be_directory(self, path: str) -> bool:
        put = self._puts.get(path)
        if put is not None:
            return put.version.kind is Kind.DIRECTORY
        local = self._trees.local(path)
        return local is not None and local.kind is Kind.DIRECTORY and path not in self._removals

    def _find_renames(self) -> None:
        """A file that goes here and comes there needs no data."""
        leaving: dict[bytes, list[str]] = {}
        for path in sorted(self._removals):
            entry = self._removals[path].expected
            synced = self._trees.synced(path)
            # Not a copy: should its removal get lost, its absence would read as "put away".
            if synced is None or synced.copy_of is not None:
                continue
            if entry.kind is Kind.FILE and entry.size:
                leaving.setdefault(entry.root, []).append(path)
        if not leaving:
            return
        for path in sorted(self._puts):
            put = self._puts[path]
            if isinstance(put, PutFile) and leaving.get(put.version.root):
                source = leaving[put.version.root].pop(0)
                self._puts[path] = replace(put, source=source)


def _depth(path: str) -> tuple[int, str]:
    return (path.count("/"), path)


def _by_path(operation: Operation) -> str:
    return operation.path


def _by_depth(operation: Operation) -> tuple[int, str]:
    return _depth(operation.path)


def _put_order(put: Put) -> tuple[int, tuple[int, str]]:
    """Directories from the top, then content, then metadata."""
    if isinstance(put, MakeDirectory):
        phase = 0
    elif isinstance(put, SetMetadata):
        phase = 2
    else:
        phase = 1
    return (phase, _depth(put.path))
