"""What had arrived when the box was closed and was not applied: known to the index alone."""

from __future__ import annotations

from dataclasses import replace

from flocksy.index.store import BoxIndex
from flocksy.sync.capabilities import Capabilities
from flocksy.sync.trees import PathState, SyncedEntry
from flocksy.sync.version import Kind

PATHS_PER_TURN = 500
"""Looked at in one go: some milliseconds."""


class CatchingUp:
    """Looks through the index of a box once, after it was opened."""

    def __init__(self, index: BoxIndex, capabilities: Capabilities) -> None:
        self._index = index
        self._capabilities = capabilities
        self._after: str | None = None
        self.done = False
        """Whether everything has been looked at; to be set where it is planned anyway."""

    def turn(self) -> list[str]:
        """Some of the paths where this disk does not show what the flock has."""
        index = self._index
        paths = index.known_paths(self._after, PATHS_PER_TURN)
        if not paths:
            self.done = True
            return []
        self._after = paths[-1]
        return [path for path in paths if self._is_behind(index.flock(path), index.synced(path))]

    def _is_behind(self, state: PathState | None, synced: SyncedEntry | None) -> bool:
        """Whether the planner has to look at a path. What shows at it may follow from other paths
        (a directory of what is below it, a copy of what is beside it), so equal heads are not
        enough; and what has its place may still lack its mode or time."""
        disk = synced.disk if synced is not None else None
        if state is None:
            return disk is not None
        if synced is None or synced.heads != set(state.heads):
            return True
        versions = [one for one in state.heads.values() if one.kind is not Kind.TOMBSTONE]
        if disk is None or len(versions) != 1 or versions[0].kind is not disk.kind:
            return (disk is not None) != bool(versions)
        return not self._capabilities.shows_metadata(replace(disk, attributes=None), versions[0])
