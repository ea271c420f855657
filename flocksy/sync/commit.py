"""From the disk to the flock: which versions a changed disk makes.

The head of `flocksy.sync.planner` says how this fits together.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace

from flocksy.sync.attributes import merged_attributes
from flocksy.sync.capabilities import Capabilities, shows_content
from flocksy.sync.carried import CarriedAttributes
from flocksy.sync.names import ancestors
from flocksy.sync.operations import Acknowledge, Record
from flocksy.sync.state import join, parents_of, replaces, state_of, superseded_by
from flocksy.sync.trees import DiskEntry, PathState, SyncedEntry, Trees
from flocksy.sync.version import (
    MAX_PARENTS,
    MODE_MASK,
    NO_ROOT,
    Kind,
    Version,
    next_generation,
    version_id,
)
from flocksy.sync.view import IMPLIED, View, Wanted

Held = Callable[[str], str | None]
"""Why a path is not held on this disk, or None if it is. Must also answer for what lies below."""

SendsOnly = Callable[[str], bool]
"""Whether a path is only sent from here: what others change there is never applied, so a version
made here takes the place of all that is known, seen on this disk or not."""

PLAIN_MODE = {Kind.FILE: 0o644, Kind.DIRECTORY: 0o755}
"""Of what a disk without mode bits shows."""


def commit_local(
    trees: Trees,
    paths: Iterable[str],
    capabilities: Capabilities,
    *,
    held: Held | None = None,
    sends_only: SendsOnly | None = None,
    ignore_symlinks: bool = False,
    receives_only: bool = False,
) -> list[Record | Acknowledge]:
    """What the flock is to learn from this disk: local against synced at `paths`.

    Do the operations in the order given, then `plan` at the same paths and at those named in them.
    `receives_only`: the flock is told nothing, so that what was changed here stays different.
    """
    commit = _Commit(trees, capabilities, held, sends_only, ignore_symlinks, receives_only)
    copies: list[str] = []
    ordinary: list[tuple[str, SyncedEntry | None]] = []
    # What is in a new directory does not go out before it: it would only be implied, and would go
    # with what is in it.
    chosen = set(paths)
    above = {directory for path in chosen for directory in ancestors(path)} - chosen
    chosen |= {directory for directory in above if trees.local(directory) is not None}
    for path in sorted(chosen):
        synced = trees.synced(path)
        if commit.skips(path, synced):
            continue
        if synced is not None and synced.copy_of is not None:
            copies.append(path)
            commit.owners.add(synced.copy_of[0])
        else:
            ordinary.append((path, synced))
    for path, entry in ordinary:
        commit.attributes.goes(path, entry)
    for path, entry in ordinary:
        commit.path(path, entry)
    # After the rest: a copy that is put away then meets its owner as it is now.
    for path in copies:
        commit.copy(path)
    return commit.operations


def adopt(
    trees: Trees,
    paths: Iterable[str],
    capabilities: Capabilities,
    *,
    held: Held | None = None,
    sends_only: SendsOnly | None = None,
    ignore_symlinks: bool = False,
    receives_only: bool = False,
) -> list[Record | Acknowledge]:
    """Look at a disk of unknown past; `paths` are all of local, synced and flock that are meant.

    Never deletes: what is absent is forgotten, so that `plan` fetches it. What is on the disk is
    taken for the head, or for the replaced content, that it equals; anything else becomes a new
    version beside the heads; with `receives_only`, something that was changed here.
    """
    commit = _Commit(trees, capabilities, held, sends_only, ignore_symlinks, receives_only)
    for path in sorted(set(paths)):
        local = trees.local(path)
        if not commit.is_outside(path, local, None):
            commit.adopt(path, local)
    return commit.operations


class _Commit:
    """One run; `operations` grows. `owners` are the paths that are asked for again after they were
    recorded; `_states` is what the run itself has added to their flock state."""

    def __init__(
        self,
        trees: Trees,
        capabilities: Capabilities,
        held: Held | None,
        sends_only: SendsOnly | None,
        ignore_symlinks: bool,
        receives_only: bool,
    ) -> None:
        self._receives_only = receives_only
        self._trees = trees
        self._capabilities = capabilities
        self._held = held
        self._sends_only = sends_only
        self._no_symlinks = ignore_symlinks or not capabilities.symlinks
        self._view = View(trees)
        self.attributes = CarriedAttributes(trees, self._view, capabilities)
        self._states: dict[str, PathState] = {}
        self._synced: dict[str, SyncedEntry | None] = {}
        self.owners: set[str] = set()
        self.operations: list[Record | Acknowledge] = []

    def skips(self, path: str, synced: SyncedEntry | None) -> bool:
        """Whether there is nothing to say about `path`."""
        local = self._trees.local(path)
        disk = synced.disk if synced else None
        return self._capabilities.same(local, disk) or self.is_outside(path, local, disk)

    def is_outside(self, path: str, local: DiskEntry | None, disk: DiskEntry | None) -> bool:
        """Whether the path is none of ours: then absence is no deletion either."""
        if self._held is not None and self._held(path) is not None:
            return True
        entry = local or disk
        return self._no_symlinks and entry is not None and entry.kind is Kind.SYMLINK

    def path(self, path: str, synced: SyncedEntry | None) -> None:
        """An ordinary path whose local and synced differ."""
        local = self._trees.local(path)
        wanted = self._view.wanted(path)
        happened = shows_content(local, wanted.version) and not _same_content(local, synced)
        # A directory that is only implied is nobody's yet: this one is somebody's.
        if happened and wanted.version is not IMPLIED and not self._replaces(path, synced, wanted):
            # Here happened what the flock wants already.
            disk = synced.disk if synced is not None else None
            base = disk.attributes if disk is not None else None
            self._take(path, wanted, local, base or b"")
            return
        if local is not None and synced is not None and self._is_told(path, local, synced):
            return
        if local is None:
            assert synced is not None
            state = self._state(path)
            heads = [state.heads.get(name) for name in synced.heads]
            if all(head is not None and not head.is_content for head in heads):
                # An implied directory went: what made it is recorded where it lay.
                self._acknowledge(path, synced.heads, None, None, synced.generation)
                return
        self._record(path, local, synced)

    def _replaces(self, path: str, synced: SyncedEntry | None, wanted: Wanted) -> bool:
        """Whether what this disk showed is still a head, and would have to show elsewhere: whoever
        has put something in its place did not want that."""
        if synced is None:
            return False
        return any(name in self._state(path).heads for name in synced.heads - wanted.heads)

    def copy(self, path: str) -> None:
        """A conflict copy that was deleted, edited or replaced here: put the losing head away."""
        synced = self._trees.synced(path)
        assert synced is not None and synced.copy_of is not None
        owner, head = synced.copy_of
        if self._receives_only or (self._held is not None and self._held(owner) is not None):
            return
        local = self._trees.local(path)
        if local is not None and self._is_told(path, local, synced):
            return
        attributes = self.attributes.of(path, local, synced)
        if head in self._state(owner).heads:
            self._put_away(owner, head)
        own = self._view.at(path)
        plain = replace(synced, disk=None, copy_of=None)
        if local is None:
            self._acknowledge(path, synced.heads, None, None, synced.generation)
        elif shows_content(local, own.shown):
            self._acknowledge(path, own.heads, local, None, own.generation)
        else:
            self._record(path, local, plain, attributes=attributes)

    def adopt(self, path: str, local: DiskEntry | None) -> None:
        """One path of a disk of unknown past."""
        if local is None:
            if self._trees.synced(path) is not None:
                self.operations.append(Acknowledge(path, None))
            return
        wanted = self._view.wanted(path)
        if shows_content(local, wanted.version):
            self._take(path, wanted, local)
            return
        state = self._state(path)
        equal = {name: head for name, head in state.heads.items() if shows_content(local, head)}
        if equal:
            generation = max(head.generation for head in equal.values())
            self._acknowledge(path, frozenset(equal), local, None, generation)
            return
        if local.root:
            old = frozenset(name for name, root in state.superseded.items() if root == local.root)
            if old:
                self._acknowledge(path, old, local, None, 0)
                return
            for owner in self._view.owners(path):
                for name, root in self._state(owner).superseded.items():
                    if root == local.root:
                        # A conflict copy that was put away elsewhere in the meantime.
                        self._acknowledge(path, frozenset(), local, (owner, name), 0)
                        return
        elif state.heads and not any(head.is_content for head in state.heads.values()):
            # A directory that the flock has deleted; it stays if something new lives in it.
            generation = max(head.generation for head in state.heads.values())
            self._acknowledge(path, frozenset(state.heads), local, None, generation)
            return
        self._record(path, local, None)

    def _state(self, path: str) -> PathState:
        return self._states.get(path) or self._view.state(path) or PathState()

    def _take(self, path: str, wanted: Wanted, local: DiskEntry | None, base: bytes = b"") -> None:
        """The disk shows the content that the flock wants here, and has not got it from there. The
        metadata is the flock's, but for attributes that it has not heard of (`base`: of these it
        has)."""
        version = wanted.version
        seen = local.attributes if local is not None and self._capabilities.attributes else None
        if version is None or local is None or wanted.copy_of is not None or seen is None:
            self._acknowledge(path, wanted.heads, local, wanted.copy_of, wanted.generation)
            return
        merged = merged_attributes(base, seen, version.attributes)
        is_news = merged != version.attributes
        compared = replace(local, attributes=None) if is_news and self._receives_only else local
        self._acknowledge(path, wanted.heads, compared, None, wanted.generation)
        if is_news:
            told = replace(local, mode=version.mode, mtime_ns=version.mtime_ns)
            self._record(path, local, self._synced[path], told=told, attributes=merged)

    def _is_told(self, path: str, local: DiskEntry, synced: SyncedEntry) -> bool:
        """Whether all that has changed at the path is known to the flock. Then that is noted."""
        if not self.attributes.are_all(path, local, synced):
            return False
        self._synced[path] = replace(synced, disk=local)
        self.operations.append(Acknowledge(path, self._synced[path]))
        return True

    def _acknowledge(
        self,
        path: str,
        heads: frozenset[bytes],
        disk: DiskEntry | None,
        copy_of: tuple[str, bytes] | None,
        generation: int,
    ) -> None:
        entry = SyncedEntry(heads, disk, copy_of, generation)
        synced = entry if heads or disk is not None else None
        self._synced[path] = synced
        self.operations.append(Acknowledge(path, synced))

    def _record(
        self,
        path: str,
        local: DiskEntry | None,
        synced: SyncedEntry | None,
        *,
        told: DiskEntry | None = None,
        attributes: bytes | None = None,
    ) -> None:
        """A version of what the disk shows, in place of what synced says it showed. `told`: what it
        says, if that is not all that is shown; `attributes`: likewise."""
        if self._receives_only:
            return
        if attributes is None:
            attributes = self.attributes.of(path, local, synced)
        state = self._state(path)
        # What is replaced is what this disk showed. Other heads in synced lost silently (equal to
        # a copy, for example): they are superseded, but nobody has replaced their content.
        shown = synced.disk.root if synced is not None and synced.disk is not None else NO_ROOT
        parents: dict[bytes, tuple[int, bytes]] = {}
        if synced is not None:
            for name in synced.heads:
                known = state.heads.get(name)
                if known is None:  # superseded meanwhile by something this disk has not seen
                    parents[name] = (synced.generation, shown)
                else:
                    parents[name] = (known.generation, shown if known.root == shown else NO_ROOT)
        if self._sends_only is not None and self._sends_only(path):
            unseen = {
                name: (known.generation, NO_ROOT)
                for name, known in state.heads.items()
                if name not in parents
            }
            parents |= unseen
            if unseen:
                synced = None  # the content is news to them, even if it is none to this disk
        version = self._version(told or local, parents, synced, state, attributes)
        entry = SyncedEntry(frozenset((version_id(version),)), local, generation=version.generation)
        self._join(path, version, parents, entry)

    def _version(
        self,
        local: DiskEntry | None,
        parents: dict[bytes, tuple[int, bytes]],
        synced: SyncedEntry | None,
        state: PathState,
        attributes: bytes = b"",
    ) -> Version:
        kind = local.kind if local is not None else Kind.TOMBSTONE
        held = [state.heads[name] for name in sorted(parents) if name in state.heads]
        mode = 0
        if local is not None and kind in PLAIN_MODE:
            mode = local.mode & MODE_MASK
            if not self._capabilities.mode_bits:
                mode = next((old.mode for old in held if old.kind is kind), PLAIN_MODE[kind])
        is_file = local is not None and kind is Kind.FILE
        root = local.root if local is not None else NO_ROOT
        mtime_ns = local.mtime_ns if is_file and local else 0
        # A time that this disk shows in its own way has not been changed with the rest.
        told = (old.mtime_ns for old in held if old.root == root)
        mtime_ns = next((at for at in told if self._capabilities.same_time(at, mtime_ns)), mtime_ns)
        named = parents_of(
            ((generation, name) for name, (generation, _) in parents.items()), MAX_PARENTS
        )
        return Version(
            kind=kind,
            mode=mode,
            mtime_ns=mtime_ns,
            size=local.size if is_file and local else 0,
            root=root,
            generation=next_generation(generation for generation, _ in parents.values()),
            parents=named,
            metadata_only=bool(parents) and local is not None and _same_content(local, synced),
            replaces=replaces(named, _superseded(root, parents)),
            attributes=attributes,
        )

    def _put_away(self, owner: str, head: bytes) -> None:
        """A tombstone over the losing head, and over nothing else that is shown."""
        state = self._state(owner)
        loser = state.heads[head]
        synced = self._synced[owner] if owner in self._synced else self._trees.synced(owner)
        if synced is not None and head in synced.heads:
            return  # the owner shows it by now: what went is only the place beside it
        if shows_content(synced.disk if synced else None, loser):
            # It was moved over its owner: the content stays, so it does not count as replaced.
            parents = {head: (loser.generation, NO_ROOT)}
        else:
            winner = self._view.at(owner).head
            parents = {
                name: (version.generation, version.root)
                for name, version in state.heads.items()
                if name == head
                or (name != winner and (version.kind, version.root) == (loser.kind, loser.root))
            }
        version = self._version(None, parents, None, state)
        if synced is not None:
            synced = replace(
                synced,
                heads=(synced.heads - parents.keys()) | {version_id(version)},
                generation=max(synced.generation, version.generation),
            )
        self._join(owner, version, parents, synced)

    def _join(
        self,
        path: str,
        version: Version,
        parents: dict[bytes, tuple[int, bytes]],
        synced: SyncedEntry | None,
    ) -> None:
        superseded = _superseded(version.root, parents)
        if path in self.owners:
            self._states[path] = join(self._state(path), state_of(version, superseded))
        self._synced[path] = synced
        self.operations.append(Record(path, version, synced, superseded))


def _superseded(root: bytes, parents: Mapping[bytes, tuple[int, bytes]]) -> dict[bytes, bytes]:
    """What a version with content `root` makes of `parents`: id -> (generation, content)."""
    return superseded_by(root, {name: old for name, (_, old) in parents.items()})


def _same_content(local: DiskEntry | None, synced: SyncedEntry | None) -> bool:
    disk = synced.disk if synced else None
    if local is None or disk is None:
        return local is disk
    return local.kind is disk.kind and local.root == disk.root
