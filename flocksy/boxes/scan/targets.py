"""Where a symbolic link that was made on this disk leads, and whether that may be shown in the box.

Links are resolved by hand, component by component, down to a real path without any link, which
is then opened without following anything. What a link that came from the flock says is never
interpreted: so no way may pass a link that lies in the box, and none may lead into another box,
where the same is true. Places are compared by device and inode, so that a second mount of a
directory is still that directory.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from flocksy.boxes.disk.marker import MARKER
from flocksy.boxes.disk.port import PRIVATE, Stat, as_stat
from flocksy.sync.version import Kind

MAX_HOPS = 40
"""Links on the way to one target, as many as Linux follows."""

Place = tuple[int, int]
"""Device and inode."""


class NotFollowedError(Exception):
    """A link is not followed; the text is for people.

    `lasting`: what it led to is not shown any more. Otherwise nothing may be concluded about that:
    it may be a disk that is not mounted just now.
    """

    def __init__(self, reason: str, *, lasting: bool) -> None:
        super().__init__(reason)
        self.lasting = lasting


@dataclass(frozen=True, slots=True)
class Target:
    """What a link leads to: a file or a directory at the absolute path `real`, which contains no
    link. `chain`: the target and all directories above it."""

    real: str
    stat: Stat
    chain: frozenset[Place]

    @property
    def place(self) -> Place:
        return (self.stat.device, self.stat.inode)

    def overlaps(self, other: Target) -> bool:
        """Whether a real directory would show twice."""
        directories = self.stat.kind is Kind.DIRECTORY and other.stat.kind is Kind.DIRECTORY
        return directories and (self.place in other.chain or other.place in self.chain)


class Targets:
    """Finds the targets of the links in one box."""

    def __init__(self, root: str, private: Sequence[str]) -> None:
        """`private`: files and directories of flocksy's own, which no link may show."""
        self.root = os.path.realpath(root)
        self._private = tuple(os.path.realpath(path) for path in private)

    def reach(self, link: str) -> Target:
        """The target of the link at the absolute path `link`, whose parent is free of links.

        Raises `NotFollowedError`.
        """
        try:
            real = self._resolve(link)
            found = as_stat(os.lstat(real))
            places = [_place(above) for above in _upwards(real)]
        except FileNotFoundError:
            raise NotFollowedError(
                "is a symbolic link to something that is not there; nothing is concluded from that",
                lasting=False,
            ) from None
        except OSError as error:
            raise NotFollowedError(
                f"is a symbolic link that cannot be followed: {error.strerror or error}",
                lasting=False,
            ) from None
        target = Target(real, found, frozenset(places))
        self._check(target)
        return target

    def _resolve(self, link: str) -> str:
        """The path without links that the link stands for."""
        here, _, name = link.rpartition("/")
        here = here or "/"
        todo = [name]
        hops = 0
        while todo:
            name = todo.pop()
            if name in ("", "."):
                continue
            if name == "..":
                here = os.path.dirname(here)
                continue
            there = os.path.join(here, name)
            try:
                text = os.readlink(there)
            except OSError:
                os.lstat(there)  # says better what is wrong, if anything is
                here = there
                continue
            if hops and self._in_box(here):
                raise NotFollowedError(
                    "is a symbolic link that leads over another one in the box; links are not"
                    " followed into the box itself",
                    lasting=True,
                )
            hops += 1
            if hops > MAX_HOPS:
                raise NotFollowedError("is a symbolic link that leads in a circle", lasting=True)
            if text.startswith("/"):
                here = "/"
            todo.extend(reversed(text.split("/")))
        return here

    def _in_box(self, path: str) -> bool:
        return path == self.root or path.startswith(self.root.rstrip("/") + "/")

    def _check(self, target: Target) -> None:
        """Refuse what must not show in a box."""
        if target.stat.kind not in (Kind.FILE, Kind.DIRECTORY):
            raise NotFollowedError(
                "is a symbolic link to neither a file nor a directory", lasting=True
            )
        if _overlap(target, self.root):
            raise NotFollowedError(
                "is a symbolic link into the box itself, or to a directory that the box lies in",
                lasting=True,
            )
        if any(_overlap(target, path) for path in self._private):
            raise NotFollowedError(
                "is a symbolic link to where flocksy's own keys, settings or state lie",
                lasting=True,
            )
        if os.path.isdir(os.path.join(target.real, PRIVATE)) or any(
            os.path.lexists(os.path.join(above, MARKER)) for above in _upwards(target.real)
        ):
            raise NotFollowedError("is a symbolic link into another box", lasting=True)


def _upwards(path: str) -> Iterator[str]:
    """The path and all directories above it."""
    yield path
    while path != os.path.dirname(path):
        path = os.path.dirname(path)
        yield path


def _place(path: str) -> Place:
    found = os.lstat(path)
    return (found.st_dev, found.st_ino)


def _overlap(target: Target, path: str) -> bool:
    """Whether the target lies in what is at `path`, or the other way round."""
    try:
        places = [_place(above) for above in _upwards(path)]
    except OSError:
        return False  # it is not there, so nothing can be in it
    return places[0] in target.chain or target.place in places
