"""Directories of one box that could not be listed, and what that makes of deletions below them.

What goes in such a directory nobody may see go, whichever look finds it missing later: that of an
event, of the whole box, or one that somebody asks for. So it is remembered here until a look that
was asked for afterwards has ended without being refused.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import groupby

from flocksy.boxes.guard import Source
from flocksy.boxes.scan.findings import Finding, Gone
from flocksy.sync.names import ancestors

_WORST_FIRST = (Source.START, Source.RESCAN, Source.LIVE)


class Closed:
    """See the head of this module."""

    def __init__(self) -> None:
        self._closed: dict[str, tuple[Source, int]] = {}
        """What is said of a deletion there, and the newest look when this was last found."""

    def __contains__(self, path: str) -> bool:
        return path in self._closed

    def refused(self, path: str, source: Source, newest: int) -> None:
        """A look that came about by `source` could not list the directory. `newest`: the last look
        that was asked for until now."""
        before = self._closed.get(path)
        if source is not Source.START and (before is None or before[0] is not Source.START):
            source = Source.RESCAN
        else:
            source = Source.START
        self._closed[path] = source, newest

    def looked(self, ticket: int, paths: Sequence[str] | None) -> None:
        """A look at these (None: at all), and at all that is below them, has ended."""
        if self._closed:
            asked = self._closed.keys() if paths is None else self._closed.keys() & {*paths}
            for path in [path for path in asked if self._closed[path][1] < ticket]:
                del self._closed[path]

    def source(self, path: str) -> Source | None:
        """What is said of a deletion at or below the path, if it could not be seen."""
        if not self._closed:
            return None
        found = {self._closed[one][0] for one in (path, *ancestors(path)) if one in self._closed}
        return next((one for one in _WORST_FIRST if one in found), None)

    def told_by(
        self, findings: Iterable[Finding], source: Source
    ) -> Iterator[tuple[Source, Sequence[Finding]]]:
        """The findings of a look that came about by `source`, in their order, with what is said of
        deletions among them."""

        def said(finding: Finding) -> Source:
            unseen = self.source(finding.path) if isinstance(finding, Gone) else None
            return source if unseen is None else min(source, unseen, key=_WORST_FIRST.index)

        return ((one, list(some)) for one, some in groupby(findings, said))
