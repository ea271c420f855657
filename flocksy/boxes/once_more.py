"""What our own lane has carried is looked at once more (design 4.3, rule 5).

Whoever applies a change is told by the file system that something happened there, and has it looked
at. Where it was made nothing happens then: the last steps were rehearsed with files that nobody
watches. So those paths are looked at all the same, and nothing is found.
"""

from __future__ import annotations

from collections.abc import Iterable
from itertools import islice

from flocksy.boxes.intake import Intake
from flocksy.boxes.scan.settling import QUIET_S
from flocksy.boxes.scan.standing import Standing
from flocksy.index.store import BoxIndex

PATHS_AT_ONCE = 500
"""Compared with the disk in one go: some ten milliseconds."""


class OnceMore:
    """One box's; `turn` again and again."""

    def __init__(self, index: BoxIndex, standing: Standing, intake: Intake) -> None:
        self._index = index
        self._standing = standing
        self._intake = intake
        self._paths: dict[str, None] = {}

    def add(self, paths: Iterable[str]) -> None:
        """These were rehearsed just now."""
        self._paths.update(dict.fromkeys(paths))

    def turn(self, now: float) -> float | None:
        """Have some of them looked at, as soon as after an event. Returns when to come again.

        What is another thing by now has an event of its own, and its own time: to look earlier at
        what keeps changing would be to read it ever again.
        """
        some = list(islice(self._paths, PATHS_AT_ONCE))
        if not some:
            return None
        with self._index.transaction():  # so that hundreds of reads share one lock
            known = {path: self._index.local(path) for path in some}
        for path in sorted(self._standing.as_known(known)):
            self._intake.look_by(path, now + QUIET_S)
        for path in some:
            del self._paths[path]
        return 0.0 if self._paths else None
