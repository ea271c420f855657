"""The contents under way into one box, and what is asked of them."""

from __future__ import annotations

from collections.abc import Container, Iterable
from itertools import islice

from flocksy.boxes.content.incoming import Incoming, Key, Staged
from flocksy.boxes.content.temporaries import Temporaries
from flocksy.boxes.content.wanted import Wanted


class UnderWay:
    """Answers only; `Staging` brings them forward."""

    def __init__(self, temporaries: Temporaries) -> None:
        self._temporaries = temporaries
        self._incoming: dict[Key, Incoming] = {}
        self._wanted = Wanted()
        self._looking: dict[Key, Incoming] = {}
        self._fresh: list[Staged] = []
        self._moved: set[Key] = set()
        self._broken: set[tuple[str, bytes, int]] = set()

    def wants(self, limit: int, without: Container[Key] = ()) -> list[bytes]:
        """Ids of chunks and list blobs still missing, in the order they are best sent in."""
        every = self._incoming.values() if self._wanted else ()
        names = (name for one in every if one.key not in without for name in one.lacks())
        return list(islice(dict.fromkeys(names), limit))

    def samples(self, keys: Iterable[Key]) -> list[bytes]:
        """One that is missing of each of these contents."""
        some = (self._incoming[key] for key in keys if key in self._incoming)
        firsts = (next(incoming.lacks(), None) for incoming in some)
        return list(dict.fromkeys(name for name in firsts if name is not None))

    def takers(self, names: Iterable[bytes]) -> list[Key]:
        """The contents that lack any of these."""
        return [one.key for one in self._wanted.any_of(names)]

    def moved(self) -> set[Key]:
        """The contents of which something has come from a lane since the last call."""
        moved, self._moved = self._moved, set()
        return moved

    def complete(self) -> list[Staged]:
        """What became complete since the last call."""
        fresh, self._fresh = self._fresh, []
        return [one for one in dict.fromkeys(fresh) if self.staged(one.path, one.root)]

    def staged(self, path: str, root: bytes) -> str | None:
        """The temporary of a complete content, for the applier."""
        incoming = self._incoming.get((path, root))
        return incoming.name if incoming is not None and incoming.complete else None

    def copying(self) -> frozenset[bytes]:
        """Roots of contents that are being copied from this disk: whoever shows them shall go on
        showing them for now."""
        return frozenset(root for _, root in self._looking)

    def trouble(self, without: Container[Key] = ()) -> str | None:
        """Why the disk refused the last write, for people; None when it did not, or when nothing
        waits for it any more. `without`: what nobody is expected to send does not."""
        trouble, every = self._temporaries.trouble, self._incoming.values()
        over = trouble is None or all(one.complete or one.key in without for one in every)
        return None if over else trouble

    @property
    def max_file_bytes(self) -> int:
        """No larger file can be on this disk, as far as its refusals have shown."""
        return self._temporaries.max_file_bytes

    def is_broken(self, path: str, root: bytes, size: int) -> bool:
        """Whether the content can never come to be: its list contradicts itself, or the size."""
        return (path, root, size) in self._broken

    def roots(self) -> frozenset[bytes]:
        """What is under way: not to be forgotten by `Contents.forget_unused`."""
        return frozenset(root for _, root in self._incoming)

    def progress(self) -> tuple[int, int]:
        """(bytes here, bytes expected) of all contents under way."""
        every = self._incoming.values()
        return sum(one.here_bytes for one in every), sum(one.size for one in every)

    def _is_more(self, one: Incoming, other: Incoming) -> bool:
        """Whether more is here of `one`, of the same content. How much of what an earlier run left
        is right is not known before that has been looked through, but how much there is."""
        taken_bytes = self._temporaries.taken_bytes
        if one.complete or other.complete or not (one.resumed or other.resumed):
            return one.here_bytes > other.here_bytes
        return taken_bytes(one.name) > taken_bytes(other.name)
