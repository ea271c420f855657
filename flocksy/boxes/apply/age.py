"""How old what is in the history is, whatever the clock of the machine shows.

Theory of operation. A wall clock is set; it stands while a machine without a battery for it is
off, or begins in 1970, and is put right some time later; it may be wrong for years. So ages are
told by a clock of the history's own. It goes on while flocksy runs, as the one that nobody sets
does. What has passed between two runs only the wall clock can say, and one look at it is not
enough: a time server may be about to put it right. So that time is added where the wall clock has
been steady for half an hour of this run; or, for who is never on for so long, up to what it showed
when an earlier run ended, if it shows no less now: what is wrong at a start is right at the end.
Never more than `MOST_AWAY_MS` are added in one run, and what is kept before they are is dated that
far ahead. So nothing looks older than it is, but by so much at the most where the wall clock was
ahead for a whole run and nobody has put it right.

What of the wall clock is counted never goes back: else to go wrong and right again would count
each time. Where it was a surprise it is not believed for a week of this clock, and what it dates is
not called old; still behind after that, it was wrong before and is followed.

The time of this clock is in the name of what is kept. All that it has to know in the next run is
the name of an empty file beside the days of the history, so that it is where they are, whatever
becomes of the index: `clock-` and the numbers of `_Noted`, with a check of them that only who knows
the secret of the box can make, since people copy histories. In the first versions it was
`clock-<shown>-<counted>`. It is written once an hour and at the end: what passed after it in a run
that is killed counts as time between runs.
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

DRIFT_MS = HOUR_MS
"""So much no clock goes wrong by itself, and no change of it that is less does harm."""

SETTLE_MS = HOUR_MS // 2
"""By then a time server has put right a clock that is wrong at the start, or was set wrong."""

GLANCE_MS = HOUR_MS // 6
"""By then as a rule, which is enough where the next run has to say the same."""

MOST_AWAY_MS = 5 * DAY_MS
"""Less than what is never taken: who was away for longer finds all a little younger."""

MOST_AHEAD_MS = 2 * MOST_AWAY_MS
"""So far ahead is what is kept dated at the most: by what this run may add, and the next."""

DOUBT_MS = 7 * DAY_MS
"""After a surprise of the wall clock nothing that is dated by it is called old for so long."""

_PREFIX = "clock-"
_FIRST_NAME = re.compile(r"clock-([0-9a-f]{1,11})-([0-9a-f]{1,11})")


class _Noted(NamedTuple):
    """`shown_ms`: what this clock shows. Of the wall clock: `counted_ms`, up to when what passed
    between runs is in that; `seen_ms`, the same or what it showed when it was last steady for a
    while; 0 where neither is known. `believed_ms`: when this clock shows that, the wall clock is
    believed."""

    shown_ms: int
    counted_ms: int
    seen_ms: int
    believed_ms: int


class AgeClock:
    """Of one history, which is in `folder`. Milliseconds throughout."""

    def __init__(
        self,
        disk: Disk,
        folder: str,
        now_ms: Callable[[], int],
        elapsed_ms: Callable[[], int],
        newest_ms: Callable[[], int],
        secret: bytes = b"",
    ) -> None:
        """`newest_ms`: the time of this clock when the newest of all was kept, by their names.
        `secret`: of the box on this disk."""
        self._disk = disk
        self._folder = folder
        self._now_ms = now_ms
        self._elapsed_ms = elapsed_ms
        self._newest_ms = newest_ms
        self._secret = secret
        self._opened_ms = self._steady_ms = elapsed_ms()
        self._zero_ms = now_ms() - self._opened_ms
        self._noted: _Noted | None = None
        """What was known at the start."""
        self._counted_ms = self._seen_ms = self._believed_ms = 0
        """What is known now, as it was at the start: without what has passed since."""
        self._away_ms = 0
        """Of what passed before the start so much is added."""
        self._is_settled = False
        self._saved_ms = 0

    @property
    def believed_ms(self) -> int | None:
        """What the wall clock shows, or less where that may be wrong still; None where it is not
        believed."""
        shown_ms = self.look()
        passed_ms = self._elapsed_ms() - self._opened_ms
        if shown_ms < self._believed_ms or not (self._is_settled or self._seen_ms):
            return None
        now_ms = self._now_ms()
        return now_ms if self._is_settled else min(now_ms, self._seen_ms + passed_ms)

    def look(self) -> int:
        """What it shows. To be called now and then, which also writes it down."""
        noted = self._load()
        now_ms, elapsed_ms = self._now_ms(), self._elapsed_ms()
        passed_ms = elapsed_ms - self._opened_ms
        moved_ms = now_ms - elapsed_ms - self._zero_ms
        if abs(moved_ms) > DRIFT_MS:
            self._steady_ms, self._zero_ms = elapsed_ms, now_ms - elapsed_ms
            if self._is_settled and not -DRIFT_MS <= moved_ms <= DAY_MS:
                self._believed_ms = noted.shown_ms + self._away_ms + passed_ms + DOUBT_MS
        if not self._is_settled:
            self._count(min(now_ms - passed_ms, self._seen_ms))
            if elapsed_ms - self._steady_ms >= SETTLE_MS:
                self._count(now_ms - passed_ms)
                self._take(now_ms, passed_ms)
                self._is_settled = True
                self._write(now_ms, elapsed_ms)
        elif elapsed_ms - self._saved_ms >= HOUR_MS:
            self._write(now_ms, elapsed_ms)
        return noted.shown_ms + self._away_ms + passed_ms

    def stamp(self) -> int:
        """For what is kept now: what the clock shows, or will show at the most when the time
        between the runs is added."""
        shown_ms, noted = self.look(), self._load()
        if self._is_settled or not noted.counted_ms:
            return shown_ms
        # This run may end before it is known; then there is the same once more in the next.
        pending_ms = min(noted.seen_ms - noted.counted_ms, MOST_AWAY_MS)
        return shown_ms - self._away_ms + pending_ms + MOST_AWAY_MS

    def save(self) -> None:
        """To be called at the end, and nothing after it."""
        self.look()
        now_ms, elapsed_ms = self._now_ms(), self._elapsed_ms()
        if not self._is_settled and elapsed_ms - self._steady_ms >= GLANCE_MS:
            self._take(now_ms, elapsed_ms - self._opened_ms)
        self._write(now_ms, elapsed_ms)

    def _count(self, until_ms: int) -> None:
        """Add what passed until then, before the start, if since when is known."""
        counted_ms = self._load().counted_ms
        if counted_ms:
            self._away_ms = max(self._away_ms, min(until_ms - counted_ms, MOST_AWAY_MS))
            self._counted_ms = max(self._counted_ms, until_ms)

    def _take(self, now_ms: int, passed_ms: int) -> None:
        """Note what the wall clock shows."""
        start_ms = now_ms - passed_ms
        if not self._counted_ms:
            self._counted_ms = start_ms
        elif not -DRIFT_MS <= start_ms - self._seen_ms <= MOST_AWAY_MS:
            self._believed_ms = self._load().shown_ms + self._away_ms + passed_ms + DOUBT_MS
        self._seen_ms = max(start_ms, self._counted_ms)

    def _load(self) -> _Noted:
        if self._noted is None:
            if found := self._written():
                # Where there are two, a save was cut off, or somebody copied one: younger is safe.
                self._noted = min(found)
            else:
                self._noted = _Noted(max(0, self._newest_ms() - MOST_AHEAD_MS), 0, 0, 0)
            _, self._counted_ms, self._seen_ms, self._believed_ms = self._noted
        return self._noted

    def _written(self) -> list[_Noted]:
        try:
            names = [name for name, _ in self._disk.scan(self._folder)]
        except FileNotFoundError:
            names = []
        return [noted for name in names if (noted := self._read(name)) is not None]

    def _write(self, now_ms: int, elapsed_ms: int) -> None:
        """What cannot be written is tried again in a minute."""
        passed_ms = elapsed_ms - self._opened_ms
        shown_ms = self._load().shown_ms + self._away_ms + passed_ms
        if self._is_settled:
            start_ms = now_ms - passed_ms
            was_wrong = self._counted_ms - start_ms > DRIFT_MS and shown_ms >= self._believed_ms
            self._counted_ms = start_ms if was_wrong else max(start_ms, self._counted_ms)
            self._seen_ms = self._counted_ms
        is_known = self._counted_ms != 0
        noted = _Noted(
            shown_ms,
            max(0, self._counted_ms + passed_ms) if is_known else 0,
            max(0, self._seen_ms + passed_ms) if is_known else 0,
            self._believed_ms,
        )
        name = self._name(noted)
        self._saved_ms = elapsed_ms - HOUR_MS + 60_000
        with suppress(OSError):
            with suppress(FileExistsError):
                os.close(self._disk.create(f"{self._folder}/{name}"))
            self._disk.flush_directory(self._folder)
            self._saved_ms = elapsed_ms
            for other, _ in self._disk.scan(self._folder):
                if other != name and self._read(other) is not None:
                    with suppress(OSError):
                        self._disk.remove_file(f"{self._folder}/{other}")

    def _name(self, noted: _Noted) -> str:
        body = _PREFIX + "-".join(f"{number:x}" for number in noted)
        check = sha256(self._secret + body.encode("ascii")).hexdigest()[:8]
        return f"{body}-{check}"

    def _read(self, name: str) -> _Noted | None:
        """What a name says; None where it is none of ours."""
        if first := _FIRST_NAME.fullmatch(name):
            shown_ms, counted_ms = (int(one, 16) for one in first.groups())
            return _Noted(shown_ms, counted_ms, counted_ms, 0)
        try:
            noted = _Noted(*(int(one, 16) for one in name.split("-")[1:-1]))
        except (TypeError, ValueError):
            return None
        return noted if self._name(noted) == name else None
