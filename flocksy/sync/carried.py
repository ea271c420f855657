"""The attributes of a version that is made here, where this disk does not show them all.

A member that does not want extended attributes, or whose disk has none, must not take them from the
others by editing a file: what is not shown stays as the flock has it. And of what is shown only
what has changed since the flock last got to know of it is a change (`DiskEntry.attributes`): so two
who had set different ones before either wanted them synced end with those of both, and a disk that
is still to get some does not take them away.
"""

from __future__ import annotations

from dataclasses import replace

from flocksy.sync.attributes import merged_attributes
from flocksy.sync.capabilities import Capabilities
from flocksy.sync.trees import DiskEntry, SyncedEntry, Trees
from flocksy.sync.version import Kind
from flocksy.sync.view import View, rank


class CarriedAttributes:
    """Part of a commit: asks the trees as they were when it began."""

    def __init__(self, trees: Trees, view: View, capabilities: Capabilities) -> None:
        self._trees = trees
        self._view = view
        self._wanted = capabilities.attributes
        self._same = capabilities.same
        self._gone: dict[bytes, str] = {}

    def goes(self, path: str, synced: SyncedEntry | None) -> None:
        """This path has changed. A file that is not there any more may be the one that is new
        somewhere else."""
        disk = synced.disk if synced is not None else None
        if disk is not None and disk.kind is Kind.FILE and self._trees.local(path) is None:
            self._gone.setdefault(disk.root, path)

    def of(self, path: str, local: DiskEntry | None, synced: SyncedEntry | None) -> bytes:
        """Those of a version of what the disk shows at `path`, in place of what `synced` says."""
        if local is None or local.kind is not Kind.FILE:
            return b""
        disk = synced.disk if synced is not None else None
        if not self._wanted or local.attributes is None:
            if synced is not None and disk is not None:
                return self._known(path, synced, disk)
            source = self._gone.get(local.root, "")
            moved = self._trees.synced(source) if source else None
            if moved is None or moved.disk is None:
                return b""
            return self._known(source, moved, moved.disk)
        if synced is None or disk is None or disk.kind is not Kind.FILE:
            return local.attributes
        known = self._known(path, synced, disk)
        return merged_attributes(disk.attributes or b"", local.attributes, known)

    def are_all(self, path: str, local: DiskEntry, synced: SyncedEntry) -> bool:
        """Whether attributes are all that has changed, and the flock knows of that."""
        disk = synced.disk
        if disk is None or local.kind is not Kind.FILE or local.attributes is None:
            return False
        return self._same(replace(local, attributes=None), disk) and self.of(
            path, local, synced
        ) == self._known(path, synced, disk)

    def _known(self, path: str, synced: SyncedEntry, disk: DiskEntry) -> bytes:
        """What the flock says of what `synced` has shown."""
        if synced.copy_of is not None:
            path, head = synced.copy_of
            names = frozenset((head,))
        else:
            names = synced.heads
        state = self._view.state(path)
        heads = state.heads if state is not None else {}
        files = [
            (rank(name, heads[name]), heads[name].attributes)
            for name in names
            if name in heads and heads[name].kind is Kind.FILE
        ]
        if files:
            return max(files)[1]
        shown = self._view.at(path).shown  # superseded by what this disk has not seen yet
        if disk.kind is Kind.FILE and shown is not None and shown.kind is Kind.FILE:
            return shown.attributes
        return b""
