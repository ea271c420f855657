"""What people can have back: the versions of a path, what is deleted, and which of it is meant.

Nothing here changes anything. What is known comes from the index (`Past`: what was superseded, also
where its content is gone) and from the history of this disk, which may hold what the index does not
know any more. Times are of this node's wall clock, ms since the Unix epoch.
"""

from __future__ import annotations

import heapq
from collections.abc import Container, Iterator, Sequence
from dataclasses import dataclass

from flocksy.boxes.apply.attributes import ATTRIBUTES
from flocksy.boxes.disk.port import Disk
from flocksy.boxes.scan.looking import attributes_of
from flocksy.errors import FlocksyError
from flocksy.index.journal import HISTORY, Kept
from flocksy.index.past import PastVersion
from flocksy.index.store import BoxIndex
from flocksy.sync.names import ancestors
from flocksy.sync.version import Kind, Version, version_id
from flocksy.sync.view import IMPLIED, View, rank

MAX_VERSIONS = 1_000
"""Of one path, looked at and shown."""

MAX_PATHS = 20_000
"""Restored by one command: their contents are under way together."""

MAX_LOOKED_AT = 20_000
"""Of a folder that is to be restored: a running node has other things to do as well."""

SWEEP_MS = 60_000
"""Deletions that follow each other within this belong to one: the deletion of a large tree is seen
in parts, and a person takes longer to think of the next."""

ID_DIGITS = 8
"""Of a version's id, after a `v`: enough for the versions of one path."""


@dataclass(frozen=True, slots=True)
class Moment:
    """What `--at` meant: a version (digits of its id) or a time."""

    id_digits: str = ""
    at_ms: int = 0


@dataclass(frozen=True, slots=True)
class Recalled:
    """One version of a path. `until_ms`: when it was superseded, None: it stands there now.
    `since_ms` 0: not known. `here`: its content is on this disk. `kept`: its file in the history
    of this disk, where it is there. `text`: of a symlink."""

    path: str
    id: bytes
    version: Version
    since_ms: int
    until_ms: int | None
    here: bool
    kept: str | None = None
    text: bytes | None = None

    @property
    def short_id(self) -> str:
        """As people see and say it."""
        return f"v{self.id.hex()[:ID_DIGITS]}"


