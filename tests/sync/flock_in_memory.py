"""A node with its disk in memory, for whole histories of edits, deliveries and plans.

The applier here checks what the planner promises: `expected` is what is there, parents are there,
directories are empty when they go, nothing is touched that nobody has recorded.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace

from flocksy.sync.capabilities import Capabilities
from flocksy.sync.content import chunk_id
from flocksy.sync.names import ancestors, parent_of
from flocksy.sync.operations import (
    Acknowledge,
    DiskOperation,
    Hold,
    MakeDirectory,
    Operation,
    PutFile,
    PutSymlink,
    Record,
    Remove,
    SetMetadata,
    synced_after,
)
from flocksy.sync.planner import Held
from flocksy.sync.trees import DiskEntry, PathState, SyncedEntry
from flocksy.sync.version import Kind
from tests.sync.engine import current

FULL = Capabilities()


def file(text: str, mode: int = 0o644, mtime_ns: int = 10**18) -> DiskEntry:
    return DiskEntry(Kind.FILE, mode, mtime_ns, len(text), chunk_id(text.encode()))


def symlink(text: str) -> DiskEntry:
    return DiskEntry(Kind.SYMLINK, 0o777, 0, 0, chunk_id(b"symlink " + text.encode()))


PATHS = ("a", "b", "a/a", "a/b", "b/a", "a/a/a", ".git/x")
DIRECTORY = DiskEntry(Kind.DIRECTORY, 0o755, 0, 0, b"")


@dataclass
class MemoryTrees:
    """The three trees as dictionaries."""

    locals: dict[str, DiskEntry] = field(default_factory=dict)
    synceds: dict[str, SyncedEntry] = field(default_factory=dict)
    states: dict[str, PathState] = field(default_factory=dict)

    def local(self, path: str) -> DiskEntry | None:
        return self.locals.get(path)

    def synced(self, path: str) -> SyncedEntry | None:
        return self.synceds.get(path)

    def flock(self, path: str) -> PathState | None:
        return self.states.get(path)

    def local_children(self, path: str) -> list[str]:
        return [name for name in self.locals if parent_of(name) == path]

    def copy(self) -> MemoryTrees:
        """As it is now; entries and states are never changed in place."""
        return MemoryTrees(dict(self.locals), dict(self.synceds), dict(self.states))

    def _live(self) -> Iterable[str]:
        for path, state in self.states.items():
            if any(version.is_content for version in state.heads.values()):
                yield path

    def flock_below(self, path: str) -> bool:
        return any(path in ancestors(live) for live in self._live())

    def flock_children(self, path: str) -> list[str]:
        start = path + "/" if path else ""
        found = {
            start + live[len(start) :].split("/")[0]
            for live in self._live()
            if live.startswith(start)
        }
        return sorted(found)

    def copies_of(self, owner: str) -> list[str]:
        return [
            path
            for path, synced in self.synceds.items()
            if synced.copy_of is not None and synced.copy_of[0] == owner
        ]

    def conflicted(self) -> list[str]:
        return [path for path, state in self.states.items() if len(state.heads) > 1]


class Node:
    """One member: a disk, three trees, and what it has to say."""

    def __init__(self, capabilities: Capabilities = FULL, held: Held | None = None) -> None:
        self.engine = current()
        self.capabilities = capabilities
        self.held = held
        self.ignore_symlinks = False
        self.disk: dict[str, DiskEntry] = {}
        self.trees = MemoryTrees()
        self.history: list[DiskEntry] = []
        self._renamed: set[str] = set()  # by the plan that is being carried out
        self.outgoing: list[tuple[str, PathState]] = []
        self.changed: set[str] = set()  # paths whose local entry moved, to be committed
        self.pending: set[str] = set()  # paths to plan: their state moved, or they were left out

    # What a person does.

    def write(self, path: str, entry: DiskEntry) -> list[DiskEntry]:
        """Put `entry` at `path`, making parents. Returns what was destroyed by that."""
        gone = []
        for above in reversed(list(ancestors(path))):
            if above in self.disk and self.disk[above].kind is not Kind.DIRECTORY:
                gone += self.delete(above)
            self.disk.setdefault(above, DIRECTORY)
        if entry.kind is not Kind.DIRECTORY or (
            path in self.disk and self.disk[path].kind is not Kind.DIRECTORY
        ):
            gone += self.delete(path)
        self.disk[path] = self.capable(entry)
        return gone

    def delete(self, path: str) -> list[DiskEntry]:
        below = [name for name in self.disk if name == path or path in ancestors(name)]
        return [self.disk.pop(name) for name in below]

    def move(self, source: str, target: str) -> list[DiskEntry]:
        if source not in self.disk or target == source or source in ancestors(target):
            return []
        if target in ancestors(source):
            return []
        moved = {
            target + name[len(source) :]: entry
            for name, entry in self.disk.items()
            if name == source or source in ancestors(name)
        }
        self.delete(source)
        gone = self.delete(target)
        for name in sorted(moved):
            gone += self.write(name, moved[name])
        return gone

    def capable(self, entry: DiskEntry) -> DiskEntry:
        """What this disk makes of an entry."""
        how = self.capabilities
        mode = entry.mode if how.mode_bits else 0o755
        mtime_ns = max(how.earliest_mtime_ns, min(entry.mtime_ns, how.latest_mtime_ns))
        grain_ns = how.mtime_grain_ns
        return replace(entry, mode=mode, mtime_ns=mtime_ns // grain_ns * grain_ns)

    def seen(self, path: str) -> DiskEntry | None:
        """What a look at the disk shows. Attributes are there whoever asks for them."""
        entry = self.disk.get(path)
        if entry is None or entry.kind is not Kind.FILE:
            return entry
        asked = self.capabilities.attributes
        return replace(entry, attributes=entry.attributes or b"" if asked else None)

    def want_attributes(self, wanted: bool) -> None:
        """A person switches them on or off: what was known of them is forgotten."""
        self.capabilities = replace(self.capabilities, attributes=wanted)
        trees = self.trees
        for path, entry in trees.locals.items():
            trees.locals[path] = replace(entry, attributes=None)
        for path, synced in trees.synceds.items():
            if synced.disk is not None:
                disk = replace(synced.disk, attributes=None)
                trees.synceds[path] = replace(synced, disk=disk)

    # What the engine does.

    def scan(self, paths: Iterable[str] | None = None) -> set[str]:
        """Bring local up to date, at some paths or all; returns the paths that changed."""
        locals_ = self.trees.locals
        changed = {
            path
            for path in (self.disk.keys() | locals_.keys() if paths is None else paths)
            if self.seen(path) != locals_.get(path)
        }
        for path in sorted(changed):
            self._local(path)
            if path in locals_ and locals_[path].kind is Kind.DIRECTORY:
                continue
            for below in [name for name in locals_ if path in ancestors(name)]:
                del locals_[below]
                changed.add(below)
        self.changed |= changed
        return changed

    def learn(self, operations: Iterable[Record | Acknowledge]) -> set[str]:
        """Do what commit or adopt asks for."""
        touched = set()
        for operation in operations:
            touched.add(operation.path)
            self.pending.add(operation.path)
            if isinstance(operation, Record):
                news = self.engine.state_of(operation.version, operation.superseded)
                self.receive(operation.path, news)
                self.outgoing.append((operation.path, news))
            self._remember(operation.path, operation.synced)
        return touched

    def commit(self, paths: Iterable[str]) -> set[str]:
        return self.learn(
            self.engine.commit_local(
                self.trees,
                paths,
                self.capabilities,
                held=self.held,
                ignore_symlinks=self.ignore_symlinks,
            )
        )

    def adopt(self, paths: Iterable[str] | None = None) -> set[str]:
        """Look at a disk of unknown past, or at the paths whose past is not known."""
        paths = self.everything() if paths is None else paths
        operations = self.engine.adopt(self.trees, paths, self.capabilities, held=self.held)
        for operation in operations:
            if isinstance(operation, Record):
                assert operation.version.is_content, "adopting deletes something"
                is_known = not operation.superseded or operation.version.metadata_only
                assert is_known, "adopting replaces something unseen"
        return self.learn(operations)

    def receive(self, path: str, state: PathState) -> None:
        self.pending.add(path)
        self.trees.states[path] = self.engine.join(self.trees.states.get(path), state)

    def plan(self, paths: Iterable[str]) -> list[Operation]:
        return self.engine.plan(
            self.trees,
            paths,
            self.capabilities,
            held=self.held,
            ignore_symlinks=self.ignore_symlinks,
        )

    def step(self, skip: random.Random | None = None) -> int:
        """Scan, commit, plan and apply what changed, and no more. With `skip`, every third
        operation is left out, as if its content had not come. Returns how many operations the
        plan had."""
        self.scan()
        self._commit(set(self.changed))
        operations = self.plan(self._planned(set(self.pending)))
        self._carry_out(operations, skip)
        return sum(not isinstance(operation, Hold) for operation in operations)

    def fumble(self, draw: random.Random, meanwhile: Callable[[], None]) -> None:
        """As `step`, but each part by chance and for some of the paths; and while the plan is
        carried out somebody is at the disk."""

        def some(paths: set[str]) -> set[str]:
            return {path for path in sorted(paths) if draw.random() < 0.6}

        if draw.random() < 0.7:
            self.scan(some(self.disk.keys() | self.trees.locals.keys()))
        if draw.random() < 0.6:
            self._commit(some(self.changed))
        if draw.random() < 0.7:
            operations = self.plan(self._planned(some(self.pending)))
            if draw.random() < 0.3:
                meanwhile()
            self._carry_out(operations, draw)

    def _commit(self, paths: set[str]) -> None:
        self.changed -= paths
        self.commit(paths)
        self.pending |= paths

    def _planned(self, paths: set[str]) -> set[str]:
        self.pending -= paths
        return paths

    def _carry_out(self, operations: Sequence[Operation], skip: random.Random | None) -> None:
        """Do a plan. What is left out, or turns out not to be possible, is planned again; what the
        planner dropped by itself it has to remember by itself. A rename is done whole."""
        had = self.everything_kept()
        self._renamed.clear()
        for operation in operations:
            certain = isinstance(operation, Acknowledge) or operation.path in self._renamed
            if skip is None or certain or skip.randrange(3):
                done = self.apply(operation, strict=skip is None)
            else:
                done = False
            if not done:
                self.pending.add(operation.path)
        assert had <= self.everything_kept(), "a content is neither on this disk nor in its history"

    def everything_kept(self) -> set[bytes]:
        """All contents on the disk and in the history."""
        kept = {entry.root for entry in self.history}
        kept.update(entry.root for entry in self.disk.values())
        return kept

    def everything(self) -> set[str]:
        return {
            *self.disk,
            *self.trees.locals,
            *self.trees.synceds,
            *self.trees.states,
        }

    def apply(self, operation: Operation, *, strict: bool = True) -> bool:
        """Do one operation; False where something else is there, unless `strict`."""
        path = operation.path
        if isinstance(operation, Hold):
            return True
        if isinstance(operation, Acknowledge):
            self._remember(path, operation.synced)
            return True
        assert not isinstance(operation, Record)
        found = self._found(operation)
        if path in self._renamed:
            assert isinstance(operation, Remove) and found is None, "what was renamed is there"
            self._remember(path, operation.synced)
            return True
        if not strict and not self._possible(operation):
            return False
        assert self.capabilities.same(found, operation.expected), "the planner saw something else"
        if found is not None:
            synced = self.trees.synced(path)
            assert synced is not None, "nobody has recorded what is here"
            assert self.capabilities.same(found, synced.disk), "a local change is overwritten"
        below = [name for name in self.disk if parent_of(name) == path]
        parent = parent_of(path)
        assert not parent or self.disk[parent].kind is Kind.DIRECTORY, "no directory to be in"
        if isinstance(operation, Remove):
            assert not below, "a directory that is not empty is removed"
            self.history.append(self.disk.pop(path))
            self._local(path)
            self._remember(path, operation.synced)
            return True
        version = operation.version
        attributes = version.attributes if version.kind is Kind.FILE else None
        keeps = not self.capabilities.attributes
        if isinstance(operation, SetMetadata):
            keeps = keeps or operation.expected.attributes is None
            attributes = self.disk[path].attributes if keeps else attributes
        elif keeps:
            attributes = None
        if isinstance(operation, MakeDirectory | PutFile | PutSymlink):
            assert found is None or not below, "a directory that is not empty is replaced"
            if found is not None:
                self.history.append(found)
        if isinstance(operation, PutFile) and operation.source is not None:
            assert operation.source not in self._renamed, "one source of two renames"
            source = self.disk.get(operation.source)
            if source is not None and source.root == version.root:
                del self.disk[operation.source]
                self._local(operation.source)
                self._renamed.add(operation.source)
        self.disk[path] = self.capable(
            DiskEntry(
                version.kind,
                version.mode,
                version.mtime_ns,
                version.size,
                version.root,
                attributes=attributes,
            )
        )
        brought = replace(self.disk[path], attributes=None if keeps else attributes)
        self._remember(path, synced_after(operation, brought))
        # The next scan says which there are.
        self.trees.locals[path] = replace(self.disk[path], attributes=None)
        return True

    def _possible(self, operation: Operation) -> bool:
        """What an applier sees when an earlier operation was left out."""
        path = operation.path
        assert not isinstance(operation, Hold | Acknowledge | Record)
        if not self.capabilities.same(self._found(operation), operation.expected):
            return False
        if any(parent_of(name) == path for name in self.disk):
            return not isinstance(operation, Remove | PutFile | PutSymlink)
        parent = parent_of(path)
        return not parent or (parent in self.disk and self.disk[parent].kind is Kind.DIRECTORY)

    def _found(self, operation: DiskOperation) -> DiskEntry | None:
        """What a look at the path shows that is not closer than the planner's was."""
        found, expected = self.seen(operation.path), operation.expected
        if found is None or expected is None or expected.attributes is not None:
            return found
        return replace(found, attributes=None)

    def _local(self, path: str) -> None:
        seen = self.seen(path)
        if seen is not None:
            self.trees.locals[path] = seen
        else:
            self.trees.locals.pop(path, None)

    def _remember(self, path: str, synced: SyncedEntry | None) -> None:
        if synced is None:
            self.trees.synceds.pop(path, None)
        else:
            self.trees.synceds[path] = synced

    def shown(self) -> dict[str, tuple[Kind, int, int, bytes]]:
        """The disk as people see it."""
        return {
            path: (
                entry.kind,
                0 if entry.kind is Kind.SYMLINK else entry.mode,
                entry.mtime_ns if entry.kind is Kind.FILE else 0,
                entry.root,
            )
            for path, entry in self.disk.items()
        }

    def attributes(self) -> dict[str, bytes]:
        """Those of the files that have any, where they are asked for."""
        return {path: entry.attributes for path, entry in self.disk.items() if entry.attributes}

    def contents(self) -> dict[str, tuple[Kind, bytes]]:
        return {path: (entry.kind, entry.root) for path, entry in self.disk.items()}
