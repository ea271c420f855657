"""File systems that are mounted inside a box: none of them emptied because it is unmounted.

Which ones there are is remembered in the index. Where one is missing, or another one stands in its
place, the directory looks emptied and is not: nothing at or below it is looked at, concluded or
written until the right one is back. The same where one is mounted over what the box has. `flocksy
box adopt` says that it is to be taken as it is.

A rename cannot lead from one file system to another, and without one nothing is replaced in one
step. So what lies in such a directory is only sent from here, as below a link that is followed.
"""

from __future__ import annotations

import json
import os

from flocksy.boxes.disk.port import PRIVATE
from flocksy.index.store import BoxIndex
from flocksy.sync.names import ancestors
from flocksy.system import filesystems, opening

MOUNTS = "mounts"
"""Name under which the index remembers them."""

SEND_ONLY = "on a file system that is mounted inside the box: this node only sends it"
"""Why nothing that others change there is applied."""

_Numbers = tuple[int, int]
"""Of a file system: what tells it, and what an earlier flocksy may have remembered for it."""


class Mounts:
    """See the head of this module."""

    def __init__(self, index: BoxIndex, root: str, *, adopting: bool) -> None:
        """`adopting`: what is there now is what there is to be."""
        self._index = index
        self._root = os.path.realpath(root) + "/"
        self._known: dict[str, int] = {}
        if not adopting:
            self._known = index.remembered_as(MOUNTS, _remembered) or {}
        self._numbers: dict[filesystems.Mount, _Numbers] = {}
        self.detached: dict[str, str] = {}
        """Directories of the box that do not show what they should, and what is wrong."""
        self._last: dict[str, _Numbers] | None = None
        if adopting:
            self._remember({path: now for path, (now, _) in self._here().items()})
        self.look()

    def look(self) -> bool:
        """Compare with what is mounted now. Whether that is something else than at the last look:
        then the box is to be watched and looked at anew."""
        here = self._here()
        moved = here != self._last
        if not moved and not self.detached:
            return False
        self._last = here
        detached = {}
        for path, number in self._known.items():
            if path not in here:
                detached[path] = (
                    "is not mounted, and has been; nothing is deleted meanwhile. If it is to be"
                    " taken as it is: flocksy box adopt"
                )
            elif number not in here[path]:
                detached[path] = (
                    "holds another file system than before; mount the right one. If it is to be"
                    " taken as it is: flocksy box adopt"
                )
        new = {}
        for path in here.keys() - self._known.keys():
            if self._holds_something(path):
                detached[path] = (
                    "has a file system mounted over what the box holds there; nothing is deleted"
                    " meanwhile. If it is to be taken as it is: flocksy box adopt"
                )
            else:
                new[path] = here[path][0]
        moved = moved or self.detached.keys() != detached.keys()
        self.detached = detached
        if new:
            self._remember(self._known | new)
        return moved

    def is_detached(self, path: str) -> bool:
        """Whether `path` is, or is below, a directory that does not show what it should."""
        return bool(self.detached) and (
            path in self.detached or any(above in self.detached for above in ancestors(path))
        )

    def is_below(self, path: str) -> bool:
        """Whether `path` lies on another file system than the box."""
        return bool(self._known) and any(above in self._known for above in ancestors(path))

    def _holds_something(self, path: str) -> bool:
        """Whether this disk was seen to hold something in the directory. Not by the local tree: a
        scan may have seen the other file system already."""
        found = (self._index.synced(child) for child in self._index.flock_children(path))
        return any(synced is not None and synced.disk is not None for synced in found)

    def _here(self) -> dict[str, _Numbers]:
        """What is mounted in the box now, with the numbers of each file system."""
        found: dict[str, _Numbers] = {}
        numbers: dict[filesystems.Mount, _Numbers] = {}
        for one in filesystems.mounts():
            path = one.point.removeprefix(self._root)
            if path == one.point or path.partition("/")[0] == PRIVATE:
                continue
            found[path] = numbers[one] = self._numbers.get(one) or _numbers_at(one.point)
        self._numbers = numbers
        return found

    def _remember(self, known: dict[str, int]) -> None:
        self._known = known
        with self._index.transaction():
            self._index.remember(MOUNTS, json.dumps(known).encode("ascii"))


def _remembered(remembered: bytes) -> dict[str, int]:
    return {path: int(number) for path, number in json.loads(remembered).items()}


def _numbers_at(point: str) -> _Numbers:
    try:
        handle = os.open(point, os.O_RDONLY | opening.O_DIRECTORY | opening.O_CLOEXEC)
    except OSError:
        return 0, 0  # a file, or nothing that we may look into: its place tells it
    try:
        return filesystems.identity(handle), filesystems.former_identity(handle)
    finally:
        os.close(handle)
