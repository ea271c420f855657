"""How old what is in the history is, whatever the clock of the machine shows.

Theory of operation. A wall clock is set, stands while a machine without a battery for it is off, or
is wrong for years. So ages are told by a clock of the history's own, which goes on while flocksy
runs. What passed between two runs only the wall clock can say: it is added once in a run, when the
wall clock has been steady for a while, never more than `MOST_AWAY_MS`, and what is kept before that
is dated so far ahead.

After a step that no use of the machine explains the wall clock is in doubt for `DOUBT_MS`: nothing
more is added, so that to be wrong again and again does not add up, and nothing that it dates is
called old. What it shows is noted as it is: to have been ahead once stops nothing for longer.

What the next run has to know is the name of an empty file beside the days of the history, so that
it is where they are: `clock-`, the numbers of `_Note`, and a check of them that only who knows the
secret of the box can make, since people copy histories. What a killed run did not write down counts
as time between runs.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from contextlib import suppress
from hashlib import sha256
from typing import NamedTuple

from flocksy.boxes.disk.port import Disk

HOUR_MS = 60 * 60 * 1000
DAY_MS = 24 * HOUR_MS

DRIFT_MS = HOUR_MS // 12
"""So much a clock goes wrong by itself while the machine is off for months."""

GLANCE_MS = HOUR_MS // 6
"""By then a time server has put right a clock that is wrong at the start, as a rule."""

SELDOM_MS = GLANCE_MS // 2
"""Who has not looked for longer was asleep, and has seen nothing of the wall clock."""

MOST_AWAY_MS = 5 * DAY_MS
"""Less than what is never taken: who was away for longer finds all a little younger."""

DOUBT_MS = 7 * DAY_MS
"""By this clock, and for each run a day at the most of what passed before it."""

_NOTE = re.compile(r"clock(-[0-9a-f]+){4}")


class _Note(NamedTuple):
    """`shown_ms`: what this clock shows. `wall_ms`: what the wall clock shows, by when it was last
    steady; 0 where that is not known. `doubt_ms`: for so long it is in doubt yet."""

    shown_ms: int
    wall_ms: int
    doubt_ms: int


class AgeClock:
    """Of one history, which is in `folder`. Milliseconds throughout."""

    def __init__(
        self,
        disk: Disk,
        folder: str,
        now_ms: Callable[[], int],
        elapsed_ms: Callable[[], int],
        newest_ms: Callable[[], int],
        secret: bytes,
    ) -> None:
        """`newest_ms`: the latest time of this clock in a name. `secret`: of the box here."""
        self._disk = disk
        self._folder = folder
        self._now_ms = now_ms
        self._elapsed_ms = elapsed_ms
        self._secret = secret
        self._looked_ms = self._since_ms = elapsed_ms()
        self._due_ms = self._looked_ms + HOUR_MS
        self._is_steady = False
        self._is_counted = False  # what passed between the runs
        self._shown_ms, wall_ms, self._doubt_ms = self._load(newest_ms)
        # How far the wall clock is ahead of the one that nobody sets, now and when last steady.
        self._ahead_ms = now_ms() - self._looked_ms
        self._known_ms = wall_ms - self._looked_ms if wall_ms else None

    @property
    def believed_ms(self) -> int | None:
        """What the wall clock shows; None where it is not believed."""
        self.look()
        return self._now_ms() if self._is_steady and not self._doubt_ms else None

    def look(self) -> int:
        """What it shows. To be called every few minutes, which also writes it down."""
        elapsed_ms = self._elapsed_ms()
        ahead_ms = self._now_ms() - elapsed_ms
        passed_ms = elapsed_ms - self._looked_ms
        if passed_ms > SELDOM_MS or abs(ahead_ms - self._ahead_ms) > DRIFT_MS:
            self._since_ms = elapsed_ms
        self._looked_ms, self._ahead_ms = elapsed_ms, ahead_ms
        # How long it slept the system reckons by a clock that may be wrong, too.
        self._shown_ms += min(passed_ms, MOST_AWAY_MS)
        self._doubt_ms = max(0, self._doubt_ms - min(passed_ms, MOST_AWAY_MS))
        self._is_steady = elapsed_ms - self._since_ms >= GLANCE_MS
        if self._is_steady:
            self._take(ahead_ms)
        if elapsed_ms >= self._due_ms:
            self._write()
        return self._shown_ms

    def stamp(self) -> int:
        """For what is kept now: what it shows, or will at the most once the time away is added."""
        shown_ms, is_pending = self.look(), not self._is_counted and self._known_ms is not None
        return shown_ms + MOST_AWAY_MS if is_pending else shown_ms

    def save(self) -> None:
        """To be called at the end, and nothing after it."""
        self.look()
        self._write()

    def _take(self, ahead_ms: int) -> None:
        """The wall clock is steady: learn from how far it went since it last was."""
        step_ms = 0 if self._known_ms is None else ahead_ms - self._known_ms
        is_odd = not -DRIFT_MS <= step_ms <= (DAY_MS if self._is_counted else MOST_AWAY_MS)
        in_doubt = self._doubt_ms > 0
        if not self._is_counted:
            away_ms = min(max(0, step_ms), MOST_AWAY_MS)
            self._shown_ms += 0 if in_doubt else away_ms
            self._doubt_ms = max(0, self._doubt_ms - min(away_ms, DAY_MS))
            self._is_counted, self._due_ms = True, self._looked_ms
        # Steps ahead renew no doubt: who is away for long each time would never be believed.
        if is_odd and (step_ms < 0 or not in_doubt):
            self._doubt_ms = DOUBT_MS
        self._known_ms = ahead_ms

    def _load(self, newest_ms: Callable[[], int]) -> _Note:
        found: list[_Note] = []
        with suppress(FileNotFoundError):
            for name in filter(_NOTE.fullmatch, dict(self._disk.scan(self._folder))):
                note = _Note(*(int(number, 16) for number in name.split("-")[1:-1]))
                if self._name(note) == name:
                    found.append(note)
        if found:  # where there are two, a save was cut off, or somebody copied one
            return min(found)
        kept_ms = newest_ms()
        return _Note(max(0, kept_ms - MOST_AWAY_MS), 0, DOUBT_MS if kept_ms else 0)

    def _write(self) -> None:
        """What cannot be written is tried again in a minute."""
        self._due_ms = self._looked_ms + HOUR_MS // 60
        wall_ms = 0 if self._known_ms is None else max(0, self._known_ms + self._looked_ms)
        ours = self._name(_Note(self._shown_ms, wall_ms, self._doubt_ms))
        try:
            os.close(self._disk.create(f"{self._folder}/{ours}"))
            self._disk.flush_directory(self._folder)
            others = [name for name, _ in self._disk.scan(self._folder) if name != ours]
            self._due_ms = self._looked_ms + HOUR_MS
        except FileExistsError:
            return
        except OSError:
            others = [ours]  # or they would pile up
        for name in filter(_NOTE.fullmatch, others):
            with suppress(OSError):
                self._disk.remove_file(f"{self._folder}/{name}")

    def _name(self, note: _Note) -> str:
        body = "clock-" + "-".join(f"{number:x}" for number in note)
        return f"{body}-{sha256(self._secret + body.encode('ascii')).hexdigest()[:12]}"
