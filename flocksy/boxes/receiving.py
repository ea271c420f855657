"""What lanes carry for one box: records into the flock's tree, and on to the planner."""

from __future__ import annotations

from collections.abc import Container, Iterable, Sequence

from flocksy.boxes.content.scratch import Scratch
from flocksy.boxes.planning import Planning
from flocksy.index.store import BoxIndex
from flocksy.sync.content import chunk_id, small_list
from flocksy.sync.messages import Entry, Versions
from flocksy.sync.state import state_of
from flocksy.sync.version import NO_ROOT, Kind, Version, version_id

Again = Container[tuple[str, bytes]]
"""Versions by path and id."""

UNSURE_SECONDS = 5.0
"""How long a clash waits for the rest of its ancestry before it is believed."""


class Receiving:
    """Takes messages of versions. `unsure`: paths whose clash is not believed yet, with the time
    until when. `unknown`: paths whose ancestry a member has to be asked for."""

    def __init__(self, index: BoxIndex, planning: Planning, scratch: Scratch) -> None:
        """`scratch`: for the content of our own versions, come back."""
        self._index = index
        self._planning = planning
        self._scratch = scratch
        self.unsure: dict[str, float] = {}
        planning.doubted = self.unsure
        self.unknown: set[str] = set()

    def take(self, message: Versions, *, own: bool, now: float, again: Again = ()) -> None:
        """Versions that a lane carried; `own`: ours, come back. `again`: those of ours, by path and
        id, that a burst has brought back which this one repeats: they are nobody's work now."""
        with self._index.transaction():
            by_path: dict[str, list[Entry]] = {}
            for entry in message.entries:
                by_path.setdefault(entry.path, []).append(entry)
            for path, entries in by_path.items():
                self._take_path(path, entries, message, own, now, again)

    def left_over(self, paths: Iterable[str], now: float) -> list[str]:
        """Of paths that an earlier run left behind, those that are to be planned now. Where there
        is a clash that this disk does not show, that run may have waited for the ancestry; nothing
        says that the rest of it has come."""
        planned = []
        for path in paths:
            if self._index.heads_of(path) > 1 and not self._index.copies_of(path):
                self._doubt(path, now)
            else:
                planned.append(path)
        return planned

    def believe(self, now: float) -> None:
        """What has waited for its ancestry for long enough is planned as it is."""
        for path, until in list(self.unsure.items()):
            if until <= now:
                del self.unsure[path]
                self._planning.add((path,))

    def _take_path(
        self,
        path: str,
        entries: Sequence[Entry],
        message: Versions,
        own: bool,
        now: float,
        again: Again,
    ) -> None:
        """All that it says of a path at once: each join is held against all heads there are."""
        before = self._index.heads_of(path)
        heads: dict[bytes, Version] = {}
        superseded: dict[bytes, bytes] = {}
        for entry in entries:
            state = state_of(entry.version, dict(entry.superseded))
            heads.update(state.heads)
            for name, root in state.superseded.items():
                superseded[name] = max(superseded.get(name, NO_ROOT), root)
        moved = self._index.join(path, heads, superseded)
        for entry in entries:
            if not again or (path, version_id(entry.version)) not in again:
                self._take_content(entry, own, moved)
        if not moved:
            return
        if own:
            self._planning.add((path,))  # it was taken back when it was on its way already
            return
        after = self._index.heads_of(path)
        if after > 1:
            for entry in entries:
                self._keep_small(entry)
            # A head in place of another is no new clash: to doubt that with every edit of a file
            # that shows as a copy too would hide all edits from here as long as somebody works.
            truncated = all(entry.truncated for entry in entries)
            if truncated and after > before:
                self._doubt(path, now)
            if truncated and path in self.unsure:
                return
        self.unsure.pop(path, None)
        self._planning.batch(message.batch, message.batch_size, path, now)

    def _take_content(self, entry: Entry, own: bool, moved: bool) -> None:
        path, version = entry.path, entry.version
        if version.kind is Kind.SYMLINK and entry.inline is not None:
            self._index.contents.put(version.root, blobs=((version.root, entry.inline),))
            if not moved:
                self._planning.add((path,))  # it, or a copy of it, may wait for just that
        if own and (version.kind is not Kind.FILE or version.metadata_only):
            self._scratch.change(path)
        elif version.kind is Kind.FILE:
            self._expect(entry, own, moved)

    def _keep_small(self, entry: Entry) -> None:
        """It may have to show as a conflict copy, at a path that nothing is staged for."""
        contents = self._index.contents
        if entry.version.kind is Kind.FILE and entry.inline:
            contents.put(entry.version.root, blobs=small_list(entry.inline).blobs())
            contents.put(entry.version.root, blobs=((chunk_id(entry.inline), entry.inline),))

    def _doubt(self, path: str, now: float) -> None:
        self.unsure[path] = now + UNSURE_SECONDS
        self.unknown.add(path)

    def _expect(self, entry: Entry, own: bool, moved: bool) -> None:
        path, version = entry.path, entry.version
        if own:
            if entry.inline is not None:
                self._scratch.inline(path, version.root, entry.inline)
            else:
                self._scratch.expect(path, version.root, version.size)
        elif moved and (
            entry.inline is not None or self._index.contents.path_with(version.root) is None
        ):
            self._planning.expect(path, version, entry.inline)
