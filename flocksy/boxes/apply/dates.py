"""How long ago something was kept, although the clock that dates it is one that can be set.

Theory of operation. What is in the history has the time of the wall clock in its name. A machine
without a battery for its clock begins at the time of its last stop, or in 1970, and is put right
some time later; others are set wrong, and right again. So where the wall clock moves otherwise than
the one that nobody sets, a note says: what is dated from `begin` to `end` was kept before that, and
right after it was `right`. It counts as kept then. Of several notes the latest counts, for a clock
may begin at the same time again and again. Soon after the start it was the time for which the
machine was off that was missing, and `begin` is the start; later on it is everything.

So an age that is told here is no more than the time that has really passed, unless the clock was
wrong before this process looked at it first and nothing has put it right since. It may be less.

The notes are empty files beside the days of the history, so that they are where it is, whatever
becomes of the index: `clock-<begin>-<end>-<right>`.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from contextlib import suppress
from itertools import pairwise
from typing import NamedTuple

from flocksy.boxes.disk.port import Disk

DAY_MS = 24 * 60 * 60 * 1000

DRIFT_MS = 60 * 60 * 1000
"""So much no clock goes wrong by itself, and no change of it that is less does harm."""

SETTLE_MS = 30 * 60 * 1000
"""By then a time server has put right a clock that was wrong at the start, or was set wrong."""

MAX_NOTES = 64
"""Of more, two neighbours are made one; what lies between them counts as younger by that."""

MS_DIGITS = 11
"""Hexadecimal, for the milliseconds since the epoch: until the year 2527."""

_PREFIX = "clock-"


class Note(NamedTuple):
    """Milliseconds since the epoch, all of them by the wall clock."""

    begin: int
    end: int
    right: int

    @property
    def name(self) -> str:
        return _PREFIX + "-".join(f"{one:0{MS_DIGITS}x}" for one in self)


class Dates:
    """Of one history, which is in `folder`."""

    def __init__(
        self, disk: Disk, folder: str, now_ms: Callable[[], int], elapsed_ms: Callable[[], int]
    ) -> None:
        self._disk = disk
        self._folder = folder
        self._now_ms = now_ms
        self._elapsed_ms = elapsed_ms
        self._since_ms = elapsed_ms()
        self.opened_ms = now_ms()
        """The wall clock at the opening. What was there is dated before, or its clock was ahead."""
        self._zero_ms = self.opened_ms - self._since_ms
        # A process before this one may have kept something by the same clock.
        self._begin_ms = self.opened_ms - DAY_MS
        self._notes: set[Note] | None = None
        self._unsaved = False
        self._used: set[Note] = set()

    @property
    def settled(self) -> bool:
        """Whether the clock is believed."""
        return self._elapsed_ms() - self._since_ms >= SETTLE_MS

    def look(self) -> int:
        """The wall clock, in milliseconds; notes it where that was set since the last look. To be
        called as often as may be: a change that nobody has seen when the process ends is lost."""
        now_ms, elapsed_ms = self._now_ms(), self._elapsed_ms()
        moved_ms = now_ms - elapsed_ms - self._zero_ms
        if abs(moved_ms) > DRIFT_MS:
            if self.settled:  # a clock that was believed, or is now, is wrong: so is any age by it
                self._begin_ms = 0
            self.note(self._begin_ms, now_ms - moved_ms + DRIFT_MS, now_ms)
            self._since_ms, self._zero_ms = elapsed_ms, now_ms - elapsed_ms
        elif self._unsaved:
            self._save(())
        return now_ms

    def note(self, begin_ms: int, end_ms: int, right_ms: int) -> None:
        """What is dated so was kept before the clock was set, and then it was `right_ms`."""
        before = self._known()
        self._notes = _few({*before, Note(max(0, begin_ms), max(0, end_ms), max(0, right_ms))})
        self._save(before - self._notes)

    def of(self, named_ms: int, now_ms: int) -> int:
        """When what has this time in its name was kept, as far as is known; maybe later than it
        was. A note from the future tells nothing: the clock was wrong after it was set."""
        covering = {
            note
            for note in self._known()
            if note.begin <= named_ms <= note.end and note.right <= now_ms + DAY_MS
        }
        self._used |= covering
        return max((note.right for note in covering), default=named_ms)

    def at_least(self, named_ms: int) -> int:
        """A time that has come, by what has this one in its name and whatever the clock shows."""
        rights = (note.right for note in self._known() if note.begin <= named_ms <= note.end)
        return min(named_ms, *rights, named_ms)

    def earliest(self, since_ms: int) -> int:
        """What was kept since then has this time in its name, or a later one."""
        begins = (note.begin for note in self._known() if note.right >= since_ms)
        return min(begins, default=since_ms)

    def forget(self, now_ms: int, keep_ms: int) -> None:
        """Drop the notes that nothing was dated by since the last call, and that are older than
        `keep_ms`."""
        old = {
            note for note in self._known() - self._used if not 0 <= now_ms - note.right <= keep_ms
        }
        self._notes = self._known() - old
        self._used.clear()
        if old:
            self._save(old)

    def _known(self) -> set[Note]:
        if self._notes is None:
            try:
                names = [name for name, _ in self._disk.scan(self._folder)]
            except FileNotFoundError:
                names = []
            self._notes = {note for name in names if (note := _note(name)) is not None}
        return self._notes

    def _save(self, gone: Iterable[Note]) -> None:
        """What cannot be written is tried again at the next look, and known until then."""
        self._unsaved = True
        with suppress(OSError):
            for note in self._known():
                with suppress(FileExistsError):
                    os.close(self._disk.create(f"{self._folder}/{note.name}"))
            self._disk.flush_directory(self._folder)
            for note in gone:
                with suppress(FileNotFoundError):
                    self._disk.remove_file(f"{self._folder}/{note.name}")
            self._unsaved = False


def _few(notes: set[Note]) -> set[Note]:
    """The same, or in fewer where there are too many: those two as one that cover least then."""
    few = sorted(notes)
    while len(few) > MAX_NOTES:
        both = [
            Note(one.begin, max(one.end, other.end), max(one.right, other.right))
            for one, other in pairwise(few)
        ]
        least = min(range(len(both)), key=lambda at: both[at].right - both[at].begin)
        few[least : least + 2] = [both[least]]
    return set(few)


def _note(name: str) -> Note | None:
    """What a name says; None where it is none of ours."""
    try:
        begin, end, right = (int(one, 16) for one in name.removeprefix(_PREFIX).split("-"))
    except ValueError:
        return None
    note = Note(begin, end, right)
    return note if note.name == name else None
