"""The three trees of a box, as the planner sees them.

*Local* is what the disk showed (a cache), *synced* what this disk was last seen to hold of the
flock, *flock* the joined heads. Only the last two are knowledge and are never rebuilt from the
disk.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Protocol

from flocksy.sync.version import Kind, Version


@dataclass(frozen=True, slots=True)
class PathState:
    """What the flock knows of one path.

    `heads`: the versions that nothing supersedes, by id; one at least of any that there were.
    `superseded`: every superseded version id with the content root that was *replaced* when it was
    superseded; `NO_ROOT` where only metadata changed, where there was no content (directory,
    tombstone), or where it is not known. So the non-empty values are the contents somebody
    knowingly replaced at this path.

    The join of two states is `((H | H') - (S | S'), S | S')`; of two roots for one superseded id
    the larger one stands, so knowing wins over not knowing. See `flocksy.sync.state`.
    """

    heads: Mapping[bytes, Version] = field(default_factory=dict)
    superseded: Mapping[bytes, bytes] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class DiskEntry:
    """What the disk showed at a path. `root` and `size` as in `Version` (empty and zero for
    directories).

    `attributes`: the extended ones of a file, as in `Version`; None where this disk does not say,
    or has not been asked. In a synced entry they are those that it showed when the flock last got
    to know of them: what has become of them since is a change made here.

    `device`, `inode` and `ctime_ns` only serve to notice that the entry is unchanged: the planner
    does not look at them.
    """

    kind: Kind
    mode: int
    mtime_ns: int
    size: int
    root: bytes
    inode: int = 0
    ctime_ns: int = 0
    device: int = 0
    attributes: bytes | None = None

    def with_attributes(self, attributes: bytes | None) -> DiskEntry:
        """The entry with these extended attributes; itself, which costs nothing, if it has them."""
        return self if attributes == self.attributes else replace(self, attributes=attributes)


@dataclass(frozen=True, slots=True)
class SyncedEntry:
    """What this disk was last seen to hold of the flock at a path.

    `heads` are the parents of the next local change here: the heads of the path that this disk
    showed, without those shown as conflict copies elsewhere. `disk` is what was read back after
    applying (None: seen absent, for example after a tombstone). `copy_of` is set where the path is
    the conflict copy of another path's head: (owning path, version id). `generation` is the
    largest among `heads` (0: none): the flock tree forgets it once a head is superseded, and the
    next version made here still needs it.
    """

    heads: frozenset[bytes]
    disk: DiskEntry | None
    copy_of: tuple[str, bytes] | None = None
    generation: int = 0


class Trees(Protocol):
    """The three trees; a dict-backed one serves tests, the index the real thing.

    A path is relative, "/" separated, without a leading slash; "" is the box itself and never has
    an entry.
    """

    def local(self, path: str) -> DiskEntry | None: ...

    def synced(self, path: str) -> SyncedEntry | None: ...

    def flock(self, path: str) -> PathState | None: ...

    def local_children(self, path: str) -> Iterable[str]:
        """Paths directly below `path` that the disk showed. A path that turned from a directory
        into a file must have none: whoever updates local takes them away."""
        ...

    def flock_children(self, path: str) -> Iterable[str]:
        """Paths directly below `path` that have a flock state with a head that is no tombstone,
        or below which there is such a path."""
        ...

    def flock_below(self, path: str) -> bool:
        """Whether any path below `path`, at any depth, has a head that is no tombstone. Asked for
        every planned path: it must not cost more than one look-up."""
        ...

    def copies_of(self, owner: str) -> Iterable[str]:
        """Paths whose synced entry says `copy_of` = (owner, any head)."""
        ...

    def conflicted(self) -> Iterable[str]:
        """Paths with more than one head (for people; the planner does not ask)."""
        ...
