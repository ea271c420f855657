"""Whose turn it is in the scanner.

Looks with the largest share of a core come first. Among them those at single paths and those at
whole boxes take turns, and of each kind the oldest `AT_ONCE`: so an edit does not wait for some
huge disk image, and no box for another one. A look at a whole box waits for an earlier one at the
same, or both would read what is new there. Pure: time comes in.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Generic, Protocol, TypeVar

AT_ONCE = 4
"""Looks of one kind under way side by side, each of which holds some files open. Others wait."""


class Brake:
    """Keeps the use of the CPU below a share: after each bit of work there is a time to wait."""

    def __init__(self, share: float) -> None:
        self._idle_per_used = 1 / min(max(share, 0.001), 1.0) - 1
        self._free_at_s = 0.0

    def used(self, cpu_s: float, now_s: float) -> None:
        """So much CPU time was used up to now."""
        self._free_at_s = max(self._free_at_s, now_s) + cpu_s * self._idle_per_used

    def debt_s(self, now_s: float) -> float:
        """How long to wait before the next bit of work."""
        return max(self._free_at_s - now_s, 0.0)


class Braked(Protocol):
    """What takes turns."""

    brake: Brake

    @property
    def share(self) -> float:
        """Of a core, that it may use together with all others of this share."""
        ...

    @property
    def is_whole(self) -> bool:
        """Whether it looks at a whole box."""
        ...

    @property
    def box(self) -> str:
        """Which."""
        ...


One = TypeVar("One", bound=Braked)


class Turns(Generic[One]):
    """The looks that have not ended."""

    def __init__(self) -> None:
        self._queues: dict[tuple[float, bool], deque[One]] = {}
        self._behind: dict[tuple[float, str], deque[One]] = {}
        """Looks at whole boxes by share and box, behind the one that is in the queue."""
        self._brakes: dict[float, Brake] = {}
        self._is_whole_next = False

    def add(self, job: One) -> None:
        """One more."""
        job.brake = self._brakes.setdefault(job.share, job.brake)
        if job.is_whole and (job.share, job.box) in self._behind:
            self._behind[job.share, job.box].append(job)
            return
        if job.is_whole:
            self._behind[job.share, job.box] = deque()
        self._queues.setdefault((job.share, job.is_whole), deque()).append(job)

    def next(self) -> One | None:
        """Whose turn it is; `worked` has to be told of it."""
        share = max((key[0] for key, queue in self._queues.items() if queue), default=0.0)
        for is_whole in (self._is_whole_next, not self._is_whole_next):
            queue = self._queues.get((share, is_whole))
            if queue:
                return queue[0]
        return None

    def worked(self, job: One, *, ended: bool) -> None:
        """The one whose turn it was has done some of its work, or the last of it."""
        queue = self._queues[job.share, job.is_whole]
        queue.popleft()
        if not ended:
            queue.insert(AT_ONCE - 1, job)
        elif job.is_whole:
            self._let_next_in(job)
        self._is_whole_next = not job.is_whole

    def remove(self, is_forgotten: Callable[[One], bool]) -> list[One]:
        """Those of which that is true have no more turns, whether they have begun or not. Which."""
        removed: list[One] = []
        for behind in self._behind.values():  # first: none of them is to come in for another
            removed += _taken_out(behind, is_forgotten)
        for queue in self._queues.values():
            ended = _taken_out(queue, is_forgotten)
            for job in ended:
                if job.is_whole:
                    self._let_next_in(job)
            removed += ended
        return removed

    def _let_next_in(self, ended: One) -> None:
        """A look at a whole box has ended: the next one at the same waits no longer."""
        behind = self._behind[ended.share, ended.box]
        if behind:
            self._queues[ended.share, True].append(behind.popleft())
        else:
            del self._behind[ended.share, ended.box]


def _taken_out(queue: deque[One], is_forgotten: Callable[[One], bool]) -> list[One]:
    """Those of which that is true are not in the queue any more."""
    jobs, out = list(queue), list[One]()
    queue.clear()
    for job in jobs:
        (out if is_forgotten(job) else queue).append(job)
    return out
