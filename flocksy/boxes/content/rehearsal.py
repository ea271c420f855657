"""The last steps of applying, for content that our own lane carried: done, and away with it.

So that a source does all the work of a receiver (design 4.3, rule 5).
"""

from __future__ import annotations

from collections.abc import Callable, Generator

from flocksy.boxes.apply.applier import Applier
from flocksy.boxes.content.incoming import Staged
from flocksy.boxes.content.scratch import Scratch, path_of


class Rehearsal:
    """One box's; `turn` again and again. The applier does one batch at a time, this included."""

    def __init__(
        self, applier: Applier, scratch: Scratch, rehearsed: Callable[[list[str]], None]
    ) -> None:
        """`rehearsed` is told of the paths that it was done for, or that need none."""
        self._applier = applier
        self._scratch = scratch
        self._rehearsed = rehearsed
        self._steps: Generator[float, None, None] | None = None
        self._contents: list[Staged] = []
        self.again_at = 0.0
        """While it runs: when to come again."""

    @property
    def running(self) -> bool:
        """Whether the applier has it in hands."""
        return self._steps is not None

    def turn(self, now: float, *, free: bool) -> float | None:
        """Do some work. Returns when to come again, None for when there is something new.

        `free`: the applier has nothing else in hands.
        """
        if self._steps is None:
            complete = self._scratch.complete() if free else []
            self._rehearsed(self._scratch.take_known())
            if not complete:
                return 0.0 if free and self._scratch.gathers else None
            self._steps = self._applier.rehearse([one.name for one in complete])
            self._contents = complete
            self.again_at = now
        if now < self.again_at:
            return self.again_at
        try:
            self.again_at = now + next(self._steps)
        except StopIteration:
            self._steps = None
            for one in self._contents:
                self._scratch.release(one.path, one.root, placed=True)
            self._rehearsed([path for one in self._contents if (path := path_of(one))])
            return 0.0
        return self.again_at

    def finish(self) -> None:
        """Bring it to its end, however long it takes."""
        if self._steps is not None:
            for _ in self._steps:
                pass
