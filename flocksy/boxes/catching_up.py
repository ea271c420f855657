"""What had arrived when the box was closed and was not applied: known to the index alone."""

from __future__ import annotations

from flocksy.index.store import BoxIndex
from flocksy.sync.trees import PathState, SyncedEntry
from flocksy.sync.version import Kind

PATHS_PER_TURN = 500
"""Looked at in one go: some milliseconds."""


class CatchingUp:
    """Looks through the index of a box once, after it was opened."""

    def __init__(self, index: BoxIndex) -> None:
        self._index = index
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
        return [path for path in paths if _is_behind(index.flock(path), index.synced(path))]


def _is_behind(state: PathState | None, synced: SyncedEntry | None) -> bool:
    """Whether the planner has to look at a path. What shows at it may follow from other paths (a
    directory of what is below it, a copy of what is beside it), so equal heads are not enough."""
    shows = synced is not None and synced.disk is not None
    if state is None:
        return shows
    if synced is None or synced.heads != set(state.heads):
        return True
    lives = any(version.kind is not Kind.TOMBSTONE for version in state.heads.values())
    return lives != shows
