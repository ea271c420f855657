"""Directories of one box that could not be listed, and what that makes of deletions below them.

What goes in such a directory nobody may see go, whichever look finds it missing later: that of an
event, of the whole box, or one that somebody asks for. So it is remembered here until a look at all
that is below, which was asked for afterwards, has ended without being refused.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby

from flocksy.boxes.guard import Source
from flocksy.boxes.scan.findings import Finding, Gone
from flocksy.boxes.scan.links import Links
from flocksy.sync.names import ancestors

_WORST_FIRST = (Source.START, Source.RESCAN, Source.LIVE)


@dataclass(frozen=True, slots=True)
class _Refusal:
    source: Source
    """What is said of a deletion there."""
    by: int
    """The look that was refused last."""
    newest: int
    """The last one that was asked for until then. Whichever came before may have been earlier."""


class Closed:
    """See the head of this module."""

    def __init__(self, links: Links | None = None) -> None:
        """`links`: those that are followed; below them nothing is seen to go either."""
        self._links = links
        self._closed: dict[str, _Refusal] = {}

    def __contains__(self, path: str) -> bool:
        return path in self._closed

    def refused(self, path: str, source: Source, by: int, newest: int) -> None:
        """The look `by`, which came about by `source`, could not list the directory. `newest`: the
        last that was asked for until now."""
        # Below one that was closed nobody has looked until now, either.
        is_first = Source.START in (source, self.source(path))
        self._closed[path] = _Refusal(Source.START if is_first else Source.RESCAN, by, newest)

    def source(self, path: str) -> Source | None:
        """What is said of a deletion at or below the path, if it could not be seen."""
        if not self._closed:
            return None
        above = (path, *ancestors(path))
        found = {self._closed[one].source for one in above if one in self._closed}
        return next((one for one in _WORST_FIRST if one in found), None)

    def told_by(
        self, findings: Iterable[Finding], source: Source
    ) -> Iterator[tuple[Source, Sequence[Finding]]]:
        """The findings of a look that came about by `source`, in their order, with what is said of
        deletions among them."""

        def said(finding: Finding) -> Source:
            if not isinstance(finding, Gone):
                return source
            unseen = self.source(finding.path)
            if unseen is None and self._links is not None:
                unseen = Source.RESCAN if self._links.is_unwatched(finding.path) else None
            return source if unseen is None else min(source, unseen, key=_WORST_FIRST.index)

        return ((one, list(some)) for one, some in groupby(findings, said))

    def looked(self, ticket: int, paths: Sequence[str] | None) -> list[str]:
        """A look at all that is below these paths (None: at all) has ended. What it has found open,
        and was asked for too early to say so of: that is to be looked at once more."""
        roots = None if paths is None else frozenset(paths)
        opened = [
            path
            for path in self._found_open(ticket)
            if roots is None or not roots.isdisjoint((path, *ancestors(path)))
        ]
        again = [path for path in opened if self._closed[path].newest >= ticket]
        for path in set(opened).difference(again):
            del self._closed[path]
        return again

    def compared(self, ticket: int) -> list[str]:
        """A look that compares has ended. What it has found open is to be looked at."""
        return self._found_open(ticket)

    def _found_open(self, ticket: int) -> list[str]:
        """What this look did not find closed, nor anybody something above it since."""

        def is_hidden(path: str) -> bool:
            above = (self._closed[one] for one in ancestors(path) if one in self._closed)
            return any(one.newest >= ticket for one in above)

        return [
            path
            for path, refusal in self._closed.items()
            if refusal.by != ticket and not is_hidden(path)
        ]
