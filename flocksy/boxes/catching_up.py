"""What had arrived when the box was closed and was not applied: known to the index alone."""

from __future__ import annotations

from flocksy.index.store import BoxIndex

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
        behind = []
        for path in paths:
            state, synced = index.flock(path), index.synced(path)
            if state is not None and (synced is None or synced.heads != set(state.heads)):
                behind.append(path)
        return behind
