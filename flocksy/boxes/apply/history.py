"""What was replaced or deleted, kept for a while: `.flocksy/history/<UTC date>/<time>-…-<name>`.

The names alone say when something was kept and roughly what it was, so that the history survives
a lost index; the rows in the index say the rest. Retention is 30 days. When the history is larger
than its cap the oldest goes first, but nothing of the last 7 days is ever taken: rather than that
the history is `full`, and then the applier replaces nothing more.

The wall clock, which may be wrong and is set, dates what is kept for whoever looks. Ages are told
by another one (`age`), whose time in seconds is in the name too: `<time>-<seconds>.<count>-<name>`.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Generator, Iterable
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime

from flocksy.boxes.apply.age import DAY_MS, AgeClock
from flocksy.boxes.disk.port import Disk, Stat
from flocksy.index.journal import HISTORY, Kept
from flocksy.sync.names import MAX_NAME_BYTES
from flocksy.sync.version import Kind
from flocksy.system import clocks

FOLDER = HISTORY

RETENTION_DAYS = 30
UNTOUCHABLE_DAYS = 7

CAP_PERCENT = 10
"""Of the disk the history may take so much: enough for a month of ordinary edits."""

NAME_BYTES = 200
"""Of the name of what is kept: with the time in front it stays below the 255 of file systems."""

TIME_BYTES = 40
"""Left in front of it for the times, and more than enough."""
MS_DIGITS = 11
"""Hexadecimal, for the milliseconds since the epoch: until the year 2527."""

_OURS = re.compile(
    rf"(?P<kept>[0-9a-f]{{{MS_DIGITS}}})-(?:(?P<stamp>[0-9a-f]+)\.[0-9a-f]+|[0-9a-f]+)-"
)
"""How a name of ours begins; without a stamp before there were any."""

_FIRST_MS = 1_767_225_600_000
"""The beginning of 2026, before the first flocksy."""

_STEP = 200  # entries looked at or removed between two yields: about a millisecond or two


@dataclass(frozen=True, slots=True)
class Pruned:
    """What `History.prune` did. The rows of `removed` (names below `.flocksy/history/`) are to be
    dropped; `full`: more than the cap is left, all of it too young to be taken."""

    removed: tuple[str, ...]
    bytes: int
    full: bool


def _elapsed_ms() -> int:
    return clocks.elapsed_ns() // 1_000_000


class History:
    """The history of one box. `now_ms` is UTC, milliseconds since the epoch."""

    def __init__(
        self,
        disk: Disk,
        now_ms: Callable[[], int],
        *,
        cap_bytes: int | None = None,
        cap_percent: int = CAP_PERCENT,
        elapsed_ms: Callable[[], int] = _elapsed_ms,
        longest_name: int = MAX_NAME_BYTES,
        secret: bytes,
    ) -> None:
        """`cap_bytes` None: `cap_percent` of the disk. `elapsed_ms`: milliseconds since whenever,
        by a clock that nobody sets. `longest_name`: bytes of the longest that the disk holds.
        `secret`: of the box on this disk."""
        self._name_bytes = max(0, min(NAME_BYTES, longest_name - TIME_BYTES))
        self._disk = disk
        self._now_ms = now_ms
        self._clock = AgeClock(disk, FOLDER, now_ms, elapsed_ms, self._newest_ms, secret)
        self._cap_bytes = cap_bytes
        self._cap_percent = cap_percent
        self.expired_ms: int | None = None
        """Nothing dated before this is kept any more; None while the clock is not believed.
        Known once `prune` has run."""
        self._bytes: int | None = None
        self._last_ms = 0
        self._count = 0

    @property
    def crowded(self) -> bool:
        """Whether `prune` should run before anything more is kept."""
        return self._bytes is None or self._bytes > self.cap_bytes

    @property
    def cap_bytes(self) -> int:
        if self._cap_bytes is None:
            self._cap_bytes = self._disk.space()[1] * self._cap_percent // 100
        return self._cap_bytes

    def look_at_clock(self) -> None:
        """To be called now and then: what the clock of the ages shows is written down."""
        self._clock.look()

    def save_clock(self) -> None:
        """To be called at the end."""
        self._clock.save()

    def reserve(self, path: str) -> str:
        """A free place for what stands at `path`; a path in the box, whose directory exists."""
        now_ms = self._now_ms()
        if now_ms != self._last_ms:
            self._last_ms, self._count = now_ms, 0
        date = datetime.fromtimestamp(now_ms / 1000, UTC).date().isoformat()
        folder = f"{FOLDER}/{date}"
        if self._count == 0:
            self._make(folder)
        kept_s = -(-self._clock.stamp() // 1000)
        name = path.rpartition("/")[2]
        while len(os.fsencode(name)) > self._name_bytes:
            name = name[1:]  # the end of a name says more: its extension
        while True:
            self._count += 1
            place = f"{folder}/{now_ms:0{MS_DIGITS}x}-{kept_s:x}.{self._count:x}-{name}"
            if self._disk.stat(place) is None:  # as ever, unless the clock was set back
                return place

    def remake(self, places: Iterable[str]) -> None:
        """Make the directories of places that `reserve` gave before a power cut: it may have taken
        what was to be flushed only with what came into them."""
        for folder in sorted({place.rpartition("/")[0] for place in places if place}):
            self._make(folder)

    def _make(self, folder: str) -> None:
        if self._disk.stat(folder) is not None:
            return
        for one in (FOLDER, folder):  # people make room by removing all of it
            with suppress(FileExistsError):
                self._disk.make_directory(one, 0o700)

    def row(self, place: str, path: str, found: Stat, root: bytes) -> Kept:
        """The row for what was moved to `place`, a name that `reserve` gave (maybe before a
        crash). `root` is empty where the content was never hashed."""
        name = place.removeprefix(FOLDER + "/")
        if self._bytes is not None:
            self._bytes += found.size
        return Kept(name, path, None, root, found.size, kept_ms(name) or self._now_ms())

    def prune(self) -> Generator[float, None, Pruned]:
        """Thin the history out. Yields often (0.0: go on when it suits)."""
        removed: list[str] = []
        left: list[tuple[int, str, int]] = []  # (time of our clock, name, size)
        dates: list[str] = []
        first_ms = self._now_ms()
        for date, folder in sorted(self._entries("")):
            if folder.kind is not Kind.DIRECTORY:
                continue
            for count, (name, found) in enumerate(sorted(self._entries(date))):
                if count % _STEP == 0:
                    yield 0.0
                when = kept_ms(f"{date}/{name}")
                if when is not None:  # or else whoever put it there knows why
                    first_ms = min(first_ms, when)
                    left.append((_stamp_ms(name), f"{date}/{name}", found.size))
            dates.append(date)
        total = sum(size for _, _, size in left)
        left.sort()
        shown_ms = self._clock.look()
        believed_ms = self._clock.believed_ms
        self.expired_ms = (
            None if believed_ms is None else min(believed_ms - RETENTION_DAYS * DAY_MS, first_ms)
        )
        for count, (when, name, size) in enumerate(left):
            old = when < shown_ms - RETENTION_DAYS * DAY_MS
            may_go = when < shown_ms - UNTOUCHABLE_DAYS * DAY_MS
            if not old and (total <= self.cap_bytes or not may_go):
                break
            if count % _STEP == 0:
                yield 0.0
            if self._remove(name, removed):
                total -= size
        for date in dates:
            # Only an empty one goes.
            with suppress(OSError):
                self._disk.remove_directory(f"{FOLDER}/{date}")
        self._bytes = total
        return Pruned(tuple(removed), total, total > self.cap_bytes)

    def _newest_ms(self) -> int:
        days = [date for date, found in self._entries("") if found.kind is Kind.DIRECTORY]
        names = [name for day in days for name, _ in self._entries(day)]
        # A damaged one that says too much would make all the others old.
        return max((_stamp_ms(name) for name in names if _is_likely(name)), default=0)

    def _entries(self, date: str) -> list[tuple[str, Stat]]:
        try:
            return self._disk.scan(f"{FOLDER}/{date}" if date else FOLDER)
        except FileNotFoundError:
            return []
        except OSError:
            if not date:
                raise
            return []  # a day that cannot be listed keeps what it holds, and the rest goes on

    def _remove(self, name: str, removed: list[str]) -> bool:
        """Whether it is gone. What cannot be removed stays, and counts."""
        try:
            self._disk.remove_file(f"{FOLDER}/{name}")
        except FileNotFoundError:
            pass
        except OSError:
            return False
        removed.append(name)
        return True


def kept_ms(name: str) -> int | None:
    """When something was kept, from its name in the history; None where the name is not ours."""
    found = _OURS.match(name.rpartition("/")[2])
    return int(found["kept"], 16) if found else None


def _stamp_ms(name: str) -> int:
    """The time of our clock in a name of ours; 0 where there is none."""
    found = _OURS.match(name)
    return 1000 * int(found["stamp"], 16) if found and found["stamp"] else 0


def _is_likely(name: str) -> bool:
    """Whether the two times in a name of ours agree: no history is older than flocksy."""
    return _stamp_ms(name) <= max(0, (kept_ms(name) or 0) - _FIRST_MS)
