"""When what could not be read is looked at again, though nothing is told to have happened there.

A disk that fails for a moment tells nobody that it is well again. So there is another look after a
pause that doubles up to a minute, and that is ten times as long as the last look at least: the one
bad block of a file may be its last. Nothing waits for these looks, since each may fail like the one
before it. Pure: time comes in.

What others change there meanwhile is not applied: what stands in its way no look can tell.
"""

from __future__ import annotations

from flocksy.boxes.pacing import FACTOR, FIRST_PAUSE_SECONDS, MAX_PAUSE_SECONDS
from flocksy.sync.names import ancestors

MAX_UNREAD = 1_000
"""Paths remembered; what is beyond is left to the hourly look. One look at so many files takes
some 25 ms of CPU, scanner and box together."""


class Unread:
    """What of one box could not be read."""

    def __init__(self) -> None:
        self._pauses: dict[str, float] = {}
        self._due: dict[str, float] = {}
        self._reasons: dict[str, str] = {}

    def hidden(self, path: str, reason: str) -> None:
        """What stands at the path, or is below it, no look can tell, and why."""
        if path in self._reasons or len(self._reasons) < MAX_UNREAD:
            self._reasons[path] = reason

    def why(self, path: str) -> str | None:
        """Why no look can tell what stands at the path, for people; None if one can."""
        for one in (path, *ancestors(path)):
            if one in self._reasons:
                return self._reasons[one] if one == path else f"below {one}: {self._reasons[one]}"
        return None

    def failed(self, path: str, now: float, took_s: float = 0.0) -> None:
        """A look could not read the path, and needed so long for that. One that something else has
        asked for changes nothing: the next is due when it was."""
        if path in self._due or (path not in self._pauses and len(self._pauses) >= MAX_UNREAD):
            return
        pause_s = min(max(FIRST_PAUSE_SECONDS, 2 * self._pauses.get(path, 0.0)), MAX_PAUSE_SECONDS)
        self._pauses[path] = pause_s
        self._due[path] = now + max(pause_s, FACTOR * took_s)

    def due(self, now: float) -> list[str]:
        """Paths that are to be looked at now. Each is said once, until it has `failed` again."""
        due = [path for path, when in self._due.items() if when <= now]
        for path in due:
            del self._due[path]
        return due

    def deadline(self) -> float | None:
        """When `due` will next have something."""
        return min(self._due.values(), default=None)

    def forget(self, path: str) -> None:
        """The path could be read, or is nothing to be read."""
        self._pauses.pop(path, None)
        self._due.pop(path, None)
        self._reasons.pop(path, None)

    def paths(self) -> set[str]:
        """All of them."""
        return self._pauses.keys() | self._reasons.keys()

    def hides(self, path: str) -> bool:
        """Whether the path, or a directory above it, could not be read: what has happened there
        meanwhile nobody may have seen."""
        return path in self._pauses or any(above in self._pauses for above in ancestors(path))
