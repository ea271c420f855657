"""What was changed on a disk that only receives: told to nobody, shown, kept until it is reverted.

Such a path stands as it was changed, also when the flock moves on there: nothing is written over
what somebody made. `revert` takes the change for known, and the planner then brings the path to
what the flock has, as it would with any other; what stood there goes to the history.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

from flocksy.boxes.setup import Mode
from flocksy.index.store import BoxIndex
from flocksy.sync.capabilities import Capabilities
from flocksy.sync.names import ancestors
from flocksy.sync.trees import SyncedEntry
from flocksy.sync.view import View


@dataclass(frozen=True, slots=True)
class Change:
    """One path that differs here, and how: "changed", "new" or "deleted"."""

    path: str
    how: str


class SetAside:
    """See the head of this module. Empty in other modes."""

    def __init__(self, index: BoxIndex, capabilities: Capabilities, mode: Mode) -> None:
        self._index = index
        self._capabilities = capabilities
        self._mode = mode
        self._paths: set[str] = set()

    def look(self, paths: Iterable[str]) -> None:
        """These paths have been decided about: note which of them differ all the same."""
        if not self._mode.receives_only:
            return
        for path in paths:
            if self._how(path) is not None:
                self._paths.add(path)
            else:
                self._paths.discard(path)

    def __contains__(self, path: str) -> bool:
        return path in self._paths

    def __len__(self) -> int:
        return len(self._paths)

    def changes(self, limit: int) -> list[Change]:
        """Some of the paths that differ now, by name."""
        found: list[Change] = []
        for path in sorted(self._paths):
            how = self._how(path)
            if how is None:
                self._paths.discard(path)
            elif len(found) < limit:
                found.append(Change(path, how))
        return found

    def revert(self, chosen: Iterable[str] | None = None) -> list[str]:
        """Give up the changes at and below the paths `chosen`, or all. The paths to be planned."""
        wanted = None if chosen is None else set(chosen)
        paths = [
            path
            for path in sorted(self._paths)
            if wanted is None or path in wanted or not wanted.isdisjoint(ancestors(path))
        ]
        view = View(self._index)
        reverted = []
        with self._index.transaction():
            for path in paths:
                local, synced = self._index.local(path), self._index.synced(path)
                if local is None:
                    self._index.set_synced(path, None)  # taken never to have been here: fetched
                elif self._mode is Mode.ARCHIVE and view.wanted(path).version is None:
                    continue  # there is nothing to put in its place, and an archive never deletes
                elif synced is None:
                    self._index.set_synced(path, SyncedEntry(frozenset(), local))
                else:
                    self._index.set_synced(path, replace(synced, disk=local))
                reverted.append(path)
        self._paths.difference_update(reverted)
        return reverted

    def _how(self, path: str) -> str | None:
        local, synced = self._index.local(path), self._index.synced(path)
        disk = None if synced is None else synced.disk
        if self._capabilities.same(local, disk):
            return None
        if local is None:
            return "deleted"
        return "new" if disk is None else "changed"
