"""What a box does for itself when nothing else is to be done: tidy, thin out, look for trouble."""

from __future__ import annotations

from collections.abc import Generator

from flocksy.boxes.activation import Opened

PRUNE_SECONDS = 3600.0
"""Between two looks at the age of what the history holds. A look that is so late does not wait any
longer for the box to have nothing else to do: it may have to make room for just that."""


class Upkeep:
    """The quiet-time work of one open box."""

    def __init__(self, opened: Opened) -> None:
        self._opened = opened
        self._swept = False
        self._tidy = False
        self._prune_at = 0.0
        self._late_at: float | None = None
        self._pruning: Generator[float, None, bool] | None = None
        self.trouble = opened.unwatched
        """What a person should mend, in one line."""

    def rescanned(self) -> None:
        """A whole scan has ended: contents that nobody has any more can be forgotten."""
        self._tidy = True

    @property
    def busy(self) -> bool:
        """Whether the applier is thinning the history, and must not be given a batch."""
        return self._pruning is not None

    def turn(self, now: float, *, idle: bool) -> float | None:
        """Do one piece of work. To be called while the applier has no batch; `idle`: the box has
        nothing else to do. Returns when to come again, None for whenever."""
        opened = self._opened
        opened.history.look_at_clock()
        if self._late_at is None:
            self._late_at = now + PRUNE_SECONDS
        if not idle and not self.busy and now < self._late_at:
            return None
        if idle and not self._swept:
            # What is still expected has been named by now; the rest is left from earlier runs.
            self._swept = True
            opened.staging.sweep()
        if idle and self._tidy and self._pruning is None:
            # Not while it prunes: nothing is planned then, and what came meanwhile would be taken
            # for unused.
            self._tidy = opened.index.tidy(opened.staging.roots() | opened.scratch.roots())
            if self._tidy:
                return now
            self.trouble = opened.watcher.shortage()
        if self._pruning is None and now >= self._prune_at:
            self._prune_at = now + PRUNE_SECONDS
            self._late_at = now + 2 * PRUNE_SECONDS
            self._pruning = opened.applier.prune()
        if self._pruning is not None:
            try:
                return now + next(self._pruning)
            except StopIteration:
                self._pruning = None
                # Nothing is that old while the clock is not believed, but a path may have too much.
                expired_ms = opened.history.expired_ms or 0
                with opened.index.transaction():
                    opened.index.past.forget(expired_ms)
                    opened.index.journal.drop_kept_before(expired_ms)
        return None

    def finish(self) -> None:
        """End what was begun."""
        if self._pruning is not None:
            for _ in self._pruning:
                pass
            self._pruning = None
        self._opened.history.save_clock()
