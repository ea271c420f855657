"""What happened, until it has been quiet for a moment: then it is worth a look.

Pure: the time of `time.monotonic` comes in.
"""

from __future__ import annotations

import heapq
import math
from collections.abc import Iterable
from dataclasses import dataclass

QUIET_S = 0.05
"""A path is handed on after this long without an event: most programs have written by then."""
LONGEST_QUIET_S = 2.0
"""The quiet asked of a path doubles with every event that falls into it, up to here."""
LONGEST_WAIT_S = 5.0
"""A path that is never quiet is handed on after this: what is found then may be sent, or `Busy`."""
MAX_PATHS = 20_000
"""Paths waiting; with more, one look at the whole box is cheaper than so many single ones."""


@dataclass(frozen=True, slots=True)
class Dirty:
    """What to scan. `rescan`: look at the whole box; `lost`: since events were lost, and not since
    they were too many."""

    paths: tuple[str, ...]
    rescan: bool
    lost: bool = False


@dataclass(slots=True)
class _Waiting:
    first_s: float
    last_s: float
    quiet_s: float

    def due_s(self) -> float:
        return min(self.last_s + self.quiet_s, self.first_s + LONGEST_WAIT_S)


class Settling:
    """Hands a path on once it has been quiet for a while (pure: `now_s` comes in)."""

    def __init__(self) -> None:
        self._waiting: dict[str, _Waiting] = {}
        self._order: list[tuple[float, str]] = []
        """A heap of (when, path), one for each that waits and is not put `_aside`. It is not due
        before that, but it may have moved meanwhile; that is looked at when its turn comes, not
        with every event."""
        self._rescan = False
        self._lost = False
        self._left = ""
        """Where a directory went from that is on its way, with all below."""
        self._left_s = 0.0
        self._aside: list[str] = []
        """What is due of it."""

    def note(self, path: str, now_s: float) -> None:
        """Something happened at the path. While something is on its way it is what arrives, which
        it did then."""
        now_s = self._left_s if self._left else now_s
        waiting = self._waiting.get(path)
        if waiting is None:
            if len(self._waiting) >= MAX_PATHS:
                self._give_up()
            elif not self._rescan:
                waiting = self._waiting[path] = _Waiting(now_s, now_s, QUIET_S)
                heapq.heappush(self._order, (waiting.due_s(), path))
            return
        if now_s - waiting.last_s > QUIET_S / 2:
            # Not the same write call any more: somebody is at work here.
            waiting.quiet_s = min(waiting.quiet_s * 2, LONGEST_QUIET_S)
        waiting.last_s = now_s

    def arriving(self, left: str, now_s: float) -> None:
        """A directory was moved from `left` to where it will be noted when it has been gone
        through. Until then nothing is handed on of its old place: it would pass for a deletion."""
        self._left, self._left_s = left, now_s

    def arrived(self) -> bool:
        """It has been noted, with all below. Whether it was on its way."""
        was, self._left = bool(self._left), ""
        for path in self._aside:
            heapq.heappush(self._order, (self._waiting[path].due_s(), path))
        self._aside.clear()
        return was

    def overflow(self) -> None:
        """Events were lost."""
        self._give_up()
        self._lost = True

    def _give_up(self) -> None:
        self._waiting.clear()
        self._order.clear()
        self._aside.clear()
        self._rescan = True

    def take(self, now_s: float) -> Dirty:
        """What is due; empty when nothing is."""
        if self._rescan:
            lost, self._rescan, self._lost = self._lost, False, False
            return Dirty((), True, lost)
        due = []
        while (when_s := self._next_s()) is not None and when_s <= now_s:
            _, path = heapq.heappop(self._order)
            del self._waiting[path]
            due.append(path)
        return Dirty(tuple(due), False)

    def deadline_s(self) -> float | None:
        """When `take` will next have something, if nothing more happens."""
        if self._rescan:
            return 0.0
        return self._next_s()

    def _next_s(self) -> float | None:
        """When the first is due; it is then at the top of the heap. Infinity: when something has
        arrived."""
        while self._order:
            when_s, path = self._order[0]
            if self._left and (path == self._left or path.startswith(f"{self._left}/")):
                heapq.heappop(self._order)
                self._aside.append(path)
                continue
            due_s = self._waiting[path].due_s()
            if due_s <= when_s:
                return due_s
            heapq.heapreplace(self._order, (due_s, path))
        return math.inf if self._aside else None

    @property
    def waiting(self) -> Iterable[str]:
        """Paths at which something happened that `take` has not handed on."""
        return self._waiting.keys()

    @property
    def lost(self) -> bool:
        """Whether events were lost that `take` has not told of."""
        return self._lost

    @property
    def everywhere(self) -> bool:
        """Whether `take` will ask for a look at the whole box."""
        return self._rescan

    @property
    def busy(self) -> bool:
        """Whether something waits."""
        return self._rescan or bool(self._waiting)
