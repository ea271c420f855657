"""How often a path that keeps changing is looked at, whatever happens there meanwhile.

A look costs as much as reading the file, and what it finds is told, in a burst where it is more
than a little. So a file that changes again and again rests between two looks: ever longer, up to a
minute (design 4.3, rule 8), and for ten times as long as reading it takes (6.3). One that was
copied here and then edited does not: that is not yet to keep changing.

What events ask for is paced, and nothing else: a look at the whole box finds everything.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

FACTOR = 10.0
"""A file that keeps changing is read at most once in so many times what reading it takes. It keeps
changing while it changes again within so many of its pauses."""

FIRST_PAUSE_SECONDS = 1.0
"""After the second change in a row. It doubles with each further one."""

LEAST_BUSY_SECONDS = 0.1
"""Least pause of what changed while it was read: longer than the grain of an ordinary mtime."""

MAX_PAUSE_SECONDS = 60.0
"""The pause doubles up to here."""

MAX_PACED = 4096
"""Paths remembered; of more, those that changed last."""


@dataclass(frozen=True, slots=True)
class _Pace:
    at: float
    changes: int
    """In a row."""
    pause_s: float
    reading_s: float
    busy_since: float | None = None
    """When a look first found it being written, and none has found it at rest since."""

    @property
    def until(self) -> float:
        return self.at + self.pause_s

    def goes_on(self, now: float) -> bool:
        pause_s = max(self.pause_s, self.reading_s, FIRST_PAUSE_SECONDS)
        return now - self.at < FACTOR * pause_s


class Pacing:
    """The pauses of one box."""

    def __init__(self) -> None:
        self._paces: dict[str, _Pace] = {}
        """In the order of their last changes."""
        self._due: dict[str, float] = {}

    def changed(self, path: str, now: float, reading_s: float) -> None:
        """A look has found another content there, and `reading_s` is what that took."""
        before = self._before(path, now)
        changes, pause_s = 1 if before is None else before.changes + 1, 0.0
        if changes > 1:
            doublings = min(changes - 2, 30)  # far more than there are up to the longest pause
            pause_s = min(FIRST_PAUSE_SECONDS * 2.0**doublings, MAX_PAUSE_SECONDS)
        if changes > 2:
            pause_s = max(pause_s, FACTOR * reading_s)
        self._note(path, _Pace(now, changes, pause_s, reading_s))

    def knows(self, path: str) -> bool:
        """Whether the path has changed, and that is remembered."""
        return path in self._paces

    def busy(self, path: str, now: float, reading_s: float) -> None:
        """It changed while it was read: it is looked at again after its pause. What is copied here
        is not at rest before its end, so it waits for no more than a tenth of the time it took."""
        before = self._before(path, now)
        changes, since, longer = 0, now, 0.0
        if before is not None:
            changes = before.changes
            since = now if before.busy_since is None else before.busy_since
            longer = min(2 * before.pause_s, (now - since) / FACTOR, MAX_PAUSE_SECONDS)
        pause_s = max(LEAST_BUSY_SECONDS, FACTOR * reading_s, longer)
        self._note(path, _Pace(now, changes, pause_s, reading_s, since))
        self._due[path] = now + pause_s

    def rests(self, path: str, now: float) -> bool:
        """Whether the path is not to be looked at yet on account of an event."""
        pace = self._paces.get(path)
        return pace is not None and now < pace.until

    def put_off(self, path: str) -> None:
        """Something happened at a path that rests: it is looked at after its pause."""
        self._due[path] = self._paces[path].until

    def due(self, now: float) -> Iterator[str]:
        """Paths whose pause is over, and that are to be looked at now. Each is said once."""
        for path in [path for path, when in self._due.items() if when <= now]:
            del self._due[path]
            yield path

    @property
    def waiting(self) -> Iterable[str]:
        """Paths that `due` will have."""
        return self._due.keys()

    def deadline(self) -> float | None:
        """When `due` will next have something."""
        return min(self._due.values(), default=None)

    def looks_at_all(self) -> None:
        """A look at the whole box begins: it finds what is still to be looked at."""
        self._due.clear()

    def forget(self, path: str) -> None:
        """There is nothing at the path any more."""
        self._paces.pop(path, None)
        self._due.pop(path, None)

    def _before(self, path: str, now: float) -> _Pace | None:
        pace = self._paces.get(path)
        return pace if pace is not None and pace.goes_on(now) else None

    def _note(self, path: str, pace: _Pace) -> None:
        self._paces.pop(path, None)
        self._paces[path] = pace
        if len(self._paces) > MAX_PACED:
            oldest = next(iter(self._paces))
            del self._paces[oldest]
