"""How long to wait before a process that died is started again (pure: `now` comes in).

What killed it (no memory left, a file that breaks it) may well kill the next one too: without a
pause the node would do nothing but start processes.
"""

from __future__ import annotations

FIRST_SECONDS = 0.5
MAX_SECONDS = 60.0
"""The pause doubles up to here."""

HEALTHY_SECONDS = 300.0
"""Who has lived so long did not die of what killed the one before."""


class Restarts:
    """The pauses before the restarts of one process. All times in monotonic seconds."""

    def __init__(self) -> None:
        self._since: float | None = None
        self._pause_s = FIRST_SECONDS
        self.due: float | None = None
        """When to start it again; None while it runs."""

    def died(self, now: float) -> None:
        """It has ended, and nobody wanted that; or it could not be started."""
        if self._since is not None and now - self._since >= HEALTHY_SECONDS:
            self._pause_s = FIRST_SECONDS
        self._since = None  # it may die once more before it has lived
        self.due = now + self._pause_s
        self._pause_s = min(2 * self._pause_s, MAX_SECONDS)

    def started(self, now: float) -> None:
        """It runs again."""
        self._since, self.due = now, None
