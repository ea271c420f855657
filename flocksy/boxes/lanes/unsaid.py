"""Saying again what was said and never came back in our own lane."""

from __future__ import annotations

from collections.abc import Container, Iterable, Iterator

from flocksy.boxes.box import Box

LOST_SECONDS = 20.0
"""So often is looked for what was said before the last look and is in no lane, whatever else goes
on: an unsaid version is a difference, and differences are sought in bursts."""

LOST_ROUNDS = 24
"""But not before heartbeats have had so many rounds to take it: more than wait for their turn."""


class Unsaid:
    """What is on its way in heartbeats is no loss yet. In bursts nothing is, when they are over."""

    def __init__(self, period_s: float) -> None:
        self._pause_s = max(LOST_SECONDS, LOST_ROUNDS * period_s)
        self._look_at = 0.0
        self._told: dict[bytes, set[str]] = {}
        """By box, the paths whose records went into heartbeats since the last look."""

    def told(self, boxes: Iterable[Box]) -> None:
        """All that waits in these boxes is about to go into heartbeats."""
        for box in boxes:
            paths = (push.path for push in box.offers.pushes)
            self._told.setdefault(box.setup.tag, set()).update(paths)

    def turn(self, now: float, boxes: Iterable[Box]) -> Iterator[tuple[Box, Container[str]]]:
        """To be called outside bursts. The boxes that are to `resume` offering, when it is time,
        each with the paths to leave alone."""
        if now <= self._look_at:
            return
        self._look_at = now + self._pause_s
        told, self._told = self._told, {}
        for box in boxes:
            yield box, told.get(box.setup.tag, ())
