"""The symbolic links of one box that were made on this disk, and what became of each.

Kept by the box process, in the index, for a box with `symlinks = 0`. A link that came from the
flock is not among them: it is an entry of the box like any other, and is never followed.
"""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from dataclasses import dataclass

from flocksy.boxes.scan.following import SEND_ONLY, place_of
from flocksy.boxes.scan.targets import NotFollowedError, Targets
from flocksy.index.store import BoxIndex
from flocksy.sync.names import parent_of

LINKS = "links"
"""Name under which the index remembers them."""

SINCE = "links since"
"""Name under which the index remembers when a disk of unknown past was adopted (ns since the Unix
epoch): links that are not younger may have come from the flock."""

MAX_LINKS = 1_000
"""Links per box. All of them are compared with each other, and travel with each scan."""


@dataclass(frozen=True, slots=True)
class OwnLink:
    """One link. `text_root`: the content root of its text. `reason`: why it is not followed;
    empty where it is. `made_here`: it has been followed with this text, so it is none of the
    flock's, whatever others come up with."""

    path: str
    text_root: bytes
    reason: str = ""
    made_here: bool = True


@dataclass(frozen=True, slots=True)
class FollowRequest:
    """What the scanner has to know to follow links.

    `private`: paths that no link may show. `undecided`: what the flock holds is not known yet, so
    no link is followed or given up. `since_ns`: links whose change time is not later are not
    followed, unless they were before.
    """

    links: tuple[OwnLink, ...] = ()
    private: tuple[str, ...] = ()
    undecided: bool = False
    since_ns: int = 0


class Links:
    """See the head of this module. Tells `FollowingDisk` where links lead, each time anew."""

    def __init__(self, index: BoxIndex, root: str, private: Sequence[str]) -> None:
        self._index = index
        self._targets = Targets(root, private)
        self._private = tuple(private)
        self._since_ns = int.from_bytes(index.remembered(SINCE) or b"", "big")
        self._links = index.remembered_as(LINKS, _links) or {}
        self._moved = False

    def request(self, *, undecided: bool) -> FollowRequest:
        """For the scanner."""
        return FollowRequest(tuple(self._links.values()), self._private, undecided, self._since_ns)

    def note(self, path: str, text_root: bytes, reason: str = "") -> None:
        """This link is there; followed, or not for that reason. `save` when done."""
        before = self._links.get(path)
        if before is None and reason and len(self._links) >= MAX_LINKS:
            return  # said as a problem, no more
        known = before is not None and before.made_here and before.text_root == text_root
        link = OwnLink(path, text_root, reason, made_here=known or not reason)
        if link != before:
            self._links[path] = link
            self._moved = True

    def drop(self, path: str) -> None:
        """There is no such link any more at the path. `save` when done."""
        if self._links.pop(path, None) is not None:
            self._moved = True

    def save(self) -> None:
        """Write down what moved, within a transaction of the caller's."""
        if self._moved:
            plain = {
                link.path: (link.text_root.hex(), link.reason, link.made_here)
                for link in self._links.values()
            }
            self._index.remember(LINKS, json.dumps(plain).encode("ascii"))
            self._moved = False

    def held(self, path: str) -> str | None:
        """Why nothing is applied at `path`, or None."""
        while path:
            link = self._links.get(path)
            if link is not None:
                return link.reason or SEND_ONLY
            path = parent_of(path)
        return None

    def is_closed(self, path: str) -> bool:
        """Whether a link stands at `path` that was made here and is not followed."""
        link = self._links.get(path)
        return link is not None and bool(link.reason)

    def sends_only(self, path: str) -> bool:
        """Whether `path` is at or below a followed link."""
        return self.link_above(path) is not None

    def link_above(self, path: str) -> str | None:
        """As `flocksy.boxes.scan.following.Follows`."""
        while path:
            link = self._links.get(path)
            if link is not None and not link.reason:
                return path
            path = parent_of(path)
        return None

    def is_unwatched(self, path: str) -> bool:
        """Whether `path` is below a followed link that still stands. The watcher sees only the box,
        so nobody sees something go there; but the link itself."""
        link = self.link_above(parent_of(path))
        return link is not None and os.path.islink(os.path.join(self._targets.root, link))

    def real(self, link: str) -> str:
        """As `flocksy.boxes.scan.following.Follows`."""
        try:
            return self._targets.reach(place_of(self, self._targets.root, link)).real
        except NotFollowedError as error:
            raise FileNotFoundError(str(error)) from None


def _links(remembered: bytes) -> dict[str, OwnLink]:
    return {
        path: OwnLink(path, bytes.fromhex(text_root), str(reason), bool(made_here))
        for path, (text_root, reason, made_here) in json.loads(remembered).items()
    }
