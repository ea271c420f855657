"""How old what is in the history is, whatever the clock of the machine shows.

Theory of operation. A wall clock is set; it stands while a machine without a battery for it is
off, or begins in 1970, and is put right some time later; it may be wrong for years. So ages are
told by a clock of the history's own. It goes on while flocksy runs, as the one that nobody sets
does. What has passed between two runs only the wall clock can say: that is added once it has been
steady for half an hour, in which a time server would have put it right, and never more than
`MOST_AWAY_MS` at a time. What is kept before counts as kept after it. So nothing looks older than
it is, but by so much at the most where the wall clock was ahead from the start on and nobody has
put it right.

The time of this clock is in the name of what is kept. What it is between two runs is the name of an
empty file beside the days of the history, `clock-<its time>-<wall clock>`, so that it is where
they are, whatever becomes of the index. That is written once an hour and at the end, if the wall
clock is believed: what passed after it when flocksy is killed does not count.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import suppress

from flocksy.boxes.disk.port import Disk

HOUR_MS = 60 * 60 * 1000
DAY_MS = 24 * HOUR_MS

DRIFT_MS = HOUR_MS
"""So much no clock goes wrong by itself, and no change of it that is less does harm."""

SETTLE_MS = HOUR_MS // 2
"""By then a time server has put right a clock that is wrong at the start, or was set wrong."""

MOST_AWAY_MS = 5 * DAY_MS
"""Less than what is never taken: who was away for longer finds all a little younger."""

DOUBT_MS = 7 * DAY_MS
"""After a surprise of the wall clock nothing that is dated by it is called old for so long."""

MOST_MS = 1 << 44
"""No time is later, in the year 2527 since the epoch: a name that says so is damaged."""

_PREFIX = "clock-"


class AgeClock:
    """Of one history, which is in `folder`. Milliseconds throughout."""

    def __init__(
        self,
        disk: Disk,
        folder: str,
        now_ms: Callable[[], int],
        elapsed_ms: Callable[[], int],
        newest_ms: Callable[[], int],
    ) -> None:
        """`newest_ms`: the time of this clock when the newest of all was kept, by their names."""
        self._disk = disk
        self._folder = folder
        self._now_ms = now_ms
        self._elapsed_ms = elapsed_ms
        self._newest_ms = newest_ms
        self._opened_ms = self._steady_ms = elapsed_ms()
        self._zero_ms = now_ms() - self._opened_ms
        self._base_ms: int | None = None
        self._wall_ms: int | None = None
        self._is_whole = False
        self._saved_ms: int | None = None
        self._doubted_ms: int | None = None

    @property
    def is_wall_believed(self) -> bool:
        """Whether what the wall clock shows was no surprise, and for how long."""
        if not self._is_whole:
            return False
        return self._doubted_ms is None or self._elapsed_ms() - self._doubted_ms >= DOUBT_MS

    def look(self) -> int:
        """What it shows. To be called now and then, which also writes it down."""
        base_ms = self._load()
        now_ms, elapsed_ms = self._now_ms(), self._elapsed_ms()
        moved_ms = now_ms - elapsed_ms - self._zero_ms
        if abs(moved_ms) > DRIFT_MS:
            self._steady_ms, self._zero_ms = elapsed_ms, now_ms - elapsed_ms
            if abs(moved_ms) > DAY_MS and self._is_whole:
                self._doubted_ms = elapsed_ms
        passed_ms = elapsed_ms - self._opened_ms
        if elapsed_ms - self._steady_ms >= SETTLE_MS:
            if not self._is_whole:
                self._is_whole = True
                away_ms = 0 if self._wall_ms is None else now_ms - passed_ms - self._wall_ms
                base_ms += min(max(0, away_ms), MOST_AWAY_MS)
                if not -DRIFT_MS <= away_ms <= MOST_AWAY_MS:
                    self._doubted_ms = elapsed_ms
                self._base_ms = base_ms
            if self._saved_ms is None or elapsed_ms - self._saved_ms >= HOUR_MS:
                # Never back: else to go wrong and right again would count as time between runs.
                wall_ms = (
                    now_ms if self._wall_ms is None else max(now_ms, self._wall_ms + passed_ms)
                )
                self._save(base_ms + passed_ms, wall_ms, elapsed_ms)
        return base_ms + passed_ms

    def stamp(self) -> int:
        """For what is kept now: what the clock shows, or will show at the most when the time
        between the runs is added."""
        shown_ms = self.look()
        is_more_to_come = not self._is_whole and self._wall_ms is not None
        return shown_ms + MOST_AWAY_MS if is_more_to_come else shown_ms

    def save(self) -> None:
        """To be called at the end."""
        self._saved_ms = None
        self.look()

    def _load(self) -> int:
        if self._base_ms is None:
            if found := self._written():
                # Where there are two, a save was cut off, or somebody copied one: younger is safe.
                self._base_ms, self._wall_ms = min(found)
            else:  # the newest may be dated that far ahead
                self._base_ms = max(0, self._newest_ms() - MOST_AWAY_MS)
        return self._base_ms

    def _written(self) -> list[tuple[int, int]]:
        try:
            names = [name for name, _ in self._disk.scan(self._folder)]
        except FileNotFoundError:
            names = []
        return [times for name in names if (times := _times(name)) is not None]

    def _save(self, shown_ms: int, wall_ms: int, elapsed_ms: int) -> None:
        """What cannot be written is tried again in a minute."""
        times = max(0, shown_ms), max(0, wall_ms)
        self._saved_ms = elapsed_ms - HOUR_MS + 60_000
        with suppress(OSError):
            os.close(self._disk.create(f"{self._folder}/{_name(*times)}"))
            self._disk.flush_directory(self._folder)
            self._saved_ms = elapsed_ms
            for other in self._written():
                if other != times:
                    with suppress(OSError):
                        self._disk.remove_file(f"{self._folder}/{_name(*other)}")


def _name(shown_ms: int, wall_ms: int) -> str:
    return f"{_PREFIX}{shown_ms:x}-{wall_ms:x}"


def _times(name: str) -> tuple[int, int] | None:
    """What a name says; None where it is none of ours."""
    try:
        shown, wall = (int(one, 16) for one in name.removeprefix(_PREFIX).split("-"))
    except ValueError:
        return None
    return (shown, wall) if _name(shown, wall) == name and max(shown, wall) < MOST_MS else None
