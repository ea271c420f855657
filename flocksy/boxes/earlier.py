"""Which scans look at what was there before the node came into its view."""

from __future__ import annotations

from collections.abc import Iterable


class Earlier:
    """Scans of one box that began outside the view, or look for what such a one has missed."""

    def __init__(self) -> None:
        self.outside = True
        """Whether the node is in no view now."""
        self._tickets: set[int] = set()
        self._unseen = True
        """What was there before is still to be looked for, in all of the box."""

    def __contains__(self, ticket: object) -> bool:
        return ticket in self._tickets

    def asked(self, ticket: int) -> None:
        """A scan begins."""
        if self.outside or self._unseen:
            self._tickets.add(ticket)

    def add(self, tickets: Iterable[int]) -> None:
        """These have begun before, or are at what others that have found."""
        self._tickets.update(tickets)

    def ended(self, ticket: int, *, failed: bool, whole: bool) -> None:
        """A scan is over, of the `whole` box or not."""
        before = ticket in self._tickets
        self._tickets.discard(ticket)
        if before and failed:
            self._unseen = True
        elif before and whole:
            self._unseen = False

    def unseen(self) -> None:
        """What was there before is anywhere in the box."""
        self._unseen = True

    def lost(self) -> None:
        """All scans that were under way are lost."""
        self._unseen = self._unseen or bool(self._tickets)
        self._tickets.clear()

    def come_inside(self) -> None:
        """What was there before is told like anything else by now."""
        self._unseen = False
        self._tickets.clear()
