"""How long ago something was kept, although the clock that dates it is one that can be set.

Theory of operation. What is in the history has the time of the wall clock in its name. A machine
without a battery for its clock begins at the time of its last stop, or in 1970, and is put right
some time later; others are set wrong, and right again. So it is noted when the wall clock moves
otherwise than the one that nobody sets: what had been kept by then is to get no older by that.
Where the clock was put forward, all that was dated until then counts as much later; where it was
put back, what is dated in the future since then counts as kept at that time.

So an age that is told here is no more than the time that has really passed, unless the clock was
wrong before this process looked at it first and nothing has put it right since. It may be less:
the time for which a machine was off does not count where its clock did not go on.

The notes are empty files beside the days of the history, so that they are where it is, whatever
becomes of the index: `clock-<number>-<time before>-<time after>`.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from contextlib import suppress
from typing import NamedTuple

from flocksy.boxes.disk.port import Disk

DRIFT_MS = 60 * 60 * 1000
"""So much no clock goes wrong by itself, and no change of it that is less does harm."""

MAX_STEPS = 100
"""Notes kept at a time; one a day at the most where a machine starts with a wrong clock."""

MS_DIGITS = 11
"""Hexadecimal, for the milliseconds since the epoch: until the year 2527."""

_PREFIX = "clock-"


class ClockStep(NamedTuple):
    """The wall clock was `before`, and then `after`, milliseconds since the epoch."""

    number: int
    before: int
    after: int

    @property
    def name(self) -> str:
        return f"{_PREFIX}{self.number:x}-{self.before:0{MS_DIGITS}x}-{self.after:0{MS_DIGITS}x}"


class Dates:
    """Of one history, which is in `folder`."""

    def __init__(
        self, disk: Disk, folder: str, now_ms: Callable[[], int], elapsed_ms: Callable[[], int]
    ) -> None:
        self._disk = disk
        self._folder = folder
        self._now_ms = now_ms
        self._elapsed_ms = elapsed_ms
        self._began_ms = now_ms() - elapsed_ms()
        self._steps: list[ClockStep] | None = None
        self._used: set[ClockStep] = set()
        self.doubted = False
        """Whether the clock was set too often for all of it to be noted."""

    def look(self) -> int:
        """The wall clock, in milliseconds; notes it where that was set since the last look. To be
        called as often as may be: a change that nobody has seen when the process ends is lost."""
        now_ms = self._now_ms()
        moved_ms = now_ms - self._elapsed_ms() - self._began_ms
        self.doubted = abs(moved_ms) > DRIFT_MS and not self.note(now_ms - moved_ms, now_ms)
        if abs(moved_ms) > DRIFT_MS and not self.doubted:
            self._began_ms += moved_ms
        return now_ms

    def note(self, before_ms: int, after_ms: int) -> bool:
        """The clock was set. False: there are too many notes already."""
        steps = self._known()
        if len(steps) >= MAX_STEPS:
            return False
        number = steps[-1].number + 1 if steps else 1
        step = ClockStep(number, max(0, before_ms), max(0, after_ms))
        steps.append(step)
        with suppress(OSError):  # then it is known until the process ends
            os.close(self._disk.create(f"{self._folder}/{step.name}"))
        return True

    def of(self, named_ms: int, now_ms: int) -> int:
        """When what has this time in its name was kept, as far as is known; maybe later than it
        was."""
        for step in self._known():
            if named_ms > step.before:
                continue
            if step.after > step.before:
                named_ms += step.after - step.before
            elif named_ms > now_ms:
                named_ms = step.after
            else:
                continue
            self._used.add(step)
        return named_ms

    @property
    def added_ms(self) -> int:
        """No name is of a time that is earlier than its own by more than this."""
        return sum(max(0, step.after - step.before) for step in self._known())

    def forget(self, now_ms: int, keep_ms: int) -> None:
        """Drop the notes that nothing was dated by since the last call, and that are older than
        `keep_ms`."""
        steps = self._known()
        for step in list(steps):
            if step not in self._used and not 0 <= now_ms - step.after <= keep_ms:
                steps.remove(step)
                with suppress(OSError):
                    self._disk.remove_file(f"{self._folder}/{step.name}")
        self._used.clear()

    def _known(self) -> list[ClockStep]:
        if self._steps is None:
            try:
                names: Iterable[str] = [name for name, _ in self._disk.scan(self._folder)]
            except FileNotFoundError:
                names = ()
            self._steps = sorted(filter(None, map(_step, names)))
        return self._steps


def _step(name: str) -> ClockStep | None:
    """What a name says; None where it is none of ours."""
    try:
        number, before, after = (int(one, 16) for one in name.removeprefix(_PREFIX).split("-"))
    except ValueError:
        return None
    step = ClockStep(number, before, after)
    return step if step.name == name else None
