"""A flock of nodes with disks in memory, for whole histories of edits, deliveries and plans.

The applier here checks what the planner promises: `expected` is what is there, parents are there,
directories are empty when they go, nothing is touched that nobody has recorded.
"""

from __future__ import annotations

import random
from collections.abc import Iterable
from dataclasses import dataclass, field, replace

from flocksy.sync.capabilities import Capabilities
from flocksy.sync.content import chunk_id
from flocksy.sync.names import ancestors, in_repository, parent_of
from flocksy.sync.operations import (
    Acknowledge,
    Hold,
    MakeDirectory,
    Operation,
    PutFile,
    PutSymlink,
    Record,
    Remove,
    synced_after,
)
from flocksy.sync.planner import Held, adopt, commit_local, plan
from flocksy.sync.state import join, state_of
from flocksy.sync.trees import DiskEntry, PathState, SyncedEntry
from flocksy.sync.version import Kind

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
        self.capabilities = capabilities
        self.held = held
        self.ignore_symlinks = False
        self.disk: dict[str, DiskEntry] = {}
        self.trees = MemoryTrees()
        self.history: list[DiskEntry] = []
        self.outgoing: list[tuple[str, PathState]] = []
        self.pending: set[str] = set()  # paths to plan that changed in flock or were left out

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
        grain = self.capabilities.mtime_grain_ns
        mode = entry.mode if self.capabilities.mode_bits else 0o755
        return replace(entry, mode=mode, mtime_ns=entry.mtime_ns // grain * grain)

    # What the engine does.

    def scan(self) -> set[str]:
        """Bring local up to date; returns the paths that changed."""
        changed = {
            path
            for path in self.disk.keys() | self.trees.locals.keys()
            if self.disk.get(path) != self.trees.locals.get(path)
        }
        self.trees.locals = dict(self.disk)
        self.pending |= changed
        return changed

    def learn(self, operations: Iterable[Record | Acknowledge]) -> set[str]:
        """Do what commit or adopt asks for."""
        touched = set()
        for operation in operations:
            touched.add(operation.path)
            self.pending.add(operation.path)
            if isinstance(operation, Record):
                news = state_of(operation.version, operation.superseded)
                self.receive(operation.path, news)
                self.outgoing.append((operation.path, news))
            self._remember(operation.path, operation.synced)
        return touched

    def commit(self, paths: Iterable[str]) -> set[str]:
        return self.learn(
            commit_local(
                self.trees,
                paths,
                self.capabilities,
                held=self.held,
                ignore_symlinks=self.ignore_symlinks,
            )
        )

    def adopt(self) -> set[str]:
        paths = self.disk.keys() | self.trees.states.keys() | self.trees.synceds.keys()
        return self.learn(adopt(self.trees, paths, self.capabilities, held=self.held))

    def receive(self, path: str, state: PathState) -> None:
        self.pending.add(path)
        self.trees.states[path] = join(self.trees.states.get(path), state)

    def plan(self, paths: Iterable[str]) -> list[Operation]:
        return plan(
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
        self.commit(set(self.pending))
        dirty = set(self.pending)
        self.pending.clear()
        operations = self.plan(dirty)
        for operation in operations:
            if skip is None or isinstance(operation, Acknowledge) or skip.randrange(3):
                self.apply(operation, strict=skip is None)
            if skip is not None or isinstance(operation, Hold):
                self.pending.add(operation.path)
        return sum(not isinstance(operation, Hold) for operation in operations)

    def everything(self) -> set[str]:
        return {
            *self.disk,
            *self.trees.locals,
            *self.trees.synceds,
            *self.trees.states,
        }

    def apply(self, operation: Operation, *, strict: bool = True) -> None:
        path = operation.path
        if isinstance(operation, Hold):
            return
        if isinstance(operation, Acknowledge):
            self._remember(path, operation.synced)
            return
        assert not isinstance(operation, Record)
        found = self.disk.get(path)
        if isinstance(operation, Remove) and found is None:
            assert operation.expected.kind is Kind.FILE, "only a file is renamed away"
            self._remember(path, operation.synced)
            return
        if not strict and not self._possible(operation):
            return
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
            return
        version = operation.version
        if isinstance(operation, MakeDirectory | PutFile | PutSymlink):
            assert found is None or not below, "a directory that is not empty is replaced"
            if found is not None:
                self.history.append(found)
        if isinstance(operation, PutFile) and operation.source is not None:
            source = self.disk.get(operation.source)
            if source is not None and source.root == version.root:
                del self.disk[operation.source]
                self._local(operation.source)
        self.disk[path] = self.capable(
            DiskEntry(version.kind, version.mode, version.mtime_ns, version.size, version.root)
        )
        self._local(path)
        self._remember(path, synced_after(operation, self.disk[path]))

    def _possible(self, operation: Operation) -> bool:
        """What an applier sees when an earlier operation was left out."""
        path = operation.path
        assert not isinstance(operation, Hold | Acknowledge | Record)
        if not self.capabilities.same(self.disk.get(path), operation.expected):
            return False
        if any(parent_of(name) == path for name in self.disk):
            return not isinstance(operation, Remove | PutFile | PutSymlink)
        parent = parent_of(path)
        return not parent or (parent in self.disk and self.disk[parent].kind is Kind.DIRECTORY)

    def _local(self, path: str) -> None:
        if path in self.disk:
            self.trees.locals[path] = self.disk[path]
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

    def contents(self) -> dict[str, tuple[Kind, bytes]]:
        return {path: (entry.kind, entry.root) for path, entry in self.disk.items()}


class Flock:
    """Some nodes and the network between them, which delivers in any order, and more than once."""

    def __init__(self, nodes: list[Node]) -> None:
        self.nodes = nodes
        self.queues: list[list[tuple[str, PathState]]] = [[] for _ in nodes]
        self.destroyed: set[bytes] = set()  # contents that a person overwrote or deleted
        self.written: set[bytes] = set()
        self.moved_away: set[tuple[str, bytes]] = set()
        self.in_repositories: set[bytes] = set()  # contents that never show as a conflict copy

    def destroy(self, gone: list[DiskEntry]) -> None:
        """A person has changed a disk; this went by it."""
        self.destroyed |= {entry.root for entry in gone if entry.root}

    def move_away(self, node: Node, source: str) -> None:
        """A person is about to move this: its content is not gone, but not wanted here."""
        for path, entry in node.disk.items():
            if path == source or source in ancestors(path):
                synced = node.trees.synced(path)
                copy_of = synced.copy_of if synced is not None else None
                self.moved_away.add((copy_of[0] if copy_of else path, entry.root))

    def collect(self) -> None:
        for sender in self.nodes:
            for path, state in sender.outgoing:
                if in_repository(path):
                    self.in_repositories |= {head.root for head in state.heads.values()}
            for queue, node in zip(self.queues, self.nodes, strict=True):
                if node is not sender:
                    queue.extend(sender.outgoing)
            sender.outgoing.clear()

    def deliver(self, number: int, randomness: random.Random, count: int) -> None:
        """Some messages reach one node, in any order; some of them will come again."""
        self.collect()
        queue, node = self.queues[number], self.nodes[number]
        for _ in range(min(count, len(queue))):
            at = randomness.randrange(len(queue))
            path, state = queue[at] if randomness.random() < 0.1 else queue.pop(at)
            node.receive(path, state)

    def settle(self) -> None:
        """Deliver and do everything, until nothing is left to do. Bounded: it must terminate."""
        for _ in range(40):
            busy = 0
            for number, node in enumerate(self.nodes):
                self.collect()
                busy += len(self.queues[number])
                for path, state in self.queues[number]:
                    node.receive(path, state)
                self.queues[number].clear()
                busy += node.step() + len(node.outgoing)
            if not busy:
                return
        raise AssertionError("it does not settle")

    def check(self, *, equal_disks: bool = True) -> None:
        """Everything that must be true once it has settled. Disks that cannot hold the same are
        only equal in what stands where."""
        first = self.nodes[0]
        for node in self.nodes:
            assert node.trees.states == first.trees.states, "flock trees differ"
            if equal_disks:
                assert node.shown() == first.shown(), "disks differ"
            assert node.contents() == first.contents(), "contents differ"
            assert not node.commit(node.everything()), "something is left to commit"
            assert node.plan(node.everything()) == [], "planning again gives something"
            for path, entry in node.disk.items():
                synced = node.trees.synced(path)
                assert synced is not None
                assert node.capabilities.same(synced.disk, entry), "synced is not the disk"
        shown = {entry.root for entry in first.disk.values()}
        in_histories = {entry.root for node in self.nodes for entry in node.history}
        for root in self.written - self.destroyed - shown:
            assert root in self.in_repositories or any(
                (path, root) in self.moved_away
                and root in (head.root for head in state.heads.values())
                for path, state in first.trees.states.items()
            ), "a content that nobody replaced is not shown"
            assert root in in_histories, "a content is lost"

    def live(self, seed: int, steps: int) -> None:
        """A random life: people edit, messages come in any order, plans are done in part."""
        randomness = random.Random(seed)
        for text in range(steps):
            number = randomness.randrange(len(self.nodes))
            node = self.nodes[number]
            dice = randomness.random()
            if dice < 0.45:
                self._edit(node, randomness, f"text {text}")
            elif dice < 0.75:
                self.deliver(number, randomness, randomness.randrange(1, 6))
                if randomness.random() < 0.6:
                    node.step()
            else:
                node.step(skip=randomness if randomness.random() < 0.3 else None)

    def _edit(self, node: Node, randomness: random.Random, text: str) -> None:
        def somewhere() -> str:
            if node.disk and randomness.random() < 0.6:
                return randomness.choice(sorted(node.disk))
            return randomness.choice(PATHS)

        path = somewhere()
        dice = randomness.random()
        if dice < 0.45:
            if path.count("/") > 3:
                return
            if randomness.random() < 0.1:
                text = "a text that several people write"
            entry = symlink(text)
            if randomness.random() < 0.85:
                entry = file(text, mtime_ns=(10**9 + randomness.randrange(3)) * 10**9)
            self.destroy(node.write(path, entry))
            self.written.add(entry.root)
        elif dice < 0.65:
            self.destroy(node.delete(path))
        elif dice < 0.75:
            self.destroy(node.write(path, DIRECTORY))
        elif dice < 0.88:
            self.move_away(node, path)
            self.destroy(node.move(path, somewhere()))
        elif path in node.disk and node.disk[path].kind is not Kind.SYMLINK:
            mode = randomness.choice((0o600, 0o755, 0o644))
            node.disk[path] = node.capable(replace(node.disk[path], mode=mode))
