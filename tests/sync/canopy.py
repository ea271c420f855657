"""Correlated trees from nothing: a random history of versions, of which every node knows a part,
has applied another part path by path, and has a disk that somebody has been at since.

After Dropbox's CanopyCheck. A life (`tests.sync.lives`) only meets what its own steps lead to; here
a node begins in the middle, with any part of a batch applied and any message still on its way.
"""

from __future__ import annotations

import random

from flocksy.sync.capabilities import Capabilities
from flocksy.sync.content import chunk_id
from flocksy.sync.names import parent_of
from flocksy.sync.state import join, state_of, superseded_by
from flocksy.sync.trees import DiskEntry, PathState, SyncedEntry
from flocksy.sync.version import MAX_PARENTS, NO_ROOT, Kind, Version, version_id
from flocksy.sync.view import View
from tests.sync.flock_in_memory import PATHS, MemoryTrees, Node
from tests.sync.lives import Flock, Message

MOMENTS = 3
"""So many times each node has looked at the flock before now; each path shows one of them."""

FULL = Capabilities()


def canopy(seed: int, nodes: int, capabilities: Capabilities = FULL) -> tuple[Flock, random.Random]:
    """A flock in the middle of its life, and what is to decide about the rest of it."""
    draw = random.Random(seed)
    said = history(draw)
    flock = Flock([Node(capabilities) for _ in range(nodes)])
    for number, node in enumerate(flock.nodes):
        _begin(node, said, draw)
        unheard = [one for one in said if draw.random() < 0.3]
        flock.queues[number] = unheard
        for text in range(draw.randrange(4)):
            flock.edit(node, draw, f"text {number} {text}")
        node.pending |= node.everything()
        node.changed |= node.everything()
    # Nobody may know of a version that nobody can ever tell the others about.
    for queue in flock.queues:
        queue.extend(draw.sample(said, len(said)))
    return flock, draw


def wander(flock: Flock, draw: random.Random, steps: int) -> None:
    """Some messages arrive, some of what they ask for is done."""
    for _ in range(steps):
        number = draw.randrange(len(flock.nodes))
        if draw.random() < 0.5:
            flock.deliver(number, draw, draw.randrange(1, 5))
        flock.work(number, draw)


def history(draw: random.Random) -> list[Message]:
    """Versions of some paths as they were said, each after its parents."""
    said: list[Message] = []
    for path in draw.sample(PATHS, draw.randint(1, len(PATHS))):
        made: list[Version] = []
        for number in range(draw.randint(1, 5)):
            version, state = _version(draw, path, number, made)
            made.append(version)
            said.append((path, state))
    return said


def _version(
    draw: random.Random, path: str, number: int, made: list[Version]
) -> tuple[Version, PathState]:
    """One more version of a path: of any of those before, or of none."""
    parents = draw.sample(made, draw.randint(0, min(len(made), 2)))
    kind = draw.choice((Kind.FILE, Kind.FILE, Kind.FILE, Kind.DIRECTORY, Kind.SYMLINK))
    if parents and draw.random() < 0.25:
        kind = Kind.TOMBSTONE
    root = NO_ROOT
    metadata_only = False
    if kind in (Kind.FILE, Kind.SYMLINK):
        text = f"{kind.name} {path if draw.random() < 0.8 else 'anywhere'} {number}"
        root = chunk_id(text.encode())
        old = [one for one in parents if one.kind is kind]
        if old and draw.random() < 0.3:
            root, metadata_only = old[0].root, True
    version = Version(
        kind,
        draw.choice((0o644, 0o600)) if kind in (Kind.FILE, Kind.DIRECTORY) else 0,
        draw.randrange(3) * 10**9 if kind is Kind.FILE else 0,
        8 if kind is Kind.FILE else 0,
        root,
        1 + max((parent.generation for parent in parents), default=0),
        tuple(sorted(version_id(parent) for parent in parents))[:MAX_PARENTS],
        metadata_only,
    )
    replaced = superseded_by(root, {version_id(parent): parent.root for parent in parents})
    return version, state_of(version, replaced)


def _begin(node: Node, said: list[Message], draw: random.Random) -> None:
    """Let the node have heard more and more, and have applied of each path what it was at one of
    those moments."""
    trees = MemoryTrees()
    moments = []
    for _ in range(MOMENTS):
        for path, state in said:
            if draw.random() < 0.4:
                trees.states[path] = join(trees.states.get(path), state)
        moments.append(trees.copy())
    views = [View(moment) for moment in moments]
    paths = {path for path, _ in said} | {parent_of(path) for path, _ in said} - {""}
    paths |= {
        copy for view in views for path in sorted(paths) for copy in view.at(path).copies.values()
    }
    node.trees = trees
    for path in sorted(paths):
        wanted = draw.choice(views).wanted(path)
        version = wanted.version
        if version is None:
            if wanted.heads:
                node.trees.synceds[path] = SyncedEntry(wanted.heads, None, None, wanted.generation)
            continue
        above = parent_of(path)
        if draw.random() < 0.2 or (above and node.disk.get(above, NOWHERE).kind != Kind.DIRECTORY):
            continue  # it was not applied yet
        entry = node.capable(
            DiskEntry(version.kind, version.mode, version.mtime_ns, version.size, version.root)
        )
        node.disk[path] = entry
        node.trees.synceds[path] = SyncedEntry(
            wanted.heads, entry, wanted.copy_of, wanted.generation
        )
    node.trees.locals = dict(node.disk)


NOWHERE = DiskEntry(Kind.TOMBSTONE, 0, 0, 0, NO_ROOT)
