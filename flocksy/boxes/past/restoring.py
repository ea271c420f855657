"""Old versions on their way back: content first, then the version that names it.

A content that is gone from this disk is wanted like any that is missing, and comes from whoever has
it in a box or in a history. Only when it is complete here a version is made of it: the flock never
gets a version that nobody can show. From there on it is an ordinary change.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from flocksy.boxes.content.staging import Staging
from flocksy.boxes.past.recall import Recalled
from flocksy.boxes.planning import Planning
from flocksy.errors import LimitExceeded
from flocksy.index.store import BoxIndex
from flocksy.sync.operations import Record
from flocksy.sync.undo import restored
from flocksy.sync.version import Kind, Version

NOBODY_HAS_IT = "its content is not on this disk, and no member that is here has it"
BROKEN = "its content contradicts itself"


class Restoring:
    """Brings some old versions back. `turn` again and again until `done`; `cancel` ends it early.

    `record` takes the versions that are made. `uncommitted`: paths known to have changed on this
    disk, which get their own version first.
    """

    def __init__(
        self,
        index: BoxIndex,
        staging: Staging,
        planning: Planning,
        record: Callable[[Sequence[Record]], None],
        chosen: Sequence[Recalled],
        *,
        patience_s: float,
        now: float,
    ) -> None:
        """`patience_s`: how long nothing may come in before what is missing is given up."""
        self._index = index
        self._staging = staging
        self._planning = planning
        self._record = record
        self._patience_s = patience_s
        self._moved_at = now
        self._here_bytes = -1
        self._waiting = {one.path: one for one in chosen}
        self._seen = {one.path: index.synced(one.path) for one in chosen}
        self._expected: set[str] = set()
        self._placing: dict[str, Version] = {}
        self.restored: list[str] = []
        """Paths that are back on this disk."""
        self.failed: dict[str, str] = {}
        """Paths that are not, and why."""

    @property
    def done(self) -> bool:
        """Whether every path is restored or has failed."""
        return not self._waiting and not self._placing

    @property
    def waiting(self) -> list[Recalled]:
        """What has no version yet, mostly since its content is not complete here."""
        return list(self._waiting.values())

    @property
    def trouble(self) -> str | None:
        """Why the disk refuses what would have come, for people."""
        return self._staging.trouble(self._planning.missing)

    def turn(self, now: float, uncommitted: Callable[[str], bool] = lambda _: False) -> None:
        """To be called while no burst is agreed or running."""
        for path, one in list(self._waiting.items()):
            if self._staging.is_broken(path, one.version.root, one.version.size):
                del self._waiting[path]
                self.failed[path] = BROKEN
        ready = [one for one in self._waiting.values() if self._is_ready(one, uncommitted)]
        if ready:
            self._moved_at = now
            self._make_versions(ready)
        for path in [path for path in self._placing if self._is_placed(path)]:
            self._moved_at = now
            del self._placing[path]
        here_bytes, _ = self._staging.progress()
        if here_bytes != self._here_bytes:
            self._here_bytes, self._moved_at = here_bytes, now
        if now - self._moved_at > self._patience_s:
            self.give_up(self.trouble or NOBODY_HAS_IT)

    def give_up(self, reason: str, comes_later: str = "") -> None:
        """Wait no longer for what is missing. What has its version stays, and is told as restored
        although it may not be on the disk yet; or, where nobody is about to bring it there, as not
        restored since it `comes_later`."""
        for path, one in self._waiting.items():
            self._release(one)
            self.failed[path] = reason
        self._waiting.clear()
        if comes_later:
            self.failed |= dict.fromkeys(self._placing, comes_later)
        else:
            self.restored += self._placing  # it comes when it can, as any change does
        self._placing.clear()

    def _is_ready(self, one: Recalled, uncommitted: Callable[[str], bool]) -> bool:
        path, version = one.path, one.version
        if uncommitted(path):
            return False
        if version.kind is not Kind.FILE:
            return True
        if path not in self._expected:
            try:
                self._staging.expect(path, version.root, version.size)
            except LimitExceeded:
                return False  # its turn comes when others are done
            self._expected.add(path)
        return self._staging.staged(path, version.root) is not None

    def _make_versions(self, ready: Sequence[Recalled]) -> None:
        records = []
        for one in ready:
            del self._waiting[one.path]
            if one.version.kind is Kind.SYMLINK and one.text is not None:
                self._index.contents.put(one.version.root, blobs=((one.version.root, one.text),))
            seen = self._seen[one.path]
            records.append(restored(self._index, one.path, one.version, seen))
        for record in records:
            if record.version.kind is Kind.FILE:
                self._planning.expect(record.path, record.version, None)
            self._placing[record.path] = record.version
        self._record(records)

    def _is_placed(self, path: str) -> bool:
        version, local = self._placing[path], self._index.local(path)
        if local is not None and (local.kind, local.root) == (version.kind, version.root):
            self.restored.append(path)
            return True
        problem = self._planning.problems.get(path)
        if problem is not None:
            self.failed[path] = problem
        return problem is not None

    def _release(self, one: Recalled) -> None:
        path, root = one.path, one.version.root
        if (path, root) in self._planning.missing or self._planning.waits_for(path, root):
            return
        if path in self._expected:
            self._staging.release(path, root)