class Recall:
    """Looks into the past of one box."""

    def __init__(self, index: BoxIndex, disk: Disk) -> None:
        self._index = index
        self._disk = disk
        self._view = View(index)

    def versions(self, path: str) -> list[Recalled]:
        """All that is known of the path, what stands there now first, then the youngest first."""
        found = [*self._now(path)]
        past = [self._recalled(one) for one in self._index.past.of(path, MAX_VERSIONS)]
        known = {one.version.root for one in (*found, *past)}
        kept = [
            one
            for row in self._index.journal.kept_of(path, MAX_VERSIONS)
            if row.root not in known and (one := self._of_kept(row)) is not None
        ]
        # Each has its own order, which is not always that of the clock.
        return [*found, *heapq.merge(past, kept, key=lambda one: -(one.until_ms or 0))]

    def deleted(self, under: str, limit: int) -> list[tuple[Recalled, str | None]]:
        """What was deleted at and below `under`, the last first, and where else in the box the same
        content stands (it was moved there, or copied before)."""
        contents = self._index.contents
        return [
            (
                self._recalled(one),
                contents.path_with(one.version.root) if one.version.size else None,
            )
            for one in self._index.past.deleted(under, limit)
        ]

    def choose(self, path: str, moment: Moment | None) -> list[Recalled]:
        """What `flocksy restore PATH [--at]` means: one version, or several of a directory.

        Raises `FlocksyError` where it means nothing.
        """
        if moment is not None and moment.id_digits:
            chosen = [self._by_id(path, moment.id_digits)]
        elif self._is_tree(path):
            chosen = self._tree(path, moment)
        else:
            chosen = [self._one(path, moment)]
        if len(chosen) > MAX_PATHS:
            raise FlocksyError(
                f"{path or 'the box'}: more than {MAX_PATHS} paths; restore its folders one by one"
            )
        return self._with_parents(chosen)

    def check_recorded(self, path: str, remedy: str, waiting: Container[str] = ()) -> None:
        """Raise `FlocksyError` where something at or below `path` is gone from the disk and has no
        version for it. What is last known would be taken to stand there, and what was before it
        brought back to everybody. `waiting`: paths known to be gone, whose deletion waits."""
        look_at = [path] if self._view.at(path).shown is not None else []
        looked_at = 0
        while look_at and looked_at < MAX_LOOKED_AT:
            one = look_at.pop()
            looked_at += 1
            if one in waiting:
                continue
            synced = self._index.synced(one)
            if synced is not None and synced.disk is not None and self._is_gone(one):
                raise FlocksyError(
                    f"{one}: is gone from this disk, and nobody has been told yet; {remedy}"
                )
            look_at += self._index.flock_children(one)

    def is_shown(self, one: Recalled) -> bool:
        """Whether that very thing stands at its path already."""
        shown = self._view.at(one.path).shown
        return shown is not None and shown is not IMPLIED and _same(shown, one.version)

    def is_here(self, version: Version) -> bool:
        """Whether the content should be on this disk, in the box or in its history."""
        contents = self._index.contents
        return (
            version.kind is not Kind.FILE
            or not version.size
            or contents.path_with(version.root) is not None
            or contents.kept_with(version.root) is not None
        )

    def _is_gone(self, path: str) -> bool:
        try:
            return self._disk.stat(path) is None
        except OSError:
            return False  # it cannot be looked at, which the scan says: nothing is recorded of it

    # -- one path -------------------------------------------------------------------------------

    def _one(self, path: str, moment: Moment | None) -> Recalled:
        if moment is not None:
            found = self._at(path, moment.at_ms)
            if found is None:
                raise FlocksyError(
                    f"{path}: nothing else is known of it as of then; see flocksy history"
                )
            return found
        shown = self._view.at(path).shown
        for one in self.versions(path):
            if one.until_ms is not None and (shown is None or not _same(shown, one.version)):
                return one
        if shown is None:
            raise FlocksyError(f"{path}: is not known; see flocksy deleted")
        raise FlocksyError(f"{path}: nothing else is known of it than what stands there")

    def _at(self, path: str, at_ms: int) -> Recalled | None:
        """What stood at the path then, unless that is what stands there now."""
        then = [one for one in self._index.past.after(path, at_ms) if one.since_ms <= at_ms]
        if not then:
            return None
        # As the view does it, among those that were heads at the time; some of them may be still.
        found = [self._recalled(max(then, key=lambda one: rank(one.id, one.version)))]
        found += [one for one in self._heads(path) if one.since_ms <= at_ms]
        best = max(found, key=lambda one: rank(one.id, one.version))
        return None if self.is_shown(best) else best

    def _heads(self, path: str) -> Iterator[Recalled]:
        """What stands there now, or beside it as a copy."""
        state = self._index.flock(path)
        for name, head in state.heads.items() if state is not None else ():
            if head.is_content:
                since_ms = self._index.head_since_ms(path, name)
                yield Recalled(path, name, head, since_ms, None, self.is_here(head))

    def _by_id(self, path: str, digits: str) -> Recalled:
        known = self.versions(path)
        found = [one for one in known if one.id.hex().startswith(digits)]
        if len({one.id for one in found}) != 1:
            what = "several versions begin" if found else "no version begins"
            raise FlocksyError(f"{path}: {what} with v{digits}; see flocksy history")
        return found[0]

    # -- a directory ----------------------------------------------------------------------------

    def _is_tree(self, path: str) -> bool:
        if not path:
            return True
        shown = self._view.at(path).shown
        if shown is not None:
            return shown.kind is Kind.DIRECTORY
        last = self._index.past.of(path, 1)
        if last:
            return last[0].version.kind is Kind.DIRECTORY
        return bool(self._index.past.paths_below(path, -1, 1))

    def _tree(self, path: str, moment: Moment | None) -> list[Recalled]:
        if moment is not None:
            paths = self._index.past.paths_below(path, moment.at_ms, MAX_PATHS + 1)
            chosen = [one for name in paths if (one := self._at(name, moment.at_ms)) is not None]
            if not chosen:
                raise FlocksyError(
                    f"{path or 'the box'}: is as it was then, or not known as of then"
                )
            return chosen
        chosen = []
        for gone in self._index.past.deleted(path, MAX_PATHS + 1):
            if chosen and (chosen[-1].until_ms or 0) - gone.gone_ms > SWEEP_MS:
                break
            chosen.append(self._recalled(gone))
        if not chosen:
            raise FlocksyError(
                f"{path or 'the box'}: nothing in it is known to be deleted; --at brings back what "
                "was edited"
            )
        return chosen

    def _with_parents(self, chosen: Sequence[Recalled]) -> list[Recalled]:
        """Directories above that are deleted come back with their modes."""
        named = {one.path for one in chosen}
        parents: dict[str, Recalled] = {}
        for one in chosen:
            for above in ancestors(one.path):
                if above in named or above in parents or self._view.at(above).shown is not None:
                    continue
                last = self._index.past.of(above, 1)
                if last and last[0].version.kind is Kind.DIRECTORY:
                    parents[above] = self._recalled(last[0])
        return sorted((*parents.values(), *chosen), key=lambda one: one.path)

    # -- rows -----------------------------------------------------------------------------------

    def _now(self, path: str) -> list[Recalled]:
        view = self._view.at(path)
        if view.shown is None or view.head is None:
            return []
        here = self.is_here(view.shown)
        since_ms = self._index.head_since_ms(path, view.head)
        return [Recalled(path, view.head, view.shown, since_ms, None, here)]

    def _recalled(self, one: PastVersion) -> Recalled:
        kept = None
        if one.version.kind is Kind.FILE:
            kept = self._index.contents.kept_with(one.version.root)
        here = self.is_here(one.version)
        return Recalled(
            one.path, one.id, one.version, one.since_ms, one.gone_ms, here, kept, one.text
        )

    def _of_kept(self, row: Kept) -> Recalled | None:
        """What the history holds and the index does not remember as a version."""
        place, attributes = f"{HISTORY}/{row.name}", b""
        try:
            found = self._disk.stat(place)
            if found is None or found.kind is not Kind.FILE or not row.root:
                return None
            if self._index.remembered(ATTRIBUTES) is not None:
                attributes = attributes_of(self._disk, place)[0] or b""
        except OSError:
            return None  # nobody can have it now, and the others are not kept from being had
        version = Version(
            Kind.FILE,
            found.mode,
            found.mtime_ns,
            row.size,
            row.root,
            1,
            (),
            attributes=attributes,
        )
        # Where somebody has written into it, others may still have what it was.
        is_whole = found.size == row.size
        kept = place if is_whole else None
        return Recalled(row.path, version_id(version), version, 0, row.kept_ms, is_whole, kept)


def _same(one: Version, other: Version) -> bool:
    return (one.kind, one.root) == (other.kind, other.root)
